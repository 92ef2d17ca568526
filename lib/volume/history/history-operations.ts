// What the driver may do with nodes of history: look, open, read. Everything is read-only. Owns the open handles and their
// listings. Answers in place; exceptions go up.

import { EINVAL, EISDIR, ELOOP, ENODATA, ENOTDIR, ENXIO, EROFS, ESTALE } from '../../fuse/errno.js'
import type { Attributes, Caller, DirectoryEntry, Errno, Opened } from '../../fuse/file-system.js'
import type { Content } from '../../model/types.js'
import type { History, Listed } from './history.js'
import { nameOf } from './names.js'
import { type HistoryNode, UNKNOWN_INO } from './nodes.js'

const O_ACCMODE = 3
const O_TRUNC = 0o1000
const S_IFMT = 0o170000
const S_IFLNK = 0o120000
const SEEK_DATA = 3
const SEEK_HOLE = 4
const DT_DIR = 4
const GENERATION = 2 ** 40
const DOT = Buffer.from('.')
const DOT_DOT = Buffer.from('..')
const TRUSTED = Buffer.from('trusted.')

export interface HistoryOperationsComponents {
  history: History
  /** Later reads see everything that is committed. */
  refresh: () => void
  /** `length` bytes of a content from `offset`, which are there, into `into`. */
  readContent: (content: Content, offset: number, into: Buffer, length: number) => void
}

interface Handle {
  node: HistoryNode
  listing?: Listed[]
}

export class HistoryOperations {
  readonly #c: HistoryOperationsComponents
  readonly #history: History
  readonly #handles = new Map<number, Handle>()
  #nextHandle: number

  /** `generation`: as of the live tree's handles: numbers are never met again. */
  constructor(components: HistoryOperationsComponents, init: { generation?: number } = {}) {
    this.#c = components
    this.#nextHandle = ((init.generation ?? 0) + 1) * GENERATION
    this.#history = components.history
  }

  get handles(): number {
    return this.#handles.size
  }

  /** `.versions` of a live folder. */
  versionsOf(folder: number): HistoryNode | Errno {
    return this.#given(this.#history.versionsOf(folder))
  }

  /** `.peerdrive` of the root. */
  gate(): HistoryNode | Errno {
    return this.#given(this.#history.gate())
  }

  lookup(parent: number, name: Buffer): HistoryNode | Errno {
    const node = this.#history.nodes.get(parent)
    if (node === undefined) return ESTALE
    this.#c.refresh()
    return this.#given(this.#history.child(node, name))
  }

  #given(found: HistoryNode | Errno): HistoryNode | Errno {
    if (typeof found !== 'number') found.lookups++
    return found
  }

  forget(ino: number, count: number): void {
    this.#history.nodes.forget(ino, count)
  }

  getattr(ino: number): Attributes | Errno {
    const node = this.#history.nodes.get(ino)
    return node && this.#history.refresh(node) ? node : ESTALE
  }

  readlink(ino: number): Buffer | Errno {
    const node = this.#history.nodes.get(ino)
    if (node === undefined) return ESTALE
    if ((node.mode & S_IFMT) !== S_IFLNK) return EINVAL
    const target = Buffer.alloc(Math.min(node.size, 4096))
    this.#read(node, 0, target)
    return target
  }

  open(ino: number, flags: number, folder: boolean): Opened | Errno {
    const node = this.#history.nodes.get(ino)
    if (node === undefined) return ESTALE
    if (node.isFolder !== folder) return folder ? ENOTDIR : EISDIR
    if ((flags & O_ACCMODE) !== 0 || (flags & O_TRUNC) !== 0) return EROFS
    if ((node.mode & S_IFMT) === S_IFLNK) return ELOOP
    const handle = this.#nextHandle++
    this.#handles.set(handle, { node })
    node.handles++
    // A number never shows other bytes; what is in a folder may grow.
    return { handle, keepCache: !folder }
  }

  release(handle: number): void {
    const open = this.#handles.get(handle)
    if (open === undefined) return
    this.#handles.delete(handle)
    open.node.handles--
    this.#history.nodes.settle(open.node)
  }

  read(ino: number, offset: number, into: Buffer): number {
    const node = this.#history.nodes.get(ino)
    if (node === undefined) return ESTALE
    return node.isFolder ? EISDIR : this.#read(node, offset, into)
  }

  #read({ what, size }: HistoryNode, offset: number, into: Buffer): number {
    const length = Math.min(into.length, size - offset)
    if (length <= 0 || what.kind !== 'file' || !what.content) return 0
    this.#c.readContent(what.content, offset, into, length)
    return length
  }

  lseek(ino: number, offset: number, whence: number): number {
    const node = this.#history.nodes.get(ino)
    if (node === undefined) return ESTALE
    if (whence !== SEEK_DATA && whence !== SEEK_HOLE) return EINVAL
    if (offset < 0 || offset >= node.size) return ENXIO
    return whence === SEEK_DATA ? offset : node.size
  }

  readdir(
    ino: number,
    handle: number,
    offset: number,
    emit: (entry: DirectoryEntry, attributes?: Attributes) => boolean,
  ): Errno {
    const open = this.#handles.get(handle)
    const node = open?.node ?? this.#history.nodes.get(ino)
    if (node === undefined) return ESTALE
    let listing = open?.listing
    if (offset === 0 || listing === undefined) {
      this.#c.refresh()
      const listed = this.#history.list(node)
      if (typeof listed === 'number') return listed
      listing = listed
      if (open) open.listing = listed
    }
    if (offset < 1 && !emit({ name: DOT, ino: node.ino, type: DT_DIR, offset: 1 })) return 0
    if (offset < 2 && !emit({ name: DOT_DOT, ino: node.parent, type: DT_DIR, offset: 2 })) return 0
    for (let i = Math.max(0, offset - 2); i < listing.length; i++) {
      const { name, type } = listing[i]
      if (!emit({ name: nameOf(name), ino: UNKNOWN_INO, type, offset: i + 3 })) return 0
    }
    return 0
  }

  getxattr(ino: number, name: Buffer): Buffer | Errno {
    const node = this.#history.nodes.get(ino)
    if (node === undefined) return ESTALE
    const found = node.xattrs.find((xattr) => name.equals(xattr.name))
    return found ? Buffer.from(found.value) : ENODATA
  }

  listxattr(caller: Caller, ino: number): Buffer | Errno {
    const node = this.#history.nodes.get(ino)
    if (node === undefined) return ESTALE
    const shown = node.xattrs.filter(
      ({ name }) => caller.uid === 0 || !TRUSTED.equals(name.subarray(0, TRUSTED.length)),
    )
    return Buffer.concat(shown.flatMap(({ name }) => [name, Buffer.of(0)]))
  }
}
