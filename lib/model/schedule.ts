// Times of the week in which a rule works: `mon-fri 22:00-06:00`, `sat,sun`, `22:00-06:00`. Pure: whoever asks says what time it is
// where the device is. A span over midnight belongs to the day it begins on.

/** In local time. `weekday`: 0 is Sunday; `minute`: of the day. */
export interface WeekTime {
  weekday: number
  minute: number
}

interface Span {
  /** By weekday. */
  days: boolean[]
  /** Minutes of the day; `to` may lie on the next one, and then is less. */
  from: number
  to: number
}

const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']
const DAY_MINUTES = 24 * 60
const TEXT_MAX = 64

/** Undefined if it is none. */
export function parseSpan(text: string): Span | undefined {
  if (text.length > TEXT_MAX) return undefined
  const words = text.trim().toLowerCase().split(/\s+/)
  const times = words[words.length - 1].includes(':') ? parseTimes(words.pop()!) : { from: 0, to: DAY_MINUTES }
  if (!times || words.length > 1) return undefined
  const days = words.length ? parseDays(words[0]) : DAYS.map(() => true)
  return days && { days, ...times }
}

function parseTimes(text: string): { from: number; to: number } | undefined {
  const found = /^(\d{1,2}):(\d\d)-(\d{1,2}):(\d\d)$/.exec(text)
  if (!found) return undefined
  const [h1, m1, h2, m2] = found.slice(1).map(Number)
  const [from, to] = [h1 * 60 + m1, h2 * 60 + m2]
  if (m1 > 59 || m2 > 59 || from >= DAY_MINUTES || to > DAY_MINUTES || from === to) return undefined
  return { from, to }
}

function parseDays(text: string): boolean[] | undefined {
  const days = DAYS.map(() => false)
  for (const part of text.split(',')) {
    const [first, last, more] = part.split('-').map((name) => DAYS.indexOf(name))
    if (more !== undefined || first < 0 || (last !== undefined && last < 0)) return undefined
    for (let day = first; ; day = (day + 1) % 7) {
      days[day] = true
      if (day === (last ?? first)) break
    }
  }
  return days
}

function covers({ days, from, to }: Span, { weekday, minute }: WeekTime): boolean {
  if (from < to) return days[weekday] && minute >= from && minute < to
  return (days[weekday] && minute >= from) || (days[(weekday + 6) % 7] && minute < to)
}

/** Whether a rule with these spans works at this time. No spans: always; spans of which none can be understood: never. */
export function isOpen(spans: string[], at: WeekTime): boolean {
  if (!spans.length) return true
  return spans.some((text) => {
    const span = parseSpan(text)
    return span !== undefined && covers(span, at)
  })
}

/** The time of the week on this device. */
export function weekTime(ms: number): WeekTime {
  const date = new Date(ms)
  return { weekday: date.getDay(), minute: date.getHours() * 60 + date.getMinutes() }
}
