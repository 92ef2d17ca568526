// Entry point of the committer's thread, one per open volume. Opens the tables, recovers, tells, then serves requests.
//
// workerData: CommitterThreadInit. First message out: { ready: { end, reports } } or { failed: { code, message } }, after which
// the thread ends. Then requests { id, method, args } → { id, result } or { id, error: { name, code, message } }, and, unasked,
// { committed } after each commit and { report } now and then. { method: 'wake' } and { method: 'leave' } (end at once) without an id have no answer.

import { parentPort, workerData } from 'node:worker_threads'
import type { DId } from '../model/types.js'
import { Batch } from './batch.js'
import { Committer } from './committer.js'
import { ChunkMissingError } from './errors.js'
import { VolumeLayout } from './layout.js'
import { PROGRESS_JOURNAL_END } from './records.js'
import { recover } from './recovery.js'
import type { SpoolCommit } from './spool-commit.js'
import { StoreReader } from './tables.js'

export interface CommitterThreadInit {
  directory: string
  author: Uint8Array
  root: DId
  /** Of PROGRESS_SLOTS BigInt64: lib/store/records.ts. */
  progress: SharedArrayBuffer
  lazyMs?: number
  /**
   * The committer before this one died, and the volume thread did not: what is open is that thread's business, so nothing
   * is settled or cleared away; folding goes on where it was. Default: recover, with nobody else at the volume.
   */
  resume?: boolean
  /** There was a volume thread in this process: its mount, and files that are open, may live (recovery.ts). */
  open?: boolean
}

export interface CommitterMethods {
  flush(): Promise<void>
  commitContent(request: SpoolCommit): Promise<string>
  importRevisions(encoded: Uint8Array[], chunks?: { id: Uint8Array; bytes: Uint8Array }[]): Promise<Uint8Array[]>
  importChunks(chunks: { id: Uint8Array; bytes: Uint8Array }[]): Promise<void>
  repairChunks(chunks: { id: Uint8Array; bytes: Uint8Array }[]): Promise<void>
  dropChunks(ids: Uint8Array[]): Promise<number>
  moveChunks(pack: number, ids: Uint8Array[]): Promise<void>
  removePacks(packs: number[]): Promise<number[]>
  setSetting(key: string, value?: Uint8Array): Promise<void>
  /** Flushes nothing; the thread can be terminated when it answered. */
  close(): Promise<void>
}

export type CommitterRequest = { id?: number; method: keyof CommitterMethods | 'wake' | 'leave'; args?: unknown[] }

const REPORTS_MAX = 100

function start(init: CommitterThreadInit): void {
  const port = parentPort!
  const layout = new VolumeLayout(init.directory)
  const reports: string[] = []
  let ready = false
  const report = (text: string) => {
    if (ready) port.postMessage({ report: text })
    else if (reports.length < REPORTS_MAX) reports.push(text)
  }
  const reader = StoreReader.open(layout.db)
  const components = { layout, reader, now: Date.now, monotonic: () => performance.now(), report }
  const { batch, end } = init.resume ? resumed(new Batch(components, init)) : recover(components, init)
  const progress = new BigInt64Array(init.progress)
  // A volume thread that lives says itself where the journal ends.
  if (!init.resume) Atomics.store(progress, PROGRESS_JOURNAL_END, BigInt(end))
  const committer = new Committer({ ...components, progress, batch }, init)
  committer.onCommitted = ({ committed }) => port.postMessage({ committed })
  port.on('message', (request: CommitterRequest) => serve(committer, request))
  ready = true
  port.postMessage({ ready: { end, reports } })
  committer.wake()
}

const resumed = (batch: Batch) => ({ batch, end: batch.position })

function serve(committer: Committer, { id, method, args = [] }: CommitterRequest): void {
  if (method === 'wake') return committer.wake()
  // Between two batches: nothing is half done, and what is not committed is in the journal.
  if (method === 'leave') process.exit(1)
  const call = committer[method] as (...args: unknown[]) => Promise<unknown>
  call.apply(committer, args).then(
    (result) => parentPort!.postMessage({ id, result }),
    (error) => parentPort!.postMessage({ id, error: plain(error) }),
  )
}

function plain(error: Error & { code?: string }): {
  name: string
  code?: string
  message: string
  missing?: Uint8Array
} {
  const missing = error instanceof ChunkMissingError ? error.id : undefined
  return { name: error.name, code: error.code, message: error.message, missing }
}

if (parentPort) {
  try {
    start(workerData as CommitterThreadInit)
  } catch (error) {
    parentPort.postMessage({ failed: plain(error as Error) })
  }
}
