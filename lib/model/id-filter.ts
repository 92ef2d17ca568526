// Bloom, "Space/Time Trade-offs in Hash Coding with Allowable Errors" (CACM 1970): a set of ids in ten bits each, that never
// denies one that is in it, and takes about one of a hundred others for one. For protecting: what is protected too much is only kept.
// The ids are hashes (an algorithm byte and 32 bytes), so their own bytes are the hash functions.

const BITS_PER_ID = 10
const PROBES = 7

export class IdFilter {
  readonly #bits: Uint8Array
  readonly #mask: number

  /** `count`: ids that it is made for; with more it takes more for members. */
  constructor(count: number) {
    let bits = 1024
    while (bits < count * BITS_PER_ID && bits < 2 ** 31) bits *= 2
    this.#bits = new Uint8Array(bits / 8)
    this.#mask = bits - 1
  }

  add(id: Uint8Array): void {
    for (let i = 0; i < PROBES; i++) {
      const bit = this.#bit(id, i)
      this.#bits[bit >>> 3] |= 1 << (bit & 7)
    }
  }

  has(id: Uint8Array): boolean {
    for (let i = 0; i < PROBES; i++) {
      const bit = this.#bit(id, i)
      if ((this.#bits[bit >>> 3] & (1 << (bit & 7))) === 0) return false
    }
    return true
  }

  /** Four bytes of the id, beginning at another place each time. */
  #bit(id: Uint8Array, probe: number): number {
    const at = 1 + probe * 4
    return (id[at] | (id[at + 1] << 8) | (id[at + 2] << 16) | ((id[at + 3] & 127) << 24)) & this.#mask
  }
}
