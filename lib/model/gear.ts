// The gear of the chunker: how content is cut, in numbers. Every node must cut alike, or equal content would not be shared:
// what is in here never changes (golden vectors in test/model/chunker.spec.ts); chunker.wat repeats the numbers.

import { hash } from 'node:crypto'

/** No chunk but the last is shorter. Bytes. */
export const CHUNK_MIN = 8 * 1024
/** Up to here the strict mask decides, above the loose one, which draws sizes towards it. Bytes. */
export const CHUNK_NORMAL = 32 * 1024
/** No chunk is longer. Bytes. */
export const CHUNK_MAX = 128 * 1024
/** 17 and 13 bits: FastCDC's normalisation level 2 around 2^15. The upper bits, which see the most bytes. */
export const MASK_STRICT = 0xffff8000 | 0
export const MASK_LOOSE = 0xfff80000 | 0

/** 256 numbers of 32 bits: SHA-256 of "PeerDrive gear 0" … "PeerDrive gear 31", read as big-endian words. */
export const GEAR: Int32Array = makeGear()

function makeGear(): Int32Array {
  const gear = new Int32Array(256)
  for (let i = 0; i < 32; i++) {
    const block = hash('sha256', `PeerDrive gear ${i}`, 'buffer')
    for (let j = 0; j < 8; j++) gear[i * 8 + j] = block.readInt32BE(j * 4)
  }
  return gear
}
