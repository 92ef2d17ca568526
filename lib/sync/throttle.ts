// Slows content that is sent down to a limit: a token bucket of one second's worth. One message may overdraw it, and whoever
// comes next waits, in turn. Has no timer: whoever owns it calls `tick`, once a second or so.

import { type Deferred, deferred } from './deferred.js'

/** Whoever waits is told so often, so that it can show the other side that it is there. */
const IDLE_MS = 10_000

interface Waiter extends Deferred {
  bytes: number
  /** When it was told last. */
  told: number
  idle(): void
}

export class Throttle {
  readonly #now: () => number
  readonly #waiting: Waiter[] = []
  #limit: number | undefined
  /** Bytes that may be sent now; below 0 if the last message was larger. */
  #credit = 0
  #last: number

  /** `now`: milliseconds since the epoch. */
  constructor(components: { now: () => number }) {
    this.#now = components.now
    this.#last = components.now()
  }

  /** Bytes per second; undefined: as fast as it goes. */
  set limit(limit: number | undefined) {
    if (limit === this.#limit) return
    this.#credit = Math.min(this.#limit === undefined ? (limit ?? 0) : this.#credit, limit ?? 0)
    this.#limit = limit
    this.tick()
  }

  /** Resolves when so many bytes may be sent. `idle` is called every now and then until then. */
  async take(bytes: number, idle: () => void = () => {}): Promise<void> {
    if ((this.#limit === undefined && !this.#waiting.length) || bytes === 0) return
    const waiter: Waiter = { ...deferred(), bytes, idle, told: this.#now() }
    this.#waiting.push(waiter)
    this.tick()
    await waiter.promise
  }

  tick(): void {
    const now = this.#now()
    const limit = this.#limit
    if (limit !== undefined)
      this.#credit = Math.min(this.#credit + (limit * Math.max(0, now - this.#last)) / 1000, limit)
    this.#last = now
    while (this.#waiting.length && (limit === undefined || this.#credit > 0)) {
      const waiter = this.#waiting.shift()!
      this.#credit -= waiter.bytes
      waiter.resolve()
    }
    for (const waiter of this.#waiting) {
      if (now - waiter.told < IDLE_MS) continue
      waiter.told = now
      waiter.idle()
    }
  }

  /** Nobody waits any more: what they would send goes nowhere. */
  stop(): void {
    for (const waiter of this.#waiting.splice(0)) waiter.resolve()
  }
}
