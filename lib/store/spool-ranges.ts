// The ranges of a spool that are its own: sorted, merged, half-open. Pure.

export type Range = [offset: number, length: number]

/** Adds a range. Appending and extending at the end are O(1); elsewhere O(log n) and a move. Changes `ranges`. */
export function addRange(ranges: Range[], offset: number, length: number): void {
  if (length <= 0) return
  const end = offset + length
  let from = lowerBound(ranges, offset)
  let to = from
  let start = offset
  let stop = end
  while (to < ranges.length && ranges[to][0] <= end) {
    start = Math.min(start, ranges[to][0])
    stop = Math.max(stop, ranges[to][0] + ranges[to][1])
    to++
  }
  if (from > to) from = to
  ranges.splice(from, to - from, [start, stop - start])
}

/** Index of the first range that ends at `offset` or behind. */
function lowerBound(ranges: Range[], offset: number): number {
  let low = 0
  let high = ranges.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (ranges[middle][0] + ranges[middle][1] < offset) low = middle + 1
    else high = middle
  }
  return low
}

/** Cuts off what lies at `size` or behind. Changes `ranges`. */
export function cutRanges(ranges: Range[], size: number): void {
  while (ranges.length > 0) {
    const last = ranges[ranges.length - 1]
    if (last[0] >= size) ranges.pop()
    else {
      last[1] = Math.min(last[1], size - last[0])
      return
    }
  }
}
