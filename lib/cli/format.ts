// How values are written for people. Pure.

import type { HoldingInfo } from '../api/services.js'

export { printable } from '../console/printable.js'

/** 1536 → `1.5 KiB`. */
export function bytes(n: number): string {
  if (n < 1024) return `${n} B`
  let value = n
  let unit = -1
  while (value >= 1024 && unit < 3) {
    value /= 1024
    unit++
  }
  return `${value.toFixed(value < 10 ? 1 : 0)} ${['KiB', 'MiB', 'GiB', 'TiB'][unit]}`
}

/** Local time to the second. */
export function time(ms: number): string {
  const d = new Date(ms)
  const two = (n: number) => String(n).padStart(2, '0')
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`
}

/** Milliseconds as `3 s`, `5 min`, `2 h`, `4 days`. */
export function span(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000))
  if (s < 90) return `${s} s`
  if (s < 90 * 60) return `${Math.round(s / 60)} min`
  if (s < 36 * 3600) return `${Math.round(s / 3600)} h`
  return `${Math.round(s / 86400)} days`
}

/** Columns padded to their widest cell, two spaces between; the last column is not padded. */
export function table(rows: string[][]): string {
  const widths: number[] = []
  for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length)
  return rows
    .map((row) => row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i]))).join('  '))
    .join('\n')
}

const SIZES: Record<string, number> = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 }
const SPANS: Record<string, number> = { m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000, y: 31_536_000_000 }

/** `10GB`, `500 MiB`, `1.5g` → bytes (1024 to the kilo). Throws an Error for people. */
export function sizeOf(text: string): number {
  const found = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?$/i.exec(text.trim())
  if (!found) throw new Error(`'${text}' is no size: 500MB, 10GB, 1TB.`)
  return Math.round(Number(found[1]) * SIZES[found[2].toLowerCase()])
}

/** `12h`, `30d`, `8w`, `2y` → milliseconds. Throws an Error for people. */
export function spanOf(text: string): number {
  const found = /^(\d+)\s*([mhdwy])$/i.exec(text.trim())
  if (!found) throw new Error(`'${text}' is no time: 12h, 30d, 8w, 2y, or forever.`)
  return Number(found[1]) * SPANS[found[2].toLowerCase()]
}

/** As the end of a sentence about a volume. */
export function holdingText({ hold, budget, retainMs, pins, bytes: used, lacking }: HoldingInfo): string {
  const parts = [
    hold === 'on-demand' ? `holds contents on demand, within ${bytes(budget)}` : 'holds everything',
    used > 0 ? `${bytes(used)} of contents are here` : '',
    retainMs > 0 ? `old versions stay for ${span(retainMs)}` : '',
    pins.length > 0 ? `${pins.length} pinned` : '',
    lacking > 0 ? `${lacking} files lack something still` : '',
  ]
  return parts.filter(Boolean).join(', ')
}
