// Brings the heads of documents together with those of a peer, once everything they need is in the volume: decides by the
// revision graph (never by clocks) what is to be done, makes merges where histories have parted, and applies all of it in
// one change of the live tree. Deterministic in what it makes: two devices that merge the same heads make the same revision.

import { equal, hex } from '../model/bytes.js'
import { encodeRevision } from '../model/codec.js'
import { mergeHeads } from '../model/merge.js'
import type { DId, RId } from '../model/types.js'
import type { ApplyResult, HeadChange, Volume } from '../volume/contract.js'
import { mustStop } from './errors.js'
import { standingOf } from './standing.js'

export interface Wanted {
  document: DId
  /** The peer's head. */
  head: RId
}

export type Outcome =
  | { result: 'done' }
  /** Try again: the volume has changes of its own to commit first. */
  | { result: 'busy' }
  /** Folders name documents that the volume does not have; get those first. */
  | { result: 'missing'; documents: DId[] }
  /** This one cannot be done; it says nothing about others. */
  | { result: 'failed'; reason: string }

export interface ReconcilerComponents {
  volume: Volume
  /** Resolves when the changes may be made; somebody may have to be asked. */
  allowed(changes: HeadChange[]): Promise<void>
  /** These changes were made in the live tree, and will be durable. */
  applied(changes: HeadChange[]): void
}

/** Looks at each document again when its head moved meanwhile; so often at the most. */
const ATTEMPTS = 5

interface Planned {
  wish: Wanted
  change: HeadChange
}

export class Reconciler {
  /** Merges made so far. */
  merges = 0

  constructor(private readonly components: ReconcilerComponents) {}

  /** One outcome for each. @throws only what concerns all documents: no space, no volume, no link (see `mustStop`) */
  async reconcile(wanted: Wanted[]): Promise<Outcome[]> {
    const outcomes = new Map<string, Outcome>()
    // Heads that the volume told of and that are newer than what is durable.
    const told = new Map<string, RId>()
    let open = wanted
    for (let attempt = 0; open.length && attempt < ATTEMPTS; attempt++) {
      const planned: Planned[] = []
      for (const wish of open) {
        const plan = await this.#tryPlan(wish, told.get(hex(wish.document)))
        if ('result' in plan) outcomes.set(hex(wish.document), plan)
        else planned.push({ wish, change: plan })
      }
      if (!planned.length) break
      await this.components.allowed(planned.map(({ change }) => change))
      open = []
      for (const { wish, result } of await this.#apply(planned)) {
        if (result.result === 'stale') {
          if (result.head) told.set(hex(wish.document), result.head)
          open.push(wish)
        } else outcomes.set(hex(wish.document), result.result === 'applied' ? { result: 'done' } : result)
      }
    }
    return wanted.map((wish) => outcomes.get(hex(wish.document)) ?? { result: 'busy' })
  }

  /** All at once. If the volume refuses that, it is tried in ever smaller groups, to find the one that is at fault. */
  async #apply(planned: Planned[]): Promise<{ wish: Wanted; result: ApplyResult | Outcome }[]> {
    const changes = planned.map(({ change }) => change)
    try {
      const results = await this.components.volume.apply(changes)
      this.components.applied(changes.filter((_, i) => results[i].result === 'applied'))
      return planned.map(({ wish }, i) => ({ wish, result: results[i] }))
    } catch (error) {
      if (mustStop(error)) throw error
      if (planned.length === 1) return [{ wish: planned[0].wish, result: failure(error) }]
    }
    const half = Math.ceil(planned.length / 2)
    return [...(await this.#apply(planned.slice(0, half))), ...(await this.#apply(planned.slice(half)))]
  }

  async #tryPlan(wish: Wanted, told: RId | undefined): Promise<HeadChange | Outcome> {
    try {
      return (await this.#plan(wish, told)) ?? { result: 'done' }
    } catch (error) {
      if (mustStop(error)) throw error
      return failure(error)
    }
  }

  /** Undefined: nothing is to be done. */
  async #plan({ document, head }: Wanted, told?: RId): Promise<HeadChange | undefined> {
    const { volume } = this.components
    const ours = told ?? volume.head(document)?.head
    if (!ours) return { document, head }
    if (equal(ours, head)) return undefined
    const standing = standingOf(ours, head, (rid) => volume.revision(rid))
    if (standing === 'nothing') return undefined
    if (standing === 'forward') return { document, expected: ours, head }
    return { document, expected: ours, head: await this.#merge(ours, head) }
  }

  async #merge(ours: RId, theirs: RId): Promise<RId> {
    const { volume } = this.components
    const merged = mergeHeads(ours, theirs, { revision: (rid) => volume.revision(rid), source: volume.source })
    if (merged.chunks.length) await volume.importChunks(merged.chunks)
    const [rid] = await volume.importRevisions([encodeRevision(merged.revision)])
    this.merges++
    return rid
  }
}

/** The thread of the live tree died meanwhile: as good as busy, since applying is compare-and-set. */
function failure(error: unknown): Outcome {
  const { code, message } = error as { code?: string; message: string }
  return code === 'THREAD_LOST' ? { result: 'busy' } : { result: 'failed', reason: message }
}
