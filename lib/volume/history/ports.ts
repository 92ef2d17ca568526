// What history needs of the store: durable state only. lib/store's StoreReader with a source of chunks fits, and so does a Volume.

import type { ChunkSource, DId, RId } from '../../model/types.js'

export interface HistoryStore {
  /** The head of a document, whether it is in the live tree or not; undefined: it has none here. */
  head(document: DId): RId | undefined
  /** Canonical bytes of a revision; undefined: it is not here. */
  encoded(rid: RId): Uint8Array | undefined
  /** Chunks of folders, synchronously. Throws if one is not there. */
  readonly source: ChunkSource
}
