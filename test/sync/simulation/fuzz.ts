// Messages that nobody should send, from a seed: real ones with bytes changed, cut, doubled or taken from another one, and real ones
// with fields that were changed before they were encoded, which pass as messages and mean nonsense. Test support only.

import { decodeFrame, encodeFrame, type FrameBody } from '../../../lib/sync/messages.js'

/** mulberry32: the same numbers for the same seed. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let x = Math.imul(state ^ (state >>> 15), state | 1)
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61)
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32
  }
}

const NUMBERS = [0, 1, 2, 127, 128, 1000, 2 ** 31, 2 ** 32 - 1, 2 ** 40, Number.MAX_SAFE_INTEGER]

export class Fuzz {
  readonly #random: () => number

  /** `corpus`: messages as they are sent. */
  constructor(
    private readonly corpus: Uint8Array[],
    seed: number,
  ) {
    this.#random = randomOf(seed)
  }

  below(limit: number): number {
    return Math.floor(this.#random() * limit)
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]
  }

  next(): Uint8Array {
    const message = this.pick(this.corpus)
    if (this.below(2) === 0) return this.#otherFields(message)
    let bytes: Buffer = Buffer.from(message)
    for (let edits = 1 + this.below(3); edits > 0; edits--) bytes = this.#edited(bytes)
    return bytes
  }

  #edited(bytes: Buffer): Buffer {
    const at = this.below(bytes.length + 1)
    const [head, tail] = [bytes.subarray(0, at), bytes.subarray(at)]
    switch (this.below(7)) {
      case 0:
        if (at < bytes.length) bytes[at] ^= 1 << this.below(8)
        return bytes
      case 1:
        if (at < bytes.length) bytes[at] = this.pick([0, 1, 127, 128, 255, 10, 18, 26, 34, 42, 50])
        return bytes
      case 2:
        return Buffer.concat([head, tail.subarray(this.below(20))])
      case 3:
        return Buffer.concat([head, Buffer.alloc(this.below(6), this.below(256)), tail])
      case 4:
        return Buffer.concat([head, tail.subarray(0, this.below(60)), tail])
      case 5:
        return head
      default: {
        const other = this.pick(this.corpus)
        return Buffer.concat([head, other.subarray(this.below(other.length))])
      }
    }
  }

  /** Encoded as it should be, with other values. */
  #otherFields(message: Uint8Array): Uint8Array {
    const frame = decodeFrame(message)
    const [kind, body] = Object.entries(frame).find(([, value]) => value && typeof value === 'object') ?? []
    if (!kind || !body) return message
    const changed: Record<string, unknown> = { ...(body as object) }
    for (const [key, value] of Object.entries(changed)) if (this.below(3) === 0) changed[key] = this.#other(value)
    return encodeFrame({ [kind]: changed } as FrameBody)
  }

  #other(value: unknown): unknown {
    if (typeof value === 'number') return this.pick(NUMBERS)
    if (typeof value === 'boolean') return !value
    if (typeof value === 'string') return 'x'.repeat(this.below(300))
    if (value instanceof Uint8Array) return this.#otherBytes(value)
    if (Array.isArray(value)) return this.#otherList(value)
    if (!value || typeof value !== 'object') return value
    const changed: Record<string, unknown> = { ...value }
    for (const [key, inner] of Object.entries(changed)) if (this.below(2) === 0) changed[key] = this.#other(inner)
    return changed
  }

  #otherBytes(value: Uint8Array): Uint8Array {
    const bytes = Buffer.from(value)
    if (bytes.length && this.below(3) > 0) bytes[this.below(bytes.length)] ^= 1 << this.below(8)
    else return bytes.subarray(0, this.below(bytes.length + 1))
    return bytes
  }

  #otherList(list: unknown[]): unknown[] {
    if (!list.length) return list
    switch (this.below(4)) {
      case 0:
        return []
      case 1:
        return [...list, ...list, ...list]
      case 2:
        return Array.from({ length: this.below(50) === 0 ? 6000 : 5 }, () => this.pick(list))
      default:
        return list.map((item) => (this.below(2) === 0 ? this.#other(item) : item))
    }
  }
}
