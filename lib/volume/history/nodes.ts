// Inodes of history: numbers in a range of their own, made when somebody looks, dropped when the kernel forgets them. Owns
// the ones that are known at the moment, a bounded number of them.
//
// A number follows from where a node is and what it shows, so the same thing has the same number whenever it is asked for. One that is
// not known any more (too many of them, or the thread is another one) is ESTALE: the kernel then looks its path up again, and
// finds it.

import type { Attributes } from '../../fuse/file-system.js'
import { hashOf } from '../../model/hash.js'
import type { Clock, Content } from '../../model/types.js'

/** Inode numbers from here on are history's; those of the live tree have 48 bits. */
export const HISTORY_BASE = 2 ** 52
/** In listings, where a number would have to be worked out for each entry. */
export const UNKNOWN_INO = 2 ** 53 - 1

export const isHistory = (ino: number): boolean => ino >= HISTORY_BASE

/** What a node shows. */
export type What =
  /** `folder/.versions`: every name that the folder with this (live) inode ever had. */
  | { kind: 'names'; folder: number }
  /** `folder/.versions/name`: versions of what had this name (a key). */
  | { kind: 'name'; folder: number; name: string }
  /** A folder's revision; what is in it as at `at`. */
  | { kind: 'folder'; entries: Content | undefined; at: Clock }
  /** A revision of anything else. */
  | { kind: 'file'; content: Content | undefined }
  /** `.peerdrive`, and `.peerdrive/at`. */
  | { kind: 'gate' }
  | { kind: 'times' }

/** All of `Attributes` but what a node has by itself. */
export type Shown = Omit<Attributes, 'ino' | 'nlink' | 'blocks' | 'atimeSec' | 'atimeNsec'> & {
  xattrs: { name: Uint8Array; value: Uint8Array }[]
}

export class HistoryNode implements Attributes {
  mode = 0
  /** Of folders too: programs that count subfolders by it look for themselves then. */
  readonly nlink = 1
  uid = 0
  gid = 0
  rdev = 0
  size = 0
  blocks = 0
  atimeSec = 0
  atimeNsec = 0
  mtimeSec = 0
  mtimeNsec = 0
  ctimeSec = 0
  ctimeNsec = 0
  xattrs: Shown['xattrs'] = []
  /** References that the kernel holds, and open handles. */
  lookups = 0
  handles = 0

  constructor(
    readonly ino: number,
    /** What the number was made of. */
    readonly key: string,
    readonly parent: number,
    readonly what: What,
  ) {}

  show(shown: Shown): void {
    this.mode = shown.mode
    this.uid = shown.uid
    this.gid = shown.gid
    this.rdev = shown.rdev
    this.size = shown.size
    this.blocks = Math.ceil(shown.size / 512)
    // Reading leaves no trace.
    this.atimeSec = this.mtimeSec = shown.mtimeSec
    this.atimeNsec = this.mtimeNsec = shown.mtimeNsec
    this.ctimeSec = shown.ctimeSec
    this.ctimeNsec = shown.ctimeNsec
    this.xattrs = shown.xattrs
  }

  get isFolder(): boolean {
    return this.what.kind !== 'file'
  }
}

export class HistoryNodes {
  readonly #nodes = new Map<number, HistoryNode>()
  readonly #limit: number
  readonly #onDrop: (ino: number) => void

  constructor(components: { onDrop: (ino: number) => void }, init: { nodesMax?: number } = {}) {
    this.#onDrop = components.onDrop
    this.#limit = init.nodesMax ?? 50_000
  }

  get size(): number {
    return this.#nodes.size
  }

  get(ino: number): HistoryNode | undefined {
    const node = this.#nodes.get(ino)
    if (node === undefined) return undefined
    this.#nodes.delete(ino)
    this.#nodes.set(ino, node)
    return node
  }

  /**
   * The node at `name` (a key) below `parent` that shows what `version` says; the same as before if it is still known. It is in
   * nobody's hands yet: count it, or let it go with `settle`.
   */
  enter(parent: number, name: string, version: string, make: () => { what: What; shown: Shown }): HistoryNode {
    const key = `${parent}/${name}/${version}`
    let ino = numberOf(key)
    for (let known = this.#nodes.get(ino); known; known = this.#nodes.get(++ino)) if (known.key === key) return known
    const { what, shown } = make()
    const node = new HistoryNode(ino, key, parent, what)
    node.show(shown)
    this.#nodes.set(ino, node)
    if (this.#nodes.size > this.#limit) this.#makeRoom()
    return node
  }

  /** Those that were not used for the longest time go, but none that is open. */
  #makeRoom(): void {
    let looked = 0
    for (const node of this.#nodes.values()) {
      if (this.#nodes.size <= this.#limit || ++looked > this.#limit / 2) return
      if (node.handles === 0) this.#drop(node)
    }
  }

  forget(ino: number, count: number): void {
    const node = this.#nodes.get(ino)
    if (node === undefined) return
    node.lookups = Math.max(0, node.lookups - count)
    this.settle(node)
  }

  /** Drops it if nobody holds it. */
  settle(node: HistoryNode): void {
    if (node.lookups === 0 && node.handles === 0) this.#drop(node)
  }

  #drop(node: HistoryNode): void {
    if (this.#nodes.get(node.ino) !== node) return
    this.#nodes.delete(node.ino)
    this.#onDrop(node.ino)
  }
}

/** 52 bits of a hash, above HISTORY_BASE; never the last of all numbers. */
function numberOf(key: string): number {
  const bytes = Buffer.from(hashOf(Buffer.from(key)))
  return HISTORY_BASE + (bytes.readUInt32BE(1) % 2 ** 19) * 2 ** 32 + bytes.readUInt32BE(5)
}
