// Parents, flags, creation, author and clock of an encoded revision, without decoding the rest: for walks over thousands of
// them. For bytes that were checked when they came in; never believes lengths, and says no more than that bytes are none.

import { NotCanonicalError } from './errors.js'
import { isClock, isRId } from './ids.js'
import type { Clock, RId } from './types.js'

export interface SkimmedRevision {
  parents: RId[]
  flags: number
  /** Creation of the document, encoded: equal bytes are equal times. */
  created: Uint8Array
  /** 32 bytes, or none. */
  author: Uint8Array
  clock: Clock
}

// Keys of protobuf fields (proto/model.proto): number << 3 | wire type.
const PARENT = (2 << 3) | 2
const FLAGS = 4 << 3
const CREATED = (5 << 3) | 2
const AUTHOR = (7 << 3) | 2
const CLOCK = (8 << 3) | 2
const VARINT = 0
const BYTES = 2

const NOTHING = new Uint8Array(0)

function fail(): never {
  throw new NotCanonicalError('a revision', 'its fields cannot be told apart')
}

/** Its byte strings are views of `bytes`. Throws NotCanonicalError if these are no fields, or there is no clock. */
export function skimRevision(bytes: Uint8Array): SkimmedRevision {
  const parents: RId[] = []
  let created: Uint8Array = NOTHING
  let author: Uint8Array = NOTHING
  let flags = 0
  let at = 0
  const varint = (): number => {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++]
      if (byte === undefined || scale > 2 ** 63) fail()
      value += (byte & 127) * scale
      if (byte < 128) return value
    }
  }
  while (at < bytes.length) {
    const key = varint()
    const length = varint()
    if (key === FLAGS) flags = length
    if ((key & 7) === VARINT) continue
    if ((key & 7) !== BYTES) fail()
    if (length > bytes.length - at) fail()
    const value = bytes.subarray(at, at + length)
    // Fields come in the order of their numbers: nothing behind the clock is wanted.
    if (key === CLOCK) return isClock(value) ? { parents, flags, created, author, clock: value } : fail()
    if (key === PARENT) parents.push(isRId(value) ? value : fail())
    else if (key === CREATED) created = value
    else if (key === AUTHOR) author = value
    at += length
  }
  fail()
}
