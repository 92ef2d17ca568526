// The bytes of a spooled content, seen as one sequence: own ranges from the spool file, the rest from the base, holes and
// everything beyond the file's end as zeros. Owns the open file; never writes.

import { closeSync, openSync, readSync } from 'node:fs'

/** Fills `into` with bytes of the base from `offset`; all of them are there. */
export type BaseReader = (offset: number, into: Uint8Array) => void

export class SpoolBytes {
  readonly #fd: number
  readonly #ranges: [number, number][]
  readonly #readBase?: BaseReader
  readonly #baseSize: number
  /** The first range that ends behind the last offset asked for. */
  #next = 0

  /** `ranges`: the spool's own, sorted and merged; without a base everything is. */
  constructor(
    components: { readBase?: BaseReader },
    init: { path: string; size: number; baseSize: number; ranges: [number, number][] },
  ) {
    this.#fd = openSync(init.path, 'r')
    this.#readBase = components.readBase
    this.#baseSize = components.readBase ? init.baseSize : 0
    this.#ranges = components.readBase ? init.ranges : [[0, init.size]]
  }

  close(): void {
    closeSync(this.#fd)
  }

  /** Fills `into` with the content from `offset`. Cheapest when offsets ascend. */
  read(offset: number, into: Uint8Array): void {
    const end = offset + into.length
    if (this.#next > 0 && this.#endOf(this.#next - 1) > offset) this.#next = 0
    while (this.#next < this.#ranges.length && this.#endOf(this.#next) <= offset) this.#next++
    let at = offset
    for (let i = this.#next; at < end; i++) {
      const own = i < this.#ranges.length && this.#startOf(i) < end
      const from = own ? Math.max(at, this.#startOf(i)) : end
      if (from > at) this.#below(at, into.subarray(at - offset, from - offset))
      if (!own) return
      const to = Math.min(end, this.#endOf(i))
      this.#own(from, into.subarray(from - offset, to - offset))
      at = to
    }
  }

  #startOf(i: number): number {
    return this.#ranges[i][0]
  }

  #endOf(i: number): number {
    return this.#ranges[i][0] + this.#ranges[i][1]
  }

  #below(offset: number, into: Uint8Array): void {
    const seen = Math.max(0, Math.min(into.length, this.#baseSize - offset))
    if (seen > 0) this.#readBase!(offset, into.subarray(0, seen))
    into.fill(0, seen)
  }

  #own(offset: number, into: Uint8Array): void {
    let got = 0
    while (got < into.length) {
      const n = readSync(this.#fd, into, got, into.length - got, offset + got)
      if (n === 0) break
      got += n
    }
    into.fill(0, got)
  }
}
