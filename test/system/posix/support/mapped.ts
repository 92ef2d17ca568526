// A mapping of a file into memory, by mmap(2). Owns it until `unmap`.

import * as c from './calls.js'

export const PAGE = 4096
const PROT = { r: 1, rw: 3 } as const
const SHARED = 1
const PRIVATE = 2

export class Mapped {
  private constructor(
    readonly address: number,
    readonly length: number,
  ) {}

  /** `offset` is a multiple of the page size. Answers a negative errno if it cannot be. */
  static of(fd: number, offset: number, length: number, how: 'r' | 'rw', shared = true): Mapped | number {
    const flags = shared ? SHARED : PRIVATE
    const at = c.call('int64_t mmap(size_t, size_t, int, int, int, int64_t)', 0, length, PROT[how], flags, fd, offset)
    return at < 0 ? at : new Mapped(at, length)
  }

  read(offset: number, length: number): Buffer {
    const into = Buffer.alloc(length)
    c.call('size_t memcpy(void *, size_t, size_t)', into, this.address + offset, length)
    return into
  }

  write(offset: number, bytes: Buffer): void {
    c.call('size_t memcpy(size_t, const void *, size_t)', this.address + offset, bytes, bytes.length)
  }

  sync(): number {
    return c.call('int msync(size_t, size_t, int)', this.address, this.length, 4)
  }

  unmap(): number {
    return c.call('int munmap(size_t, size_t)', this.address, this.length)
  }
}
