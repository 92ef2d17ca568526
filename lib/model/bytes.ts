// Byte strings: hexadecimal text, order, equality. Owns nothing; never changes what it is given.

import { InvalidValueError } from './errors.js'

const { hexSlice } = Buffer.prototype as unknown as { hexSlice(this: Uint8Array, from: number, to: number): string }

/** Lower-case hexadecimal text; what a Map is keyed by where the key is a byte string. */
export function hex(bytes: Uint8Array): string {
  return hexSlice.call(bytes, 0, bytes.length)
}

/** Inverse of `hex`; also takes upper case. Throws InvalidValueError for anything else. */
export function unhex(text: string): Uint8Array {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) {
    throw new InvalidValueError('a hexadecimal text', `${JSON.stringify(text.slice(0, 80))} is none`)
  }
  return new Uint8Array(Buffer.from(text, 'hex'))
}

/** Bytewise order, shorter first where one begins with the other: < 0, 0, > 0. */
export function compare(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length)
  for (let i = 0; i < shared; i++) {
    const difference = a[i] - b[i]
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

/** Same length and same bytes. Not for secrets: it takes less time the earlier they differ. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a === b || (a.length === b.length && compare(a, b) === 0)
}

/** Order of texts by their UTF-8 bytes (which is by code point, and not what `<` does): < 0, 0, > 0. */
export function compareText(a: string, b: string): number {
  const shared = Math.min(a.length, b.length)
  for (let i = 0; i < shared; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x === y) continue
    // Surrogates stand for code points above all others of 16 bits.
    return (x >= 0xd800 && x < 0xe000 ? x + 0x10000 : x) - (y >= 0xd800 && y < 0xe000 ? y + 0x10000 : y)
  }
  return a.length - b.length
}

/** One array of all of them, in order; the array itself if there is but one. */
export function concat(parts: Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let offset = 0
  for (const part of parts) {
    all.set(part, offset)
    offset += part.length
  }
  return all
}
