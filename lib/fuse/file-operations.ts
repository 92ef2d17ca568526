// Operations on handles of files and directories, and those about the mount. Own nothing but the listing being made.

import { EINVAL, EIO, ENAMETOOLONG } from './errno.js'
import { type Attributes, type Created, type DirectoryEntry, type Errno, type Opened, PENDING } from './file-system.js'
import { NodeOperations } from './node-operations.js'
import { Fopen, MAX_WRITE, OPEN_KILL_SUIDGID, OUT_HEADER, WRITE_KILL_SUIDGID } from './opcodes.js'
import {
  direntSize,
  ENTRY_OUT,
  OPEN_OUT,
  put64,
  putDirent,
  putEntry,
  putOpen,
  putStatFs,
  STATFS_OUT,
  u64,
} from './protocol.js'
import { failure, OUT } from './serving.js'

const O_ACCMODE = 3
const O_WRONLY = 1

export abstract class FileOperations extends NodeOperations {
  protected open(node: number): void {
    const opened = this.fs.open(this.caller, node, this.in[0], (this.in[1] & OPEN_KILL_SUIDGID) !== 0)
    if (typeof opened === 'number') return this.reply.error(failure(opened))
    this.putOpened(OUT, node, opened, this.in[0])
    if (!this.reply.content(OPEN_OUT)) this.drop(node, opened.handle)
  }

  protected create(node: number): void {
    const name = this.name(16)
    this.caller.umask = this.in[2]
    this.created(name ? this.fs.create(this.caller, node, name, this.in[1], this.in[0]) : ENAMETOOLONG)
  }

  protected temporary(node: number): void {
    this.caller.umask = this.in[2]
    this.created(this.fs.tmpfile(this.caller, node, this.in[1], this.in[0]))
  }

  private created(created: Created | Errno): void {
    if (typeof created === 'number') return this.reply.error(failure(created))
    const ino = created.attributes.ino
    putEntry(this.out, OUT, created.attributes, this.valid)
    this.putOpened(OUT + ENTRY_OUT / 4, ino, created, this.in[0])
    if (this.reply.content(ENTRY_OUT + OPEN_OUT)) return
    this.drop(ino, created.handle)
    this.fs.forget(ino, 1)
  }

  protected putOpened(at: number, ino: number, opened: Opened, how: number): void {
    let flags: number = Fopen.PARALLEL_DIRECT_WRITES
    if (opened.keepCache) flags |= Fopen.KEEP_CACHE
    if (!this.options.wantsFlush) flags |= Fopen.NOFLUSH
    if (this.options.directWrites && (how & O_ACCMODE) === O_WRONLY) flags |= Fopen.DIRECT_IO
    const id = this.passes ? this.backings.opened(ino, opened.backing) : 0
    // The kernel refuses any other combination with pass-through.
    if (id > 0) flags = Fopen.PASSTHROUGH | (flags & Fopen.NOFLUSH)
    putOpen(this.out, at, opened.handle, flags, id)
  }

  protected release(node: number): void {
    const handle = u64(this.in, 0)
    this.drop(node, handle)
    this.reply.error(0)
  }

  protected drop(ino: number, handle: number): void {
    if (this.passes) this.backings.released(ino)
    this.fs.release(ino, handle)
  }

  protected read(node: number): void {
    const i = this.in
    const size = Math.min(i[4], MAX_WRITE)
    const into = this.wire.out.subarray(OUT_HEADER, OUT_HEADER + size)
    const n = this.fs.read(this.caller, node, u64(i, 0), u64(i, 2), into)
    if (n < 0) return this.reply.error(n)
    this.reply.content(Math.min(n, size))
  }

  protected write(node: number): void {
    const i = this.in
    const size = i[4]
    if (40 + size > this.length) return this.reply.error(EINVAL)
    const kill = (i[5] & WRITE_KILL_SUIDGID) !== 0
    const n = this.fs.write(this.caller, node, u64(i, 0), u64(i, 2), this.body.subarray(40, 40 + size), kill)
    this.count(n)
  }

  protected lseek(node: number): void {
    const i = this.in
    const at = this.fs.lseek(this.caller, node, u64(i, 0), u64(i, 2), i[4])
    if (at < 0) return this.reply.error(at)
    put64(this.out, OUT, at)
    this.reply.content(8)
  }

  protected copy(node: number): void {
    const i = this.in
    // The answer's count has 32 bits, and a caller takes a short count as it takes a short write.
    const length = Math.min(u64(i, 10), 0x40000000)
    this.count(this.fs.copyFileRange(this.caller, node, u64(i, 0), u64(i, 2), u64(i, 4), u64(i, 6), u64(i, 8), length))
  }

  /** Noted as pending before the call, since another thread may complete it before the call returns. */
  protected pendable(operation: () => Errno | typeof PENDING): void {
    const low = this.header[2]
    const high = this.header[3]
    if (!this.memory.addPending(low, high)) return this.reply.error(EIO)
    const result = operation()
    if (result === PENDING) return this.reply.none()
    this.memory.removePending(low, high)
    this.reply.error(result as Errno)
  }

  protected opendir(node: number): void {
    const opened = this.fs.opendir(this.caller, node)
    if (typeof opened === 'number') return this.reply.error(failure(opened))
    putOpen(this.out, OUT, opened.handle, opened.keepCache ? Fopen.CACHE_DIR | Fopen.KEEP_CACHE : 0, 0)
    if (!this.reply.content(OPEN_OUT)) this.fs.releasedir(node, opened.handle)
  }

  private listingAt = 0
  private listingEnd = 0
  private listingPlus = false

  private readonly emit = (entry: DirectoryEntry, attributes?: Attributes): boolean => {
    if (this.listingAt + direntSize(entry.name.length, this.listingPlus) > this.listingEnd) return false
    const valid = this.listingPlus ? this.valid : undefined
    this.listingAt = putDirent(this.wire.out, this.out, this.listingAt, entry, attributes, valid)
    return true
  }

  protected readdir(node: number, plus: boolean): void {
    const i = this.in
    this.listingAt = OUT_HEADER
    this.listingEnd = OUT_HEADER + Math.min(i[4], MAX_WRITE)
    this.listingPlus = plus
    const result = this.fs.readdir(this.caller, node, u64(i, 0), u64(i, 2), plus, this.emit)
    if (result < 0) return this.reply.error(result)
    this.reply.content(this.listingAt - OUT_HEADER)
  }

  protected statfs(node: number): void {
    const s = this.fs.statfs(this.caller, node)
    if (typeof s === 'number') return this.reply.error(failure(s))
    putStatFs(this.out, OUT, s)
    this.reply.content(STATFS_OUT)
  }
}
