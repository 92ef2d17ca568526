// Decides when the committer works: follows the journal, takes requests, and lets others get in between. Owns the one writer
// of LMDB and packs (batch.ts). Runs in a thread of its own (committer-thread.ts), or in-process in tests.
// Promises resolve when what they stand for is durable. A batch that fails is done again, later and later, and loses nothing; who
// waits for it is told after some failures (a full disk may stay full), and asks again.

import { setImmediate as turn } from 'node:timers/promises'
import { equal, hex } from '../model/bytes.js'
import { decodeRevision } from '../model/codec.js'
import { hashOf, ridOf } from '../model/hash.js'
import { CHUNK_LIMIT, type Chunk, type ChunkId, type RId } from '../model/types.js'
import { Batch, type BatchComponents, type BatchInit, type Committed, isFatal } from './batch.js'
import { ImportError, StoreError, TooLargeError } from './errors.js'
import { dropChunks, moveChunks, removePacks } from './giving-away.js'
import type { VolumeLayout } from './layout.js'
import { PROGRESS_ASLEEP, PROGRESS_COMMITTED, PROGRESS_JOURNAL_END } from './records.js'
import { commitSpool, type SpoolCommit, type SpoolCommitted } from './spool-commit.js'
import type { StoreReader } from './tables.js'

const FRAMES = 4096
const BYTES = 8 << 20
const BATCH_MS = 50
const BACKLOG = 8 << 20
/** Without a change for so long, the burst is over; what follows a close at once (mode, times) belongs to the same version. */
const LOOK_MS = 4
const RETRY_MIN = 100
const RETRY_MAX = 10_000
/** Failures after which those who wait are told, and milliseconds until the next try when somebody asks nevertheless. */
const PATIENCE = 5
const ASKED_AGAIN = 1000
export const SETTING_KEY_MAX = 200
export const SETTING_MAX = 64 * 1024

export interface CommitterInit extends BatchInit {
  /** Milliseconds that it lets the volume thread have the machine while that keeps changing things. Default 400. */
  lazyMs?: number
}

interface Request {
  /** Puts it into the view. Throws, with nothing changed, if it cannot be. */
  apply: () => unknown
  resolve: (value: never) => void
  reject: (error: unknown) => void
}

export class Committer {
  readonly batch: Batch
  readonly #layout: VolumeLayout
  readonly #reader: StoreReader
  readonly #progress: BigInt64Array
  readonly #monotonic: () => number
  readonly #report: (text: string) => void
  readonly #lazyMs: number
  #requests: Request[] = []
  #flushes: { target: number; resolve: () => void; reject: (error: unknown) => void }[] = []
  #timer: NodeJS.Timeout | undefined
  #timerAt = 0
  #running: Promise<void> | undefined
  /** The journal's end as the last look saw it, and when the first change was seen that waits. */
  #seenEnd = -1
  #waitingSince: number | undefined
  #failures = 0
  #lastFailure = ''
  #closed = false
  /** What the batch has begun was taken back where it failed. */
  #whole = true
  /** The journal does not have the frames that it should have. */
  #stalled = false
  /** After every commit that moved something. */
  onCommitted: (committed: Committed) => void = () => {}

  constructor(components: BatchComponents & { progress: BigInt64Array; batch?: Batch }, init: CommitterInit) {
    this.#layout = components.layout
    this.#reader = components.reader
    this.#progress = components.progress
    this.#monotonic = components.monotonic
    this.#report = components.report
    this.#lazyMs = init.lazyMs ?? 400
    this.batch = components.batch ?? new Batch(components, init)
    this.#publish()
  }

  get #end(): number {
    return Number(Atomics.load(this.#progress, PROGRESS_JOURNAL_END))
  }

  #publish(): void {
    Atomics.store(this.#progress, PROGRESS_COMMITTED, BigInt(this.batch.committed))
    Atomics.notify(this.#progress, PROGRESS_COMMITTED)
  }

  /** The journal has grown. */
  wake(): void {
    if (this.#closed || this.#running) return
    Atomics.store(this.#progress, PROGRESS_ASLEEP, 0n)
    this.#schedule(this.#delay())
  }

  /** Milliseconds to wait before the next batch; 0: none; undefined: nothing to do. */
  #delay(): number | undefined {
    if (this.#failures > 0) {
      const asked = this.#requests.length > 0 || this.#flushes.length > 0
      return Math.min(RETRY_MIN * 2 ** (this.#failures - 1), asked ? ASKED_AGAIN : RETRY_MAX)
    }
    if (this.#requests.length > 0 || (this.#flushes.length > 0 && !this.#stalled)) return 0
    const backlog = this.batch.cut ? 0 : this.#end - this.batch.position
    const due = this.batch.sealer.count > 0 ? this.batch.sealer.nextDue() : undefined
    if (backlog <= 0) return due
    if (this.#stalled) return RETRY_MAX
    return this.#considerate(backlog)
  }

  /** Milliseconds for which the volume thread, which is in the midst of something, is left alone; then it is asked again. */
  #considerate(backlog: number): number {
    if (backlog >= BACKLOG) return 0
    const now = this.#monotonic()
    this.#waitingSince ??= now
    const left = this.#waitingSince + this.#lazyMs - now
    if (left <= 0 || this.#seenEnd === this.#end) return 0
    this.#seenEnd = this.#end
    return Math.min(LOOK_MS, left)
  }

  /** Runs in `delay` milliseconds, or earlier if that is planned already. */
  #schedule(delay: number | undefined): void {
    if (delay === undefined) return this.#sleep()
    const at = this.#monotonic() + delay
    if (this.#timer && this.#timerAt <= at) return
    clearTimeout(this.#timer)
    this.#timerAt = at
    this.#timer = setTimeout(() => this.#due(), delay)
  }

  /** Nothing to do: whoever appends to the journal has to say so. */
  #sleep(): void {
    Atomics.store(this.#progress, PROGRESS_ASLEEP, 1n)
    if (this.batch.cut || this.#end <= this.batch.position) return
    Atomics.store(this.#progress, PROGRESS_ASLEEP, 0n)
    this.#schedule(this.#delay() ?? 0)
  }

  /** Time for a batch, unless the volume thread goes on. */
  #due(): void {
    this.#timer = undefined
    if (this.#running || this.#closed) return
    const delay = this.#failures > 0 ? 0 : this.#delay()
    if (delay !== undefined && delay > 0 && this.#waitingSince !== undefined) return this.#schedule(delay)
    this.#waitingSince = undefined
    this.#running = this.#work().finally(() => {
      this.#running = undefined
      if (!this.#closed) this.#schedule(this.#delay())
    })
  }

  async #work(): Promise<void> {
    let more = true
    while (more && !this.#closed) {
      more = this.#once()
      if (more) await turn()
    }
  }

  /** One batch. Returns whether the next one should follow at once. */
  #once(): boolean {
    const requests = this.#requests.splice(0)
    const answers: (() => void)[] = []
    const before = this.batch.committed
    let more: boolean
    const end = this.#end
    let committed: Committed
    try {
      if (!this.#whole) this.#takeBack()
      const until = this.#monotonic() + BATCH_MS
      more = this.batch.foldFrames(end, { frames: FRAMES, bytes: BYTES, until })
      for (const request of requests) this.#apply(request, answers)
      committed = this.batch.commit(this.#flushes.some(({ target }) => target <= this.batch.position))
    } catch (error) {
      this.#requests.unshift(...requests.filter((request) => !this.#refused.has(request)))
      this.#failed(error)
      return false
    }
    if (this.#failures > 0) this.#recovered()
    this.#publish()
    for (const answer of answers) answer()
    if (committed.heads.length > 0 || committed.committed > before) this.onCommitted(committed)
    this.#flushed()
    this.#checkJournal(more, end)
    return more || this.#requests.length > 0 || (this.#flushes.length > 0 && !this.#stalled)
  }

  /** Requests that were answered with an error although their batch has to be done again. */
  readonly #refused = new WeakSet<Request>()

  #apply(request: Request, answers: (() => void)[]): void {
    try {
      const result = request.apply()
      answers.push(() => request.resolve(result as never))
    } catch (error) {
      if (isFatal(error)) throw error
      this.#refused.add(request)
      request.reject(error)
    }
  }

  /** The batch is as after the last commit. The disk may refuse that, too: then it is done before the next try. */
  #takeBack(): void {
    this.#whole = false
    this.batch.abort()
    this.#whole = true
    this.#publish()
  }

  #failed(error: unknown): void {
    try {
      this.#takeBack()
    } catch {
      // What failed first is told.
    }
    this.#failures++
    const { message: text, code = '' } = error as Error & { code?: string }
    // What had no room is another thing each time.
    if ((code || text) !== this.#lastFailure) this.#report(`Committing failed and is tried again: ${text}`)
    this.#lastFailure = code || text
    if (this.#failures < PATIENCE) return
    for (const { reject } of [...this.#requests.splice(0), ...this.#flushes.splice(0)]) reject(error)
  }

  #recovered(): void {
    this.#failures = 0
    this.#lastFailure = ''
    this.#report('Committing works again.')
  }

  #flushed(): void {
    const done = this.#flushes.filter(({ target }) => target <= this.batch.committed)
    this.#flushes = this.#flushes.filter(({ target }) => target > this.batch.committed)
    for (const { resolve } of done) resolve()
  }

  /** Bytes that the volume thread wrote cannot be read back: nothing beyond them can be committed. */
  #checkJournal(more: boolean, end: number): void {
    const { cut, position } = this.batch
    const stalled = !more && position < end
    if (stalled && !this.#stalled)
      this.#report(`The journal cannot be read at ${position}: ${cut?.why ?? 'it ends there'}.`)
    this.#stalled = stalled
    if (!cut || this.#flushes.length === 0) return
    const error = new StoreError(
      'JOURNAL_DAMAGED',
      `The journal is damaged at ${cut.lsn}: ${cut.why}. Reopen the volume.`,
    )
    for (const { reject } of this.#flushes.splice(0)) reject(error)
  }

  #request<T>(apply: () => T): Promise<T> {
    if (this.#closed) return Promise.reject(new StoreError('CLOSED', 'The committer is closed.'))
    return new Promise<T>((resolve, reject) => {
      this.#requests.push({ apply, resolve, reject })
      this.wake()
    })
  }

  /** Resolves when everything in the journal now is committed and folders are sealed. Rejects when that fails again and again. */
  flush(): Promise<void> {
    if (this.#closed) return Promise.reject(new StoreError('CLOSED', 'The committer is closed.'))
    return new Promise((resolve, reject) => {
      this.#flushes.push({ target: this.#end, resolve, reject })
      this.wake()
    })
  }

  /** The hashers are done with a spool. Rejects with ImportError if the request contradicts itself or the spool. */
  commitContent(request: SpoolCommit): Promise<SpoolCommitted> {
    const { view, writer, packs, reviser, fold } = this.batch
    return this.#request(() => commitSpool({ view, writer, packs, reviser, fold, layout: this.#layout }, request))
  }

  /**
   * Stores revisions given by their canonical bytes, together with chunks. Rejects with ImportError (nothing stored) if one is not
   * canonical, or a chunk is none.
   */
  importRevisions(encoded: Uint8Array[], chunks: Chunk[] = []): Promise<RId[]> {
    return this.#request(() => {
      for (const chunk of chunks) checkChunk(chunk)
      const revisions = encoded.map((bytes) => {
        try {
          decodeRevision(bytes)
        } catch (error) {
          throw new ImportError((error as Error).message, { cause: error })
        }
        return { rid: ridOf(bytes), bytes }
      })
      const { view } = this.batch
      if (chunks.length > 0) this.batch.reviser.store(chunks)
      for (const { rid, bytes } of revisions) if (!view.revision(rid)) view.putRevision(rid, bytes)
      return revisions.map(({ rid }) => rid)
    })
  }

  /** Stores chunks. Rejects with ImportError (nothing stored) if one is longer than CHUNK_LIMIT or not what its id says. */
  importChunks(chunks: Chunk[]): Promise<void> {
    return this.#request(() => {
      for (const chunk of chunks) checkChunk(chunk)
      this.batch.reviser.store(chunks)
    })
  }

  /** Stores chunks anew whose bytes in the packs are not those of their ids; others are as in `importChunks`. */
  repairChunks(chunks: Chunk[]): Promise<void> {
    return this.#request(() => {
      for (const chunk of chunks) checkChunk(chunk)
      this.batch.reviser.repair(chunks)
    })
  }

  /** Forgets the bytes of these chunks. Only for whoever made sure that another device keeps them. Answers how many bytes. */
  dropChunks(ids: ChunkId[]): Promise<number> {
    return this.#request(() => dropChunks(this.batch, ids))
  }

  /** Copies those of the chunks that lie in this pack into the current one. */
  moveChunks(pack: number, ids: ChunkId[]): Promise<void> {
    return this.#request(() => moveChunks(this.batch, pack, ids))
  }

  /** Removes the files of those of the packs in which nothing is any more; answers which. */
  removePacks(packs: number[]): Promise<number[]> {
    return this.#request(() => removePacks(this.batch, this.#reader, packs))
  }

  /** Absent value: removes it. Rejects with TooLargeError. */
  setSetting(key: string, value?: Uint8Array): Promise<void> {
    return this.#request(() => {
      const length = Buffer.byteLength(key)
      if (length === 0 || length > SETTING_KEY_MAX) throw new TooLargeError('A setting key', length, SETTING_KEY_MAX)
      if (value && value.length > SETTING_MAX) throw new TooLargeError('A setting', value.length, SETTING_MAX)
      this.batch.view.putSetting(key, value)
    })
  }

  /** Stops after the batch at hand; what is not committed is in the journal. `flush()` first to leave nothing. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    clearTimeout(this.#timer)
    await this.#running
    const error = new StoreError('CLOSED', 'The committer was closed before this was committed.')
    for (const { reject } of [...this.#requests.splice(0), ...this.#flushes.splice(0)]) reject(error)
    this.batch.close()
  }
}

function checkChunk({ id, bytes }: Chunk): void {
  if (bytes.length === 0 || bytes.length > CHUNK_LIMIT) throw new ImportError(`a chunk of ${bytes.length} bytes`)
  if (!equal(hashOf(bytes), id)) throw new ImportError(`bytes that are not chunk ${hex(id)}`)
}
