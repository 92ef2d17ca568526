// Documents and inodes are apart, because programs save in ways that move them against each other. Here is which document an
// inode gets: rename over a file, a backup and then a new file, delete and create again, all go on with the history of the
// document at that path. Owns what names were left lately, and which inode carries a document where LMDB does not know yet.

import { randomFillSync } from 'node:crypto'
import type { DId } from '../../model/types.js'
import type { Lsn } from '../../store/records.js'
import { keyOf } from './folders.js'
import type { Inode } from './inode.js'
import type { LiveState } from './live-state.js'
import { S_IFDIR, S_IFMT } from './modes.js'
import type { DurableState } from './ports.js'
import type { Transaction } from './transaction.js'
import type { WallClock } from './wall-clock.js'

/** How long a name that was left is waited for. Milliseconds. */
const WAIT = 5000
const RECENT_MAX = 4096
/** Places of documents remembered before those that are committed are dropped. */
const PLACES_MAX = 4096

interface Left {
  document: DId
  /** The inode that carried it when the name was left. */
  ino: number
  type: number
  createdSec: number
  createdNsec: number
  at: number
}

type LeftInode = Pick<Inode, 'mode' | 'document' | 'ino' | 'createdSec' | 'createdNsec'>

/** A document and its birth. */
export interface Birth {
  document: DId
  createdSec: number
  createdNsec: number
}

export class Identity {
  readonly #state: LiveState
  readonly #durable: DurableState
  readonly #left = new Map<string, Left>()
  /** Inodes that were given a further name lately: the name they had then. */
  readonly #linked = new Map<number, { folder: number; key: string; at: number }>()
  readonly #places = new Map<string, { ino: number; lsn: Lsn }>()
  #placesMax = PLACES_MAX
  readonly #pool = Buffer.alloc(4096)
  #used = 4096

  constructor(components: { state: LiveState; durable: DurableState }) {
    this.#state = components.state
    this.#durable = components.durable
  }

  newDocument(): DId {
    if (this.#used === this.#pool.length) {
      randomFillSync(this.#pool)
      this.#used = 0
    }
    const document = new Uint8Array(16)
    document.set(this.#pool.subarray(this.#used, (this.#used += 16)))
    return document
  }

  /** A name does not name `inode` any more (renamed or removed): whoever is created there soon goes on with its document. */
  left(folder: number, key: string, inode: LeftInode, now: number): void {
    const type = inode.mode & S_IFMT
    if (type === S_IFDIR) return
    const { document, ino, createdSec, createdNsec } = inode
    const name = `${folder}/${key}`
    this.#left.delete(name)
    this.#left.set(name, { document, ino, type, createdSec, createdNsec, at: now })
    if (this.#left.size > RECENT_MAX) this.#left.delete(this.#left.keys().next().value!)
  }

  /** `inode` has a further name now. */
  linked(folder: number, key: string, inode: Inode, now: number): void {
    this.#linked.delete(inode.ino)
    this.#linked.set(inode.ino, { folder, key, at: now })
    if (this.#linked.size > RECENT_MAX) this.#linked.delete(this.#linked.keys().next().value!)
  }

  /** Whether what is renamed over this name of `inode` goes on with its document: its other name, if any, is a backup made just now. */
  goesOnAt(folder: number, key: string, inode: Inode, now: number): boolean {
    if (inode.nlink === 1) return true
    const further = this.#linked.get(inode.ino)
    if (inode.nlink !== 2 || !further || now - further.at > WAIT) return false
    return further.folder !== folder || further.key !== key
  }

  /**
   * The document that a file of this type created at this name goes on with, if any. If another inode still carries it (a
   * backup, or removed but open), that one gets a new document, in the transaction. `clock` was read.
   */
  take(transaction: Transaction, folder: number, key: string, type: number, clock: WallClock): Birth | undefined {
    if (this.#left.size === 0) return undefined
    const name = `${folder}/${key}`
    const left = this.#left.get(name)
    if (left === undefined) return undefined
    this.#left.delete(name)
    if (clock.span - left.at > WAIT || left.type !== type) return undefined
    const place = this.placeOf(left.document)
    if (place !== 0 && place !== left.ino) return undefined
    const holder = this.#state.inode(left.ino)
    if (holder && sameDocument(holder.document, left.document)) {
      if (!holder.gone) this.#renew(transaction, holder, clock)
    }
    return left
  }

  #renew(transaction: Transaction, holder: Inode, now: { sec: number; nsec: number }): void {
    transaction.touch(holder)
    holder.document = this.newDocument()
    // A document is told from others that join its history by its creation.
    holder.createdSec = now.sec
    holder.createdNsec = now.nsec
    if (holder.nlink > 0 && holder.working === undefined) transaction.close(holder)
  }

  /** Inode `from` takes the place of `to` at a path: it goes on with its document, and `to` gets the other. Both touched. */
  swap(transaction: Transaction, from: Inode, to: Inode): void {
    const { document, createdSec, createdNsec } = from
    from.document = to.document
    from.createdSec = to.createdSec
    from.createdNsec = to.createdNsec
    to.document = document
    to.createdSec = createdSec
    to.createdNsec = createdNsec
    if (from.working === undefined) transaction.close(from)
  }

  /** After the frame at `lsn`: the document is carried by inode `ino` now; 0: by none. */
  place(document: DId, ino: number, lsn: Lsn): void {
    this.#places.set(placeKey(document), { ino, lsn })
    if (this.#places.size <= this.#placesMax) return
    for (const [key, place] of this.#places) if (this.#state.isCommitted(place.lsn)) this.#places.delete(key)
    this.#placesMax = Math.max(PLACES_MAX, 2 * this.#places.size)
  }

  /** Which inode carries a document, as far as it is known; 0: none. */
  placeOf(document: DId): number {
    const known = this.#places.get(placeKey(document))?.ino ?? this.#durable.document(document)?.ino
    if (known !== undefined) return known
    // The root of a volume that joins another one has no head yet.
    const root = this.#state.inode(1)
    return root && sameDocument(root.document, document) ? 1 : 0
  }

  /** Whether a document was removed here just now, and the committer has not made a revision of that yet. */
  isLeaving(document: DId): boolean {
    return this.placeOf(document) !== 0 && this.carrier(document) === undefined
  }

  /** The inode that carries a document. */
  carrier(document: DId): Inode | undefined {
    const ino = this.placeOf(document)
    const inode = ino === 0 ? undefined : this.#state.inode(ino)
    return inode && !inode.gone && sameDocument(inode.document, document) ? inode : undefined
  }
}

export const placeKey = keyOf

export function sameDocument(a: DId, b: DId): boolean {
  if (a === b) return true
  for (let i = 0; i < 16; i++) if (a[i] !== b[i]) return false
  return true
}
