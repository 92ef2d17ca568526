// One entry of a folder as bytes: protobuf FolderEntry (proto/model.proto) behind its length, and the rules for a sequence of
// them. Owns this encoding, written by hand because there are many; test/model/folder.spec.ts compares it with protobufjs.

import { compare } from './bytes.js'
import { InvalidFolderError, NotCanonicalError } from './errors.js'
import { CLOCK_BYTES, DID_BYTES, type FolderEntry, TYPE_MASK } from './types.js'

/** Most bytes of a name. */
export const ENTRY_NAME_MAX = 255
/** Bytes of document, type and stamp with their tags and lengths. */
const TAIL = 2 + DID_BYTES + 2 + 2 + CLOCK_BYTES
/** Most bytes of an encoded entry. */
export const ENTRY_BYTES_MAX = 2 + 3 + ENTRY_NAME_MAX + TAIL
const TAG_NAME = 0x0a
const TAG_DOCUMENT = 0x12
const TAG_TYPE = 0x18
const TAG_STAMP = 0x22

/** Why these bytes cannot be the name of an entry; undefined if they can. Any bytes can, but those that a path gives a meaning. */
export function nameFault(name: Uint8Array): string | undefined {
  const { length } = name
  if (length === 0 || length > ENTRY_NAME_MAX) return `a name of ${length} bytes`
  if (name[0] === 0x2e && (length === 1 || (length === 2 && name[1] === 0x2e))) return 'an entry named . or ..'
  for (let i = 0; i < length; i++) {
    if (name[i] === 0 || name[i] === 0x2f) return 'a name with a slash or NUL'
  }
}

const isType = (type: number) => Number.isInteger(type) && type > 0 && type < 32 && (type & TYPE_MASK) !== 0

/** Throws InvalidFolderError unless name, document, type (1..15, and TYPE_LINK) and stamp are valid. */
export function checkEntry(entry: FolderEntry): void {
  const fault = nameFault(entry.name)
  if (fault) throw new InvalidFolderError(fault)
  if (entry.document.length !== DID_BYTES) throw new InvalidFolderError('a document id that has not 16 bytes')
  if (!isType(entry.type)) {
    throw new InvalidFolderError(`an entry of type ${entry.type}`)
  }
  if (entry.stamp.length !== CLOCK_BYTES) throw new InvalidFolderError('a stamp that has not 8 bytes')
}

/** Bytes of the entry with its length in front: depends on its name alone. */
export function entryLength(entry: FolderEntry): number {
  const { length } = entry.name
  const inner = length + (length < 128 ? 2 : 3) + TAIL
  return inner + (inner < 128 ? 1 : 2)
}

function putLength(bytes: Uint8Array, at: number, length: number): number {
  if (length < 128) {
    bytes[at] = length
    return at + 1
  }
  bytes[at] = (length & 127) | 128
  bytes[at + 1] = length >>> 7
  return at + 2
}

function putEntry(bytes: Uint8Array, start: number, entry: FolderEntry): number {
  const { length } = entry.name
  let at = putLength(bytes, start, length + (length < 128 ? 2 : 3) + TAIL)
  bytes[at] = TAG_NAME
  at = putLength(bytes, at + 1, length)
  bytes.set(entry.name, at)
  at += length
  bytes[at] = TAG_DOCUMENT
  bytes[at + 1] = DID_BYTES
  bytes.set(entry.document, at + 2)
  at += 2 + DID_BYTES
  bytes[at] = TAG_TYPE
  bytes[at + 1] = entry.type
  bytes[at + 2] = TAG_STAMP
  bytes[at + 3] = CLOCK_BYTES
  bytes.set(entry.stamp, at + 4)
  return at + 4 + CLOCK_BYTES
}

/** The encoding of a sequence of entries, in their order. Throws InvalidFolderError if one of them is not valid. */
export function encodeFolderEntries(entries: readonly FolderEntry[]): Uint8Array {
  let length = 0
  for (const entry of entries) {
    checkEntry(entry)
    length += entryLength(entry)
  }
  const bytes = new Uint8Array(length)
  let at = 0
  for (const entry of entries) at = putEntry(bytes, at, entry)
  return bytes
}

class EntryReader {
  #at = 0
  constructor(readonly bytes: Uint8Array) {}

  get ended(): boolean {
    return this.#at === this.bytes.length
  }

  #byte(expected?: number): number {
    const byte = this.bytes[this.#at++]
    if (byte === undefined || (expected !== undefined && byte !== expected)) throw notCanonical('an unexpected byte')
    return byte
  }

  #length(): number {
    const low = this.#byte()
    if (low < 128) return low
    const high = this.#byte()
    if (high === 0 || high > 127) throw notCanonical('a length')
    return (low & 127) | (high << 7)
  }

  #view(length: number): Uint8Array {
    const view = this.bytes.subarray(this.#at, this.#at + length)
    if (view.length !== length) throw notCanonical('they end too early')
    this.#at += length
    return view
  }

  entry(): FolderEntry {
    const length = this.#length()
    const start = this.#at
    this.#byte(TAG_NAME)
    const name = this.#view(this.#length())
    const fault = nameFault(name)
    if (fault) throw notCanonical(fault)
    this.#byte(TAG_DOCUMENT)
    this.#byte(DID_BYTES)
    const document = this.#view(DID_BYTES)
    this.#byte(TAG_TYPE)
    const type = this.#byte()
    if (!isType(type)) throw notCanonical(`an entry of type ${type}`)
    this.#byte(TAG_STAMP)
    this.#byte(CLOCK_BYTES)
    const stamp = this.#view(CLOCK_BYTES)
    if (this.#at - start !== length) throw notCanonical('a length that is not that of the entry')
    return { name, document, type, stamp }
  }
}

function notCanonical(reason: string): NotCanonicalError {
  return new NotCanonicalError('folder entries', reason)
}

/**
 * The entries that these bytes encode; their byte strings are views of `bytes`. `after`: a name that they have to follow.
 * Throws NotCanonicalError if they are not sorted by name or anything but what `encodeFolderEntries` writes.
 */
export function decodeFolderEntries(bytes: Uint8Array, after?: Uint8Array): FolderEntry[] {
  const entries: FolderEntry[] = []
  const reader = new EntryReader(bytes)
  let previous = after
  while (!reader.ended) {
    const entry = reader.entry()
    if (previous && compare(previous, entry.name) >= 0) throw notCanonical('names that are not sorted')
    previous = entry.name
    entries.push(entry)
  }
  return entries
}
