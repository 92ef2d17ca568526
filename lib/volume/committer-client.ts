// Requests to the committer, as calls. Owns the link; the thread behind it may be another one tomorrow. Everything here may be
// asked twice, so that the death of the thread is seen by nobody but in the time it takes.

import type { Chunk, ChunkId, Content, RId } from '../model/types.js'
import type { CommitterMethods } from '../store/committer-thread.js'
import { StoreError } from '../store/errors.js'
import { type Lsn, PROGRESS_COMMITTED, PROGRESS_JOURNAL_END } from '../store/records.js'
import type { HashResult } from './hashing/hash-job.js'
import { ThreadLink } from './thread-link.js'

export interface CommitterCall {
  method: keyof CommitterMethods
  args: unknown[]
}

/** Looks at a committer that does not move before it counts as stuck. */
const STUCK_AFTER = 5

export class CommitterClient {
  readonly link = new ThreadLink<CommitterCall>({ name: 'committer' })
  readonly #progress: BigInt64Array
  /** Posts `wake` to the thread that lives now. */
  onWake: () => void = () => {}

  constructor(init: { progress: SharedArrayBuffer }) {
    this.#progress = new BigInt64Array(init.progress)
  }

  get committed(): Lsn {
    return Number(Atomics.load(this.#progress, PROGRESS_COMMITTED))
  }

  get journalEnd(): Lsn {
    return Number(Atomics.load(this.#progress, PROGRESS_JOURNAL_END))
  }

  /** The journal has grown while the committer slept. */
  wake(): void {
    this.onWake()
  }

  /** Resolves when everything that is in the journal now is committed, and folders are sealed. */
  flush(): Promise<void> {
    return this.#call('flush')
  }

  /** Resolves when everything that is in the journal now is committed; folders are left to be sealed in their time. */
  async fold(): Promise<void> {
    const target = this.journalEnd
    for (let still = 0; this.committed < target; still++) {
      const before = this.committed
      // A request for nothing: it is answered after the batch at hand, with the frames folded that were before it.
      await this.#call('importRevisions', [])
      if (this.committed > before) still = 0
      if (still >= STUCK_AFTER)
        throw new StoreError(
          'JOURNAL_DAMAGED',
          `The journal cannot be folded beyond ${this.committed}. Reopen the volume.`,
        )
    }
  }

  /** The chunks of a closed spool go into packs. */
  async commitContent(spool: number, { content, chunks, lists }: HashResult): Promise<Content> {
    await this.#call('commitContent', { spool, content, chunks, lists })
    return content
  }

  importRevisions(encoded: Uint8Array[], chunks: Chunk[] = []): Promise<RId[]> {
    return this.#call('importRevisions', encoded, chunks)
  }

  importChunks(chunks: Chunk[]): Promise<void> {
    return this.#call('importChunks', chunks)
  }

  repairChunks(chunks: Chunk[]): Promise<void> {
    return this.#call('repairChunks', chunks)
  }

  /** See Committer. Whoever asks makes sure that another device keeps them, until it is answered. */
  dropChunks(ids: ChunkId[]): Promise<number> {
    return this.#call('dropChunks', ids)
  }

  moveChunks(pack: number, ids: ChunkId[]): Promise<void> {
    return this.#call('moveChunks', pack, ids)
  }

  removePacks(packs: number[]): Promise<number[]> {
    return this.#call('removePacks', packs)
  }

  setSetting(key: string, value: Uint8Array | undefined): Promise<void> {
    return this.#call('setSetting', key, value)
  }

  #call<Answer>(method: keyof CommitterMethods, ...args: unknown[]): Promise<Answer> {
    return this.link.request({ method, args }, { repeatable: true })
  }
}
