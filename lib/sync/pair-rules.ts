// What the rules of a volume say about one pair, as they are now. Owns nothing but what it has decoded last.

import { equal } from '../model/bytes.js'
import { type PairTerms, termsOf } from '../model/pair-terms.js'
import { decodeRules, type Rule, rulesDocument } from '../model/rule.js'
import { weekTime } from '../model/schedule.js'
import type { DId, RId, SId } from '../model/types.js'
import type { Volume } from '../volume/contract.js'

export class PairRules {
  /** The document that holds them. */
  readonly document: DId
  #decoded: { head: RId; rules: Rule[] } | undefined

  constructor(
    private readonly components: { volume: Volume; now: () => number },
    private readonly peerVolume: SId,
  ) {
    this.document = rulesDocument(components.volume.root)
  }

  terms(): PairTerms {
    const { volume, now } = this.components
    return termsOf(this.#rules(), { local: volume.sid, peer: this.peerVolume }, weekTime(now()))
  }

  #rules(): Rule[] {
    const { volume } = this.components
    const head = volume.head(this.document)?.head
    if (!head) return []
    if (!this.#decoded || !equal(this.#decoded.head, head)) this.#decoded = { head, rules: rulesOf(volume) }
    return this.#decoded.rules
  }
}

/** All rules of the volume. */
export function rulesOf(volume: Volume): Rule[] {
  const head = volume.head(rulesDocument(volume.root))?.head
  const revision = head && volume.revision(head)
  return revision ? decodeRules(revision) : []
}
