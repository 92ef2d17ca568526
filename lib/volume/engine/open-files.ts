// Open handles of files and folders. Owns their numbers. A handle that this thread does not know (it was opened before a
// crash of the thread before it) is opened again when it is used: the kernel says which inode it is.

import type { Listed } from './folders.js'
import type { Inode } from './inode.js'

export interface Handle {
  readonly id: number
  readonly inode: Inode
  readonly writable: boolean
  /** Monotonic milliseconds. */
  readonly since: number
  /** Folders: the entries as they were when they were read from the start. */
  listing: Listed[] | undefined
  /** Of the folder when it was listed. */
  version: number
}

/** Handle numbers of a generation of the thread begin here times its number: never met again. */
const GENERATION = 2 ** 40

export class OpenFiles {
  readonly #handles = new Map<number, Handle>()
  #next: number
  /** Grows with every change of what is open for writing. */
  changes = 0

  /** `generation`: how many threads served this mount before, below 4096. */
  constructor(init: { generation?: number } = {}) {
    this.#next = ((init.generation ?? 0) + 1) * GENERATION
  }

  get size(): number {
    return this.#handles.size
  }

  all(): Iterable<Handle> {
    return this.#handles.values()
  }

  open(inode: Inode, writable: boolean, since: number): Handle {
    return this.#add(this.#next++, inode, writable, since)
  }

  #add(id: number, inode: Inode, writable: boolean, since: number): Handle {
    const handle: Handle = { id, inode, writable, since, listing: undefined, version: 0 }
    this.#handles.set(id, handle)
    inode.handles++
    if (writable) {
      inode.writers++
      this.changes++
    }
    return handle
  }

  get(id: number): Handle | undefined {
    return this.#handles.get(id)
  }

  /** A handle from before this thread. */
  adopt(id: number, inode: Inode, since: number): Handle {
    return this.#add(id, inode, !inode.isFolder, since)
  }

  /** Answers the handle, which is not open any more; undefined: it was not known. */
  release(id: number): Handle | undefined {
    const handle = this.#handles.get(id)
    if (handle === undefined) return undefined
    this.#handles.delete(id)
    handle.inode.handles--
    if (handle.writable) {
      handle.inode.writers--
      this.changes++
    }
    return handle
  }
}
