// The tree as it is after heads were moved and edited (settle.ts): where documents are, what folders name. Asks for facts when they are
// needed, and keeps them. Pure.

import { compare, equal, hex } from './bytes.js'
import { diffFolder, folderLookup } from './folder.js'
import type { TreeEdits } from './tree-edits.js'
import { type Claim, entriesOf, type HeadStep, NO_ENTRIES, type TreeFacts, type Whereabouts } from './tree-facts.js'
import { type DId, type FolderChange, type FolderEntry, type Revision, type RId, TYPE_FOLDER } from './types.js'

const DEPTH_MAX = 4096

/** What is known of a document. */
export interface Known extends Whereabouts {
  document: DId
  /** By the steps and repairs so far. */
  added: Claim[]
  removed: Claim[]
  placed: boolean
}

export const sameClaim = (x: Claim, y: Claim): boolean => equal(x.folder, y.folder) && equal(x.entry.name, y.entry.name)

/** Earlier first; as choosePlaces has it. */
export function byStamp(x: Claim, y: Claim): number {
  return (
    compare(x.entry.stamp, y.entry.stamp) || compare(x.folder, y.folder) || compare(x.entry.name, y.entry.name) || 0
  )
}

/** The tree as it is after the steps, and with the edits so far. */
export class TreeAfter {
  readonly #facts: TreeFacts
  readonly #edits: TreeEdits
  readonly #steps = new Map<string, HeadStep>()
  readonly #known = new Map<string, Known>()
  /** Decoded, by document. */
  readonly #revisions = new Map<string, { rid: RId; revision: Revision | undefined }>()
  readonly #lookups = new Map<string, (name: Uint8Array) => FolderEntry | undefined>()

  constructor(facts: TreeFacts, edits: TreeEdits, steps: HeadStep[]) {
    this.#facts = facts
    this.#edits = edits
    for (const step of steps) this.#steps.set(hex(step.document), step)
  }

  /** The head that a document will have. */
  head(document: DId): RId | undefined {
    return this.#steps.get(hex(document))?.after ?? this.#facts.head(document)
  }

  /** Documents that the steps may have put or taken somewhere, in the order of their ids. */
  async involved(): Promise<Known[]> {
    const steps = [...this.#steps.values()]
    const folders = steps.filter((step) => this.revision(step.document)?.type === TYPE_FOLDER)
    const homes = steps.filter(({ document }) => this.revision(document)?.home)
    if (!folders.length && !homes.length) return []
    const seen = new Map<string, DId>(homes.map(({ document }) => [hex(document), document]))
    const changes: { step: HeadStep; entries: FolderChange[] }[] = []
    for (const step of folders) {
      const before = step.before && this.#facts.revision(step.before)
      const entries = diffFolder(entriesOf(before), entriesOf(this.revision(step.document)), this.#facts.source)
      changes.push({ step, entries })
      seen.set(hex(step.document), step.document)
      for (const { before, after } of entries)
        for (const entry of [before, after]) if (entry) seen.set(hex(entry.document), entry.document)
    }
    await this.learn([...seen.values()])
    const touched = new Map<string, Known>(homes.map(({ document }) => [hex(document), this.at(document)]))
    const arrived: DId[] = []
    for (const { step, entries } of changes) {
      if (!this.#isPlaced(this.at(step.document))) continue
      for (const { before, after } of entries) {
        if (before) this.#note('removed', { folder: step.document, entry: before }, touched)
        if (after) this.#note('added', { folder: step.document, entry: after }, touched)
        if (after) arrived.push(after.document)
      }
    }
    await this.#unfold(arrived, touched)
    return this.#inOrder(touched)
  }

  /** Those that came into the tree by edits, and what they bring. */
  async broughtBy(arrived: DId[]): Promise<Known[]> {
    const touched = new Map<string, Known>()
    await this.#unfold(arrived, touched)
    return this.#inOrder(touched)
  }

  #note(kind: 'added' | 'removed', claim: Claim, touched: Map<string, Known>): void {
    const known = this.at(claim.entry.document)
    known[kind].push(claim)
    touched.set(hex(claim.entry.document), known)
  }

  /** Folders that come into the tree bring what is in them. */
  async #unfold(arrived: DId[], touched: Map<string, Known>): Promise<void> {
    let next = arrived
    while (next.length) {
      const claims: Claim[] = []
      for (const document of next) {
        const known = this.at(document)
        if (known.placed || known.names > 0) continue
        known.placed = true
        const revision = this.revision(document)
        if (revision?.type !== TYPE_FOLDER) continue
        for (const { after } of diffFolder(NO_ENTRIES, entriesOf(revision), this.#facts.source))
          if (after) claims.push({ folder: document, entry: after })
      }
      next = claims.map(({ entry }) => entry.document)
      await this.learn(next)
      for (const claim of claims) this.#note('added', claim, touched)
    }
  }

  async learn(documents: DId[]): Promise<void> {
    const unknown = new Map(documents.map((document) => [hex(document), document]))
    for (const key of unknown.keys()) if (this.#known.has(key)) unknown.delete(key)
    const asked = [...unknown.values()]
    const found = asked.length ? await this.#facts.whereabouts(asked) : []
    for (const [i, document] of asked.entries())
      this.#known.set(hex(document), { document, added: [], removed: [], placed: false, ...found[i] })
  }

  at(document: DId): Known {
    const known = this.#known.get(hex(document))
    if (!known) throw new Error(`Nothing is known of document ${hex(document)}`)
    return known
  }

  #isPlaced({ document, names }: Known): boolean {
    return names > 0 || equal(document, this.#facts.root)
  }

  revision(document: DId): Revision | undefined {
    const key = hex(document)
    const rid = this.head(document)
    if (!rid) return undefined
    const known = this.#revisions.get(key)
    if (known && equal(known.rid, rid)) return known.revision
    const revision = this.#facts.revision(rid)
    this.#revisions.set(key, { rid, revision })
    return revision
  }

  /** Most documents are new and in one place: about those there is nothing to ask. */
  #isPlain({ document, names, added, removed }: Known): boolean {
    return names === 0 && removed.length === 0 && added.length <= 1 && !this.revision(document)?.home
  }

  /** In the order of their ids, so that the outcome does not depend on that of the steps. */
  #inOrder(touched: Map<string, Known>): Known[] {
    const asked = [...touched].filter(([, known]) => !this.#isPlain(known))
    return asked.sort(([x], [y]) => (x < y ? -1 : 1)).map(([, known]) => known)
  }

  entryIn(folder: DId, name: Uint8Array): FolderEntry | undefined {
    const key = hex(folder)
    const change = this.#edits.change(folder, name)
    if (change) return change.after
    let lookup = this.#lookups.get(key)
    if (!lookup) {
      lookup = folderLookup(entriesOf(this.revision(folder)), this.#facts.source)
      this.#lookups.set(key, lookup)
    }
    return lookup(name)
  }

  /** Names that the steps leave alone. */
  others({ names, removed }: Known): number {
    return Math.max(0, names - removed.length)
  }

  async claims(known: Known): Promise<Claim[]> {
    const { document, added, removed } = known
    if (this.others(known) === 0) return added
    // A folder without a head was made just now and is not sealed; the volume is busy with it.
    const others = (await this.#facts.claims(document)).filter(({ folder }) => this.revision(folder))
    return [...added, ...others.filter((claim) => ![...added, ...removed].some((other) => sameClaim(claim, other)))]
  }

  async parent(document: DId): Promise<DId | undefined> {
    if (equal(document, this.#facts.root)) return undefined
    await this.learn([document])
    const known = this.at(document)
    if (known.added.length) return [...known.added].sort(byStamp).at(-1)!.folder
    return this.others(known) > 0 ? known.parent : undefined
  }

  /** The folders from this one up to `top`; undefined if it is not below it. */
  async way(folder: DId, top: DId): Promise<DId[] | undefined> {
    const way: DId[] = []
    for (let at: DId | undefined = folder; at && way.length < DEPTH_MAX; at = await this.parent(at)) {
      way.push(at)
      if (equal(at, top)) return way
    }
    return undefined
  }
}
