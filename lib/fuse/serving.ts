// What serving a request of any kind needs: the buffers, the answers that several operations give, names in requests. Owns the
// buffers of one loop. Base of the classes of operations; `Dispatcher` is the whole.

import { EBADF, ERANGE } from './errno.js'
import type { Attributes, Caller, Errno, FileSystem } from './file-system.js'
import { Init2, NAME_MAX, OUT_HEADER } from './opcodes.js'
import type { ServeOptions } from './options.js'
import { Passthrough } from './passthrough.js'
import { ATTR_OUT, ENTRY_OUT, putAttrOut, putEntry, type Validity, Wire } from './protocol.js'
import { Replier } from './replier.js'
import type { SessionMemory } from './session.js'

/** First word of an answer's content. */
export const OUT = OUT_HEADER / 4

export abstract class Serving {
  readonly wire: Wire
  protected readonly reply: Replier
  protected readonly in: Uint32Array
  protected readonly out: Uint32Array
  protected readonly body: Buffer
  protected readonly header: Uint32Array
  protected readonly caller: Caller = { uid: 0, gid: 0, pid: 0 }
  protected readonly valid: Validity
  private readonly brief: Validity
  protected readonly backings: Passthrough
  protected passes: boolean
  /** Bytes after the header. */
  protected length = 0

  constructor(
    protected readonly fs: FileSystem,
    fd: number,
    protected readonly memory: SessionMemory,
    protected readonly options: ServeOptions,
    protected readonly onError: (error: Error, opcode: number) => void,
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
    const { entryTimeout, attributeTimeout, volatileTimeout, blockSize } = options
    this.valid = validity(entryTimeout, attributeTimeout, blockSize)
    this.brief = validity(volatileTimeout, volatileTimeout, blockSize)
  }

  /** How long what is told of an inode may be believed. */
  private validOf(ino: number): Validity {
    return ino >= this.options.volatileFrom ? this.brief : this.valid
  }

  protected entry(found: Attributes | Errno): void {
    if (typeof found === 'number') return this.reply.error(failure(found))
    const ino = found.ino
    putEntry(this.out, OUT, found, this.validOf(ino))
    if (!this.reply.content(ENTRY_OUT)) this.fs.forget(ino, 1)
  }

  protected attributes(found: Attributes | Errno): void {
    if (typeof found === 'number') return this.reply.error(failure(found))
    putAttrOut(this.out, OUT, found, this.validOf(found.ino))
    this.reply.content(ATTR_OUT)
  }

  /** `room` 0: answers the length only. */
  protected sized(value: Buffer | Errno, room: number): void {
    if (typeof value === 'number') return this.reply.error(failure(value))
    if (room > 0) {
      if (value.length > room) return this.reply.error(ERANGE)
      return this.bytes(value)
    }
    this.out[OUT] = value.length
    this.out[OUT + 1] = 0
    this.reply.content(8)
  }

  protected bytes(value: Buffer | Errno): void {
    if (typeof value === 'number') return this.reply.error(failure(value))
    this.wire.out.set(value, OUT_HEADER)
    this.reply.content(value.length)
  }

  /** struct fuse_write_out. */
  protected count(n: number): void {
    if (n < 0) return this.reply.error(n)
    this.out[OUT] = n
    this.out[OUT + 1] = 0
    this.reply.content(8)
  }

  /** The NUL-terminated name at `at`; undefined if it is longer than NAME_MAX. Throws if there is none. */
  protected name(at: number): Buffer | undefined {
    const name = this.text(at)
    return name.length > NAME_MAX ? undefined : name
  }

  protected text(at: number): Buffer {
    const end = this.body.indexOf(0, at)
    if (end <= at || end >= this.length) throw new Error('A request without the name it should have')
    return this.body.subarray(at, end)
  }
}

/** A result that should have been an object: 0 or above is the file system's mistake. */
export function failure(errno: number): number {
  return errno < 0 ? errno : EBADF
}

function validity(entryTimeout: number, attributeTimeout: number, blockSize: number): Validity {
  const entry = split(entryTimeout)
  const attr = split(attributeTimeout)
  return { entrySec: entry.sec, entryNsec: entry.nsec, attrSec: attr.sec, attrNsec: attr.nsec, blockSize }
}

export function split(seconds: number): { sec: number; nsec: number } {
  const sec = Math.floor(seconds)
  return { sec, nsec: Math.floor((seconds - sec) * 1e9) }
}
