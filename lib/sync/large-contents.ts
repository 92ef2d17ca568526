// Large contents on their way beside the feed: what comes after them need not wait for them. Each is fetched in its turn; meanwhile
// its document waits in `Pending`, so that nothing is lost when it ends here. Owns no position and no document.

import { hex } from '../model/bytes.js'
import { decodeRevision } from '../model/codec.js'
import { rootOf } from '../model/content-tree.js'
import type { Revision } from '../model/types.js'
import type { Volume } from '../volume/contract.js'
import { MAX_LARGE } from './limits.js'
import type { Wanted } from './reconcile.js'

/** From how many bytes on a content is large, so that tests can make it few. */
export const LARGE_BYTES = 4 << 20
export const large = { bytes: LARGE_BYTES }

export interface LargeContentsComponents {
  volume: Volume
  /** Brings all that the head needs into the volume; true, or why not. Rejects with what concerns everything. */
  fetch(wanted: Wanted, encoded: Uint8Array): Promise<true | string>
  /** It is here, or cannot be had. */
  ended(wanted: Wanted, result: true | string): void
  failed(error: Error): void
}

export class LargeContents {
  readonly #components: LargeContentsComponents
  readonly #documents = new Set<string>()
  #turn: Promise<unknown> = Promise.resolve()

  constructor(components: LargeContentsComponents) {
    this.#components = components
  }

  get size(): number {
    return this.#documents.size
  }

  has(document: Uint8Array): boolean {
    return this.#documents.has(hex(document))
  }

  /** Whether the head is better fetched beside the feed. `encoded`: its revision, if that came along. */
  suits({ document }: Wanted, encoded: Uint8Array | undefined): boolean {
    const { volume } = this.#components
    if (!encoded || encoded.length === 0 || this.has(document) || this.#documents.size >= MAX_LARGE) return false
    if (volume.holding.policy.hold === 'on-demand') return false
    const parts = [...(decoded(encoded)?.parts.values() ?? [])]
    if (parts.reduce((sum, { size }) => sum + size, 0) < large.bytes) return false
    return parts.some((part) => {
      const root = rootOf(part)
      return root && !volume.hasChunk(root.id)
    })
  }

  take(wanted: Wanted, encoded: Uint8Array): void {
    const { fetch, ended, failed } = this.#components
    const key = hex(wanted.document)
    this.#documents.add(key)
    const run = this.#turn.then(() => fetch(wanted, encoded))
    this.#turn = run
      .finally(() => this.#documents.delete(key))
      .then((result) => ended(wanted, result))
      .catch((error) => failed(error as Error))
  }
}

/** What cannot be decoded is nobody's large content: whoever gathers it says what is wrong. */
function decoded(encoded: Uint8Array): Revision | undefined {
  try {
    return decodeRevision(encoded)
  } catch {
    return undefined
  }
}
