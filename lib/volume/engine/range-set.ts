// Sorted, merged, non-overlapping ranges of bytes: which parts of a content are a spool's own. Owns the list.

export class RangeSet {
  #starts: number[] = []
  #ends: number[] = []

  constructor(ranges: Iterable<[offset: number, length: number]> = []) {
    for (const [offset, length] of ranges) this.add(offset, length)
  }

  get count(): number {
    return this.#starts.length
  }

  /** Index of the first range that ends after `offset`. */
  #after(offset: number): number {
    let low = 0
    let high = this.#ends.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#ends[middle] > offset) high = middle
      else low = middle + 1
    }
    return low
  }

  covers(offset: number, length: number): boolean {
    const i = this.#after(offset)
    return i < this.#starts.length && this.#starts[i] <= offset && this.#ends[i] >= offset + length
  }

  add(offset: number, length: number): void {
    if (length <= 0) return
    let start = offset
    let end = offset + length
    // Neighbours that only touch are merged as well.
    const from = this.#after(start - 0.5)
    let to = from
    while (to < this.#starts.length && this.#starts[to] <= end) {
      start = Math.min(start, this.#starts[to])
      end = Math.max(end, this.#ends[to])
      to++
    }
    this.#starts.splice(from, to - from, start)
    this.#ends.splice(from, to - from, end)
  }

  /** Nothing at or beyond `size`. */
  cut(size: number): void {
    const i = this.#after(size)
    if (i >= this.#starts.length) return
    const keep = this.#starts[i] < size ? i + 1 : i
    this.#starts.length = keep
    this.#ends.length = keep
    if (keep > i) this.#ends[i] = size
  }

  /** The piece that begins at `offset` and ends at `limit` at the latest: where it ends, and whether it is in a range. */
  piece(offset: number, limit: number): { end: number; own: boolean } {
    const i = this.#after(offset)
    if (i >= this.#starts.length) return { end: limit, own: false }
    if (this.#starts[i] > offset) return { end: Math.min(limit, this.#starts[i]), own: false }
    return { end: Math.min(limit, this.#ends[i]), own: true }
  }

  list(): [number, number][] {
    return this.#starts.map((start, i) => [start, this.#ends[i] - start])
  }
}
