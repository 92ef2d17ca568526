// Reads packs for the volume thread, verifying whole chunks.

import fs from 'node:fs'
import { EIO } from '../../fuse/errno.js'
import { equal, hex } from '../../model/bytes.js'
import { hashOf } from '../../model/hash.js'
import { ChunkDamagedError } from '../../store/errors.js'
import { OpenPacks } from '../../store/open-packs.js'
import { ErrnoError } from './errno.js'
import type { PlacedChunk } from './leaf-cache.js'

const OPEN_MAX = 64

export class PackFiles {
  readonly #pathOf: (pack: number) => string
  readonly #open: OpenPacks

  constructor(components: { pathOf: (pack: number) => string }) {
    this.#pathOf = components.pathOf
    this.#open = new OpenPacks(components, { max: OPEN_MAX })
  }

  /** Reads `length` bytes at `offset` of a pack into `into` at `at`. Throws if they are not all there. */
  read(pack: number, offset: number, into: Uint8Array, at: number, length: number): void {
    const fd = this.#open.descriptor(pack)
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

  /** These packs are gone, or will be. */
  forget(packs: number[]): void {
    this.#open.forget(packs)
  }

  close(): void {
    this.#open.close()
  }
}
