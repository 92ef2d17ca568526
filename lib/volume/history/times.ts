// Times in names: how a version's time is written, and what people may write for a time. Pure.

import { clockCounter, clockTime, makeClock } from '../../model/clock.js'
import type { Clock } from '../../model/types.js'

const COUNTER_MAX = 0xffff

/**
 * `2026-11-25 14.03.22.123Z`, and `+00001` behind it for the second within the millisecond, so that names sort as times do. In UTC:
 * a clock that is set back in autumn would put names out of order, and devices in different zones would disagree.
 */
export function timeName(clock: Clock): string {
  const iso = new Date(Math.min(clockTime(clock), 253_402_300_799_999)).toISOString()
  const counter = clockCounter(clock)
  const text = iso.replace('T', ' ').replaceAll(':', '.')
  return counter === 0 ? text : `${text}+${String(counter).padStart(5, '0')}`
}

const DATE = '(\\d{4})-(\\d\\d)-(\\d\\d)'
const TIME = '(\\d\\d)[:.](\\d\\d)(?:[:.](\\d\\d)(?:[.,](\\d{1,3}))?)?'
const ZONE = '(Z|[+-]\\d\\d(?::?\\d\\d)?)'
/** A number within the millisecond follows `Z` only: behind an offset it could be anything. */
const PATTERN = new RegExp(`^${DATE}(?:[T ]${TIME})?(?:${ZONE}|Z\\+(\\d{5}))?$`)

/**
 * The clock that a text like `2026-11-25`, `2026-11-25T14:03`, `2026-11-25 14.03.22.123Z` means: the last one in the day, minute,
 * second or millisecond that it names, in local time unless it says `Z` or an offset. undefined: it names no time.
 */
export function parseTime(text: string): Clock | undefined {
  const match = PATTERN.exec(text)
  if (!match) return undefined
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map((part) => Number(part ?? 0))
  const [, , , , , , , fraction, zone, counter] = match
  const ms = fraction === undefined ? 0 : Number(fraction.padEnd(3, '0'))
  if (hour > 23 || minute > 59 || second > 59 || month < 1 || month > 12 || day < 1) return undefined
  if (day > new Date(Date.UTC(year, month, 0)).getUTCDate()) return undefined
  const unit = unitOf(match)
  if (zone === undefined && counter === undefined) {
    // A day of local time may have 23 or 25 hours: where the next one begins tells.
    const end =
      unit === DAY
        ? new Date(year, month - 1, day + 1).getTime()
        : new Date(year, month - 1, day, hour, minute, second, ms).getTime() + unit
    return makeClock(end - 1, COUNTER_MAX)
  }
  const offset = zone === undefined || zone === 'Z' ? 0 : offsetOf(zone)
  if (offset === undefined) return undefined
  const begin = Date.UTC(year, month - 1, day, hour, minute, second, ms) - offset
  if (counter !== undefined) return Number(counter) > COUNTER_MAX ? undefined : makeClock(begin, Number(counter))
  return makeClock(begin + unit - 1, COUNTER_MAX)
}

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE

/** Milliseconds of the smallest unit that is named. */
function unitOf([, , , , hour, , second, fraction]: RegExpExecArray): number {
  if (hour === undefined) return DAY
  if (second === undefined) return MINUTE
  return fraction === undefined ? 1000 : 10 ** (3 - fraction.length)
}

/** Milliseconds that `+01:00` is ahead of UTC. */
function offsetOf(zone: string): number | undefined {
  const hours = Number(zone.slice(1, 3))
  const minutes = Number(zone.slice(3).replace(':', '') || 0)
  if (hours > 15 || minutes > 59) return undefined
  return (zone[0] === '-' ? -1 : 1) * (hours * 60 + minutes) * MINUTE
}
