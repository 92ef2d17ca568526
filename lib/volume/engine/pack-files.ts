// Pack files opened for reading by the volume thread. Owns their descriptors, a bounded number of them. A pack that was
// rewritten or removed keeps its bytes as long as it is open here.

import fs from 'node:fs'
import { EIO } from '../../fuse/errno.js'
import { equal, hex } from '../../model/bytes.js'
import { hashOf } from '../../model/hash.js'
import { ChunkDamagedError } from '../../store/errors.js'
import { ErrnoError } from './errno.js'
import type { PlacedChunk } from './leaf-cache.js'

const OPEN_MAX = 64

export class PackFiles {
  readonly #pathOf: (pack: number) => string
  readonly #open = new Map<number, number>()

  constructor(components: { pathOf: (pack: number) => string }) {
    this.#pathOf = components.pathOf
  }

  #fd(pack: number): number {
    let fd = this.#open.get(pack)
    if (fd !== undefined) return fd
    if (this.#open.size >= OPEN_MAX) {
      const [oldest, old] = this.#open.entries().next().value!
      this.#open.delete(oldest)
      fs.closeSync(old)
    }
    fd = fs.openSync(this.#pathOf(pack), 'r')
    this.#open.set(pack, fd)
    return fd
  }

  /** Reads `length` bytes at `offset` of a pack into `into` at `at`. Throws if they are not all there. */
  read(pack: number, offset: number, into: Uint8Array, at: number, length: number): void {
    const fd = this.#fd(pack)
    let got = 0
    while (got < length) {
      const n = fs.readSync(fd, into, at + got, length - got, offset + got)
      if (n === 0) throw new ErrnoError(EIO, 'EIO', `Pack ${pack} ends at ${offset + got}; scrub the volume`)
      got += n
    }
  }

  /** All of a chunk, into the beginning of `into`. Throws ChunkDamagedError if it is not what its id says. */
  readChunk(pack: number, chunk: PlacedChunk, into: Uint8Array): void {
    try {
      this.read(pack, chunk.at, into, 0, chunk.length)
    } catch (error) {
      throw new ChunkDamagedError(chunk.id, this.#pathOf(pack), (error as Error).message)
    }
    this.check(pack, chunk, into.subarray(0, chunk.length))
  }

  /** Throws ChunkDamagedError if these are not the bytes of the chunk. */
  check(pack: number, { id }: PlacedChunk, bytes: Uint8Array): void {
    const hash = hashOf(bytes)
    if (!equal(hash, id)) throw new ChunkDamagedError(id, this.#pathOf(pack), `its hash is ${hex(hash)}`)
  }

  /** These are gone, or will be. */
  forget(packs: number[]): void {
    for (const pack of packs) {
      const fd = this.#open.get(pack)
      if (fd === undefined) continue
      this.#open.delete(pack)
      fs.closeSync(fd)
    }
  }

  close(): void {
    for (const fd of this.#open.values()) fs.closeSync(fd)
    this.#open.clear()
  }
}
