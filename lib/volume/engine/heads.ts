// Heads that sync applied and that LMDB may not have yet. Owns them; everything else is read from LMDB.

import type { DId, RId } from '../../model/types.js'
import type { Lsn } from '../../store/records.js'
import { placeKey } from './identity.js'
import type { LiveState } from './live-state.js'
import type { DurableState } from './ports.js'

export class AppliedHeads {
  readonly #state: LiveState
  readonly #durable: DurableState
  readonly #heads = new Map<string, { head: RId; lsn: Lsn }>()

  constructor(components: { state: LiveState; durable: DurableState }) {
    this.#state = components.state
    this.#durable = components.durable
  }

  get(document: DId): RId | undefined {
    const key = placeKey(document)
    const known = this.#heads.get(key)
    if (known === undefined) return this.#durable.document(document)?.head
    if (known.lsn >= this.#state.snapshot) return known.head
    // LMDB has it, and perhaps a newer one.
    this.#heads.delete(key)
    return this.#durable.document(document)?.head
  }

  set(document: DId, head: RId, lsn: Lsn): void {
    this.#heads.set(placeKey(document), { head, lsn })
  }

  /** Forgets what LMDB has. */
  tidy(): void {
    for (const [key, { lsn }] of this.#heads) if (lsn < this.#state.snapshot) this.#heads.delete(key)
  }
}
