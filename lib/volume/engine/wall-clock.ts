// Time as the engine sees it: nanosecond times of inodes, the stamps of entries, and a clock for spans. Owns the last stamp
// given. Invariants: `read()` never goes back within one millisecond; stamps always grow.

import { compare } from '../../model/bytes.js'
import { CLOCK_ZERO, receive, successor, tick } from '../../model/clock.js'
import type { Clock } from '../../model/types.js'

export interface TimeSource {
  /** Milliseconds since the epoch, whole. */
  date(): number
  /** Milliseconds, monotonic, with a fraction. */
  monotonic(): number
}

export const systemTime: TimeSource = { date: () => Date.now(), monotonic: () => performance.now() }

export class WallClock {
  readonly #source: TimeSource
  /** Result of the last `read()`. */
  sec = 0
  nsec = 0
  /** Monotonic milliseconds at the last `read()`. */
  span = 0
  #millisecond = -1
  #since = 0
  #last: Clock = CLOCK_ZERO

  constructor(source: TimeSource = systemTime) {
    this.#source = source
  }

  /** Reads the time into `sec` and `nsec`. */
  read(): void {
    const ms = this.#source.date()
    const span = this.#source.monotonic()
    this.span = span
    let fraction = 0
    if (ms === this.#millisecond) {
      fraction = Math.min(999_999, Math.floor((span - this.#since) * 1e6))
    } else {
      this.#millisecond = ms
      this.#since = span
    }
    this.sec = Math.floor(ms / 1000)
    this.nsec = (ms - this.sec * 1000) * 1_000_000 + fraction
  }

  /** Monotonic milliseconds, for spans. */
  monotonic(): number {
    return this.#source.monotonic()
  }

  /** A new stamp, later than every stamp given or observed, and than `after`, however far in the future that is. */
  stamp(after?: Clock): Clock {
    this.#last = tick(this.#last, this.#source.date())
    return after && compare(after, this.#last) >= 0 ? successor(after) : this.#last
  }

  /** A stamp from elsewhere: later ones of ours will be above it, unless it is absurdly far in the future. */
  observe(stamp: Clock): void {
    this.#last = receive(this.#last, stamp, this.#source.date())
  }
}
