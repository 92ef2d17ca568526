// An inode of the in-memory file system: attributes, sparse content, directory entries. Owns no tree.

import type { Attributes } from '../../lib/fuse/file-system.js'

const PAGE = 4096

export interface Entry {
  name: Buffer
  key: string
  node: MemoryNode
  offset: number
  gone: boolean
}

/** Directory entries in the order of their offsets, which never change while the entry lives. */
export class Entries {
  private readonly byName = new Map<string, Entry>()
  private list: Entry[] = []
  private dead = 0
  private next = 3

  get size(): number {
    return this.byName.size
  }

  get(key: string): Entry | undefined {
    return this.byName.get(key)
  }

  /** Adds an entry, or puts another inode behind an existing name. */
  set(name: Buffer, key: string, node: MemoryNode): void {
    const known = this.byName.get(key)
    if (known) {
      known.node = node
      return
    }
    const entry: Entry = { name: Buffer.from(name), key, node, offset: this.next++, gone: false }
    this.byName.set(key, entry)
    this.list.push(entry)
  }

  delete(key: string): void {
    const entry = this.byName.get(key)
    if (!entry) return
    entry.gone = true
    this.byName.delete(key)
    if (++this.dead > 64 && this.dead > this.list.length / 2) {
      this.list = this.list.filter((e) => !e.gone)
      this.dead = 0
    }
  }

  *after(offset: number): Generator<Entry> {
    let low = 0
    let high = this.list.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.list[middle].offset <= offset) low = middle + 1
      else high = middle
    }
    for (let i = low; i < this.list.length; i++) if (!this.list[i].gone) yield this.list[i]
  }
}

export class MemoryNode implements Attributes {
  size = 0
  blocks = 0
  nlink = 1
  rdev = 0
  atimeSec = 0
  atimeNsec = 0
  mtimeSec = 0
  mtimeNsec = 0
  ctimeSec = 0
  ctimeNsec = 0
  readonly pages = new Map<number, Buffer>()
  readonly xattrs = new Map<string, Buffer>()
  entries: Entries | undefined
  parent: MemoryNode | undefined
  target: Buffer | undefined
  lookups = 0
  handles = 0

  constructor(
    readonly ino: number,
    public mode: number,
    public uid: number,
    public gid: number,
  ) {}

  get isDirectory(): boolean {
    return this.entries !== undefined
  }

  get isFile(): boolean {
    return (this.mode & 0o170000) === 0o100000
  }

  read(offset: number, into: Buffer): number {
    const end = Math.min(this.size, offset + into.length)
    let at = offset
    while (at < end) {
      const within = at % PAGE
      const n = Math.min(PAGE - within, end - at)
      const page = this.pages.get((at - within) / PAGE)
      if (page) page.copy(into, at - offset, within, within + n)
      else into.fill(0, at - offset, at - offset + n)
      at += n
    }
    return Math.max(0, end - offset)
  }

  write(offset: number, data: Buffer): void {
    let at = 0
    while (at < data.length) {
      const within = (offset + at) % PAGE
      const n = Math.min(PAGE - within, data.length - at)
      const index = (offset + at - within) / PAGE
      let page = this.pages.get(index)
      if (!page) this.pages.set(index, (page = Buffer.alloc(PAGE)))
      data.copy(page, within, at, at + n)
      at += n
    }
    this.size = Math.max(this.size, offset + data.length)
    this.count()
  }

  resize(size: number): void {
    if (size < this.size) this.zero(size, this.size)
    this.size = size
    this.count()
  }

  /** Makes a hole. */
  zero(from: number, to: number): void {
    for (const [index, page] of this.pages) {
      const start = index * PAGE
      if (start + PAGE <= from || start >= to) continue
      if (start >= from && start + PAGE <= to) this.pages.delete(index)
      else page.fill(0, Math.max(0, from - start), Math.min(PAGE, to - start))
    }
    this.count()
  }

  allocate(from: number, to: number): void {
    for (let index = Math.floor(from / PAGE); index * PAGE < to; index++)
      if (!this.pages.has(index)) this.pages.set(index, Buffer.alloc(PAGE))
    this.count()
  }

  /** SEEK_DATA 3, SEEK_HOLE 4; -1: none. */
  seek(offset: number, whence: number): number {
    if (offset >= this.size) return -1
    for (let index = Math.floor(offset / PAGE); index * PAGE < this.size; index++)
      if (this.pages.has(index) === (whence === 3)) return Math.max(offset, index * PAGE)
    return whence === 4 ? this.size : -1
  }

  private count(): void {
    this.blocks = this.pages.size * (PAGE / 512)
  }
}
