// Takes the document of rules from the peer, whatever the rules say of everything else: a pair that is paused, or of one way, must
// hear when that ends. Beside the feed and its position; what cannot be taken now is tried again with `look`, and the peer tells of it
// again whenever the devices meet.

import { hex } from '../model/bytes.js'
import { ridOf } from '../model/hash.js'
import type { Volume } from '../volume/contract.js'
import { SyncProtocolError } from './errors.js'
import { Gather, type GatherComponents } from './gather.js'
import type { Change } from './messages.js'
import { Reconciler } from './reconcile.js'

export class RulesExchange {
  readonly #volume: Volume
  readonly #gather: Gather
  readonly #reconciler: Reconciler
  readonly #failed: (error: Error) => void
  #wanted: Change | undefined
  #running = false

  constructor(components: GatherComponents & { failed(error: Error): void }) {
    this.#failed = components.failed
    this.#volume = components.volume
    this.#gather = new Gather(components)
    this.#reconciler = new Reconciler({ volume: components.volume, allowed: async () => {}, applied: () => {} })
  }

  take(change: Change): void {
    this.#wanted = change
    void this.look()
  }

  /** Never rejects: if the link is over or the disk full, others notice. */
  async look(): Promise<void> {
    const change = this.#wanted
    if (!change || this.#running) return
    this.#running = true
    try {
      const { document, head, revision } = change
      const offered = new Map(revision.length ? [[hex(ridOf(revision)), revision]] : [])
      const need = { head, ours: this.#volume.head(document)?.head }
      await this.#gather.complete([need], { revisions: offered, chunks: new Map() })
      const [outcome] = await this.#reconciler.reconcile([{ document, head }])
      if (outcome.result === 'done' && this.#wanted === change) this.#wanted = undefined
    } catch (error) {
      // Anything else: again with the next look.
      if (error instanceof SyncProtocolError) this.#failed(error)
    } finally {
      this.#running = false
    }
  }
}
