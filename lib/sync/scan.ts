// A look at the bytes of a frame before anything is made of them: is this one message of proto/sync.proto, with no more fields than
// are allowed (a decoder makes an object of each), and is it encoded as we would have: known fields only, in their order, no defaults,
// numbers as short as they can be. So there is one encoding of a message, which a property in the tests compares with encoding
// again what was decoded. Costs a few steps for each field, whatever its length. Allocates nothing.

import { isUtf8 } from 'node:buffer'
import { SyncProtocolError } from './errors.js'

const VARINT = 0
const LENGTH_DELIMITED = 2

/** What is in a field; of a message, its fields by their numbers. */
type Kind = 'bytes' | 'text' | 'bool' | 'u32' | 'u64' | Field[]
interface Field {
  kind: Kind
  /** May come any number of times, empty or not. */
  many?: true
}

const NONE: Field = { kind: [] }
const one = (kind: Kind): Field => ({ kind })
const many = (kind: Kind): Field => ({ kind, many: true })
/** Fields in the order of their numbers, from 1 on. */
const message = (...fields: Field[]): Field[] => [NONE, ...fields]

const [BYTES, TEXT, BOOL, U32, U64] = (['bytes', 'text', 'bool', 'u32', 'u64'] as const).map(one)
const OFFER = message(BYTES, BYTES, TEXT, U64, BOOL)
const CHANGE = message(BYTES, BYTES, BYTES)
/** proto/sync.proto, message by message. */
const FRAME = message(
  one(message(many(OFFER))),
  one(message(BYTES, BYTES, U64, U32, BOOL)),
  one(message(BYTES, BYTES, U64, U64, many(CHANGE), many('bytes'), U32)),
  one(message(BYTES, U64, U32)),
  one(message(BYTES, U32, many('bytes'), U32, many('bytes'), many('bytes'), many('bytes'), BOOL, many('bytes'))),
  one(message(U32, BOOL, many('bytes'), many('bytes'), many(CHANGE), many('bytes'))),
)

class Scanner {
  at = 0
  #left: number

  constructor(
    private readonly bytes: Uint8Array,
    private readonly most: number,
  ) {
    this.#left = most
  }

  /** All fields up to `end`. */
  #fields(fields: Field[], end: number): void {
    for (let before = 0; this.at < end; ) before = this.field(fields, before, end)
  }

  /** One field, behind field number `before`. Answers its number. */
  field(fields: Field[], before: number, end: number): number {
    if (--this.#left < 0) throw malformed(`more than ${this.most} fields`)
    const tag = this.#varint()
    const number = Math.floor(tag / 8)
    const field = number > 0 ? fields[number] : undefined
    if (!field) throw otherwise('a field that is not known')
    if (number < before || (number === before && !field.many)) throw otherwise('a field that is not in its place')
    this.#content(field, tag & 7, end)
    return number
  }

  #content({ kind, many }: Field, type: number, end: number): void {
    const isNumber = kind === 'u32' || kind === 'u64' || kind === 'bool'
    if (type !== (isNumber ? VARINT : LENGTH_DELIMITED)) throw malformed('a field of a kind that is not used')
    const value = this.#varint()
    const isMessage = typeof kind === 'object'
    if (value === 0 && !many && !isMessage) throw otherwise('a default')
    if (isNumber) {
      if (value > (kind === 'bool' ? 1 : kind === 'u32' ? 0xffff_ffff : Number.MAX_SAFE_INTEGER))
        throw malformed('a number is too large')
      if (this.at > end) throw malformed('a field ends behind the frame')
      return
    }
    const to = this.at + value
    if (to > end) throw malformed('a field ends behind the frame')
    if (isMessage) this.#fields(kind, to)
    else if (kind === 'text' && !isUtf8(this.bytes.subarray(this.at, to))) throw malformed('a text that is none')
    this.at = to
  }

  /** Exact below 2^53; what is larger is only known to be so. */
  #varint(): number {
    let value = 0
    for (let scale = 1, length = 1; length <= 10 && this.at < this.bytes.length; scale *= 128, length++) {
      const byte = this.bytes[this.at++]
      value += (byte & 127) * scale
      if (byte >= 128) continue
      if (byte === 0 && length > 1) throw otherwise('a number that is longer than it need be')
      return value
    }
    throw malformed('a number does not end')
  }
}

function malformed(what: string): SyncProtocolError {
  return new SyncProtocolError(`A frame that is no message came in: ${what}.`)
}

function otherwise(what: string): SyncProtocolError {
  return new SyncProtocolError(`A frame came in that is not encoded as it should be: ${what}.`)
}

/** Throws SyncProtocolError unless the frame is one message of at most `most` fields, those of messages in it included. */
export function scanFrame(bytes: Uint8Array, most: number): void {
  const scanner = new Scanner(bytes, most)
  scanner.field(FRAME, 0, bytes.length)
  if (scanner.at !== bytes.length) throw malformed('it is not one message')
}
