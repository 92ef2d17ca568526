// What the tree needs after heads have moved. A tree is what folders say, and each folder is merged for itself; so after a merge a
// document may be in two folders, in none, or in itself, and one that was removed may have been changed or moved elsewhere.
// Here is what has to be changed then, in revisions that follow from the heads alone: whoever sees the same heads makes the
// same ones. The rule (docs/sync.md "Places"):
//   1. A document that was removed comes back if an entry that is later than its removal names it. The entry that was removed
//      does not come back: after several merges it may be in one again.
//   2. Of several places of a document the one with the latest stamp stays. Further names (TYPE_LINK) stay as they are.
//   3. Folders that would be in each other: choosePlaces (Kleppmann et al.) says which goes to the root.
//   4. A document that was removed, is not, and has no place goes back to where it was (its `home`), and that folder too.
// No entry is taken away but where a later one stands or is made: the latest never goes, whatever the order of delivery.
// Pure: asks for facts, answers what to do. Cost: the changes, and one look at a folder where a document has two places.

import { compare, equal, hex } from './bytes.js'
import { successor } from './clock.js'
import { updateFolder } from './folder.js'
import { isRemoved } from './merge.js'
import { isPlace } from './merge-folder.js'
import { freeName } from './merge-names.js'
import { choosePlaces } from './places.js'
import { byStamp, type Known, sameClaim, TreeAfter } from './tree-after.js'
import { type Edit, TreeEdits } from './tree-edits.js'
import { type Claim, entriesOf, type HeadStep, type TreeFacts } from './tree-facts.js'
import {
  type Chunk,
  type DId,
  FLAG_REMOVED,
  type FolderEntry,
  PART_ENTRIES,
  type Revision,
  TYPE_FOLDER,
} from './types.js'

/** One more revision, on top of the head that the document would have. */
export interface Repair {
  document: DId
  revision: Revision
  /** To be stored before. */
  chunks: Chunk[]
}

export interface Settlement {
  /** At most one for a document. */
  repairs: Repair[]
  /** Documents whose heads have to be moved together or not at all. */
  together: DId[][]
}

/** The model of the rule; `settleTree` is its door. */
export class Settling {
  protected readonly facts: TreeFacts
  readonly #edits = new TreeEdits()
  readonly #tree: TreeAfter
  /** Put back where they were, in this round. */
  readonly #home: DId[] = []

  constructor(facts: TreeFacts, steps: HeadStep[]) {
    this.facts = facts
    this.#tree = new TreeAfter(facts, this.#edits, steps)
  }

  async run(): Promise<Settlement> {
    // Folders that go home bring what is in them, which is looked at in another round; each comes once.
    let involved = await this.#tree.involved()
    while (involved.length > 0) {
      for (const known of involved) await this.comeBack(known)
      for (const known of involved) await this.onePlace(known)
      for (const known of involved) await this.noCircle(known)
      for (const known of involved) await this.goHome(known)
      involved = await this.#tree.broughtBy(this.#home.splice(0))
    }
    return { repairs: this.#edits.all().map((edit) => this.#repair(edit)), together: this.#edits.groups() }
  }

  protected async comeBack(known: Known): Promise<void> {
    const { document, names, added } = known
    const revision = this.#tree.revision(document)
    if (!revision?.home || !isRemoved(revision)) return
    const { folder, name, stamp } = revision.home
    const isLater = ({ entry }: Claim): boolean => compare(entry.stamp, stamp) > 0
    let later = added.some(isLater)
    if (!later && this.#tree.others(known) > 0) {
      const there = this.#tree.entryIn(folder, name)
      const isThere = there && equal(there.document, document) && compare(there.stamp, stamp) <= 0
      if (!isThere || names > 1) later = (await this.#tree.claims(known)).some(isLater)
    }
    if (later) return this.#revive(document, await this.#tree.claims(known))
    for (const claim of added.filter(({ entry }) => equal(entry.stamp, stamp))) this.#drop(known, claim, [claim])
  }

  protected async onePlace(known: Known): Promise<void> {
    if (!known.added.length || known.added.length + this.#tree.others(known) < 2) return
    const claims = await this.#tree.claims(known)
    const places = claims.filter(({ entry }) => isPlace(entry)).sort(byStamp)
    for (const claim of places.slice(0, -1)) this.#drop(known, claim, claims)
  }

  protected async noCircle(known: Known): Promise<void> {
    const { document, added } = known
    const claim = added.at(-1)
    if (!claim || this.#tree.revision(document)?.type !== TYPE_FOLDER) return
    const circle = await this.#tree.way(claim.folder, document)
    if (!circle) return
    const claims: Claim[] = []
    for (const member of circle) {
      const all = await this.#tree.claims(this.#tree.at(member))
      claims.push(...all.sort(byStamp).slice(-1))
    }
    const places = choosePlaces(
      this.facts.root,
      claims.map(({ folder, entry }) => ({ ...entry, folder })),
    )
    for (const claim of claims) {
      if (!places.get(hex(claim.entry.document))!.rescued) continue
      const known = this.#tree.at(claim.entry.document)
      this.#drop(known, claim, claims)
      this.#put(known, this.facts.root, { ...claim.entry, stamp: successor(claim.entry.stamp) })
    }
  }

  protected async goHome(known: Known, visited = new Set<string>()): Promise<void> {
    const { document, added } = known
    const revision = this.#tree.revision(document)
    const alive = revision && (!isRemoved(revision) || this.#edits.isRevived(document))
    if (!revision?.home || !alive || added.length + this.#tree.others(known) > 0 || visited.has(hex(document))) return
    if (equal(document, this.facts.root)) return
    visited.add(hex(document))
    const { name, stamp } = revision.home
    const folder = await this.#homeOf(document, revision.home.folder)
    const there = this.#tree.entryIn(folder, name)
    const type = revision.attributes.mode >> 12
    if (!there || !equal(there.document, document))
      this.#put(known, folder, { name, document, type, stamp: successor(stamp) })
    const inside = this.#tree.revision(folder)
    if (inside && isRemoved(inside)) this.#revive(folder, [])
    await this.#tree.learn([folder])
    await this.goHome(this.#tree.at(folder), visited)
  }

  /** The folder where it was; the root if that is none any more, or below the document itself. */
  async #homeOf(document: DId, folder: DId): Promise<DId> {
    if (this.#tree.revision(folder)?.type !== TYPE_FOLDER) return this.facts.root
    return (await this.#tree.way(folder, document)) ? this.facts.root : folder
  }

  #revive(document: DId, claims: Claim[]): void {
    this.#edits.revive(document)
    for (const { folder } of claims) this.#edits.join(document, folder)
  }

  #drop(known: Known, claim: Claim, claims: Claim[]): void {
    const { folder, entry } = claim
    this.#edits.set(folder, { name: entry.name })
    const at = known.added.findIndex((other) => sameClaim(other, claim))
    if (at >= 0) known.added.splice(at, 1)
    else known.removed.push(claim)
    for (const other of claims) this.#edits.join(known.document, other.folder)
  }

  #put(known: Known, folder: DId, wanted: FolderEntry): void {
    const taken = (name: Uint8Array): boolean => {
      const there = this.#tree.entryIn(folder, name)
      return there !== undefined && !equal(there.document, known.document)
    }
    const entry = freeName(wanted, taken)
    this.#edits.set(folder, { name: entry.name, after: entry })
    known.added.push({ folder, entry })
    this.#home.push(known.document)
    this.#edits.join(known.document, folder)
    for (const claim of known.removed) this.#edits.join(known.document, claim.folder)
  }

  #repair({ document, changes, revive }: Edit): Repair {
    const rid = this.#tree.head(document)!
    const revision = this.facts.revision(rid)!
    const parts = new Map(revision.parts)
    let chunks: Chunk[] = []
    if (changes.size > 0) {
      const folder = updateFolder(entriesOf(revision), [...changes.values()], this.facts.source)
      parts.set(PART_ENTRIES, folder.content)
      chunks = folder.chunks
    }
    const made = { parents: [rid], author: new Uint8Array(0), comment: '', parts }
    return { document, chunks, revision: { ...revision, ...made, flags: revive ? alive(revision) : revision.flags } }
  }
}

const alive = ({ flags }: Revision): number => (flags & ~FLAG_REMOVED) >>> 0

/** What has to be changed besides these steps. None of it for most steps: it looks only at what they put or take somewhere. */
export function settleTree(facts: TreeFacts, steps: HeadStep[]): Promise<Settlement> {
  return new Settling(facts, steps).run()
}
