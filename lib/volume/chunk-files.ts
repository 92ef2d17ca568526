// Chunks read from pack files without holding up the main thread (pread in libuv's pool), verified by their hash.
// Owns a few open pack files. Never writes.

import { type FileHandle, open } from 'node:fs/promises'
import { equal, hex } from '../model/bytes.js'
import { hashOf } from '../model/hash.js'
import type { ChunkId } from '../model/types.js'
import { ChunkDamagedError, ChunkMissingError } from '../store/errors.js'
import type { VolumeLayout } from '../store/layout.js'
import type { StoreReader } from '../store/tables.js'
import type { DamagedChunks } from './damaged-chunks.js'

const OPEN_MAX = 16

export class ChunkFiles {
  readonly #reader: StoreReader
  readonly #layout: VolumeLayout
  /** In order of last use. */
  readonly #open = new Map<number, Promise<FileHandle>>()

  readonly #damaged: DamagedChunks | undefined

  /** `damaged` hears of what is. */
  constructor(components: { reader: StoreReader; layout: VolumeLayout; damaged?: DamagedChunks }) {
    this.#damaged = components.damaged
    this.#reader = components.reader
    this.#layout = components.layout
  }

  /** Throws ChunkMissingError, ChunkDamagedError. */
  async read(id: ChunkId): Promise<Uint8Array> {
    const location = this.#reader.chunk(id)
    if (!location) throw new ChunkMissingError(id)
    const bytes = new Uint8Array(location.length)
    let got = 0
    try {
      const file = await this.#pack(location.pack)
      while (got < bytes.length) {
        const { bytesRead } = await file.read(bytes, got, bytes.length - got, location.offset + got)
        if (bytesRead === 0) break
        got += bytesRead
      }
    } catch (error) {
      throw this.#damage(id, this.#layout.pack(location.pack), (error as Error).message)
    }
    if (got < bytes.length) throw this.#damage(id, this.#layout.pack(location.pack), 'the file is too short')
    if (!equal(hashOf(bytes), id))
      throw this.#damage(id, this.#layout.pack(location.pack), `its hash is ${hex(hashOf(bytes))}`)
    return bytes
  }

  #damage(id: ChunkId, where: string, why: string): ChunkDamagedError {
    this.#damaged?.add(id)
    return new ChunkDamagedError(id, where, why)
  }

  async close(): Promise<void> {
    const files = await Promise.allSettled(this.#open.values())
    this.#open.clear()
    for (const file of files) if (file.status === 'fulfilled') await file.value.close()
  }

  #pack(number: number): Promise<FileHandle> {
    let file = this.#open.get(number)
    this.#open.delete(number)
    file ??= open(this.#layout.pack(number), 'r')
    this.#open.set(number, file)
    file.catch(() => this.#open.delete(number))
    if (this.#open.size > OPEN_MAX) this.#forgetOldest()
    return file
  }

  /** Closed later, when whoever is reading from it now has surely done so. */
  #forgetOldest(): void {
    const [number, file] = this.#open.entries().next().value!
    this.#open.delete(number)
    void file.then((f) => setTimeout(() => void f.close().catch(() => {}), 30_000).unref())
  }
}
