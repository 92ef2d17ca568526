// A folder read by getdents64(2), with its positions, which Node's own functions hide. Owns the descriptor until `close`.

import * as c from './calls.js'

export interface Entry {
  name: string
  ino: bigint
  type: number
}

const GETDENTS64 = { x64: 217, arm64: 61 }[process.arch as 'x64' | 'arm64']
const HEADER = 19

export class Directory {
  #bytes: Buffer = Buffer.alloc(0)
  #at = 0
  #position = 0n
  private constructor(readonly fd: number) {}

  static open(path: c.Path): Directory {
    const fd = c.open(path, c.O.RDONLY | c.O.DIRECTORY)
    if (fd < 0) throw new Error(`opendir: ${c.said(fd)}`)
    return new Directory(fd)
  }

  static of(fd: number): Directory {
    return new Directory(fd)
  }

  /** undefined: the end. */
  next(): Entry | undefined {
    if (this.#at >= this.#bytes.length && !this.#fill()) return undefined
    const bytes = this.#bytes.subarray(this.#at)
    const length = bytes.readUInt16LE(16)
    this.#at += length
    this.#position = bytes.readBigInt64LE(8)
    const name = bytes.subarray(HEADER, bytes.indexOf(0, HEADER)).toString('latin1')
    return { name, ino: bytes.readBigUInt64LE(0), type: bytes[18] }
  }

  #fill(): boolean {
    const into = Buffer.alloc(8192)
    const n = c.call('long syscall(long, int, void *, size_t)', GETDENTS64, this.fd, into, into.length)
    if (n < 0) throw new Error(`getdents64: ${c.said(n)}`)
    this.#bytes = into.subarray(0, n)
    this.#at = 0
    return n > 0
  }

  /** Where the next entry is. */
  tell(): bigint {
    return this.#position
  }

  seek(position: bigint): void {
    const at = c.lseek(this.fd, position, 0)
    if (at < 0) throw new Error(`lseek: ${c.said(at)}`)
    this.#position = position
    this.#bytes = Buffer.alloc(0)
    this.#at = 0
  }

  close(): void {
    c.close(this.fd)
  }
}
