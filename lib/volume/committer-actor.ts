// The committer as an actor: starts its thread, hears what it tells, and tells the link who lives. Owns the thread only.
//
// How a committer begins depends on the volume thread. Is there one, it goes on where the last committer was: what is open is
// the volume thread's business. Is there none, it recovers first: it folds the whole journal and settles what the dead volume
// thread had open, so that no acknowledged byte is lost; only then may a new volume thread begin (with an empty overlay).

import { Worker } from 'node:worker_threads'
import { type Behaviour, type ChildSpec, type Context, endThread } from '../actors/index.js'
import type { CommitterRequest, CommitterThreadInit } from '../store/committer-thread.js'
import { ChunkMissingError, StoreError } from '../store/errors.js'
import { type Lsn, PROGRESS_JOURNAL_END } from '../store/records.js'
import type { VolumeResources } from './resources.js'

/** The longest that recovery or a batch may take before its thread is ended by force. */
const LEAVE_MS = 50_000

interface PlainError {
  name: string
  code?: string
  message: string
  missing?: Uint8Array
}

/** What the thread says (lib/store/committer-thread.ts). */
type CommitterMessage =
  | { ready: { end: Lsn; reports: string[] } }
  | { failed: PlainError }
  | { id: number; result: unknown }
  | { id: number; error: PlainError }
  | { committed: Lsn }
  | { report: string }

export type CommitterActorMessage = { type: 'recover' }

interface State {
  volume: VolumeResources
  worker?: Worker
  mode: 'recovery' | 'resume'
  /** The worker that is stopped on purpose: its end is no crash. */
  leaving?: Worker
}

const behaviour: Behaviour<State, CommitterActorMessage, VolumeResources> = {
  kind: 'thread',

  async init(context, volume) {
    const state: State = { volume, mode: 'resume' }
    try {
      await start(state, context)
    } catch (error) {
      volume.startFailed(error as Error)
      throw error
    }
    return state
  },

  async handle(state, _message, context) {
    if (state.volume.recoveredEnd !== undefined || state.volume.engineLives) return
    await leave(state, 'it starts again for recovery')
    await start(state, context)
  },

  async terminate(state, reason) {
    const { volume, worker } = state
    if (!worker) return
    if (reason.kind === 'shutdown' || reason.kind === 'normal') await lastFlush(volume)
    await leave(state, reason.kind === 'crash' ? reason.error.message : reason.kind)
  },

  summarize: ({ volume, worker, mode }) => ({
    thread: worker?.threadId ?? 0,
    began: mode,
    backlog: volume.backlog,
    'requests waiting': volume.committer.link.waiting,
  }),
}

async function start(state: State, context: Context<CommitterActorMessage>): Promise<void> {
  const { volume } = state
  // Two committers at once would destroy the volume.
  await volume.committerGone
  if (context.signal.aborted) return
  state.mode = volume.engineLives ? 'resume' : 'recovery'
  if (state.mode === 'recovery') volume.recoveryBegins()
  const data: CommitterThreadInit = {
    directory: volume.layout.directory,
    author: volume.author,
    root: volume.description.root,
    progress: volume.progress,
    resume: state.mode === 'resume',
    open: volume.engine.generation > 0,
  }
  const worker = new Worker(new URL('../store/committer-thread.js', import.meta.url), {
    name: 'peerdrive-committer',
    workerData: data,
    // A batch and what one large folder or spool takes; chunk data is not on this heap.
    resourceLimits: { maxOldGenerationSizeMb: 512, maxYoungGenerationSizeMb: 16 },
  })
  state.worker = worker
  volume.committerGone = new Promise((resolve) => worker.once('exit', () => resolve()))
  const abandon = () => void endCommitter(worker)
  context.signal.addEventListener('abort', abandon, { once: true })
  const end = await ready(state, worker, context).finally(() => context.signal.removeEventListener('abort', abandon))
  if (context.signal.aborted) return
  if (state.mode === 'recovery') {
    Atomics.store(new BigInt64Array(volume.progress), PROGRESS_JOURNAL_END, BigInt(end))
    volume.recovered(end)
  }
  const { committer } = volume
  committer.onWake = () => worker.postMessage({ method: 'wake' })
  committer.link.attach((id, call) => worker.postMessage({ id, ...call }))
  volume.heads.committed()
}

/** Resolves with the end of the journal when the thread takes requests. Its end is the actor's, unless it is told to. */
function ready(state: State, worker: Worker, context: Context<CommitterActorMessage>): Promise<Lsn> {
  const { volume } = state
  const { link } = volume.committer
  return new Promise((resolve, reject) => {
    const over = (error: Error) => {
      if (state.leaving !== worker && !context.signal.aborted) context.exit(error)
      reject(error)
    }
    worker.on('error', over)
    worker.on('exit', (code) => over(new Error(`The committer thread ended (exit code ${code}).`)))
    worker.on('message', (message: CommitterMessage) => {
      if ('result' in message) link.answer(message.id, message.result)
      else if ('error' in message) link.fail(message.id, storeError(message.error))
      else if ('committed' in message) volume.heads.committed()
      else if ('report' in message) volume.report(message.report)
      else if ('failed' in message) reject(storeError(message.failed))
      else if ('ready' in message) {
        for (const text of message.ready.reports) volume.report(text)
        resolve(message.ready.end)
      } else if ('id' in message) link.answer((message as { id: number }).id, undefined)
    })
  })
}

function storeError({ name, code, message, missing }: PlainError): Error {
  if (missing) return new ChunkMissingError(missing)
  return Object.assign(new StoreError(code ?? 'COMMITTER', message), { name })
}

function endCommitter(worker: Worker): Promise<void> {
  return endThread(worker, () => worker.postMessage({ method: 'leave' } satisfies CommitterRequest), LEAVE_MS)
}

/** Ends the thread; requests without an answer wait for the next one. */
async function leave(state: State, reason: string): Promise<void> {
  const { volume, worker } = state
  if (!worker) return
  state.leaving = worker
  state.worker = undefined
  volume.committer.onWake = () => {}
  volume.committer.link.detach(reason)
  await endCommitter(worker)
}

/** A clean end leaves nothing in the journal that is not folded. */
async function lastFlush(volume: VolumeResources): Promise<void> {
  if (!volume.committer.link.attached) return
  await volume.committer.flush().catch((error) => volume.report(`Not everything was committed: ${error.message}`))
}

export function committerSpec(volume: VolumeResources): ChildSpec<VolumeResources> {
  return { id: 'committer', behaviour, args: volume, name: volume.name('committer'), shutdownMs: 60_000 }
}
