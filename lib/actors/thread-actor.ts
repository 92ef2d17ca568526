// A worker thread as an actor: it lives as long as the actor, and its end is the actor's crash. What is said to the thread
// and how answers come back is the business of whoever gives `started`; requests in flight fail by its `ended`.

import type { Worker } from 'node:worker_threads'
import type { Behaviour, Context, Summary } from './types.js'

export interface ThreadInit {
  /** Makes the thread. */
  spawn(): Worker
  /** The thread may be spoken to. A rejection fails the start. */
  started?(worker: Worker, context: Context<never>): void | Promise<void>
  /** Asks the thread to finish; it is terminated when this settles, or after `graceMs`. */
  finish?(worker: Worker): Promise<void>
  /** Milliseconds; less than the spec's `shutdownMs`. Default 4000. */
  graceMs?: number
  /** The thread is gone, or about to be: called once. */
  ended?(reason: string): void
  summarize?(): Summary
}

interface State {
  init: ThreadInit
  worker: Worker
  gone: boolean
}

const DEFAULT_GRACE_MS = 4000

export const threadActor: Behaviour<State, never, ThreadInit> = {
  kind: 'thread',

  async init(context, init) {
    const worker = init.spawn()
    const state: State = { init, worker, gone: false }
    let over = (_error: Error) => {}
    const lost = new Promise<never>((_resolve, reject) => {
      over = reject
    })
    lost.catch(() => {})
    worker.on('error', (error) => {
      over(error)
      context.exit(error)
    })
    worker.on('exit', (code) => {
      state.gone = true
      const error = new Error(`The thread ended by itself (exit code ${code}).`)
      over(error)
      context.exit(error)
    })
    try {
      const ended = aborted(context.signal)
      ended.catch(() => {})
      await Promise.race([init.started?.(worker, context), lost, ended])
    } catch (error) {
      init.ended?.(String(error))
      await worker.terminate()
      throw error
    }
    return state
  },

  handle() {},

  async terminate(state, reason) {
    const { init, worker } = state
    try {
      if (!state.gone && (reason.kind === 'shutdown' || reason.kind === 'normal'))
        await within(init.graceMs ?? DEFAULT_GRACE_MS, init.finish?.(worker))
    } finally {
      const ended = worker.terminate()
      init.ended?.(reason.kind)
      await ended
    }
  },

  summarize: (state) => ({ thread: state.worker.threadId, ...state.init.summarize?.() }),
}

/** Rejects when the actor ends: a thread must not outlive an actor that ended while it started. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(new Error('The actor ended while its thread started.')), {
      once: true,
    })
  })
}

/** Real time, whatever the clock of the system: a thread lives in real time. */
async function within(ms: number, work: Promise<void> | undefined): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  await Promise.race([work, new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)))]).finally(() =>
    clearTimeout(timer),
  )
}
