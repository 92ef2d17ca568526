// Serves one request at a time: decodes it, calls the file system in place, answers. Owns the buffers and what it counts.
// Never waits and never reads from the device itself. Invariant: after `serve` the request is answered, noted as pending,
// or of a kind that has no answer, whatever the file system does (also if it throws).

import { EBADF, EINVAL, EIO, ENAMETOOLONG, ENOENT, ENOSYS, ERANGE } from './errno.js'
import {
  type Attributes,
  type Caller,
  type Created,
  type DirectoryEntry,
  type Errno,
  type FileSystem,
  type Opened,
  PENDING,
  type Request,
} from './file-system.js'
import { negotiate } from './handshake.js'
import {
  Fopen,
  FSYNC_FDATASYNC,
  FUSE_KERNEL_VERSION,
  FUSE_LEAST_MINOR_VERSION,
  GETATTR_FH,
  IN_HEADER,
  Init,
  Init2,
  MAX_WRITE,
  NAME_MAX,
  OPCODE_SLOTS,
  OPEN_KILL_SUIDGID,
  Opcode,
  OUT_HEADER,
  WRITE_KILL_SUIDGID,
  XATTR_SIZE_MAX,
} from './opcodes.js'
import type { ServeOptions } from './options.js'
import { Passthrough } from './passthrough.js'
import {
  ATTR_OUT,
  direntSize,
  ENTRY_OUT,
  INIT_OUT,
  OPEN_OUT,
  put64,
  putAttrOut,
  putDirent,
  putEntry,
  putNoEntry,
  putOpen,
  putStatFs,
  readChanges,
  STATFS_OUT,
  u64,
  type Validity,
  Wire,
} from './protocol.js'
import { Replier } from './replier.js'
import type { SessionMemory } from './session.js'

/** First word of an answer's content. */
const OUT = OUT_HEADER / 4
const S_IFDIR = 0o040000
const EPROTO = -71
const O_ACCMODE = 3
const O_WRONLY = 1

/** `request`: number of the request being served, for file systems that answer PENDING. */
export class Dispatcher implements Request {
  readonly wire: Wire
  /** The kernel took its last leave (only block device mounts say so). */
  destroyed = false
  private readonly reply: Replier
  private readonly in: Uint32Array
  private readonly out: Uint32Array
  private readonly body: Buffer
  private readonly header: Uint32Array
  private readonly caller: Caller = { uid: 0, gid: 0, pid: 0 }
  private readonly valid: Validity
  private readonly backings: Passthrough
  private passes: boolean
  private length = 0

  constructor(
    private readonly fs: FileSystem,
    fd: number,
    private readonly memory: SessionMemory,
    private readonly options: ServeOptions,
    private readonly onError: (error: Error, opcode: number) => void,
  ) {
    this.wire = new Wire(memory.headerBytes)
    this.in = this.wire.in
    this.out = this.wire.words
    this.body = this.wire.body
    this.header = memory.header
    this.reply = new Replier(fd, this.wire, memory, (errno, opcode) =>
      onError(new Error(`The kernel refused our answer (errno ${-errno}) to request ${opcode}`), opcode),
    )
    this.backings = new Passthrough(fd)
    this.passes = ((memory.negotiated?.flags2 ?? 0) & Init2.PASSTHROUGH) !== 0
    const entry = split(options.entryTimeout)
    const attr = split(options.attributeTimeout)
    this.valid = {
      entrySec: entry.sec,
      entryNsec: entry.nsec,
      attrSec: attr.sec,
      attrNsec: attr.nsec,
      blockSize: options.blockSize,
    }
  }

  get unique(): bigint {
    return BigInt(this.header[2]) | (BigInt(this.header[3]) << 32n)
  }

  /** Serves the request of `length` bytes that was read into the buffers. Throws only with `crashOnError`, answered first. */
  serve(length: number): void {
    const header = this.header
    const opcode = header[1]
    this.memory.counters[opcode < OPCODE_SLOTS ? opcode : 0]++
    this.length = length - IN_HEADER
    this.caller.uid = header[6]
    this.caller.gid = header[7]
    this.caller.pid = header[8]
    try {
      this.dispatch(opcode, header[4] + header[5] * 0x100000000)
      if (this.reply.owed) throw new Error(`Request ${opcode} was left without an answer`)
    } catch (error) {
      if (this.reply.owed) this.settleAfterThrow(opcode)
      this.onError(error instanceof Error ? error : new Error(String(error)), opcode)
      if (this.options.crashOnError) throw error
    }
  }

  /**
   * Answers INIT in place of a thread that died over it: EIO would end the mount. What the kernel offered is lost unless it was
   * agreed on already; without it, nothing is chosen that an old kernel would understand differently.
   */
  repeatInit(): void {
    if (!this.reply.owed || this.header[1] !== Opcode.INIT) return
    const { minor, flags, flags2 } = this.memory.negotiated ?? {
      minor: FUSE_LEAST_MINOR_VERSION,
      flags: ~(Init.SETXATTR_EXT | Init.INIT_EXT),
      flags2: 0,
    }
    this.in.set([FUSE_KERNEL_VERSION, minor, 128 << 10, flags, flags2])
    this.init()
  }

  private settleAfterThrow(opcode: number): void {
    if (opcode === Opcode.FORGET || opcode === Opcode.BATCH_FORGET) this.reply.none()
    else {
      if (canPend(opcode)) this.memory.removePending(this.header[2], this.header[3])
      this.reply.error(EIO)
    }
  }

  private dispatch(opcode: number, node: number): void {
    switch (opcode) {
      case Opcode.LOOKUP:
        return this.lookup(node)
      case Opcode.GETATTR:
        return this.attributes(
          this.fs.getattr(this.caller, node, this.in[0] & GETATTR_FH ? u64(this.in, 2) : undefined),
        )
      case Opcode.READ:
        return this.read(node)
      case Opcode.WRITE:
        return this.write(node)
      case Opcode.CREATE:
        return this.create(node)
      case Opcode.OPEN:
        return this.open(node)
      case Opcode.RELEASE:
        return this.release(node)
      case Opcode.SETATTR:
        return this.attributes(this.fs.setattr(this.caller, node, readChanges(this.in, 0)))
      case Opcode.FORGET:
        this.reply.none()
        return this.fs.forget(node, u64(this.in, 0))
      case Opcode.BATCH_FORGET:
        return this.batchForget()
      case Opcode.READDIR:
        return this.readdir(node, false)
      case Opcode.READDIRPLUS:
        return this.readdir(node, true)
      default:
        return this.dispatchNames(opcode, node)
    }
  }

  /** Operations on names. */
  private dispatchNames(opcode: number, node: number): void {
    switch (opcode) {
      case Opcode.MKNOD:
        return this.makeNode(node)
      case Opcode.MKDIR:
        return this.makeDirectory(node)
      case Opcode.SYMLINK:
        return this.symlink(node)
      case Opcode.LINK:
        return this.link(node)
      case Opcode.UNLINK: {
        const name = this.name(0)
        return this.reply.error(name ? this.fs.unlink(this.caller, node, name) : ENAMETOOLONG)
      }
      case Opcode.RMDIR: {
        const name = this.name(0)
        return this.reply.error(name ? this.fs.rmdir(this.caller, node, name) : ENAMETOOLONG)
      }
      case Opcode.RENAME:
        return this.rename(node, 8, 0)
      case Opcode.RENAME2:
        return this.rename(node, 16, this.in[2])
      case Opcode.READLINK:
        return this.bytes(this.fs.readlink(this.caller, node))
      case Opcode.GETXATTR:
        return this.getxattr(node)
      case Opcode.LISTXATTR:
        return this.sized(this.fs.listxattr(this.caller, node), this.in[0])
      case Opcode.SETXATTR:
        return this.setxattr(node)
      case Opcode.REMOVEXATTR: {
        const name = this.name(0)
        return this.reply.error(name ? this.fs.removexattr(this.caller, node, name) : ERANGE)
      }
      default:
        return this.dispatchHandles(opcode, node)
    }
  }

  /** Operations on handles, and those about the mount. */
  private dispatchHandles(opcode: number, node: number): void {
    switch (opcode) {
      case Opcode.OPENDIR:
        return this.opendir(node)
      case Opcode.RELEASEDIR:
        this.fs.releasedir(node, u64(this.in, 0))
        return this.reply.error(0)
      case Opcode.FLUSH:
        if (!this.options.wantsFlush) return this.reply.error(ENOSYS)
        return this.pendable(() => this.fs.flush(this.caller, node, u64(this.in, 0)))
      case Opcode.FSYNC:
        return this.pendable(() =>
          this.fs.fsync(this.caller, node, u64(this.in, 0), (this.in[2] & FSYNC_FDATASYNC) !== 0),
        )
      case Opcode.FSYNCDIR:
        return this.pendable(() => this.fs.fsyncdir(this.caller, node, u64(this.in, 0)))
      case Opcode.FALLOCATE: {
        const i = this.in
        return this.reply.error(this.fs.fallocate(this.caller, node, u64(i, 0), i[6], u64(i, 2), u64(i, 4)))
      }
      case Opcode.LSEEK:
        return this.lseek(node)
      case Opcode.COPY_FILE_RANGE:
        return this.copy(node)
      case Opcode.STATFS:
        return this.statfs(node)
      case Opcode.INIT:
        return this.init()
      case Opcode.DESTROY:
        this.destroyed = true
        return this.reply.error(0)
      default:
        // Among them ACCESS (default_permissions checks it) and INTERRUPT (ENOSYS: the kernel will not send it again).
        return this.reply.error(ENOSYS)
    }
  }

  // --- inodes and names -------------------------------------------------------------------------------------------------

  private lookup(node: number): void {
    const name = this.name(0)
    const found = name ? this.fs.lookup(this.caller, node, name) : ENAMETOOLONG
    if (found !== ENOENT || !(this.options.negativeTimeout > 0)) return this.entry(found)
    const { sec, nsec } = split(this.options.negativeTimeout)
    putNoEntry(this.out, OUT, sec, nsec)
    this.reply.content(ENTRY_OUT)
  }

  private entry(found: Attributes | Errno): void {
    if (typeof found === 'number') return this.reply.error(failure(found))
    const ino = found.ino
    putEntry(this.out, OUT, found, this.valid)
    if (!this.reply.content(ENTRY_OUT)) this.fs.forget(ino, 1)
  }

  private attributes(found: Attributes | Errno): void {
    if (typeof found === 'number') return this.reply.error(failure(found))
    putAttrOut(this.out, OUT, found, this.valid)
    this.reply.content(ATTR_OUT)
  }

  private batchForget(): void {
    this.reply.none()
    const count = Math.min(this.in[0], Math.floor((this.length - 8) / 16))
    for (let i = 0, at = 2; i < count; i++, at += 4) this.fs.forget(u64(this.in, at), u64(this.in, at + 2))
  }

  private makeNode(node: number): void {
    const name = this.name(16)
    this.entry(name ? this.fs.mknod(this.caller, node, name, this.in[0], this.in[1]) : ENAMETOOLONG)
  }

  private makeDirectory(node: number): void {
    const name = this.name(8)
    this.entry(name ? this.fs.mkdir(this.caller, node, name, this.in[0] | S_IFDIR) : ENAMETOOLONG)
  }

  private symlink(node: number): void {
    const name = this.name(0)
    if (!name) return this.reply.error(ENAMETOOLONG)
    this.entry(this.fs.symlink(this.caller, node, name, this.text(name.length + 1)))
  }

  private link(node: number): void {
    const name = this.name(8)
    this.entry(name ? this.fs.link(this.caller, u64(this.in, 0), node, name) : ENAMETOOLONG)
  }

  private rename(node: number, at: number, flags: number): void {
    const name = this.name(at)
    const newName = name && this.name(at + name.length + 1)
    if (!newName) return this.reply.error(ENAMETOOLONG)
    this.reply.error(this.fs.rename(this.caller, node, name, u64(this.in, 0), newName, flags))
  }

  // --- extended attributes ----------------------------------------------------------------------------------------------

  private getxattr(node: number): void {
    const name = this.name(8)
    this.sized(name ? this.fs.getxattr(this.caller, node, name) : ERANGE, this.in[0])
  }

  private setxattr(node: number): void {
    const at = this.memory.negotiated!.flags & (1 << 29) ? 16 : 8
    const size = this.in[0]
    const name = this.name(at)
    if (!name) return this.reply.error(ERANGE)
    const start = at + name.length + 1
    if (size > XATTR_SIZE_MAX || start + size > this.length) return this.reply.error(EINVAL)
    const value = this.body.subarray(start, start + size)
    this.reply.error(this.fs.setxattr(this.caller, node, name, value, this.in[1]))
  }

  /** `room` 0: answers the length only. */
  private sized(value: Buffer | Errno, room: number): void {
    if (typeof value === 'number') return this.reply.error(failure(value))
    if (room > 0) {
      if (value.length > room) return this.reply.error(ERANGE)
      return this.bytes(value)
    }
    this.out[OUT] = value.length
    this.out[OUT + 1] = 0
    this.reply.content(8)
  }

  private bytes(value: Buffer | Errno): void {
    if (typeof value === 'number') return this.reply.error(failure(value))
    this.wire.out.set(value, OUT_HEADER)
    this.reply.content(value.length)
  }

  // --- files ------------------------------------------------------------------------------------------------------------

  private open(node: number): void {
    const opened = this.fs.open(this.caller, node, this.in[0], (this.in[1] & OPEN_KILL_SUIDGID) !== 0)
    if (typeof opened === 'number') return this.reply.error(failure(opened))
    this.putOpened(OUT, node, opened, this.in[0])
    if (!this.reply.content(OPEN_OUT)) this.drop(node, opened.handle)
  }

  private create(node: number): void {
    const name = this.name(16)
    const created: Created | Errno = name
      ? this.fs.create(this.caller, node, name, this.in[1], this.in[0])
      : ENAMETOOLONG
    if (typeof created === 'number') return this.reply.error(failure(created))
    const ino = created.attributes.ino
    putEntry(this.out, OUT, created.attributes, this.valid)
    this.putOpened(OUT + ENTRY_OUT / 4, ino, created, this.in[0])
    if (this.reply.content(ENTRY_OUT + OPEN_OUT)) return
    this.drop(ino, created.handle)
    this.fs.forget(ino, 1)
  }

  private putOpened(at: number, ino: number, opened: Opened, how: number): void {
    let flags: number = Fopen.PARALLEL_DIRECT_WRITES
    if (opened.keepCache) flags |= Fopen.KEEP_CACHE
    if (!this.options.wantsFlush) flags |= Fopen.NOFLUSH
    if (this.options.directWrites && (how & O_ACCMODE) === O_WRONLY) flags |= Fopen.DIRECT_IO
    const id = this.passes ? this.backings.opened(ino, opened.backing) : 0
    // The kernel refuses any other combination with pass-through.
    if (id > 0) flags = Fopen.PASSTHROUGH | (flags & Fopen.NOFLUSH)
    putOpen(this.out, at, opened.handle, flags, id)
  }

  private release(node: number): void {
    const handle = u64(this.in, 0)
    this.drop(node, handle)
    this.reply.error(0)
  }

  private drop(ino: number, handle: number): void {
    if (this.passes) this.backings.released(ino)
    this.fs.release(ino, handle)
  }

  private read(node: number): void {
    const i = this.in
    const size = Math.min(i[4], MAX_WRITE)
    const into = this.wire.out.subarray(OUT_HEADER, OUT_HEADER + size)
    const n = this.fs.read(this.caller, node, u64(i, 0), u64(i, 2), into)
    if (n < 0) return this.reply.error(n)
    this.reply.content(Math.min(n, size))
  }

  private write(node: number): void {
    const i = this.in
    const size = i[4]
    if (40 + size > this.length) return this.reply.error(EINVAL)
    const kill = (i[5] & WRITE_KILL_SUIDGID) !== 0
    const n = this.fs.write(this.caller, node, u64(i, 0), u64(i, 2), this.body.subarray(40, 40 + size), kill)
    this.count(n)
  }

  /** struct fuse_write_out. */
  private count(n: number): void {
    if (n < 0) return this.reply.error(n)
    this.out[OUT] = n
    this.out[OUT + 1] = 0
    this.reply.content(8)
  }

  private lseek(node: number): void {
    const i = this.in
    const at = this.fs.lseek(this.caller, node, u64(i, 0), u64(i, 2), i[4])
    if (at < 0) return this.reply.error(at)
    put64(this.out, OUT, at)
    this.reply.content(8)
  }

  private copy(node: number): void {
    const i = this.in
    // The answer's count has 32 bits, and a caller takes a short count as it takes a short write.
    const length = Math.min(u64(i, 10), 0x40000000)
    this.count(this.fs.copyFileRange(this.caller, node, u64(i, 0), u64(i, 2), u64(i, 4), u64(i, 6), u64(i, 8), length))
  }

  /** Noted as pending before the call, since another thread may complete it before the call returns. */
  private pendable(operation: () => Errno | typeof PENDING): void {
    const low = this.header[2]
    const high = this.header[3]
    if (!this.memory.addPending(low, high)) return this.reply.error(EIO)
    const result = operation()
    if (result === PENDING) return this.reply.none()
    this.memory.removePending(low, high)
    this.reply.error(result as Errno)
  }

  // --- directories and the mount ------------------------------------------------------------------------------------------

  private opendir(node: number): void {
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

  private readdir(node: number, plus: boolean): void {
    const i = this.in
    this.listingAt = OUT_HEADER
    this.listingEnd = OUT_HEADER + Math.min(i[4], MAX_WRITE)
    this.listingPlus = plus
    const result = this.fs.readdir(this.caller, node, u64(i, 0), u64(i, 2), plus, this.emit)
    if (result < 0) return this.reply.error(result)
    this.reply.content(this.listingAt - OUT_HEADER)
  }

  private statfs(node: number): void {
    const s = this.fs.statfs(this.caller, node)
    if (typeof s === 'number') return this.reply.error(failure(s))
    putStatFs(this.out, OUT, s)
    this.reply.content(STATFS_OUT)
  }

  private init(): void {
    const agreed = negotiate(this.in, this.out, OUT, this.options)
    if (!agreed) return this.reply.error(EPROTO)
    if (agreed !== 'again') {
      this.memory.negotiated = agreed
      this.passes = (agreed.flags2 & Init2.PASSTHROUGH) !== 0
    }
    this.reply.content(INIT_OUT)
  }

  // --- names in requests ------------------------------------------------------------------------------------------------

  /** The NUL-terminated name at `at`; undefined if it is longer than NAME_MAX. Throws if there is none. */
  private name(at: number): Buffer | undefined {
    const name = this.text(at)
    return name.length > NAME_MAX ? undefined : name
  }

  private text(at: number): Buffer {
    const end = this.body.indexOf(0, at)
    if (end <= at || end >= this.length) throw new Error('A request without the name it should have')
    return this.body.subarray(at, end)
  }
}

function canPend(opcode: number): boolean {
  return opcode === Opcode.FSYNC || opcode === Opcode.FSYNCDIR || opcode === Opcode.FLUSH
}

/** A result that should have been an object: 0 or above is the file system's mistake. */
function failure(errno: number): number {
  return errno < 0 ? errno : EBADF
}

function split(seconds: number): { sec: number; nsec: number } {
  const sec = Math.floor(seconds)
  return { sec, nsec: Math.floor((seconds - sec) * 1e9) }
}
