// Brings the heads of documents together with those of a peer, once everything they need is in the volume: decides by the
// revision graph (never by clocks) what is to be done, makes merges where histories have parted, and applies all of it in
// one change of the live tree. Deterministic in what it makes: two devices that merge the same heads make the same revision.

import { equal, hex } from '../model/bytes.js'
import { encodeRevision } from '../model/codec.js'
import { mergeHeads } from '../model/merge.js'
import type { DId, RId } from '../model/types.js'
import type { ApplyResult, HeadChange, Volume } from '../volume/contract.js'
import { standingOf } from './standing.js'

export interface Wanted {
  document: DId
  /** The peer's head. */
  head: RId
}

export type Outcome =
  | { document: DId; result: 'done' }
  /** Try again: the volume has changes of its own to commit first. */
  | { document: DId; result: 'busy' }
  /** Folders name documents that the volume does not have; get those first. */
  | { document: DId; result: 'missing'; documents: DId[] }

/** Looks at each document again when its head moved meanwhile; so often at the most. */
const ATTEMPTS = 5

export class Reconciler {
  /** Merges made so far. */
  merges = 0

  constructor(private readonly volume: Volume) {}

  /** @throws the volume's errors, and those of merging (a content that is damaged) */
  async reconcile(wanted: Wanted[]): Promise<Outcome[]> {
    const outcomes = new Map<string, Outcome>()
    // Heads that the volume told of and that are newer than what is durable.
    const told = new Map<string, RId>()
    let open = wanted
    for (let attempt = 0; open.length; attempt++) {
      const planned: { wish: Wanted; change: HeadChange }[] = []
      for (const wish of open) {
        const change = await this.#plan(wish, told.get(hex(wish.document)))
        if (change) planned.push({ wish, change })
        else outcomes.set(hex(wish.document), { document: wish.document, result: 'done' })
      }
      if (!planned.length) break
      const results = await this.volume.apply(planned.map(({ change }) => change))
      open = []
      for (const [i, { wish }] of planned.entries()) {
        const result = results[i]
        if (result.result === 'stale' && result.head) told.set(hex(wish.document), result.head)
        const outcome = outcomeOf(wish.document, result)
        if (outcome) outcomes.set(hex(wish.document), outcome)
        else if (attempt < ATTEMPTS) open.push(wish)
        else outcomes.set(hex(wish.document), { document: wish.document, result: 'busy' })
      }
    }
    return wanted.map((wish) => outcomes.get(hex(wish.document)) ?? { document: wish.document, result: 'busy' })
  }

  /** Undefined: nothing is to be done. */
  async #plan({ document, head }: Wanted, told?: RId): Promise<HeadChange | undefined> {
    const { volume } = this
    const ours = told ?? volume.head(document)?.head
    if (!ours) return { document, head }
    if (equal(ours, head)) return undefined
    const standing = standingOf(ours, head, (rid) => volume.revision(rid))
    if (standing === 'nothing') return undefined
    if (standing === 'forward') return { document, expected: ours, head }
    return { document, expected: ours, head: await this.#merge(ours, head) }
  }

  async #merge(ours: RId, theirs: RId): Promise<RId> {
    const { volume } = this
    const merged = mergeHeads(ours, theirs, { revision: (rid) => volume.revision(rid), source: volume.source })
    if (merged.chunks.length) await volume.importChunks(merged.chunks)
    const [rid] = await volume.importRevisions([encodeRevision(merged.revision)])
    this.merges++
    return rid
  }
}

/** Undefined: look again. */
function outcomeOf(document: DId, result: ApplyResult): Outcome | undefined {
  switch (result.result) {
    case 'applied':
      return { document, result: 'done' }
    case 'busy':
      return { document, result: 'busy' }
    case 'missing':
      return { document, result: 'missing', documents: result.documents }
    case 'stale':
      return undefined
  }
}
