// Tells of heads that became durable: in order of their change numbers, each at least once. Owns the position up to which it
// has told. A crash of the committer loses nothing: the next look begins where the last one ended.

import type { StoreReader } from '../store/tables.js'
import type { Head, VolumeEvents } from './contract.js'
import type { VolumeReads } from './volume-reads.js'

const PAGE = 1000

export class HeadFeed {
  readonly #reads: VolumeReads
  readonly #reader: StoreReader
  readonly #listeners = new Set<VolumeEvents['heads']>()
  #told: number

  constructor(components: { reads: VolumeReads; reader: StoreReader }) {
    this.#reads = components.reads
    this.#reader = components.reader
    this.#told = components.reader.lastSeq
  }

  on(listener: VolumeEvents['heads']): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** The committer has committed something. */
  committed(): void {
    this.#reader.refresh()
    const last = this.#reader.lastSeq
    if (this.#listeners.size === 0) this.#told = last
    while (this.#told < last) {
      const rows = this.#reader.changes(this.#told, PAGE)
      this.#told = rows.length === PAGE ? rows[PAGE - 1].seq : last
      const heads = rows.map(({ document }) => this.#reads.head(document)).filter((head) => head !== undefined)
      if (heads.length > 0) this.#tell(heads)
    }
  }

  #tell(heads: Head[]): void {
    for (const listener of this.#listeners) listener(heads)
  }
}
