// Hybrid logical clocks (Kulkarni, Demirbas et al., "Logical Physical Clocks", OPODIS 2014) in 8 bytes: milliseconds since the
// epoch (6 bytes) and a counter (2 bytes), big endian, so that bytewise order is the order in time.
// Owns no clock: the wall clock's time comes in.
//
// A clock that is far in the future (a device whose date was wrong) is never taken over: `receive` ignores it. Its
// revision stays what it is and wins over diverged ones until its time has come, but whatever is made on top of it is a
// descendant, which needs no clock to win, and this device's clock goes on near its own time. If it was this device's
// own date that was wrong, its clock counts on from there (ever larger, the counter first) until the date catches up.

import { compare } from './bytes.js'
import { InvalidValueError } from './errors.js'
import { isClock } from './ids.js'
import { CLOCK_BYTES, type Clock } from './types.js'

const MS_MAX = 2 ** 48 - 1
const COUNTER_MAX = 0xffff

/** How far ahead of ours a clock may be to be believed: a day. Milliseconds. */
export const MAX_DRIFT_MS = 24 * 3600 * 1000

/** Before every other clock. */
export const CLOCK_ZERO: Clock = new Uint8Array(CLOCK_BYTES)

/** A clock of these parts: milliseconds since the epoch up to 2^48 - 1, counter up to 65,535; clamped to them. */
export function makeClock(ms: number, counter = 0): Clock {
  const clock = new Uint8Array(CLOCK_BYTES)
  const whole = Math.min(Math.max(Math.floor(ms) || 0, 0), MS_MAX)
  const view = new DataView(clock.buffer)
  view.setUint16(0, Math.floor(whole / 0x1_0000_0000))
  view.setUint32(2, whole >>> 0)
  view.setUint16(6, Math.min(Math.max(counter, 0), COUNTER_MAX))
  return clock
}

function check(clock: Clock): Clock {
  if (isClock(clock)) return clock
  throw new InvalidValueError('a clock of 8 bytes', 'it is something else')
}

/** Milliseconds since the epoch. Throws InvalidValueError if it is no clock. */
export function clockTime(clock: Clock): number {
  const [a, b, c, d, e, f] = check(clock)
  return (a * 256 + b) * 0x1_0000_0000 + (((c << 24) | (d << 16) | (e << 8) | f) >>> 0)
}

/** Which of several within the millisecond. */
export function clockCounter(clock: Clock): number {
  return check(clock)[6] * 256 + clock[7]
}

/** The next clock after this one. */
export function successor(clock: Clock): Clock {
  const ms = clockTime(clock)
  const counter = clockCounter(clock)
  if (counter < COUNTER_MAX) return makeClock(ms, counter + 1)
  // The very last clock there is (year 10889) has no successor.
  return ms < MS_MAX ? makeClock(ms + 1, 0) : clock
}

/** The next clock of this device: later than `last`, and not before the wall clock (`nowMs`, milliseconds). */
export function tick(last: Clock, nowMs: number): Clock {
  const now = makeClock(nowMs)
  return clockTime(now) > clockTime(last) ? now : successor(last)
}

/**
 * The next clock of this device after it has seen another's: later than both, unless `seen` is more than `maxDriftMs`
 * ahead of the wall clock: then as if it had not been seen.
 */
export function receive(last: Clock, seen: Clock, nowMs: number, maxDriftMs = MAX_DRIFT_MS): Clock {
  if (clockTime(seen) > clockTime(makeClock(nowMs)) + maxDriftMs) return tick(last, nowMs)
  return tick(maxClock(last, seen), nowMs)
}

/** The later of both. */
export function maxClock(a: Clock, b: Clock): Clock {
  return compare(a, b) >= 0 ? a : b
}
