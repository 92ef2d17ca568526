// A volume in memory, for tests of what is above volumes: heads, revisions, chunks, a live tree, and `apply` with compare-and-set.
// Deterministic: ids come from a seed, clocks from a counter. As in a real volume, what the live tree has and what is durable
// are apart: changes of the live tree (its own and applied ones) become heads with the next commit. A power cut forgets applied
// changes that were not committed. Never merges, never asks anybody.

import { createHash } from 'node:crypto'
import { compare, equal, hex } from '../../../lib/model/bytes.js'
import { CLOCK_ZERO, makeClock, receive, successor, tick } from '../../../lib/model/clock.js'
import { decodeRevision, encodeRevision } from '../../../lib/model/codec.js'
import { allChunks, encodeContent, inlineContent, readContent, sameContent } from '../../../lib/model/content-tree.js'
import { decodeFolder, diffFolder, encodeFolder } from '../../../lib/model/folder.js'
import { hashOf, ridOf } from '../../../lib/model/hash.js'
import { mergeBases } from '../../../lib/model/history.js'
import { isRemoved } from '../../../lib/model/merge.js'
import { isPlace } from '../../../lib/model/merge-folder.js'
import { rulesDocument } from '../../../lib/model/rule.js'
import { type Claim, entriesOf, type Whereabouts } from '../../../lib/model/tree-facts.js'
import {
  type Chunk,
  type ChunkId,
  type ChunkSource,
  type Clock,
  type Content,
  type DId,
  FLAG_CONFLICT,
  FLAG_REMOVED,
  FLAG_STICKY,
  type FolderEntry,
  type Home,
  PART_CONTENT,
  PART_ENTRIES,
  type Revision,
  type RId,
  type SId,
  TYPE_FOLDER,
  TYPE_LINK,
} from '../../../lib/model/types.js'
import { ChunkMissingError } from '../../../lib/store/errors.js'
import type {
  ApplyResult,
  Head,
  HeadChange,
  Volume,
  VolumeEvents,
  VolumeStatus,
  WalkResult,
} from '../../../lib/volume/contract.js'
import { VolumeHolding } from '../../../lib/volume/holding.js'
import { Wants } from '../../../lib/volume/wants.js'

const FILE_MODE = 0o100644
const FOLDER_MODE = 0o40755
const text = new TextEncoder()

export interface MemoryVolumeInit {
  /** Makes all ids; two volumes of one test have different ones. */
  seed: string
  root?: DId
  label?: string
  /** `soon`: in the next turn of the event loop (default). `manual`: by `commit()` and `flush()` only. */
  commits?: 'soon' | 'manual'
  /** After how many turns of the event loop `soon` is; 1. */
  turns?: () => number
  /** Timers of what it waits for. */
  after?: (ms: number, callback: () => void) => () => void
  /** Chunks that are on other devices: it holds contents on demand, and tests look at them there. */
  elsewhere?: (id: ChunkId) => Uint8Array | undefined
  /** Milliseconds since the epoch at which its clock starts. */
  now?: number
}

/** A local change of a document that is no revision yet. */
interface Draft {
  type: string
  content?: Uint8Array
  entries?: Map<string, FolderEntry>
}

interface Durable {
  /** Every head there ever was, hex. */
  ledger: Set<string>
  heads: Map<string, Head>
  revisions: Map<string, { bytes: Uint8Array; revision: Revision }>
  chunks: Map<string, Uint8Array>
  settings: Map<string, Uint8Array>
  seq: number
}

export function idOf(seed: string): Uint8Array {
  return new Uint8Array(createHash('sha256').update(seed).digest().subarray(0, 16))
}

export class MemoryVolume implements Volume {
  readonly sid: SId
  readonly root: DId
  readonly label: string
  readonly author: Uint8Array
  /** How often each was called, and what came in. */
  readonly counts = { imports: 0, importedChunks: 0, importedBytes: 0, applies: 0, applied: 0, flushes: 0, commits: 0 }
  /** Documents (hex) with an open working copy: `apply` refuses them. */
  readonly open = new Set<string>()
  /** May throw, or wait: called before revisions are imported. */
  onImport?: (revisions: Revision[]) => void | Promise<void>
  /** May throw or wait: called before a chunk is read for a peer. */
  onRead?: (id: ChunkId) => void | Promise<void>
  /** Called before each apply; what it changes makes heads stale. */
  onApply?: (changes: HeadChange[]) => void
  readonly wants: Wants
  readonly holding: VolumeHolding
  readonly #init: MemoryVolumeInit
  readonly #durable: Durable
  /** Heads of the live tree by document; ahead of the durable ones until the next commit. */
  readonly #live = new Map<string, RId>()
  readonly #documents = new Map<string, DId>()
  readonly #drafts = new Map<string, Draft>()
  /** Files that lost their place here since the last commit, and its stamp: a further name takes it over (docs/sync.md "Places"). */
  readonly #displaced = new Map<string, { document: DId; stamp: Clock }>()
  /** Documents that somebody took out of a folder here since the last commit, and where they were. */
  readonly #left = new Map<string, { document: DId; home: Home }>()
  readonly #inos = new Map<string, number>()
  readonly #listeners = new Set<VolumeEvents['heads']>()
  #ids = 0
  #ticks = 0
  #stamp: Clock = CLOCK_ZERO
  #scheduled = false
  #over = false

  constructor(init: MemoryVolumeInit, durable?: Durable) {
    this.#init = init
    this.sid = idOf(`${init.seed}/sid`)
    this.root = init.root ?? idOf(`${init.seed}/root`)
    this.label = init.label ?? init.seed
    this.author = new Uint8Array(createHash('sha256').update(init.seed).digest())
    this.#durable = durable ?? {
      ledger: new Set(),
      heads: new Map(),
      revisions: new Map(),
      chunks: new Map(),
      settings: new Map(),
      seq: 0,
    }
    for (const [key, { document, head }] of this.#durable.heads) {
      this.#live.set(key, head)
      this.#documents.set(key, document)
    }
    this.#ids = this.#durable.seq * 1000
    this.#ticks = this.#durable.seq * 1000
    this.wants = new Wants({ has: (id) => this.hasChunk(id), after: init.after })
    this.holding = new VolumeHolding({
      setting: (key) => this.setting(key),
      setSetting: (key, value) => this.setSetting(key, value),
      tellEngine: async () => {},
    })
  }

  /** A volume whose root is there, empty and the same on all that are made with this root. */
  static create(init: MemoryVolumeInit): MemoryVolume {
    const volume = new MemoryVolume(init)
    const revision = volume.#revision([], TYPE_FOLDER, new Map([[PART_ENTRIES, inlineContent(new Uint8Array(0))]]))
    const same: Revision = { ...revision, author: new Uint8Array(32), clock: makeClock(0) }
    volume.#setHead(volume.root, volume.#store(encodeRevision(same)))
    return volume
  }

  /** The same volume after a crash or a restart. `lost`: the power was cut before applied changes were durable. */
  restarted(lost = false): MemoryVolume {
    if (!lost) this.commit()
    this.#listeners.clear()
    this.#over = true
    return new MemoryVolume(this.#init, this.#durable)
  }

  // Durable state

  head(document: DId): Head | undefined {
    const head = this.#durable.heads.get(hex(document))
    return head && { ...head, ino: this.#ino(head.document) }
  }

  revision(rid: RId): Revision | undefined {
    return this.#durable.revisions.get(hex(rid))?.revision
  }

  encoded(rid: RId): Uint8Array | undefined {
    return this.#durable.revisions.get(hex(rid))?.bytes
  }

  changes(after: number, limit: number): Head[] {
    const heads = [...this.#durable.heads.values()].filter((head) => head.seq > after)
    return heads.sort((a, b) => a.seq - b.seq).slice(0, limit)
  }

  lastSeq(): number {
    return this.#durable.seq
  }

  conflicts(limit: number): Head[] {
    const heads = [...this.#durable.heads.values()]
    return heads.filter(({ head }) => this.revision(head)!.flags & FLAG_CONFLICT).slice(0, limit)
  }

  hasChunk(id: ChunkId): boolean {
    return this.#durable.chunks.has(hex(id))
  }

  async chunk(id: ChunkId): Promise<Uint8Array> {
    await this.onRead?.(id)
    return this.source(id)
  }

  /** As somebody who waits until it is fetched. */
  readonly #look: ChunkSource = (id) =>
    (this.hasChunk(id) || !this.holding.partial ? undefined : this.#init.elsewhere?.(id)) ?? this.source(id)

  /** Ids of data of files that are here: what may be given away. */
  data(): ChunkId[] {
    const found = new Map<string, ChunkId>()
    for (const [, { type, parts }] of this.revisions()) {
      if (type === TYPE_FOLDER) continue
      for (const content of parts.values())
        for (const { id, level } of allChunks(content, this.source))
          if (level === 0 && this.hasChunk(id)) found.set(hex(id), id)
    }
    return [...found.values()]
  }

  readonly source: ChunkSource = (id) => {
    const bytes = this.#durable.chunks.get(hex(id))
    if (!bytes) throw new ChunkMissingError(id)
    return bytes
  }

  async read(content: Content, offset: number, length: number): Promise<Uint8Array> {
    return readContent(content, this.source, offset, offset + length)
  }

  entries(folder: Revision): FolderEntry[] {
    const content = folder.parts.get(PART_ENTRIES)
    return content ? decodeFolder(content, this.source) : []
  }

  setting(key: string): Uint8Array | undefined {
    return this.#durable.settings.get(key)
  }

  async setSetting(key: string, value: Uint8Array | undefined): Promise<void> {
    this.#check()
    if (key.length > 200 || (value?.length ?? 0) > 65536) throw new RangeError('setting too large')
    if (value) this.#durable.settings.set(key, Uint8Array.from(value))
    else this.#durable.settings.delete(key)
  }

  // Imports and apply

  async importRevisions(encoded: Uint8Array[], chunks: Chunk[] = []): Promise<RId[]> {
    await this.importChunks(chunks)
    this.#check()
    const revisions = encoded.map(decodeRevision)
    await this.onImport?.(revisions)
    this.counts.imports++
    return encoded.map((bytes) => this.#store(bytes))
  }

  damagedChunks(): ChunkId[] {
    return []
  }

  async importChunks(chunks: { id: ChunkId; bytes: Uint8Array }[]): Promise<void> {
    this.#check()
    for (const { id, bytes } of chunks) {
      if (!equal(hashOf(bytes), id)) throw new Error(`chunk ${hex(id)} is not what its id says`)
    }
    for (const { id, bytes } of chunks) {
      this.#durable.chunks.set(hex(id), Uint8Array.from(bytes))
      this.counts.importedChunks++
      this.counts.importedBytes += bytes.length
    }
    this.wants.arrived(chunks.map(({ id }) => id))
  }

  async apply(changes: HeadChange[]): Promise<ApplyResult[]> {
    this.#check()
    this.onApply?.(changes)
    this.counts.applies++
    const results = this.#mayApplyAll(changes)
    for (const [i, { document, head }] of changes.entries()) {
      if (results[i].result !== 'applied') continue
      this.#live.set(hex(document), head)
      this.#documents.set(hex(document), document)
      this.counts.applied++
    }
    this.#commitSoon()
    return results
  }

  /** A change may rest on what another one brings: one that is refused may make others be. */
  #mayApplyAll(changes: HeadChange[]): ApplyResult[] {
    const results: ApplyResult[] = changes.map(() => ({ result: 'applied' }))
    const isApplied = (i: number): boolean => results[i].result === 'applied'
    for (let refused = -1, before = -2; refused !== before; ) {
      before = refused
      const coming = new Set(changes.filter((_, i) => isApplied(i)).map(({ document }) => hex(document)))
      for (const [i, change] of changes.entries()) if (isApplied(i)) results[i] = this.#mayApply(change, coming)
      const groups = new Set(changes.filter((_, i) => !isApplied(i)).map(({ group }) => group))
      for (const [i, { group }] of changes.entries())
        if (group !== undefined && groups.has(group) && isApplied(i)) results[i] = { result: 'busy' }
      refused = results.filter(({ result }) => result !== 'applied').length
    }
    return results
  }

  #mayApply({ document, expected, head }: HeadChange, coming: Set<string>): ApplyResult {
    const key = hex(document)
    const revision = this.revision(head)
    if (!revision) throw new Error(`apply of ${hex(head)}, which was not imported`)
    if (this.#drafts.has(key) || this.#left.has(key) || this.open.has(key)) return { result: 'busy' }
    const now = this.#live.get(key)
    if (now ? !expected || !equal(now, expected) : expected) return { result: 'stale', head: now }
    if (revision.type === TYPE_FOLDER) {
      const unknown = this.entries(revision).filter(
        (e) => !this.#live.has(hex(e.document)) && !coming.has(hex(e.document)),
      )
      if (unknown.length) return { result: 'missing', documents: unknown.map((e) => e.document) }
      const before = expected && this.revision(expected)
      for (const { after } of diffFolder(entriesOf(before), entriesOf(revision), this.source)) {
        if (!after) continue
        this.#stamp = receive(this.#stamp, after.stamp, this.#now())
        // Somebody moved or removed it here, too, and nobody else knows yet.
        if (this.#left.has(hex(after.document))) return { result: 'busy' }
        const claims = this.#drafts.size ? this.#claims(after.document) : []
        if (claims.some(({ folder }) => this.#drafts.has(hex(folder)))) return { result: 'busy' }
      }
    }
    return { result: 'applied' }
  }

  async flush(): Promise<void> {
    this.counts.flushes++
    this.commit()
  }

  /** Makes revisions of all drafts and heads of everything; tells of them. */
  commit(): void {
    if (this.#over) return
    const told: Head[] = []
    this.#replace()
    for (const [key, draft] of [...this.#drafts]) {
      if (this.open.has(key)) continue
      this.#drafts.delete(key)
      this.#seal(key, draft)
    }
    for (const [key, { document, home }] of [...this.#left]) {
      if (this.open.has(key)) continue
      this.#left.delete(key)
      if (this.#live.has(key) && !this.#claims(document).length) this.#bury(key, home)
    }
    for (const [key, rid] of this.#live) {
      const before = this.#durable.heads.get(key)
      if (!before || !equal(before.head, rid)) told.push(this.#setHead(this.#documents.get(key)!, rid))
    }
    if (!told.length) return
    this.counts.commits++
    for (const listener of [...this.#listeners]) listener(told)
  }

  on<K extends keyof VolumeEvents>(_event: K, listener: VolumeEvents[K]): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  // The live tree, as a user changes it. Folders and files are named by DId.

  /** Makes a file in a folder; returns its document. Replaces an entry of the same name. */
  create(folder: DId, name: string, content: Uint8Array | string): DId {
    const document = this.#newId()
    this.#drafts.set(hex(document), { type: 'text/plain', content: bytesOf(content) })
    this.#documents.set(hex(document), document)
    this.#link(folder, name, document, FILE_MODE)
    return document
  }

  mkdir(folder: DId, name: string): DId {
    const document = this.#newId()
    this.#drafts.set(hex(document), { type: TYPE_FOLDER, entries: new Map() })
    this.#documents.set(hex(document), document)
    this.#link(folder, name, document, FOLDER_MODE)
    return document
  }

  /** The file gets this content. A draft that was closed before becomes a revision first: no version is lost. */
  write(document: DId, content: Uint8Array | string): void {
    const key = hex(document)
    const draft = this.#drafts.get(key)
    if (draft && !this.open.has(key)) {
      this.#drafts.delete(key)
      this.#seal(key, draft)
    }
    this.#drafts.set(key, { type: 'text/plain', content: bytesOf(content) })
    this.#commitSoon()
  }

  /** As `rm -r` does it: what is in a folder first. */
  unlink(folder: DId, name: string): void {
    const entry = this.#entriesOf(folder).get(name)
    if (!entry) return
    if (this.isFolder(entry.document))
      for (const [inside] of this.ls(entry.document)) this.unlink(entry.document, inside)
    this.#leave(folder, name)
    this.#commitSoon()
  }

  /** Whether it was done: not of a folder into itself. */
  rename(from: DId, name: string, to: DId, newName: string): boolean {
    const entry = this.#entriesOf(from).get(name)
    if (!entry) throw new Error(`no ${name}`)
    if (this.isFolder(entry.document) && (equal(entry.document, to) || this.isBelow(to, entry.document))) return false
    const replaced = this.#entriesOf(to).get(newName)
    if (replaced && (equal(replaced.document, entry.document) || this.isFolder(replaced.document))) return false
    this.#entriesOf(from).delete(name)
    this.#displace(entry)
    this.#link(to, newName, entry.document, (entry.type & ~TYPE_LINK) << 12, entry.stamp)
    const entries = this.#entriesOf(to)
    const isFurther = (entry.type & TYPE_LINK) !== 0 && this.#claims(entry.document).length > 1
    if (isFurther) entries.set(newName, { ...entries.get(newName)!, type: entry.type })
    return true
  }

  /** One more name of a file. */
  hardLink(document: DId, folder: DId, name: string): void {
    if (this.#entriesOf(folder).has(name)) return
    this.#link(folder, name, document, FILE_MODE)
    const entries = this.#entriesOf(folder)
    entries.set(name, { ...entries.get(name)!, type: (FILE_MODE >> 12) | TYPE_LINK })
  }

  isBelow(document: DId, folder: DId): boolean {
    return this.ls(folder).some(
      ([, inside]) => equal(inside, document) || (this.isFolder(inside) && this.isBelow(document, inside)),
    )
  }

  /** Names and documents in the live folder, in name order. */
  ls(folder: DId): [string, DId][] {
    return this.#draftedEntries(folder)
      .sort((a, b) => compare(a.name, b.name))
      .map((entry): [string, DId] => [Buffer.from(entry.name).toString(), entry.document])
  }

  isFolder(document: DId): boolean {
    const draft = this.#drafts.get(hex(document))
    return (draft?.type ?? this.#liveRevision(document)?.type) === TYPE_FOLDER
  }

  bytes(document: DId): Uint8Array {
    const draft = this.#drafts.get(hex(document))?.content
    if (draft) return draft
    const content = this.#liveRevision(document)?.parts.get(PART_CONTENT)
    return content ? readContent(content, this.#look) : new Uint8Array(0)
  }

  /** Every path of the live tree with a digest of its content; folders end in a slash. Throws on a cycle. */
  tree(folder = this.root, path = '/', above: string[] = []): Map<string, string> {
    if (above.includes(hex(folder))) throw new Error(`cycle at ${path}`)
    const all = new Map<string, string>()
    for (const [name, document] of this.ls(folder)) {
      if (this.isFolder(document)) {
        all.set(`${path}${name}/`, '')
        for (const [p, v] of this.tree(document, `${path}${name}/`, [...above, hex(folder)])) all.set(p, v)
      } else all.set(path + name, createHash('sha256').update(this.bytes(document)).digest('hex').slice(0, 16))
    }
    return all
  }

  /** Every revision that is here, by hex id. */
  *revisions(): Iterable<[string, Revision]> {
    for (const [rid, { revision }] of this.#durable.revisions) yield [rid, revision]
  }

  async whereabouts(documents: DId[]): Promise<Whereabouts[]> {
    return documents.map((document) => {
      const claims = this.#claims(document)
      return { names: claims.length, parent: claims[0]?.folder }
    })
  }

  async claims(document: DId): Promise<Claim[]> {
    return this.#claims(document)
  }

  /** Entries of the live tree, folder by folder. */
  *liveClaims(): Iterable<Claim> {
    const folders = [this.root]
    const seen = new Set<string>()
    for (let folder = folders.pop(); folder; folder = folders.pop()) {
      if (seen.has(hex(folder))) continue
      seen.add(hex(folder))
      for (const entry of this.#draftedEntries(folder)) {
        yield { folder, entry }
        if (this.isFolder(entry.document)) folders.push(entry.document)
      }
    }
  }

  #claims(document: DId): Claim[] {
    return [...this.liveClaims()].filter(({ entry }) => equal(entry.document, document))
  }

  /** All heads as text, by document. */
  heads(): Map<string, string> {
    return new Map([...this.#durable.heads].map(([key, { head }]) => [key, hex(head)]).sort() as [string, string][])
  }

  /** Every revision that ever was a head here, hex. */
  get ledger(): ReadonlySet<string> {
    return this.#durable.ledger
  }

  /** Every revision that a head is or descends from, and that somebody made (merges are made by nobody), hex and sorted. */
  versions(): string[] {
    const seen = new Set<string>()
    const versions: string[] = []
    const stack = [...this.#durable.heads.values()].map(({ head }) => head)
    for (let rid = stack.pop(); rid; rid = stack.pop()) {
      if (seen.has(hex(rid))) continue
      seen.add(hex(rid))
      const revision = this.revision(rid)
      if (revision?.author.length) versions.push(hex(rid))
      stack.push(...(revision?.parents ?? []))
    }
    return versions.sort()
  }

  /** What is promised and not there: ancestors, chunks, documents that folders name. */
  audit(): string[] {
    const problems: string[] = []
    for (const { document, head } of this.#durable.heads.values()) {
      const seen = new Set<string>()
      const stack = [head]
      for (let rid = stack.pop(); rid; rid = stack.pop()) {
        if (seen.has(hex(rid))) continue
        seen.add(hex(rid))
        const revision = this.revision(rid)
        if (!revision) problems.push(`${hex(document)}: no revision ${hex(rid)}`)
        else stack.push(...revision.parents)
        for (const content of revision?.parts.values() ?? []) problems.push(...this.#auditContent(content))
      }
      const revision = this.revision(head)
      if (revision?.type !== TYPE_FOLDER) continue
      for (const { document: child } of this.entries(revision)) {
        if (!this.#durable.heads.has(hex(child))) problems.push(`${hex(document)}: no document ${hex(child)}`)
      }
    }
    return problems
  }

  /** What no tree may be: documents in two places, or in none though nobody removed them. */
  treeFaults(): string[] {
    const faults: string[] = []
    const places = new Map<string, number>()
    for (const { entry } of this.liveClaims())
      if (isPlace(entry)) places.set(hex(entry.document), (places.get(hex(entry.document)) ?? 0) + 1)
    const named = new Set([...this.liveClaims()].map(({ entry }) => hex(entry.document)))
    for (const [key, count] of places) if (count > 1) faults.push(`${key} is in ${count} places`)
    for (const [key, { head }] of this.#durable.heads) {
      const removed = isRemoved(this.revision(head)!)
      const isOutside = [this.root, rulesDocument(this.root)].map(hex).includes(key)
      if (!removed && !named.has(key) && !isOutside) faults.push(`${key} is nowhere`)
      if (removed && named.has(key) && this.#isRemovalLost(head, key)) faults.push(`${key} was removed and is there`)
    }
    return faults
  }

  /**
   * Whether the entry that somebody removed still names the document, or a later one, which should have ended the removal.
   * Others may: whoever removed it knew nothing of them.
   */
  #isRemovalLost(head: RId, key: string): boolean {
    const { home } = this.revision(head)!
    return [...this.liveClaims()].some(
      ({ entry }) => hex(entry.document) === key && compare(entry.stamp, home!.stamp) >= 0,
    )
  }

  /** Merges that show the content of one side although both had changed it, and do not say so. */
  silentConflicts(): string[] {
    const silent: string[] = []
    const parentsOf = (rid: RId) => this.revision(rid)?.parents
    for (const [key, { revision }] of this.#durable.revisions) {
      if (revision.author.length || revision.parents.length !== 2 || revision.flags & FLAG_CONFLICT) continue
      const [a, b] = revision.parents
      const bases = mergeBases(a, b, parentsOf)
      const all = [a, b, bases[0]].map((rid) => rid && this.revision(rid))
      if (bases.length !== 1 || all.some((one) => !one || isRemoved(one))) continue
      const [ofA, ofB, base] = all.map((one) => one!.parts.get(PART_CONTENT))
      const shown = revision.parts.get(PART_CONTENT)
      if (!ofA || !ofB || !base || !shown) continue
      const bothChanged = !sameContent(ofA, ofB) && !sameContent(ofA, base) && !sameContent(ofB, base)
      if (bothChanged && (sameContent(shown, ofA) || sameContent(shown, ofB))) silent.push(key)
    }
    return silent
  }

  #auditContent(content: Content): string[] {
    try {
      for (const { id } of allChunks(content, this.source)) this.#look(id)
      return []
    } catch (error) {
      return [(error as Error).message]
    }
  }

  /** For tests of damage: the chunk is gone. */
  forgetChunk(id: ChunkId): void {
    this.#durable.chunks.delete(hex(id))
  }

  status(): VolumeStatus {
    return {
      sid: this.sid,
      label: this.label,
      root: this.root,
      backlog: this.#drafts.size,
      documents: this.#durable.heads.size,
      seq: this.#durable.seq,
      bytesFree: 1e12,
      reports: [],
    }
  }

  async walk(names: Uint8Array[]): Promise<WalkResult> {
    let document = this.root
    for (const name of names) {
      const found = this.ls(document).find(([n]) => n === Buffer.from(name).toString())
      if (!found) throw Object.assign(new Error('not found'), { code: 'ENOENT' })
      document = found[1]
    }
    const revision = this.#liveRevision(document)!
    const size = revision.parts.get(PART_CONTENT)?.size ?? 0
    return { ino: this.#ino(document), document, mode: revision.attributes.mode, size, modified: revision.modified }
  }

  list(): Promise<never> {
    return Promise.reject(new Error('not in this volume'))
  }

  async path(ino: number): Promise<Uint8Array[] | undefined> {
    const find = (folder: DId, above: Uint8Array[]): Uint8Array[] | undefined => {
      for (const [name, document] of this.ls(folder)) {
        const path = [...above, text.encode(name)]
        if (this.#ino(document) === ino) return path
        const below = this.isFolder(document) ? find(document, path) : undefined
        if (below) return below
      }
    }
    return this.#ino(this.root) === ino ? [] : find(this.root, [])
  }

  restore(): Promise<never> {
    return Promise.reject(new Error('not in this volume'))
  }

  revive(): Promise<never> {
    return Promise.reject(new Error('not in this volume'))
  }

  // Inside

  #check(): void {
    if (this.#over) throw Object.assign(new Error('The volume is closed.'), { code: 'VOLUME_CLOSED' })
  }

  #store(bytes: Uint8Array): RId {
    const copy = Uint8Array.from(bytes)
    const rid = ridOf(copy)
    this.#durable.revisions.set(hex(rid), { bytes: copy, revision: decodeRevision(copy) })
    return rid
  }

  #setHead(document: DId, rid: RId): Head {
    const head: Head = { document, head: rid, seq: ++this.#durable.seq, ino: 1 }
    this.#durable.heads.set(hex(document), head)
    this.#durable.ledger.add(hex(rid))
    this.#live.set(hex(document), rid)
    this.#documents.set(hex(document), document)
    return head
  }

  #draftedEntries(folder: DId): FolderEntry[] {
    const draft = this.#drafts.get(hex(folder))
    return draft?.entries ? [...draft.entries.values()] : this.#liveEntries(folder)
  }

  /** The name names nothing any more. */
  #leave(folder: DId, name: string): void {
    const entries = this.#entriesOf(folder)
    const entry = entries.get(name)
    if (!entry) return
    entries.delete(name)
    const home = { folder, name: entry.name, stamp: entry.stamp }
    this.#left.set(hex(entry.document), { document: entry.document, home })
    this.#displace(entry)
  }

  /** The entry goes from where it was. */
  #displace({ document, type, stamp }: FolderEntry): void {
    if ((type & TYPE_LINK) === 0) this.#displaced.set(hex(document), { document, stamp })
  }

  /** Files that lost their place and have further names: one of those is the place, and later than the one before. */
  #replace(): void {
    for (const { document, stamp } of this.#displaced.values()) {
      const claims = this.#claims(document)
      const heir = claims.find(({ entry }) => isPlace(entry)) ?? claims[0]
      if (!heir || this.open.has(hex(heir.folder)) || (isPlace(heir.entry) && compare(heir.entry.stamp, stamp) > 0))
        continue
      const { name, type } = heir.entry
      const later = claims.reduce((late, { entry }) => (compare(entry.stamp, late) > 0 ? entry.stamp : late), stamp)
      const entry = { ...heir.entry, type: type & ~TYPE_LINK, stamp: successor(later) }
      this.#entriesOf(heir.folder).set(Buffer.from(name).toString(), entry)
    }
    this.#displaced.clear()
  }

  #bury(key: string, home: Home): void {
    const head = this.#live.get(key)!
    const old = this.revision(head)!
    const parts = new Map(old.parts)
    if (old.type === TYPE_FOLDER) parts.set(PART_ENTRIES, inlineContent(new Uint8Array(0)))
    const made = this.#revision([head], old.type, parts)
    const { created, modified } = old
    const flags = (made.flags & ~FLAG_CONFLICT) | FLAG_REMOVED
    this.#live.set(key, this.#store(encodeRevision({ ...made, created, modified, flags, home })))
  }

  #seal(key: string, draft: Draft): void {
    const before = this.#live.get(key)
    const old = before && this.revision(before)
    const { content, chunks } = draft.entries
      ? encodeFolder([...draft.entries.values()].sort((a, b) => compare(a.name, b.name)))
      : encodeContent(draft.content!)
    const part = draft.entries ? PART_ENTRIES : PART_CONTENT
    const had = old?.parts.get(part)
    if (had && sameContent(had, content)) return
    for (const { id, bytes } of chunks) this.#durable.chunks.set(hex(id), Uint8Array.from(bytes))
    const revision = this.#revision(before ? [before] : [], draft.type, new Map([[part, content]]))
    const kept = { created: old?.created ?? revision.created, ...(old?.home && { home: old.home }) }
    this.#live.set(key, this.#store(encodeRevision({ ...revision, ...kept })))
    // Several revisions of a draft within one commit: the head is the last, the others are its ancestors.
  }

  #revision(parents: RId[], type: string, parts: Map<string, Content>): Revision {
    const ms = (this.#init.now ?? 1_700_000_000_000) + ++this.#ticks
    const time = { sec: Math.floor(ms / 1000), nsec: (ms % 1000) * 1e6 }
    const mode = type === TYPE_FOLDER ? FOLDER_MODE : FILE_MODE
    return {
      parents,
      type,
      flags: type === TYPE_FOLDER ? FLAG_STICKY : 0,
      created: parents.length ? time : { sec: 1, nsec: 0 },
      modified: parts.has(PART_ENTRIES) && !parents.length ? { sec: 1, nsec: 0 } : time,
      author: this.author,
      clock: makeClock(ms),
      comment: '',
      attributes: { mode, uid: 0, gid: 0, rdev: 0, xattrs: [] },
      metadata: new Map(),
      parts,
    }
  }

  #now(): number {
    return (this.#init.now ?? 1_700_000_000_000) + this.#ticks
  }

  #link(folder: DId, name: string, document: DId, mode: number, after = CLOCK_ZERO): void {
    this.#ticks++
    this.#stamp = tick(this.#stamp, this.#now())
    const stamp = compare(after, this.#stamp) >= 0 ? successor(after) : this.#stamp
    this.unlink(folder, name)
    this.#entriesOf(folder).set(name, { name: text.encode(name), document, type: mode >> 12, stamp })
    this.#commitSoon()
  }

  /** The draft of the folder's entries; made if there is none. */
  #entriesOf(folder: DId): Map<string, FolderEntry> {
    const key = hex(folder)
    let draft = this.#drafts.get(key)
    if (!draft?.entries) {
      const named = this.#liveEntries(folder).map((e): [string, FolderEntry] => [Buffer.from(e.name).toString(), e])
      draft = { type: TYPE_FOLDER, entries: new Map(named) }
      this.#drafts.set(key, draft)
      // Also where nothing comes of it.
      this.#commitSoon()
    }
    return draft.entries!
  }

  #liveRevision(document: DId): Revision | undefined {
    const rid = this.#live.get(hex(document))
    return rid && this.revision(rid)
  }

  #liveEntries(folder: DId): FolderEntry[] {
    const revision = this.#liveRevision(folder)
    return revision ? this.entries(revision) : []
  }

  #ino(document: DId): number {
    const key = hex(document)
    if (!this.#inos.has(key)) this.#inos.set(key, this.#inos.size + 1)
    return this.#inos.get(key)!
  }

  #newId(): DId {
    return idOf(`${this.#init.seed}/document/${++this.#ids}`)
  }

  #commitSoon(): void {
    if (this.#init.commits === 'manual' || this.#scheduled) return
    this.#scheduled = true
    let turns = this.#init.turns?.() ?? 1
    const wait = () => {
      if (--turns > 0) return setImmediate(wait)
      this.#scheduled = false
      this.commit()
    }
    setImmediate(wait)
  }
}

function bytesOf(content: Uint8Array | string): Uint8Array {
  return typeof content === 'string' ? text.encode(content) : content
}
