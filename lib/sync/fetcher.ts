// The receiving side of one volume pair: takes the peer's batches in order, gets what they need into the volume, reconciles
// the heads, and only when that is durable moves the anchor and acknowledges. Three stages, each in order and one batch after
// the other: while one batch is reconciled the next is gathered already. A document that cannot be done waits in `Pending`
// with its reason; the others go on.

import { hex } from '../model/bytes.js'
import { hashOf, ridOf } from '../model/hash.js'
import type { PairTerms } from '../model/pair-terms.js'
import type { DId } from '../model/types.js'
import type { Head, HeadChange, Volume } from '../volume/contract.js'
import { readAnchor, writeAnchor } from './anchor.js'
import { Brake } from './brake.js'
import { mustStop, SyncInterruptedError, SyncProtocolError } from './errors.js'
import { Gate } from './gate.js'
import { Gather, type GatherComponents, type Need, type Offered } from './gather.js'
import { LargeContents, NAMES_LARGE } from './large-contents.js'
import { WINDOW } from './limits.js'
import type { Change, Changes } from './messages.js'
import { mayTryAgain, reasonOf } from './outcomes.js'
import { Pending } from './pending.js'
import { Reconciler, type Wanted } from './reconcile.js'
import { settled } from './settled.js'

export interface FetcherComponents extends GatherComponents {
  /** Tells the peer that everything up to `seq` is safe here. */
  acknowledge(seq: number): Promise<void>
  /** The link is of no use any more, or the volume cannot go on: the worker decides. */
  failed(error: Error): void
  /** What the console shows of it is not what it was. */
  changed(): void
  /** What becomes of versions that parted; merged if not given. */
  strategy?(): PairTerms['strategy']
  now(): number
}

/** Documents fetched and applied together where a folder names many. */
const DOCUMENTS_TOGETHER = 512

export class Fetcher {
  readonly pending: Pending
  /** The peer's feed is done up to here, and stands there. */
  anchor: number
  lastSeq = 0
  /** Why somebody has to be asked before anything more is done; see `allow`. */
  halted: string | undefined
  readonly #components: FetcherComponents
  readonly #volume: Volume
  readonly #peerVolume: Uint8Array
  readonly #gather: Gather
  readonly #reconciler: Reconciler
  readonly #brake: Brake
  readonly #large: LargeContents
  /** Closed while paused; and while halted. */
  readonly #gate = new Gate()
  readonly #permission = new Gate()
  /** Ends of the three stages of the batch before. */
  #gathered: Promise<unknown> = Promise.resolve()
  #reconciled: Promise<unknown> = Promise.resolve()
  #advanced: Promise<unknown> = Promise.resolve()
  /** Applied since the last batch that was durable. */
  #unsettled: HeadChange[] = []
  /** Change number of the last batch. The first one may be below the anchor: the peer may not know that position any more. */
  #told = -1
  #queued = 0
  #retrying = false
  #retryAgain = false
  #stopped = false

  constructor(components: FetcherComponents, peerVolume: Uint8Array) {
    this.#components = components
    this.#volume = components.volume
    this.#peerVolume = peerVolume
    this.pending = new Pending(components, hex(peerVolume))
    this.anchor = readAnchor(components.volume, peerVolume)
    this.#gather = new Gather(components)
    this.#brake = new Brake(components)
    this.#large = new LargeContents({
      volume: components.volume,
      pending: this.pending,
      fetch: async (wanted, encoded) => {
        await this.#gate.passed()
        const offered: Offered = { revisions: new Map([[hex(wanted.head), encoded]]), chunks: new Map() }
        return this.#gathers([this.#needOf(wanted)], offered, true)
      },
      ended: () => void this.retry(),
      failed: (error) => this.#fail(error),
    })
    this.#reconciler = new Reconciler({
      volume: components.volume,
      allowed: (changes) => this.#allowed(changes),
      applied: (changes) => this.#unsettled.push(...changes),
      strategy: components.strategy,
    })
  }

  get merges(): number {
    return this.#reconciler.merges
  }

  get chunkBytes(): number {
    return this.#gather.chunkBytes
  }

  /** Whether a batch with this change number says that the feed is further than it was. */
  isNews(seq: number): boolean {
    return seq > this.#told
  }

  /** True while a batch is being worked on. */
  get working(): boolean {
    return this.#queued > 0 || this.#large.size > 0
  }

  take(batch: Changes): void {
    if (this.#stopped) return
    if (this.#queued > WINDOW)
      return this.#fail(new SyncProtocolError('The peer sent more batches than were acknowledged.'))
    if (batch.seq < this.#told) return this.#fail(new SyncProtocolError("The peer's change numbers went back."))
    this.#told = batch.seq
    this.#queued++
    this.lastSeq = Math.max(this.lastSeq, batch.lastSeq)
    const gathered = this.#gathered.then(() => this.#gatherBatch(batch.changes, batch.chunks))
    const reconciled = Promise.all([gathered, this.#reconciled]).then(async ([wanted]) => {
      await this.#reconcile(wanted)
      return this.#unsettled.splice(0)
    })
    const advanced = Promise.all([reconciled, this.#advanced]).then(([changes]) => this.#advance(batch.seq, changes))
    this.#gathered = gathered
    this.#reconciled = reconciled
    this.#advanced = advanced.finally(() => this.#queued--)
    for (const stage of [this.#gathered, this.#reconciled, this.#advanced]) stage.catch((e) => this.#fail(e as Error))
  }

  /** Tries what waits and is due, or all of it. */
  async retry(all = false): Promise<void> {
    if (this.#stopped) return
    if (this.#retrying) {
      this.#retryAgain = true
      return
    }
    const due = this.pending.due(all).filter(({ document }) => !this.#large.has(document))
    if (!due.length) return
    this.#retrying = true
    this.#retryAgain = false
    await this.takeAside(due.map(({ document, head }): Change => ({ document, head, revision: new Uint8Array(0) })))
    this.#retrying = false
    this.#components.changed()
    if (this.#retryAgain) await this.retry()
  }

  /** Takes heads of the peer that are not part of its feed now. Resolves when it is done; never rejects. */
  async takeAside(changes: Change[]): Promise<void> {
    const run = this.#reconciled.then(async () => {
      await this.#reconcile(await this.#gatherBatch(changes, []))
      await settled(this.#volume, this.#unsettled.splice(0))
      await this.pending.save()
    })
    this.#reconciled = run
    await run.catch((error) => this.#fail(error as Error))
  }

  /** The document waits here until `retry`, and what the peer tells of it. */
  async skip(document: DId): Promise<void> {
    const head = this.#volume.head(document)?.head
    if (head) this.pending.skip(document, head)
    await this.pending.save().catch((error) => this.#fail(error as Error))
    this.#components.changed()
  }

  /** Heads of the volume changed: what waited for one of them is tried again at once. */
  noticeHeads(heads: Head[]): void {
    const waited = heads.filter(({ document }) => this.pending.hurry(document))
    if (waited.length) void this.retry()
  }

  pause(): void {
    this.#gate.close()
  }

  resume(): void {
    this.#gate.open()
  }

  /** What halted it may go on. */
  allow(): void {
    if (!this.halted) return
    this.#brake.allow()
    this.halted = undefined
    this.#permission.open()
  }

  stop(): void {
    if (this.#stopped) return
    this.#stopped = true
    const reason = new SyncInterruptedError('The worker stopped.')
    this.#gate.fail(reason)
    this.#permission.fail(reason)
  }

  async #allowed(changes: HeadChange[]): Promise<void> {
    for (let why = this.#brake.check(changes); why; why = this.#brake.check(changes)) {
      this.halted = why
      this.#permission.close()
      this.#components.changed()
      await this.#permission.passed()
    }
  }

  /** All changes that are news here, their needs fulfilled. One that cannot be gathered waits alone. */
  async #gatherBatch(changes: Change[], chunks: Uint8Array[]): Promise<Wanted[]> {
    await this.#gate.passed()
    const news = changes.filter(({ document, head }) => {
      const ours = this.#volume.head(document)
      if (this.pending.isSkipped(document)) {
        this.pending.add(document, head, '')
        return false
      }
      if (ours && hex(ours.head) === hex(head)) this.pending.remove(document)
      return !ours || hex(ours.head) !== hex(head)
    })
    if (!news.length) return []
    const offered: Offered = { revisions: new Map(), chunks: new Map() }
    for (const { revision } of news) if (revision.length) offered.revisions.set(hex(ridOf(revision)), revision)
    for (const bytes of chunks) offered.chunks.set(hex(hashOf(bytes)), bytes)
    const now = news.filter((change) => !this.#large.takes(change, offered.revisions.get(hex(change.head))))
    const needs = now.map((change) => this.#needOf(change))
    if (await this.#gathers(needs, offered)) return now
    const complete: Wanted[] = []
    for (const [i, change] of now.entries()) {
      const error = await this.#gathers([needs[i]], offered, true)
      if (error === true) complete.push(change)
      else this.#wait(change, error)
    }
    return complete
  }

  #needOf({ document, head }: Wanted): Need {
    return { head, ours: this.#volume.head(document)?.head }
  }

  /** True, or why not. With `tell` in words. */
  async #gathers(needs: Need[], offered: Offered): Promise<boolean>
  async #gathers(needs: Need[], offered: Offered, tell: true): Promise<true | string>
  async #gathers(needs: Need[], offered: Offered, tell = false): Promise<boolean | string> {
    try {
      await this.#gather.complete(needs, offered)
      return true
    } catch (error) {
      if (mustStop(error)) throw error
      return tell ? (error as Error).message : false
    }
  }

  async #reconcile(wanted: Wanted[], depth = 0): Promise<void> {
    let open = wanted
    for (let round = 0; open.length; round++) {
      await this.#gate.passed()
      const outcomes = await this.#reconciler.reconcile(open)
      const missing = new Map<string, DId>()
      const again: Wanted[] = []
      const done: Wanted[] = []
      for (const [i, outcome] of outcomes.entries()) {
        const wish = open[i]
        if (outcome.result === 'done') done.push(wish)
        else if (outcome.result === 'missing' && this.#large.delays(outcome.documents)) {
          this.#wait(wish, NAMES_LARGE)
          continue
        } else if (mayTryAgain(outcome, round, depth)) again.push(wish)
        else this.#wait(wish, reasonOf(outcome))
        if (outcome.result === 'missing') for (const document of outcome.documents) missing.set(hex(document), document)
      }
      await this.#endWaiting(done)
      if (again.length && missing.size) await this.#fetchDocuments([...missing.values()], depth)
      if (outcomes.some(({ result }) => result === 'busy') && again.length) await this.#volume.flush()
      open = again
    }
  }

  /** Documents that folders name and that are not here, with all that they name. */
  async #fetchDocuments(documents: DId[], depth: number): Promise<void> {
    for (let i = 0; i < documents.length; i += DOCUMENTS_TOGETHER) {
      const { documents: heads } = await this.#components.ask({ documents: documents.slice(i, i + DOCUMENTS_TOGETHER) })
      await this.#reconcile(await this.#gatherBatch(heads, []), depth + 1)
    }
  }

  /** Not before it is durable: the list may be saved at any time, and nobody would tell of the document again. */
  async #endWaiting(done: Wanted[]): Promise<void> {
    const waited = done.filter(({ document }) => this.pending.get(document))
    if (waited.length) await settled(this.#volume, [...this.#unsettled])
    // A later head may have come to wait meanwhile.
    for (const { document, head } of waited) this.pending.remove(document, head)
    if (waited.length) this.#large.hurryFolders()
  }

  #wait({ document, head }: Wanted, reason: string): void {
    this.pending.add(document, head, reason)
    this.#components.changed()
  }

  async #advance(seq: number, changes: HeadChange[]): Promise<void> {
    if (this.#stopped) return
    await settled(this.#volume, changes)
    if (this.pending.full) throw new SyncInterruptedError('Too many documents wait; see why with `peerdrive status`.')
    await this.pending.save()
    await writeAnchor(this.#volume, this.#peerVolume, seq)
    this.anchor = seq
    await this.#components.acknowledge(seq)
  }

  #fail(error: Error): void {
    if (this.#stopped) return
    this.stop()
    this.#components.failed(error)
  }
}
