// Large contents on their way beside the feed: what comes after them need not wait for them. Each is fetched in its turn; meanwhile
// its document waits in `Pending`, so that nothing is lost when it ends here. Owns no position and no document.

import { equal, hex } from '../model/bytes.js'
import { decodeRevision } from '../model/codec.js'
import { rootOf } from '../model/content-tree.js'
import type { DId, Revision } from '../model/types.js'
import type { Volume } from '../volume/contract.js'
import { MAX_LARGE } from './limits.js'
import type { Pending } from './pending.js'
import type { Wanted } from './reconcile.js'

/** From how many bytes on a content is large, so that tests can make it few. */
export const LARGE_BYTES = 4 << 20
export const large = { bytes: LARGE_BYTES }

const ON_ITS_WAY = 'its content is on its way'
/** A folder with this reason is tried again when something that came beside the feed is there. */
export const NAMES_LARGE = 'the folder names documents whose content is on its way'

export interface LargeContentsComponents {
  volume: Volume
  pending: Pending
  /** Brings all that the head needs into the volume; true, or why not. Rejects with what concerns everything. */
  fetch(wanted: Wanted, encoded: Uint8Array): Promise<true | string>
  /** One is here, or cannot be had: what is due is to be tried. */
  ended(): void
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

  /** True if the head comes beside the feed, or after one of the same document that does. `encoded`: its revision, if that came along. */
  takes(wanted: Wanted, encoded: Uint8Array | undefined): boolean {
    const { pending } = this.#components
    const isNew = encoded !== undefined && this.#suits(wanted, encoded)
    if (!isNew && !this.has(wanted.document)) return false
    const waiting = pending.get(wanted.document)
    if (!waiting || !equal(waiting.head, wanted.head)) pending.add(wanted.document, wanted.head, ON_ITS_WAY)
    if (isNew) this.#take(wanted, encoded)
    return true
  }

  /** Among them is one that comes beside the feed, or a folder that waits for such a one. */
  delays(documents: DId[]): boolean {
    return documents.some((one) => this.has(one) || this.#components.pending.get(one)?.reason === NAMES_LARGE)
  }

  hurryFolders(): void {
    const { pending } = this.#components
    for (const { document, reason } of pending.list()) if (reason === NAMES_LARGE) pending.hurry(document)
  }

  #suits({ document }: Wanted, encoded: Uint8Array): boolean {
    const { volume } = this.#components
    if (encoded.length === 0 || this.has(document) || this.#documents.size >= MAX_LARGE) return false
    if (volume.holding.policy.hold === 'on-demand') return false
    const parts = [...(decoded(encoded)?.parts.values() ?? [])]
    if (parts.reduce((sum, { size }) => sum + size, 0) < large.bytes) return false
    return parts.some((part) => {
      const root = rootOf(part)
      return root && !volume.hasChunk(root.id)
    })
  }

  #take(wanted: Wanted, encoded: Uint8Array): void {
    const { fetch, failed } = this.#components
    const key = hex(wanted.document)
    this.#documents.add(key)
    const run = this.#turn.then(() => fetch(wanted, encoded))
    this.#turn = run
      .finally(() => this.#documents.delete(key))
      .then((result) => this.#end(wanted, result))
      .catch((error) => failed(error as Error))
  }

  #end({ document, head }: Wanted, result: true | string): void {
    const { pending, ended } = this.#components
    const waiting = pending.get(document)
    if (result !== true && waiting && equal(waiting.head, head)) pending.add(document, head, result)
    else pending.hurry(document)
    // Not after a failure: a folder would ask for it again at once.
    if (result === true) this.hurryFolders()
    ended()
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
