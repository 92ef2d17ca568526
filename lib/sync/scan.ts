// A look at the bytes of a frame before anything is made of them: how many fields there are. A decoder makes an object for
// every field, so a small frame could cost much memory otherwise. Allocates nothing.

import { SyncProtocolError } from './errors.js'

const LENGTH_DELIMITED = 2
const VARINT = 0

class Scanner {
  at = 0

  constructor(private readonly bytes: Uint8Array) {}

  varint(): number {
    let value = 0
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.at >= this.bytes.length) break
      const byte = this.bytes[this.at++]
      if (shift < 49) value += (byte & 127) * 2 ** shift
      if (byte < 128) return value
    }
    throw malformed('a number does not end')
  }

  /** Steps over one field; answers where its content begins and ends. */
  field(end: number): { tag: number; from: number; to: number } {
    const tag = this.varint()
    const type = tag & 7
    if (type === LENGTH_DELIMITED) {
      const length = this.varint()
      const from = this.at
      this.at += length
      if (this.at > end) throw malformed('a field ends behind the frame')
      return { tag, from, to: this.at }
    }
    if (type !== VARINT) throw malformed('a field of a kind that is not used')
    const from = this.at
    this.varint()
    if (this.at > end) throw malformed('a field ends behind the frame')
    return { tag, from, to: this.at }
  }
}

function malformed(what: string): SyncProtocolError {
  return new SyncProtocolError(`A frame that is no message came in: ${what}.`)
}

/** Throws SyncProtocolError unless the frame is one message of at most `most` fields. */
export function scanFrame(bytes: Uint8Array, most: number): void {
  const scanner = new Scanner(bytes)
  const message = scanner.field(bytes.length)
  if ((message.tag & 7) !== LENGTH_DELIMITED || scanner.at !== bytes.length) throw malformed('it is not one message')
  scanner.at = message.from
  for (let count = 0; scanner.at < message.to; scanner.field(message.to))
    if (++count > most) throw malformed(`more than ${most} fields`)
}
