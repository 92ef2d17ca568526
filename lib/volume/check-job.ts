// A check of a whole volume, in a thread of its own while the volume is in use. Owns the thread.

import { Worker } from 'node:worker_threads'
import { endThread } from '../actors/index.js'
import type { CheckCounts, Finding } from '../store/check.js'
import type { CheckAnswer } from '../store/check-thread.js'

export interface Checked {
  counts: CheckCounts
  /** None: all is well. */
  findings: Finding[]
}

export class CheckJob {
  readonly result: Promise<Checked>
  readonly #worker: Worker

  /** Begins. `progress` is told what was looked at so far, a few times in a second. */
  constructor(directory: string, progress: (counts: CheckCounts) => void) {
    const worker = new Worker(new URL('../store/check-thread.js', import.meta.url), {
      name: 'peerdrive-check',
      workerData: directory,
    })
    this.#worker = worker
    this.result = new Promise((resolve, reject) => {
      worker.on('message', ({ counts, findings }: CheckAnswer) => {
        progress(counts)
        if (findings) resolve({ counts, findings })
      })
      worker.once('error', reject)
      worker.once('exit', () => reject(new CheckEndedError()))
    })
    this.result.catch(() => {})
  }

  /** Ends it, if it is not done; `result` rejects with CheckEndedError then. */
  end(): Promise<void> {
    return endThread(this.#worker, () => this.#worker.postMessage({ leave: true }))
  }
}

export class CheckEndedError extends Error {
  override name = 'CheckEndedError'
  readonly code = 'CHECK_ENDED'
  constructor() {
    super('The check was ended before it was done. Nothing is known of the volume by it; check again.')
  }
}
