// Brings the heads of documents together with those of a peer, once everything they need is in the volume: decides by the
// revision graph (never by clocks) what is to be done, makes merges where histories have parted, has the tree settled
// (lib/model/settle.ts), and applies all of it in one change of the live tree. Deterministic in what it makes: two devices
// that merge the same heads make the same revision.

import { equal, hex } from '../model/bytes.js'
import { encodeRevision } from '../model/codec.js'
import { diffFolder } from '../model/folder.js'
import { mergeHeads } from '../model/merge.js'
import { latestHeads } from '../model/overrule.js'
import type { PairTerms } from '../model/pair-terms.js'
import { type Settlement, settleTree } from '../model/settle.js'
import { entriesOf, type HeadStep } from '../model/tree-facts.js'
import { type DId, type RId, TYPE_FOLDER } from '../model/types.js'
import { ChunkMissingError } from '../store/errors.js'
import type { ApplyResult, HeadChange, Volume } from '../volume/contract.js'
import { mustStop } from './errors.js'
import { giveWay, type Step, takenOut } from './give-way.js'
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
  /** What becomes of versions that parted; merged if not given. */
  strategy?(): PairTerms['strategy']
}

/** The rules that everything rests on, so that tests can show that they notice wrong ones. */
export const rules = { mergeHeads, settleTree, standingOf }

const PARTED = 'it was changed on both sides, and the rule says that such versions wait (strategy ff)'

/** Looks at each document again when its head moved meanwhile; so often at the most. */
const ATTEMPTS = 5
/** Chunks that one merge may fetch: texts are small. */
const FETCHES_MAX = 128

interface Result {
  wish: Wanted
  result: ApplyResult | Outcome
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
      const again: Wanted[] = []
      for (const { wish, result } of await this.#round(open, told)) {
        if (result.result === 'stale') again.push(wish)
        else outcomes.set(hex(wish.document), result.result === 'applied' ? { result: 'done' } : result)
      }
      open = again
    }
    return wanted.map((wish) => outcomes.get(hex(wish.document)) ?? { result: 'busy' })
  }

  /** All at once. If that cannot be, it is tried in ever smaller groups, to find the one that is at fault. */
  async #round(wishes: Wanted[], told: Map<string, RId>): Promise<Result[]> {
    try {
      return await this.#together(wishes, told)
    } catch (error) {
      if (mustStop(error)) throw error
      if (wishes.length === 1) return [{ wish: wishes[0], result: failure(error) }]
    }
    const half = Math.ceil(wishes.length / 2)
    return [...(await this.#round(wishes.slice(0, half), told)), ...(await this.#round(wishes.slice(half), told))]
  }

  async #together(wishes: Wanted[], told: Map<string, RId>): Promise<Result[]> {
    const results: Result[] = []
    const planned: { wish: Wanted; step: Step }[] = []
    for (const wish of wishes) {
      const step = await this.#tryPlan(wish, told.get(hex(wish.document)))
      if ('result' in step) results.push({ wish, result: step })
      else planned.push({ wish, step })
    }
    const steps = planned.map(({ step }) => step)
    const changes = await this.#settle([...steps, ...(await takenOut(this.components.volume, steps, told))], told)
    const applied = changes.all.length ? await this.#apply(changes.all, told) : new Map<string, ApplyResult>()
    for (const { wish } of planned) results.push({ wish, result: resultOf(wish, changes.groups, applied) })
    return results
  }

  async #apply(changes: HeadChange[], told: Map<string, RId>): Promise<Map<string, ApplyResult>> {
    await this.components.allowed(changes)
    const results = await this.components.volume.apply(changes)
    this.components.applied(changes.filter((_, i) => results[i].result === 'applied'))
    for (const [i, result] of results.entries())
      if (result.result === 'stale' && result.head) told.set(hex(changes[i].document), result.head)
    return new Map(changes.map(({ document }, i) => [hex(document), results[i]]))
  }

  async #tryPlan(wish: Wanted, told: RId | undefined): Promise<Step | Outcome> {
    for (let fetched = 0; ; fetched++) {
      try {
        return await this.#plan(wish, told)
      } catch (error) {
        if (mustStop(error)) throw error
        // A merge of texts needs their bytes, which may be elsewhere.
        const { wants } = this.components.volume
        if (!(error instanceof ChunkMissingError) || fetched >= FETCHES_MAX) return failure(error)
        const away = await wants.fetch([error.id], { urgent: true }).then(() => undefined, failure)
        if (away) return away
      }
    }
  }

  async #plan({ document, head }: Wanted, told?: RId): Promise<Step | Outcome> {
    const { volume } = this.components
    const strategy = this.components.strategy?.() ?? 'merge'
    const ours = told ?? volume.head(document)?.head
    if (!ours) return { document, after: head }
    const stays = { document, before: ours, after: ours }
    // Somebody else applied it, and it is not durable yet either.
    const durable = volume.head(document)?.head
    if (told && !(durable && equal(durable, told)))
      this.components.applied([{ document, expected: durable, head: told }])
    if (equal(ours, head)) return stays
    const standing = rules.standingOf(ours, head, (rid) => volume.revision(rid))
    if (standing === 'forward') return { document, before: ours, after: head }
    if (strategy === 'mirror') {
      const after = await giveWay(volume, ours, head, standing === 'nothing')
      return after ? { document, before: ours, after, takesBack: true } : stays
    }
    if (standing === 'nothing') return stays
    if (strategy === 'ff') return { result: 'failed', reason: PARTED }
    return { document, before: ours, after: await this.#merge(ours, head, strategy === 'latest') }
  }

  async #merge(ours: RId, theirs: RId, latest: boolean): Promise<RId> {
    const { volume } = this.components
    const merge = latest ? latestHeads : rules.mergeHeads
    const merged = merge(ours, theirs, { revision: (rid) => volume.revision(rid), source: volume.source })
    if (merged.chunks.length) await volume.importChunks(merged.chunks)
    const [rid] = await volume.importRevisions([encodeRevision(merged.revision)])
    this.merges++
    return rid
  }

  /** The changes that make these steps, and what the tree needs besides. */
  async #settle(
    steps: HeadStep[],
    told: Map<string, RId>,
  ): Promise<{ all: HeadChange[]; groups: Map<string, Set<string>> }> {
    const { volume } = this.components
    const head = (document: DId): RId | undefined => told.get(hex(document)) ?? volume.head(document)?.head
    const facts = {
      ...{ root: volume.root, source: volume.source, head },
      revision: (rid: RId) => volume.revision(rid),
      whereabouts: (documents: DId[]) => volume.whereabouts(documents),
      claims: (document: DId) => volume.claims(document),
    }
    const settlement = await rules.settleTree(facts, steps)
    const after = new Map(steps.map((step) => [hex(step.document), step]))
    for (const { document, rid } of await this.#store(settlement)) {
      const step = after.get(hex(document))
      after.set(hex(document), { document, before: step ? step.before : head(document), after: rid })
    }
    const groups = new Map<string, Set<string>>()
    const numbers = new Map<string, number>()
    for (const [number, documents] of settlement.together.entries()) {
      const group = new Set(documents.map(hex))
      for (const key of group) groups.set(key, group)
      for (const key of group) numbers.set(key, number)
    }
    const all = [...after.values()]
      .filter((step) => !step.before || !equal(step.before, step.after))
      .map((step): HeadChange => {
        const { document, before: expected, after: head } = step
        return { document, expected, head, group: numbers.get(hex(document)) }
      })
    return { all: settlement.repairs.length ? this.#contentsFirst(all) : all, groups }
  }

  async #store({ repairs }: Settlement): Promise<{ document: DId; rid: RId }[]> {
    if (!repairs.length) return []
    const { volume } = this.components
    const chunks = repairs.flatMap((repair) => repair.chunks)
    if (chunks.length) await volume.importChunks(chunks)
    const rids = await volume.importRevisions(repairs.map(({ revision }) => encodeRevision(revision)))
    return repairs.map(({ document }, i) => ({ document, rid: rids[i] }))
  }

  /** Each folder behind the documents that it names. */
  #contentsFirst(changes: HeadChange[]): HeadChange[] {
    const { volume } = this.components
    const left = new Map(changes.map((change) => [hex(change.document), change]))
    const sorted: HeadChange[] = []
    const visit = (change: HeadChange): void => {
      if (!left.delete(hex(change.document))) return
      const revision = volume.revision(change.head)
      const before = change.expected && volume.revision(change.expected)
      if (revision?.type === TYPE_FOLDER)
        for (const { after } of diffFolder(entriesOf(before), entriesOf(revision), volume.source)) {
          const inside = after && left.get(hex(after.document))
          if (inside) visit(inside)
        }
      sorted.push(change)
    }
    for (const change of changes) visit(change)
    return sorted
  }
}

/** What became of a wish: of its own change, and of those that it had to be made together with. */
function resultOf(
  { document }: Wanted,
  groups: Map<string, Set<string>>,
  results: Map<string, ApplyResult>,
): ApplyResult | Outcome {
  const key = hex(document)
  const group = [...(groups.get(key) ?? [key])].flatMap((member) => results.get(member) ?? [])
  const stale = group.find(({ result }) => result === 'stale')
  return stale ?? results.get(key) ?? group.find(({ result }) => result !== 'applied') ?? { result: 'done' }
}

/** The thread of the live tree died meanwhile: as good as busy, since applying is compare-and-set. */
function failure(error: unknown): Outcome {
  const { code, message } = error as { code?: string; message: string }
  return code === 'THREAD_LOST' ? { result: 'busy' } : { result: 'failed', reason: message }
}
