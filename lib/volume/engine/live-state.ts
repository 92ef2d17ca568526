// The live state of a volume: what LMDB has, with what was changed since laid over it. Owns the inodes in memory and the
// numbers given to new ones; `Folders` owns the entries. Never writes: changes come from transactions.
// Invariants: what a frame changed stays in memory until a snapshot of LMDB has it; memory is bounded by what is not
// committed, what is open, and the two bounds below, however many files there are.

import type { Lsn } from '../../store/records.js'
import { Folders } from './folders.js'
import { Inode } from './inode.js'
import type { DurableState, Progress } from './ports.js'

/** Inodes kept although LMDB has them. */
const CLEAN_MAX = 50_000
/** A deeper tree than this is a loop. */
const DEPTH_MAX = 1_000_000

export interface LiveStateInit {
  inodesMax?: number
  entriesMax?: number
}

export class LiveState {
  readonly #durable: DurableState
  readonly #progress: Progress
  readonly #onEvict: ((inode: Inode) => void) | undefined
  readonly folders: Folders
  readonly #inodes = new Map<number, Inode>()
  /** Lookup counts of inodes that are not in memory. */
  readonly #lookups = new Map<number, number>()
  readonly #limit: number
  #sweepAt: number
  #hand: IterableIterator<[number, Inode]> | undefined
  #nextIno: number
  #nextSpool: number
  /** Frames that begin below are in the snapshot that LMDB reads come from. */
  #snapshot: Lsn

  constructor(
    components: { durable: DurableState; progress: Progress; onEvict?: (inode: Inode) => void },
    init: LiveStateInit = {},
  ) {
    this.#durable = components.durable
    this.#progress = components.progress
    this.#onEvict = components.onEvict
    this.#limit = init.inodesMax ?? CLEAN_MAX
    this.#sweepAt = this.#limit
    this.folders = new Folders(components, { cleanMax: init.entriesMax })
    this.#snapshot = this.refresh()
    this.#nextIno = this.#durable.nextIno
    this.#nextSpool = this.#durable.nextSpool
  }

  get inodesInMemory(): number {
    return this.#inodes.size
  }

  get snapshot(): Lsn {
    return this.#snapshot
  }

  /** Never given twice: LMDB keeps the highest of every frame that was folded, and nothing else is journaled now. */
  newIno(): number {
    return this.#nextIno++
  }

  newSpool(): number {
    return this.#nextSpool++
  }

  inode(ino: number): Inode | undefined {
    const known = this.#inodes.get(ino)
    if (known !== undefined) {
      known.touched = true
      return known.gone && known.lookups === 0 && known.handles === 0 ? undefined : known
    }
    return this.#load(ino)
  }

  #load(ino: number): Inode | undefined {
    const record = this.#durable.inode(ino)
    if (record === undefined) return undefined
    const inode = new Inode(record)
    const lookups = this.#lookups.get(ino)
    if (lookups !== undefined) {
      inode.lookups = lookups
      this.#lookups.delete(ino)
    }
    this.#inodes.set(ino, inode)
    return inode
  }

  /** Only if it is in memory. */
  peek(ino: number): Inode | undefined {
    return this.#inodes.get(ino)
  }

  add(inode: Inode): void {
    this.#inodes.set(inode.ino, inode)
  }

  drop(inode: Inode): void {
    this.#inodes.delete(inode.ino)
  }

  open(): Iterable<Inode> {
    return this.#inodes.values()
  }

  /** Whether an inode is `top` or below it, by the folders it is linked in. */
  isWithin(inode: Inode, top: Inode): boolean {
    let at: Inode | undefined = inode
    for (let depth = 0; at && depth < DEPTH_MAX; depth++) {
      if (at === top) return true
      if (at.ino === 1 || at.parent === 0) return false
      at = this.inode(at.parent)
    }
    return false
  }

  /** FUSE forget. Answers the inode if it is in memory. */
  forget(ino: number, count: number): Inode | undefined {
    const inode = this.#inodes.get(ino)
    if (inode !== undefined) {
      inode.lookups = Math.max(0, inode.lookups - count)
      return inode
    }
    const left = (this.#lookups.get(ino) ?? 0) - count
    if (left > 0) this.#lookups.set(ino, left)
    else this.#lookups.delete(ino)
    return undefined
  }

  /** The kernel refers to none of those any more that are not in memory. */
  forgetEvicted(): void {
    this.#lookups.clear()
  }

  /** Whether every change of it is durable. */
  isCommitted(lsn: Lsn): boolean {
    return lsn < this.#snapshot || lsn < this.#progress.committed()
  }

  /** Reads come from the newest committed state from now on. Answers what it has: every frame that begins below. */
  refresh(): Lsn {
    const committed = this.#progress.committed()
    this.#durable.refresh()
    this.#snapshot = committed
    return committed
  }

  /** Keeps memory within bounds; to be called now and then, between operations. */
  tidy(): void {
    const inodes = this.#inodes.size > this.#sweepAt
    if (!inodes && !this.folders.crowded) return
    const durable = this.refresh()
    if (this.folders.crowded) this.folders.sweep(durable)
    if (inodes) this.#sweep(durable)
  }

  /** A clock's hand: what was used since it passed stays for another round. */
  #sweep(durable: Lsn): void {
    let looked = 2 * this.#inodes.size
    while (this.#inodes.size > this.#limit && looked-- > 0) {
      this.#hand ??= this.#inodes.entries()
      const { value, done } = this.#hand.next()
      if (done) {
        this.#hand = undefined
        continue
      }
      const inode = value[1]
      if (inode.touched) inode.touched = false
      else if (this.#mayGo(inode, durable)) this.#evict(inode)
    }
    this.#sweepAt = Math.max(this.#limit, this.#inodes.size) + (this.#limit >> 3)
  }

  #mayGo(inode: Inode, durable: Lsn): boolean {
    if (inode.handles > 0 || inode.working !== undefined || inode.dirtyLsn >= durable || inode.ino === 1) return false
    return inode.lookups === 0 || inode.nlink > 0
  }

  #evict(inode: Inode): void {
    if (inode.lookups > 0) this.#lookups.set(inode.ino, inode.lookups)
    this.#inodes.delete(inode.ino)
    this.#onEvict?.(inode)
  }
}
