// Which chunks of a volume turned out to be damaged since it was opened: found by reading or by scrub, told to sync, which fetches
// them again. Owns the list only, a bounded one; what is left out is found again another time.

import { hex } from '../model/bytes.js'
import type { ChunkId } from '../model/types.js'

const MAX = 10_000

export class DamagedChunks {
  readonly #ids = new Map<string, ChunkId>()

  get size(): number {
    return this.#ids.size
  }

  add(id: ChunkId): void {
    if (this.#ids.size < MAX) this.#ids.set(hex(id), id)
  }

  has(id: ChunkId): boolean {
    return this.#ids.size > 0 && this.#ids.has(hex(id))
  }

  /** Its bytes are good again. False if nobody knew that they were not. */
  delete(id: ChunkId): boolean {
    return this.#ids.delete(hex(id))
  }

  /** At most `limit`, the longest known first. */
  list(limit: number): ChunkId[] {
    return [...this.#ids.values()].slice(0, limit)
  }
}
