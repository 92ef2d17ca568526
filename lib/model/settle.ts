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

import { compare, equal, hex, unhex } from './bytes.js'
import { successor } from './clock.js'
import { diffFolder, folderLookup, updateFolder } from './folder.js'
import { isRemoved } from './merge.js'
import { isPlace } from './merge-folder.js'
import { freeName } from './merge-names.js'
import { choosePlaces } from './places.js'
import {
  type Chunk,
  type ChunkSource,
  type Content,
  type DId,
  FLAG_REMOVED,
  type FolderChange,
  type FolderEntry,
  PART_ENTRIES,
  type Revision,
  type RId,
  TYPE_FOLDER,
} from './types.js'

/** A head that is going to be set. `before` equals `after`: one that is there and of which something may be left to do. */
export interface HeadStep {
  document: DId
  before?: RId
  after: RId
}

/** An entry of a folder. */
export interface Claim {
  folder: DId
  entry: FolderEntry
}

/** Where a document is in the tree as it is now. */
export interface Whereabouts {
  /** How many entries of folders in the tree name it. */
  names: number
  /** A folder that does. */
  parent?: DId
}

/** The tree before the steps. */
export interface TreeFacts {
  readonly root: DId
  head(document: DId): RId | undefined
  revision(rid: RId): Revision | undefined
  readonly source: ChunkSource
  whereabouts(documents: DId[]): Promise<Whereabouts[]>
  /** The entries of folders in the tree that name a document. Of one with several names it may be some of them. */
  claims(document: DId): Promise<Claim[]>
}

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

const EMPTY: Content = { size: 0, inline: new Uint8Array(0), levels: 0 }
const DEPTH_MAX = 4096

interface Known extends Whereabouts {
  document: DId
  /** By the steps and repairs so far. */
  added: Claim[]
  removed: Claim[]
  placed: boolean
}

interface Edit {
  document: DId
  changes: Map<string, FolderChange>
  revive: boolean
}

const sameClaim = (x: Claim, y: Claim): boolean => equal(x.folder, y.folder) && equal(x.entry.name, y.entry.name)

/** Earlier first; as choosePlaces has it. */
function byStamp(x: Claim, y: Claim): number {
  return (
    compare(x.entry.stamp, y.entry.stamp) || compare(x.folder, y.folder) || compare(x.entry.name, y.entry.name) || 0
  )
}

/** The model of the rule; `settleTree` is its door. */
export class Settling {
  protected readonly facts: TreeFacts
  readonly #steps = new Map<string, HeadStep>()
  readonly #known = new Map<string, Known>()
  /** Decoded, by document. */
  readonly #revisions = new Map<string, { rid: RId; revision: Revision | undefined }>()
  readonly #lookups = new Map<string, (name: Uint8Array) => FolderEntry | undefined>()
  readonly #edits = new Map<string, Edit>()
  /** Put back where they were, in this round. */
  readonly #home: DId[] = []
  readonly #together = new Map<string, DId>()

  constructor(facts: TreeFacts, steps: HeadStep[]) {
    this.facts = facts
    for (const step of steps) this.#steps.set(hex(step.document), step)
  }

  async run(): Promise<Settlement> {
    // Folders that go home bring what is in them, which is looked at in another round; each comes once.
    for (let involved = await this.#involved(); involved.length; involved = await this.#broughtHome()) {
      for (const known of involved) await this.comeBack(known)
      for (const known of involved) await this.onePlace(known)
      for (const known of involved) await this.noCircle(known)
      for (const known of involved) await this.goHome(known)
    }
    return { repairs: [...this.#edits.values()].map((edit) => this.#repair(edit)), together: this.#groups() }
  }

  /** Documents that the steps may have put or taken somewhere, in the order of their ids. */
  async #involved(): Promise<Known[]> {
    const steps = [...this.#steps.values()]
    const folders = steps.filter((step) => this.#revision(step.document)?.type === TYPE_FOLDER)
    const homes = steps.filter(({ document }) => this.#revision(document)?.home)
    if (!folders.length && !homes.length) return []
    const seen = new Map<string, DId>(homes.map(({ document }) => [hex(document), document]))
    const changes: { step: HeadStep; entries: FolderChange[] }[] = []
    for (const step of folders) {
      const before = step.before && this.facts.revision(step.before)
      const entries = diffFolder(entriesOf(before), entriesOf(this.#revision(step.document)), this.facts.source)
      changes.push({ step, entries })
      seen.set(hex(step.document), step.document)
      for (const { before, after } of entries)
        for (const entry of [before, after]) if (entry) seen.set(hex(entry.document), entry.document)
    }
    await this.#learn([...seen.values()])
    const touched = new Map<string, Known>(homes.map(({ document }) => [hex(document), this.#at(document)]))
    const arrived: DId[] = []
    for (const { step, entries } of changes) {
      if (!this.#isPlaced(this.#at(step.document))) continue
      for (const { before, after } of entries) {
        if (before) this.#note('removed', { folder: step.document, entry: before }, touched)
        if (after) this.#note('added', { folder: step.document, entry: after }, touched)
        if (after) arrived.push(after.document)
      }
    }
    await this.#unfold(arrived, touched)
    return this.#inOrder(touched)
  }

  async #broughtHome(): Promise<Known[]> {
    const touched = new Map<string, Known>()
    await this.#unfold(this.#home.splice(0), touched)
    return this.#inOrder(touched)
  }

  #note(kind: 'added' | 'removed', claim: Claim, touched: Map<string, Known>): void {
    const known = this.#at(claim.entry.document)
    known[kind].push(claim)
    touched.set(hex(claim.entry.document), known)
  }

  /** Folders that come into the tree bring what is in them. */
  async #unfold(arrived: DId[], touched: Map<string, Known>): Promise<void> {
    let next = arrived
    while (next.length) {
      const claims: Claim[] = []
      for (const document of next) {
        const known = this.#at(document)
        if (known.placed || known.names > 0) continue
        known.placed = true
        const revision = this.#revision(document)
        if (revision?.type !== TYPE_FOLDER) continue
        for (const { after } of diffFolder(EMPTY, entriesOf(revision), this.facts.source))
          if (after) claims.push({ folder: document, entry: after })
      }
      next = claims.map(({ entry }) => entry.document)
      await this.#learn(next)
      for (const claim of claims) this.#note('added', claim, touched)
    }
  }

  async #learn(documents: DId[]): Promise<void> {
    const unknown = new Map(documents.map((document) => [hex(document), document]))
    for (const key of unknown.keys()) if (this.#known.has(key)) unknown.delete(key)
    const asked = [...unknown.values()]
    const found = asked.length ? await this.facts.whereabouts(asked) : []
    for (const [i, document] of asked.entries())
      this.#known.set(hex(document), { document, added: [], removed: [], placed: false, ...found[i] })
  }

  #at(document: DId): Known {
    const known = this.#known.get(hex(document))
    if (!known) throw new Error(`Nothing is known of document ${hex(document)}`)
    return known
  }

  #isPlaced({ document, names }: Known): boolean {
    return names > 0 || equal(document, this.facts.root)
  }

  // What is so after the steps

  #revision(document: DId): Revision | undefined {
    const key = hex(document)
    const rid = this.#steps.get(key)?.after ?? this.facts.head(document)
    if (!rid) return undefined
    const known = this.#revisions.get(key)
    if (known && equal(known.rid, rid)) return known.revision
    const revision = this.facts.revision(rid)
    this.#revisions.set(key, { rid, revision })
    return revision
  }

  /** Most documents are new and in one place: about those there is nothing to ask. */
  #isPlain({ document, names, added, removed }: Known): boolean {
    return names === 0 && removed.length === 0 && added.length <= 1 && !this.#revision(document)?.home
  }

  /** In the order of their ids, so that the outcome does not depend on that of the steps. */
  #inOrder(touched: Map<string, Known>): Known[] {
    const asked = [...touched].filter(([, known]) => !this.#isPlain(known))
    return asked.sort(([x], [y]) => (x < y ? -1 : 1)).map(([, known]) => known)
  }

  #entryIn(folder: DId, name: Uint8Array): FolderEntry | undefined {
    const key = hex(folder)
    const change = this.#edits.get(key)?.changes.get(hex(name))
    if (change) return change.after
    let lookup = this.#lookups.get(key)
    if (!lookup) {
      lookup = folderLookup(entriesOf(this.#revision(folder)), this.facts.source)
      this.#lookups.set(key, lookup)
    }
    return lookup(name)
  }

  /** Names that the steps leave alone. */
  #others({ names, removed }: Known): number {
    return Math.max(0, names - removed.length)
  }

  async #claims(known: Known): Promise<Claim[]> {
    const { document, added, removed } = known
    if (this.#others(known) === 0) return added
    // A folder without a head was made just now and is not sealed; the volume is busy with it.
    const others = (await this.facts.claims(document)).filter(({ folder }) => this.#revision(folder))
    return [...added, ...others.filter((claim) => ![...added, ...removed].some((other) => sameClaim(claim, other)))]
  }

  async #parent(document: DId): Promise<DId | undefined> {
    if (equal(document, this.facts.root)) return undefined
    await this.#learn([document])
    const known = this.#at(document)
    if (known.added.length) return [...known.added].sort(byStamp).at(-1)!.folder
    return this.#others(known) > 0 ? known.parent : undefined
  }

  /** The folders from this one up to `top`; undefined if it is not below it. */
  async #way(folder: DId, top: DId): Promise<DId[] | undefined> {
    const way: DId[] = []
    for (let at: DId | undefined = folder; at && way.length < DEPTH_MAX; at = await this.#parent(at)) {
      way.push(at)
      if (equal(at, top)) return way
    }
    return undefined
  }

  // The rule

  protected async comeBack(known: Known): Promise<void> {
    const { document, names, added } = known
    const revision = this.#revision(document)
    if (!revision?.home || !isRemoved(revision)) return
    const { folder, name, stamp } = revision.home
    const isLater = ({ entry }: Claim): boolean => compare(entry.stamp, stamp) > 0
    let later = added.some(isLater)
    if (!later && this.#others(known) > 0) {
      const there = this.#entryIn(folder, name)
      const isThere = there && equal(there.document, document) && compare(there.stamp, stamp) <= 0
      if (!isThere || names > 1) later = (await this.#claims(known)).some(isLater)
    }
    if (later) return this.#revive(document, await this.#claims(known))
    for (const claim of added.filter(({ entry }) => equal(entry.stamp, stamp))) this.#drop(known, claim, [claim])
  }

  protected async onePlace(known: Known): Promise<void> {
    if (!known.added.length || known.added.length + this.#others(known) < 2) return
    const claims = await this.#claims(known)
    const places = claims.filter(({ entry }) => isPlace(entry)).sort(byStamp)
    for (const claim of places.slice(0, -1)) this.#drop(known, claim, claims)
  }

  protected async noCircle(known: Known): Promise<void> {
    const { document, added } = known
    const claim = added.at(-1)
    if (!claim || this.#revision(document)?.type !== TYPE_FOLDER) return
    const circle = await this.#way(claim.folder, document)
    if (!circle) return
    const claims: Claim[] = []
    for (const member of circle) {
      const all = await this.#claims(this.#at(member))
      claims.push(...all.sort(byStamp).slice(-1))
    }
    const places = choosePlaces(
      this.facts.root,
      claims.map(({ folder, entry }) => ({ ...entry, folder })),
    )
    for (const claim of claims) {
      if (!places.get(hex(claim.entry.document))!.rescued) continue
      const known = this.#at(claim.entry.document)
      this.#drop(known, claim, claims)
      this.#put(known, this.facts.root, { ...claim.entry, stamp: successor(claim.entry.stamp) })
    }
  }

  protected async goHome(known: Known, visited = new Set<string>()): Promise<void> {
    const { document, added } = known
    const revision = this.#revision(document)
    const alive = revision && (!isRemoved(revision) || this.#edits.get(hex(document))?.revive)
    if (!revision?.home || !alive || added.length + this.#others(known) > 0 || visited.has(hex(document))) return
    if (equal(document, this.facts.root)) return
    visited.add(hex(document))
    const { name, stamp } = revision.home
    const folder = await this.#homeOf(document, revision.home.folder)
    const there = this.#entryIn(folder, name)
    const type = revision.attributes.mode >> 12
    if (!there || !equal(there.document, document))
      this.#put(known, folder, { name, document, type, stamp: successor(stamp) })
    const inside = this.#revision(folder)
    if (inside && isRemoved(inside)) this.#revive(folder, [])
    await this.#learn([folder])
    await this.goHome(this.#at(folder), visited)
  }

  /** The folder where it was; the root if that is none any more, or below the document itself. */
  async #homeOf(document: DId, folder: DId): Promise<DId> {
    if (this.#revision(folder)?.type !== TYPE_FOLDER) return this.facts.root
    return (await this.#way(folder, document)) ? this.facts.root : folder
  }

  // Repairs

  #edit(document: DId): Edit {
    const key = hex(document)
    let edit = this.#edits.get(key)
    if (!edit) this.#edits.set(key, (edit = { document, changes: new Map(), revive: false }))
    return edit
  }

  #revive(document: DId, claims: Claim[]): void {
    this.#edit(document).revive = true
    for (const { folder } of claims) this.#join(document, folder)
  }

  #drop(known: Known, claim: Claim, claims: Claim[]): void {
    const { folder, entry } = claim
    this.#edit(folder).changes.set(hex(entry.name), { name: entry.name })
    const at = known.added.findIndex((other) => sameClaim(other, claim))
    if (at >= 0) known.added.splice(at, 1)
    else known.removed.push(claim)
    for (const other of claims) this.#join(known.document, other.folder)
  }

  #put(known: Known, folder: DId, wanted: FolderEntry): void {
    const taken = (name: Uint8Array): boolean => {
      const there = this.#entryIn(folder, name)
      return there !== undefined && !equal(there.document, known.document)
    }
    const entry = freeName(wanted, taken)
    this.#edit(folder).changes.set(hex(entry.name), { name: entry.name, after: entry })
    known.added.push({ folder, entry })
    this.#home.push(known.document)
    this.#join(known.document, folder)
    for (const claim of known.removed) this.#join(known.document, claim.folder)
  }

  #repair({ document, changes, revive }: Edit): Repair {
    const rid = this.#steps.get(hex(document))?.after ?? this.facts.head(document)!
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

  // Documents that belong together: a forest, each document knows one of its set, or itself

  #top(document: DId): DId {
    let at = document
    for (let up = this.#together.get(hex(at)); up && !equal(up, at); up = this.#together.get(hex(at))) at = up
    return at
  }

  #join(x: DId, y: DId): void {
    const [topX, topY] = [this.#top(x), this.#top(y)]
    this.#together.set(hex(topX), topX)
    this.#together.set(hex(topY), topX)
  }

  #groups(): DId[][] {
    const groups = new Map<string, DId[]>()
    for (const [key, known] of this.#together) {
      const top = hex(this.#top(known))
      groups.set(top, [...(groups.get(top) ?? []), unhex(key)])
    }
    return [...groups.values()]
  }
}

const alive = ({ flags }: Revision): number => (flags & ~FLAG_REMOVED) >>> 0

/** The entries of a folder; none for what is no folder. */
export function entriesOf(revision: Revision | undefined): Content {
  return (revision?.type === TYPE_FOLDER && revision.parts.get(PART_ENTRIES)) || EMPTY
}

/** What has to be changed besides these steps. None of it for most steps: it looks only at what they put or take somewhere. */
export function settleTree(facts: TreeFacts, steps: HeadStep[]): Promise<Settlement> {
  return new Settling(facts, steps).run()
}
