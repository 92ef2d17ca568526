// A worker thread as an actor: it lives as long as the actor, and its end is the actor's crash. What is said to the thread
// and how answers come back is the business of whoever gives `started`; requests in flight fail by its `ended`.

import type { Worker } from 'node:worker_threads'
import type { Behaviour, Context, Summary } from './types.js'

export interface ThreadInit {
  /** Makes the thread. */
  spawn(): Worker
  /** The thread may be spoken to. A rejection fails the start. */
  started?(worker: Worker, context: Context<never>): void | Promise<void>
  /** Asks the thread to finish; it is terminated when this settles, or when the actor's time for that is over. */
  finish?(worker: Worker): Promise<void>
  /** The thread is gone, or about to be: called once. */
  ended?(reason: string): void
  summarize?(): Summary
}

interface State {
  init: ThreadInit
  worker: Worker
  gone: boolean
}

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
      await Promise.race([init.started?.(worker, context), lost])
    } catch (error) {
      init.ended?.(String(error))
      await worker.terminate()
      throw error
    }
    return state
  },

  handle() {},

  async terminate(state, reason) {
    if (!state.gone && (reason.kind === 'shutdown' || reason.kind === 'normal')) await state.init.finish?.(state.worker)
    state.init.ended?.(reason.kind)
    await state.worker.terminate()
  },

  summarize: (state) => ({ thread: state.worker.threadId, ...state.init.summarize?.() }),
}
