// Hashes of the model: SHA-256 behind an algorithm byte. Owns the algorithm byte; nobody else calls a hash function for ids.

import { hash } from 'node:crypto'
import { type ChunkId, HASH_BYTES, type RId } from './types.js'

/** First byte of every stored hash: SHA-256 (its number in the multihash table). */
export const SHA_256 = 0x12

/** Id of a chunk: algorithm byte and SHA-256 of its bytes. A new array of 33 bytes. */
export function hashOf(bytes: Uint8Array): ChunkId {
  // As text of one character a byte: the quickest way out of crypto (a Buffer costs 1 µs more).
  const text = hash('sha256', bytes, 'binary')
  const id = new Uint8Array(HASH_BYTES)
  id[0] = SHA_256
  for (let i = 0; i < 32; i++) id[i + 1] = text.charCodeAt(i)
  return id
}

/** Id of a revision, given its canonical encoding (`encodeRevision`). */
export function ridOf(encoded: Uint8Array): RId {
  return hashOf(encoded)
}
