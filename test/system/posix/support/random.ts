// Random numbers that come again with their seed.

export class Random {
  #state: number
  constructor(seed: number) {
    this.#state = (seed ^ 0x9e3779b9) >>> 0 || 1
  }

  /** 0 … 2^32 - 1. */
  next(): number {
    let x = this.#state
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#state = x >>> 0
    return this.#state
  }

  /** 0 … n - 1. */
  below(n: number): number {
    return this.next() % n
  }

  of<T>(values: readonly T[]): T {
    return values[this.below(values.length)]
  }

  /** Bytes that are not zero. */
  bytes(length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length)
    let x = this.next()
    for (let i = 0; i < length; i++) {
      x = (Math.imul(x, 1664525) + 1013904223) >>> 0
      bytes[i] = (x >>> 24) | 1
    }
    return bytes
  }
}
