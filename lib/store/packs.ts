// Reads chunks from packs: append-only files of raw chunk bytes without headers; where a chunk lies is said by table `chunks`.
// Never writes.

import fs from 'node:fs'
import { equal, hex } from '../model/bytes.js'
import { hashOf } from '../model/hash.js'
import type { ChunkId, ChunkSource } from '../model/types.js'
import { ChunkDamagedError, ChunkMissingError } from './errors.js'
import type { VolumeLayout } from './layout.js'
import { OpenPacks } from './open-packs.js'
import type { ChunkLocation } from './tables.js'

const OPEN_MAX = 32

/** Where chunks lie: StoreReader, or the committer's view of what it is about to commit. */
export interface ChunkIndex {
  chunk(id: ChunkId): ChunkLocation | undefined
  /** Later answers are of now. */
  refresh?(): void
}

export class PackReader {
  readonly #index: ChunkIndex
  readonly #layout: VolumeLayout
  readonly #open: OpenPacks
  /** Synchronous, verified: for list chunks and folders. */
  readonly source: ChunkSource = (id) => this.chunk(id)

  constructor(components: { reader: ChunkIndex; layout: VolumeLayout }) {
    this.#index = components.reader
    this.#layout = components.layout
    this.#open = new OpenPacks({ pathOf: (pack) => this.#layout.pack(pack) }, { max: OPEN_MAX })
  }

  /** All bytes of a chunk, in a new array. Throws ChunkMissingError; ChunkDamagedError if they are not those of its id. */
  chunk(id: ChunkId, verify = true): Uint8Array {
    let location = this.#index.chunk(id)
    if (!location) throw new ChunkMissingError(id)
    const bytes = new Uint8Array(location.length)
    try {
      this.read(id, location, 0, bytes)
    } catch (error) {
      // It may have been moved meanwhile, and its old pack be gone.
      const before = location
      this.#index.refresh?.()
      location = this.#index.chunk(id)
      if (!location || (location.pack === before.pack && location.offset === before.offset)) throw error
      this.read(id, location, 0, bytes)
    }
    if (verify && !equal(hashOf(bytes), id)) {
      throw new ChunkDamagedError(id, this.#layout.pack(location.pack), `its hash is ${hex(hashOf(bytes))}`)
    }
    return bytes
  }

  /** Fills `into` with bytes of a chunk from `offset` within it, not verified. Throws ChunkDamagedError if they are not there. */
  read(id: ChunkId, location: ChunkLocation, offset: number, into: Uint8Array): void {
    let got = 0
    try {
      const fd = this.#open.descriptor(location.pack)
      while (got < into.length) {
        const n = fs.readSync(fd, into, got, into.length - got, location.offset + offset + got)
        if (n === 0) break
        got += n
      }
    } catch (error) {
      throw new ChunkDamagedError(id, this.#layout.pack(location.pack), (error as Error).message)
    }
    if (got < into.length) throw new ChunkDamagedError(id, this.#layout.pack(location.pack), 'the file is too short')
  }

  /** These packs are gone, or will be. */
  forget(packs: number[]): void {
    this.#open.forget(packs)
  }

  close(): void {
    this.#open.close()
  }
}
