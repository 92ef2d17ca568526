// A clock that a test moves by hand.

import type { Clock } from '../../lib/actors/index.js'

export class ManualClock implements Clock {
  #now = 1_000_000
  #alarms: { at: number; callback: () => void }[] = []

  now(): number {
    return this.#now
  }

  after(ms: number, callback: () => void): () => void {
    const alarm = { at: this.#now + ms, callback }
    this.#alarms.push(alarm)
    return () => {
      this.#alarms = this.#alarms.filter((a) => a !== alarm)
    }
  }

  /** Rings what is due, in order of time. */
  advance(ms: number): void {
    const end = this.#now + ms
    for (;;) {
      const due = this.#alarms.filter((a) => a.at <= end).sort((a, b) => a.at - b.at)[0]
      if (!due) break
      this.#alarms = this.#alarms.filter((a) => a !== due)
      this.#now = due.at
      due.callback()
    }
    this.#now = end
  }
}

/** Lets everything that is ready run: a few turns of the event loop. */
export async function settle(turns = 12): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve))
}
