// The face of an open volume (contract.ts) on the main thread: reads come from LMDB and packs, changes go to the volume thread
// (live tree) and to the committer (what is stored). Owns no state but which applied heads are not folded yet.
// Invariant: what `apply` and `restore` call done, the kernel shows.

import { statfsSync } from 'node:fs'
import { hex } from '../model/bytes.js'
import type { Claim, Whereabouts } from '../model/tree-facts.js'
import type { Chunk, ChunkId, ChunkSource, Content, DId, FolderEntry, Revision, RId, SId } from '../model/types.js'
import { TYPE_FOLDER } from '../model/types.js'
import { ApplyPlan, liveRevision, type Planned } from './apply-plan.js'
import type { ApplyResult, Head, HeadChange, Volume, VolumeEvents, VolumeStatus, WalkResult } from './contract.js'
import { DocumentBusyError, UnknownRevisionError } from './errors.js'
import type { VolumeHolding } from './holding.js'
import type { VolumeResources } from './resources.js'
import { READ_MAX } from './volume-reads.js'
import type { Wants } from './wants.js'

const RESTORE_ATTEMPTS = 20
const SETTING_KEY_MAX = 200
const SETTING_VALUE_MAX = 64 << 10

export class OpenedVolume implements Volume {
  readonly #resources: VolumeResources
  /** Applied, and perhaps not in LMDB yet: plans that touch them have to wait for that. */
  readonly #unfolded = new Set<string>()
  #turn: Promise<unknown> = Promise.resolve()

  constructor(components: { resources: VolumeResources }) {
    this.#resources = components.resources
  }

  get sid(): SId {
    return this.#resources.description.sid
  }
  get label(): string {
    return this.#resources.description.label
  }
  get root(): DId {
    return this.#resources.description.root
  }
  get author(): Uint8Array {
    return this.#resources.author
  }

  head(document: DId): Head | undefined {
    return this.#resources.reads.head(document)
  }
  revision(rid: RId): Revision | undefined {
    return this.#resources.reads.revision(rid)
  }
  encoded(rid: RId): Uint8Array | undefined {
    return this.#resources.reads.encoded(rid)
  }
  changes(after: number, limit: number): Head[] {
    return this.#resources.reads.changes(after, limit)
  }
  lastSeq(): number {
    return this.#resources.reads.lastSeq()
  }
  conflicts(limit: number): Head[] {
    return this.#resources.reads.conflicts(limit)
  }
  hasChunk(id: ChunkId): boolean {
    return this.#resources.reads.hasChunk(id)
  }
  chunk(id: ChunkId): Promise<Uint8Array> {
    return this.#resources.reads.chunk(id)
  }
  get source(): ChunkSource {
    return this.#resources.reads.source
  }
  async read(content: Content, offset: number, length: number): Promise<Uint8Array> {
    const { reads, holding, wants } = this.#resources
    if (holding.partial && length <= READ_MAX)
      await wants.fetch(reads.missingLeaves(content, offset, offset + length), { urgent: true })
    return reads.read(content, offset, length)
  }
  entries(folder: Revision): FolderEntry[] {
    return this.#resources.reads.entries(folder)
  }
  setting(key: string): Uint8Array | undefined {
    return this.#resources.reads.setting(key)
  }

  async setSetting(key: string, value: Uint8Array | undefined): Promise<void> {
    const bytes = Buffer.byteLength(key)
    if (bytes === 0 || bytes > SETTING_KEY_MAX) throw new RangeError(`The key of a setting has ${bytes} bytes`)
    if (value && value.length > SETTING_VALUE_MAX) throw new RangeError(`A setting has ${value.length} bytes`)
    await this.#resources.committer.setSetting(key, value)
    this.#resources.reader.refresh()
  }

  async importRevisions(encoded: Uint8Array[], chunks: Chunk[] = []): Promise<RId[]> {
    const { committer, damaged } = this.#resources
    // Mending has reports of its own.
    const mends = chunks.some(({ id }) => damaged.has(id))
    if (mends) await this.importChunks(chunks)
    const rids = await committer.importRevisions(encoded, mends ? [] : chunks)
    this.#resources.reader.refresh()
    this.#resources.wants.arrived(chunks.map(({ id }) => id))
    return rids
  }

  async importChunks(chunks: Chunk[]): Promise<void> {
    const { committer, reader, damaged } = this.#resources
    const mended = chunks.filter(({ id }) => damaged.has(id))
    const others = mended.length ? chunks.filter(({ id }) => !damaged.has(id)) : chunks
    if (mended.length) await committer.repairChunks(mended)
    if (others.length || !mended.length) await committer.importChunks(others)
    reader.refresh()
    this.#resources.wants.arrived(chunks.map(({ id }) => id))
    for (const { id } of mended)
      if (damaged.delete(id)) this.#resources.report(`Chunk ${hex(id)} was damaged and is whole again.`)
  }

  get wants(): Wants {
    return this.#resources.wants
  }
  get holding(): VolumeHolding {
    return this.#resources.holding
  }

  damagedChunks(limit: number): ChunkId[] {
    return this.#resources.damaged.list(limit)
  }

  /** Rejects with UnknownRevisionError, ChangeTooLargeError, ThreadLostError (ask again: it is compare-and-set). */
  apply(changes: HeadChange[]): Promise<ApplyResult[]> {
    const turn = this.#turn.then(() => this.#apply(changes))
    this.#turn = turn.catch(() => {})
    return turn
  }

  async #apply(changes: HeadChange[]): Promise<ApplyResult[]> {
    const planned = withoutHalves(changes, await this.#plan(changes))
    const asked = planned.flatMap((plan) => (plan.kind === 'ask' ? plan.changes : []))
    const { results, invalidations } =
      asked.length > 0 ? await this.#resources.engine.apply({ changes: asked }) : { results: [], invalidations: [] }
    for (const { document } of asked) this.#unfolded.add(hex(document))
    await this.#resources.mountPoint?.invalidate(invalidations)
    let at = 0
    return planned.map((plan, i) => {
      if (plan.kind === 'missing') return { result: 'missing', documents: plan.documents }
      if (plan.changes.length === 0) return { result: 'busy' }
      const result = results[at]
      at += plan.changes.length
      return result === 'stale' ? { result, head: this.head(changes[i].document)?.head } : { result }
    })
  }

  /** A plan rests on LMDB: what an earlier call applied has to be there first, where it matters. */
  async #plan(changes: HeadChange[]): Promise<Planned[]> {
    const fold = async () => {
      this.#unfolded.clear()
      await this.#resources.committer.fold()
    }
    this.#resources.reader.refresh()
    if (changes.some(({ document }) => this.#unfolded.has(hex(document)))) await fold()
    const planned = new ApplyPlan(this.#resources).plan(changes)
    if (this.#unfolded.size === 0 || !planned.some((plan) => this.#restsOnUnfolded(plan))) return planned
    await fold()
    this.#resources.reader.refresh()
    return new ApplyPlan(this.#resources).plan(changes)
  }

  #restsOnUnfolded(plan: Planned): boolean {
    if (plan.kind === 'missing') return plan.documents.some((document) => this.#unfolded.has(hex(document)))
    return plan.changes.some((change) =>
      change.entries?.some(({ after }) => after !== undefined && this.#unfolded.has(hex(after.document))),
    )
  }

  async whereabouts(documents: DId[]): Promise<Whereabouts[]> {
    await this.#folded(documents)
    return documents.map((document) => this.#resources.reads.whereabouts(document))
  }

  async claims(document: DId): Promise<Claim[]> {
    await this.#folded([document])
    return this.#resources.reads.claims(document)
  }

  /** What was applied to these documents is in LMDB then. */
  async #folded(documents: DId[]): Promise<void> {
    await this.#turn
    if (documents.some((document) => this.#unfolded.has(hex(document)))) {
      this.#unfolded.clear()
      await this.#resources.committer.fold()
    }
    this.#resources.reader.refresh()
  }

  async flush(): Promise<void> {
    const { engine, committer, handles, mountPoint } = this.#resources
    await mountPoint?.served()
    await engine.flush()
    await committer.flush()
    this.#resources.findPendingSpools()
    if (handles.all().some(({ state }) => state === 'sealing' || state === 'committed')) {
      await handles.settled()
      await engine.flush()
      await committer.flush()
    }
    this.#unfolded.clear()
    this.#resources.heads.committed()
  }

  walk(names: Uint8Array[]): Promise<WalkResult> {
    return this.#resources.engine.walk(names)
  }
  list(ino: number): Promise<{ name: Uint8Array; ino: number; type: number }[]> {
    return this.#resources.engine.list(ino)
  }
  path(ino: number): Promise<Uint8Array[] | undefined> {
    return this.#resources.engine.path(ino)
  }

  /** Rejects with UnknownRevisionError if there is none or it is a folder's, DocumentBusyError if somebody keeps writing. */
  async restore(ino: number, rid: RId): Promise<void> {
    const revision = this.revision(rid)
    if (!revision || revision.type === TYPE_FOLDER) throw new UnknownRevisionError(hex(rid))
    const live = liveRevision(this.#resources.reads, rid, revision)
    for (let attempt = 0; attempt < RESTORE_ATTEMPTS; attempt++) {
      const { result, invalidations } = await this.#resources.engine.restore(ino, live)
      if (result === 'done') return void (await this.#resources.mountPoint?.invalidate(invalidations))
      await this.flush()
    }
    throw new DocumentBusyError(ino)
  }

  /** Rejects with UnknownRevisionError if there is none, PathError. */
  async revive(names: Uint8Array[], document: DId, rid: RId): Promise<void> {
    const revision = this.revision(rid)
    if (!revision || names.length === 0) throw new UnknownRevisionError(hex(rid))
    const live = liveRevision(this.#resources.reads, rid, revision)
    const invalidations = await this.#resources.engine.revive({ names, document, live })
    await this.#resources.mountPoint?.invalidate(invalidations)
  }

  status(): VolumeStatus {
    const { reader, mountPoint, backlog, reports, layout } = this.#resources
    const disk = statfsSync(layout.directory)
    return {
      sid: this.sid,
      label: this.label,
      root: this.root,
      mountPoint: mountPoint?.mounted ? mountPoint.mountPoint : undefined,
      backlog,
      documents: reader.meta('documents'),
      seq: reader.lastSeq,
      bytesFree: disk.bavail * disk.bsize,
      held: this.#resources.held,
      reports: [...reports],
    }
  }

  on<K extends keyof VolumeEvents>(_event: K, listener: VolumeEvents[K]): () => void {
    return this.#resources.heads.on(listener)
  }
}

/** Plans of changes whose group cannot be asked for as a whole are empty. */
function withoutHalves(changes: HeadChange[], planned: Planned[]): Planned[] {
  const groups = new Set(changes.filter((_, i) => planned[i].kind === 'missing').map(({ group }) => group))
  return planned.map((plan, i) => {
    const { group } = changes[i]
    return plan.kind === 'ask' && group !== undefined && groups.has(group) ? { kind: 'ask', changes: [] } : plan
  })
}
