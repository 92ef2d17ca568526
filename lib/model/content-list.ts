// A list chunk of a content tree: fixed entries, id (33 bytes) and size of the bytes below (8, big endian). Owns its encoding
// and where a sequence of entries is cut into lists; knows nothing of what is below.

import { InvalidContentError, NotCanonicalError } from './errors.js'
import { SHA_256 } from './hash.js'
import { isHash } from './ids.js'
import { type ChunkRef, HASH_BYTES } from './types.js'

/** Bytes of one entry. */
export const LIST_ENTRY = HASH_BYTES + 8
/** No list but the last of a level has fewer entries. */
export const LIST_MIN = 32
/** No list has more. */
export const LIST_MAX = 1024
/** Cut behind an entry whose id ends in eight zero bits: every 256th. */
const CUT_BYTE = HASH_BYTES - 1

/** Throws InvalidContentError if an entry is none (id, size of 0 or beyond 2^53 - 1). */
export function encodeList(entries: readonly ChunkRef[]): Uint8Array {
  const bytes = new Uint8Array(entries.length * LIST_ENTRY)
  const view = new DataView(bytes.buffer)
  for (let i = 0; i < entries.length; i++) {
    const { id, size } = entries[i]
    if (!isHash(id)) throw new InvalidContentError('a chunk whose id is not a hash')
    if (!Number.isSafeInteger(size) || size <= 0) throw new InvalidContentError(`a chunk of ${size} bytes`)
    bytes.set(id, i * LIST_ENTRY)
    view.setUint32(i * LIST_ENTRY + HASH_BYTES, Math.floor(size / 0x1_0000_0000))
    view.setUint32(i * LIST_ENTRY + HASH_BYTES + 4, size >>> 0)
  }
  return bytes
}

/** An entry and where its bytes begin below the list. */
export interface ListEntry extends ChunkRef {
  offset: number
}

function notCanonical(reason: string): NotCanonicalError {
  return new NotCanonicalError('a chunk list', reason)
}

/**
 * The entries of a list that cover bytes [from, to) below it (all without); their ids are views of `bytes`. All of it is
 * checked. `size`: what its entries have to add up to.
 * Throws NotCanonicalError if it is no list of 1 to LIST_MAX entries, InvalidContentError if the sizes do not add up.
 */
export function decodeList(bytes: Uint8Array, size?: number, from = 0, to = Number.POSITIVE_INFINITY): ListEntry[] {
  const count = bytes.length / LIST_ENTRY
  if (!Number.isInteger(count) || count < 1 || count > LIST_MAX) throw notCanonical(`${bytes.length} bytes`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const entries: ListEntry[] = []
  let offset = 0
  for (let at = 0; at < bytes.length; at += LIST_ENTRY) {
    const length = view.getUint32(at + HASH_BYTES) * 0x1_0000_0000 + view.getUint32(at + HASH_BYTES + 4)
    const end = offset + length
    if (bytes[at] !== SHA_256) throw notCanonical('an id that is not a hash')
    if (length === 0) throw notCanonical('an entry without bytes')
    if (end > Number.MAX_SAFE_INTEGER) throw notCanonical('sizes beyond 2^53 - 1')
    if (end > from && offset < to) entries.push({ id: bytes.subarray(at, at + HASH_BYTES), size: length, offset })
    offset = end
  }
  if (size !== undefined && offset !== size) {
    throw new InvalidContentError(`a list of ${offset} bytes where ${size} should be`)
  }
  return entries
}

/** Cuts a level into lists. Where depends on the ids alone, so that a change moves no boundary far from it. */
export function* cutLists(entries: readonly ChunkRef[]): Generator<ChunkRef[]> {
  let start = 0
  for (let i = 0; i < entries.length; i++) {
    const count = i + 1 - start
    const last = i === entries.length - 1
    if (last || count === LIST_MAX || (count >= LIST_MIN && entries[i].id[CUT_BYTE] === 0)) {
      yield entries.slice(start, i + 1)
      start = i + 1
    }
  }
}
