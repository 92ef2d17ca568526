// How a worker thread ends from outside. A thread that calls native code must not be terminated just like that: an addon that has
// an error to tell while its thread is being terminated ends the whole process ("Error::ThrowAsJavaScriptException napi_throw";
// seen with lmdb 3.5.6 on Node 20). So the thread is asked to leave, does so between two steps of its work, and is terminated only
// if it does not answer.

import type { Worker } from 'node:worker_threads'

/** Milliseconds that a thread may take to leave: longer than any step of its work. */
const LEAVE_MS = 5000

/** Resolves when the thread is gone. `ask` makes it call `process.exit`, which in a thread ends the thread only. */
export async function endThread(worker: Worker, ask: () => void, leaveMs = LEAVE_MS): Promise<void> {
  if (worker.threadId < 0) return
  await new Promise<void>((resolve) => {
    // Real time, whatever the clock of the system: a thread lives in real time.
    const timer = setTimeout(() => void worker.terminate(), leaveMs)
    worker.once('exit', () => {
      clearTimeout(timer)
      resolve()
    })
    worker.ref()
    ask()
  })
}
