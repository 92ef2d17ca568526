// Writes the answers of one loop to the kernel. Owns the out buffer's header; the content is laid out by the caller at
// word 4 on. Invariant: after an answer, the `unique` in the shared header is zero, and no request is answered twice.

import { EIO, ENODEV, ENOENT } from './errno.js'
import { Opcode, OUT_HEADER } from './opcodes.js'
import type { Wire } from './protocol.js'
import type { SessionMemory } from './session.js'
import { libc } from './syscalls.js'

export class Replier {
  private readonly c = libc()
  private readonly header: Uint32Array

  constructor(
    private readonly fd: number,
    private readonly wire: Wire,
    memory: SessionMemory,
    private readonly onRefused: (errno: number, opcode: number) => void,
  ) {
    this.header = memory.header
  }

  /** True while the request being served has no answer. */
  get owed(): boolean {
    return this.header[2] !== 0 || this.header[3] !== 0
  }

  /** Answers with an errno, 0 is success without content. */
  error(errno: number): void {
    this.send(OUT_HEADER, errno)
  }

  /** Answers with `length` bytes of content. False: nobody waits for it any more, references it gave are not taken. */
  content(length: number): boolean {
    return this.send(OUT_HEADER + length, 0)
  }

  /** No answer is due (FORGET), or it is given later. */
  none(): void {
    this.header[2] = 0
    this.header[3] = 0
  }

  private send(length: number, errno: number): boolean {
    const { words, outAddress } = this.wire
    const header = this.header
    words[0] = length
    words[1] = errno
    words[2] = header[2]
    words[3] = header[3]
    const written = this.c.write(this.fd, outAddress, length)
    if (written === length) {
      header[2] = 0
      header[3] = 0
      return true
    }
    return this.refused(-this.c.errno(), errno)
  }

  /** ENOENT: the request was aborted. ENODEV: unmounted. Others are our mistake: the caller gets EIO. */
  private refused(why: number, errno: number): boolean {
    const opcode = this.header[1]
    if (why !== ENOENT && why !== ENODEV) {
      this.onRefused(why, opcode)
      if (errno !== EIO && opcode !== Opcode.INIT) this.send(OUT_HEADER, EIO)
    }
    this.none()
    return false
  }
}
