// Serves one request at a time: decodes it, calls the file system in place, answers. Owns nothing beyond its bases.
// Never waits and never reads from the device itself. Invariant: after `serve` the request is answered, noted as pending,
// or of a kind that has no answer, whatever the file system does (also if it throws).

import { AsideRequests } from './aside.js'
import { EIO, ENAMETOOLONG, ENOSYS, ERANGE } from './errno.js'
import { FileOperations } from './file-operations.js'
import { NotYet, type Request } from './file-system.js'
import { negotiate } from './handshake.js'
import {
  FSYNC_FDATASYNC,
  FUSE_KERNEL_VERSION,
  FUSE_LEAST_MINOR_VERSION,
  GETATTR_FH,
  IN_HEADER,
  Init,
  Init2,
  OPCODE_SLOTS,
  Opcode,
} from './opcodes.js'
import { INIT_OUT, readChanges, u64 } from './protocol.js'
import { OUT } from './serving.js'
import { changesNames } from './unanswered.js'

const EPROTO = -71

/** `request`: number of the request being served, for file systems that answer PENDING. */
export class Dispatcher extends FileOperations implements Request {
  /** What cannot be served yet. */
  readonly aside = new AsideRequests()

  /** The kernel took its last leave (only block device mounts say so). */
  destroyed = false

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
      if (changesNames(opcode)) this.memory.keepBody(this.body, this.length)
      this.dispatch(opcode, header[4] + header[5] * 0x100000000)
      if (this.reply.owed) throw new Error(`Request ${opcode} was left without an answer`)
    } catch (error) {
      if (error instanceof NotYet && this.putAside(opcode)) return
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

  /** The request waits for somebody's word, as a pending one does. */
  private putAside(opcode: number): boolean {
    const header = this.header
    if (!this.reply.owed || canPend(opcode)) return false
    if (!this.aside.put(this.unique, header, this.body.subarray(0, this.length))) return false
    if (!this.memory.addPending(header[2], header[3])) {
      this.aside.take(this.unique)
      return false
    }
    this.reply.none()
    return true
  }

  /** Serves a request that was put aside, from its beginning. Only between two requests. False: there is none of this number. */
  again(unique: bigint): boolean {
    const request = this.aside.take(unique)
    if (!request) return false
    this.body.set(request.body)
    this.header.set(request.header)
    this.memory.removePending(this.header[2], this.header[3])
    this.serve(request.body.length + IN_HEADER)
    return true
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
      case Opcode.TMPFILE:
        return this.temporary(node)
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

  private init(): void {
    const agreed = negotiate(this.in, this.out, OUT, this.options)
    if (!agreed) return this.reply.error(EPROTO)
    if (agreed !== 'again') {
      this.memory.negotiated = agreed
      this.passes = (agreed.flags2 & Init2.PASSTHROUGH) !== 0
    }
    this.reply.content(INIT_OUT)
  }
}

function canPend(opcode: number): boolean {
  return opcode === Opcode.FSYNC || opcode === Opcode.FSYNCDIR || opcode === Opcode.FLUSH
}
