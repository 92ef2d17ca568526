// Three-way merge of texts, line by line: diff3 (Khanna, Kunal, Pierce, FSTTCS 2007; node-diff3) between lines that are
// unique in all three texts and in the same order in all (the anchors of Cohen's patience diff): the comparison itself takes
// quadratic time. Owns what is a text and how much work a merge may be. Returns nothing rather than guess.

import { diff3Merge } from 'node-diff3'

/** Longer contents are not merged as texts. Bytes. */
export const TEXT_MAX = 1024 * 1024
/** Most pairs of lines to compare in all: a bound of time. */
const COMPARISONS_MAX = 20_000_000
/** Most pairs of equal lines between two anchors: a bound of memory. */
const PAIRS_MAX = 1_000_000

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Lines with their ends; undefined if it is no UTF-8 text or has a NUL. */
function linesOf(bytes: Uint8Array): string[] | undefined {
  if (bytes.length > TEXT_MAX || bytes.includes(0)) return
  try {
    return decoder.decode(bytes).match(/[^\n]*\n|[^\n]+$/g) ?? []
  } catch {
    return
  }
}

/** Positions of the lines that occur once. */
function uniqueLines(lines: string[]): Map<string, number> {
  const positions = new Map<string, number>()
  lines.forEach((line, i) => {
    positions.set(line, positions.has(line) ? -1 : i)
  })
  return positions
}

/** A longest subsequence whose `key` grows (Fredman's patience sorting). */
function increasing<T>(items: T[], key: (item: T) => number): T[] {
  const tops: number[] = []
  const previous: number[] = []
  items.forEach((item, i) => {
    let low = 0
    let high = tops.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (key(items[tops[middle]]) < key(item)) low = middle + 1
      else high = middle
    }
    previous[i] = low > 0 ? tops[low - 1] : -1
    tops[low] = i
  })
  const result: T[] = []
  for (let i = tops.at(-1) ?? -1; i >= 0; i = previous[i]) result.push(items[i])
  return result.reverse()
}

interface Anchor {
  a: number
  base: number
  b: number
}

function anchorsOf(a: string[], base: string[], b: string[]): Anchor[] {
  const [inA, inB] = [uniqueLines(a), uniqueLines(b)]
  const all: Anchor[] = []
  for (const [line, position] of uniqueLines(base)) {
    const anchor = { a: inA.get(line) ?? -1, base: position, b: inB.get(line) ?? -1 }
    if (anchor.a >= 0 && anchor.base >= 0 && anchor.b >= 0) all.push(anchor)
  }
  return increasing(
    increasing(
      all.sort((x, y) => x.base - y.base),
      (anchor) => anchor.a,
    ),
    (anchor) => anchor.b,
  )
}

function equalPairs(x: string[], y: string[]): number {
  const counts = new Map<string, number>()
  for (const line of x) counts.set(line, (counts.get(line) ?? 0) + 1)
  return y.reduce((sum, line) => sum + (counts.get(line) ?? 0), 0)
}

const sameLines = (x: string[], y: string[]): boolean => x.length === y.length && x.every((line, i) => line === y[i])

class TextMerge {
  readonly merged: string[] = []
  #budget = COMPARISONS_MAX

  /** Merges what lies between two anchors; false if that cannot be. */
  between(a: string[], base: string[], b: string[]): boolean {
    const side = sameLines(a, b) || sameLines(b, base) ? a : sameLines(a, base) ? b : undefined
    if (side) return this.#add(side)
    this.#budget -= base.length * (a.length + b.length)
    if (this.#budget < 0 || equalPairs(base, a) + equalPairs(base, b) > PAIRS_MAX) return false
    return diff3Merge(a, base, b, { excludeFalseConflicts: true }).every(({ ok }) => ok && this.#add(ok))
  }

  #add(lines: string[]): boolean {
    for (const line of lines) this.merged.push(line)
    return true
  }
}

/**
 * The text with the changes of both sides; undefined if one of the three is no text, if changes overlap or touch, or if it
 * would take too long to find out (very many equal lines). Deterministic.
 */
export function mergeText(a: Uint8Array, base: Uint8Array, b: Uint8Array): Uint8Array | undefined {
  const [linesA, lines, linesB] = [linesOf(a), linesOf(base), linesOf(b)]
  if (!linesA || !lines || !linesB) return
  const merge = new TextMerge()
  let last: Anchor = { a: 0, base: 0, b: 0 }
  // Each piece ends before an anchor and begins with the one before: the anchors themselves are equal lines of all three.
  const ends = [...anchorsOf(linesA, lines, linesB), { a: linesA.length, base: lines.length, b: linesB.length }]
  for (const end of ends) {
    const ok = merge.between(linesA.slice(last.a, end.a), lines.slice(last.base, end.base), linesB.slice(last.b, end.b))
    if (!ok) return
    last = end
  }
  return new TextEncoder().encode(merge.merged.join(''))
}
