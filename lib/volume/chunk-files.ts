// Chunks read from pack files without holding up the main thread (pread in libuv's pool), verified by their hash. What is asked for in
// one turn and lies together is read at once: a read in the pool costs as much for 4 KiB as for some hundreds.
// Owns a few open pack files. Never writes.

import { type FileHandle, open } from 'node:fs/promises'
import { equal, hex } from '../model/bytes.js'
import { hashOf } from '../model/hash.js'
import type { ChunkId } from '../model/types.js'
import { ChunkDamagedError, ChunkMissingError } from '../store/errors.js'
import type { VolumeLayout } from '../store/layout.js'
import type { ChunkLocation, StoreReader } from '../store/tables.js'
import type { DamagedChunks } from './damaged-chunks.js'

const OPEN_MAX = 16
/** Most bytes of one read, and bytes between two chunks that are read along. */
const TOGETHER = 1 << 20
const GAP = 16 << 10

interface Wish {
  id: ChunkId
  location: ChunkLocation
  resolve(bytes: Uint8Array): void
  reject(error: Error): void
}

export class ChunkFiles {
  readonly #reader: StoreReader
  readonly #layout: VolumeLayout
  /** In order of last use. */
  readonly #open = new Map<number, Promise<FileHandle>>()

  readonly #damaged: DamagedChunks | undefined
  #wishes: Wish[] = []

  /** `damaged` hears of what is. */
  constructor(components: { reader: StoreReader; layout: VolumeLayout; damaged?: DamagedChunks }) {
    this.#damaged = components.damaged
    this.#reader = components.reader
    this.#layout = components.layout
  }

  /** May be part of a larger array. Rejects with ChunkMissingError, ChunkDamagedError. */
  read(id: ChunkId): Promise<Uint8Array> {
    const location = this.#reader.chunk(id)
    if (!location) return Promise.reject(new ChunkMissingError(id))
    return new Promise((resolve, reject) => {
      if (this.#wishes.length === 0) queueMicrotask(() => this.#readWishes())
      this.#wishes.push({ id, location, resolve, reject })
    })
  }

  #readWishes(): void {
    const wishes = this.#wishes.splice(0)
    wishes.sort((a, b) => a.location.pack - b.location.pack || a.location.offset - b.location.offset)
    for (let i = 0; i < wishes.length; ) {
      const group = [wishes[i++]]
      while (i < wishes.length && isNear(group, wishes[i])) group.push(wishes[i++])
      void this.#readGroup(group)
    }
  }

  async #readGroup(group: Wish[]): Promise<void> {
    const from = group[0].location.offset
    const bytes = Buffer.allocUnsafeSlow(endOf(group[group.length - 1]) - from)
    let got = 0
    try {
      const file = await this.#pack(group[0].location.pack)
      while (got < bytes.length) {
        const { bytesRead } = await file.read(bytes, got, bytes.length - got, from + got)
        if (bytesRead === 0) break
        got += bytesRead
      }
    } catch (error) {
      // One bad place says nothing of the others.
      if (group.length > 1) for (const wish of group) await this.#readGroup([wish])
      else group[0].reject(this.#damage(group[0].id, group[0].location, (error as Error).message))
      return
    }
    for (const wish of group) this.#hand(wish, bytes.subarray(0, got).subarray(wish.location.offset - from))
  }

  /** `bytes` begin where the chunk does. */
  #hand({ id, location, resolve, reject }: Wish, bytes: Uint8Array): void {
    if (bytes.length < location.length) return reject(this.#damage(id, location, 'the file is too short'))
    const chunk = bytes.subarray(0, location.length)
    const hash = hashOf(chunk)
    if (!equal(hash, id)) return reject(this.#damage(id, location, `its hash is ${hex(hash)}`))
    resolve(chunk)
  }

  #damage(id: ChunkId, { pack }: ChunkLocation, why: string): ChunkDamagedError {
    this.#damaged?.add(id)
    return new ChunkDamagedError(id, this.#layout.pack(pack), why)
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

const endOf = ({ location }: Wish): number => location.offset + location.length

/** The same chunk may be wished for twice. */
function isNear(group: Wish[], { location }: Wish): boolean {
  const [first, last] = [group[0], group[group.length - 1]]
  return (
    location.pack === first.location.pack &&
    location.offset - endOf(last) <= GAP &&
    location.offset + location.length - first.location.offset <= TOGETHER
  )
}
