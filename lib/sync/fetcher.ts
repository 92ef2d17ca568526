// The receiving side of one volume pair: takes the peer's batches in order, gets what they need into the volume, reconciles
// the heads, and only then moves the anchor and acknowledges. While one batch is reconciled the next is gathered already.
// A document that cannot be done waits in `Pending` with its reason; the others go on.

import { hex } from '../model/bytes.js'
import { hashOf, ridOf } from '../model/hash.js'
import type { Volume } from '../volume/contract.js'
import { readAnchor, writeAnchor } from './anchor.js'
import { SyncInterruptedError, SyncProtocolError } from './errors.js'
import { Gather, type GatherComponents, type Need, type Offered } from './gather.js'
import { WINDOW } from './limits.js'
import type { Change, Changes } from './messages.js'
import { Pending } from './pending.js'
import { Reconciler, type Wanted } from './reconcile.js'

export interface FetcherComponents extends GatherComponents {
  /** Tells the peer that everything up to `seq` is safe here. */
  acknowledge(seq: number): Promise<void>
  /** The link is of no use any more, or the volume cannot go on: the worker decides. */
  failed(error: Error): void
  now(): number
}

/** Rounds of fetching documents that a folder names before the folder has to wait. */
const MISSING_ROUNDS = 8
/** How often a busy document is looked at again at once, after the volume has committed its own changes. */
const BUSY_ROUNDS = 3

export class Fetcher {
  readonly pending: Pending
  /** The peer's feed is done up to here, and stands there. */
  anchor: number
  lastSeq = 0
  readonly #components: FetcherComponents
  readonly #volume: Volume
  readonly #peerVolume: Uint8Array
  readonly #gather: Gather
  readonly #reconciler: Reconciler
  /** Ends of the two stages of the batch before. */
  #gathered: Promise<void> = Promise.resolve()
  #reconciled: Promise<void> = Promise.resolve()
  #queued = 0
  #stopped = false

  constructor(components: FetcherComponents, peerVolume: Uint8Array) {
    this.#components = components
    this.#volume = components.volume
    this.#peerVolume = peerVolume
    this.pending = new Pending(components, hex(peerVolume))
    this.anchor = readAnchor(components.volume, peerVolume)
    this.#gather = new Gather(components)
    this.#reconciler = new Reconciler(components.volume)
  }

  get merges(): number {
    return this.#reconciler.merges
  }

  get chunkBytes(): number {
    return this.#gather.chunkBytes
  }

  /** True while a batch is being worked on. */
  get working(): boolean {
    return this.#queued > 0
  }

  take(batch: Changes): void {
    if (this.#queued > WINDOW)
      return this.#fail(new SyncProtocolError('The peer sent more batches than were acknowledged.'))
    this.#queued++
    this.lastSeq = Math.max(this.lastSeq, batch.lastSeq)
    const gathered = this.#gathered.then(() => this.#gatherBatch(batch.changes, batch.chunks))
    this.#gathered = gathered.then(() => {})
    this.#reconciled = Promise.all([gathered, this.#reconciled]).then(async ([wanted]) => {
      if (this.#stopped) throw new SyncInterruptedError('The worker stopped.')
      await this.#reconcile(wanted)
      await this.#advance(batch.seq)
    })
    this.#reconciled
      .catch((error) => this.#fail(error as Error))
      .finally(() => {
        this.#queued--
      })
    this.#gathered.catch(() => {})
  }

  /** Tries what waits and is due, or all of it. */
  async retry(all = false): Promise<void> {
    const due = this.pending.due(all)
    if (!due.length) return
    const changes = due.map(({ document, head }): Change => ({ document, head, revision: new Uint8Array(0) }))
    const run = this.#reconciled.then(async () => {
      await this.#reconcile(await this.#gatherBatch(changes, []))
      await this.pending.save()
    })
    this.#reconciled = run
    await run.catch((error) => this.#fail(error as Error))
  }

  stop(): void {
    this.#stopped = true
  }

  /** All changes that are news here, their needs fulfilled. One that cannot be gathered waits alone. */
  async #gatherBatch(changes: Change[], chunks: Uint8Array[]): Promise<Wanted[]> {
    const news = changes.filter(({ document, head }) => {
      const ours = this.#volume.head(document)
      return !ours || hex(ours.head) !== hex(head)
    })
    if (!news.length) return []
    const offered: Offered = { revisions: new Map(), chunks: new Map() }
    for (const { revision } of news) if (revision.length) offered.revisions.set(hex(ridOf(revision)), revision)
    for (const bytes of chunks) offered.chunks.set(hex(hashOf(bytes)), bytes)
    const needs = news.map(({ document, head }): Need => ({ head, ours: this.#volume.head(document)?.head }))
    try {
      await this.#gather.complete(needs, offered)
      return news
    } catch (error) {
      if (mustStop(error)) throw error
    }
    const complete: Wanted[] = []
    for (const [i, change] of news.entries()) {
      try {
        await this.#gather.complete([needs[i]], offered)
        complete.push(change)
      } catch (error) {
        if (mustStop(error)) throw error
        this.pending.add(change.document, change.head, (error as Error).message)
      }
    }
    return complete
  }

  async #reconcile(wanted: Wanted[]): Promise<void> {
    let open = wanted
    let missingRounds = 0
    let busyRounds = 0
    while (open.length) {
      const outcomes = await this.#reconciler.reconcile(open)
      const again: Wanted[] = []
      const fetch = new Map<string, Uint8Array>()
      let busy = false
      for (const [i, outcome] of outcomes.entries()) {
        const wish = open[i]
        if (outcome.result === 'done') this.pending.remove(wish.document)
        else if (outcome.result === 'missing' && missingRounds < MISSING_ROUNDS) {
          for (const document of outcome.documents) fetch.set(hex(document), document)
          again.push(wish)
        } else if (outcome.result === 'busy' && busyRounds < BUSY_ROUNDS) {
          busy = true
          again.push(wish)
        } else
          this.#wait(
            wish,
            outcome.result === 'busy'
              ? 'it is open for writing here, or being committed'
              : 'the folder names documents that the other device does not have',
          )
      }
      if (fetch.size) {
        missingRounds++
        const more = await this.#fetchDocuments([...fetch.values()])
        again.unshift(...more)
        if (!more.length) missingRounds = MISSING_ROUNDS
      }
      if (busy) {
        busyRounds++
        await this.#volume.flush()
      }
      open = again
    }
  }

  /** Heads that folders name and that are not here. */
  async #fetchDocuments(documents: Uint8Array[]): Promise<Wanted[]> {
    const changes: Change[] = []
    for (let i = 0; i < documents.length; i += 512)
      changes.push(...(await this.#components.ask({ documents: documents.slice(i, i + 512) })).documents)
    return this.#gatherBatch(changes, [])
  }

  #wait({ document, head }: Wanted, reason: string): void {
    this.pending.add(document, head, reason)
  }

  async #advance(seq: number): Promise<void> {
    if (this.pending.full) throw new SyncInterruptedError('Too many documents wait; see why with `peerdrive status`.')
    await this.pending.save()
    await writeAnchor(this.#volume, this.#peerVolume, seq)
    this.anchor = seq
    await this.#components.acknowledge(seq)
  }

  #fail(error: Error): void {
    if (this.#stopped) return
    this.#stopped = true
    this.#components.failed(error)
  }
}

/** Not the fault of a single document: no link, no space, no volume. */
function mustStop(error: unknown): boolean {
  if (error instanceof SyncInterruptedError || error instanceof SyncProtocolError) return true
  const { code } = error as { code?: string }
  return code === 'ENOSPC' || code === 'EIO' || code === 'VOLUME_CLOSED'
}
