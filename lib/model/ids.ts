// What an id looks like. Checks lengths and algorithm bytes only: whether something has that id is for others to know.

import { SHA_256 } from './hash.js'
import { CLOCK_BYTES, type Clock, DID_BYTES, type DId, HASH_BYTES, type RId } from './types.js'

const isBytes = (value: unknown): value is Uint8Array => value instanceof Uint8Array

/** 16 bytes. */
export const isDId = (value: unknown): value is DId => isBytes(value) && value.length === DID_BYTES

/** 16 bytes, as a DId; another word for another thing. */
export const isSId = isDId

/** 33 bytes that begin with the algorithm byte of SHA-256: an RId or a ChunkId. */
export const isHash = (value: unknown): value is RId =>
  isBytes(value) && value.length === HASH_BYTES && value[0] === SHA_256

export const isRId = isHash
export const isChunkId = isHash

/** 8 bytes. */
export const isClock = (value: unknown): value is Clock => isBytes(value) && value.length === CLOCK_BYTES
