// Chunking again what changed a little. Owns the plan which bytes to read and which chunks stay; reads through a callback.
// Law: the result is that of chunking the whole new content (given that the old list was made by this chunker).

import { concat } from './bytes.js'
import { Chunker } from './chunker.js'
import { InvalidContentError } from './errors.js'
import { CHUNK_MAX } from './gear.js'
import type { ChunkId, ChunkRef } from './types.js'

/** Half-open in the new content: [offset, offset + length). Bytes. */
export interface ChangedRange {
  offset: number
  length: number
}

/** A chunk of the new content: one of the old list, or new bytes that are yet to be hashed. */
export type NewChunk =
  | { offset: number; size: number; id: ChunkId; bytes?: undefined }
  | { offset: number; size: number; id?: undefined; bytes: Uint8Array }

export interface RechunkInput {
  /** The chunks of the old content, in order. */
  old: readonly ChunkRef[]
  /** Sorted by offset, not overlapping. Everything else, up to the shorter of both sizes, is as it was, at the same offset. */
  changed: readonly ChangedRange[]
  /** Size of the new content in bytes. */
  size: number
  /** Exactly `length` bytes of the new content at `offset`; a new array each time, or one that stays as it is. */
  read(offset: number, length: number): Uint8Array
}

const READ_MIN = 64 * 1024
const READ_MAX = 1024 * 1024

/** Whole: offset of each old chunk, and where the old content ends. */
function offsetsOf(old: readonly ChunkRef[]): number[] {
  const offsets = [0]
  for (const { size } of old) offsets.push(offsets[offsets.length - 1] + size)
  return offsets
}

/** The given ranges, and what lies beyond the old end. */
function changesOf({ changed, size }: RechunkInput, oldSize: number): ChangedRange[] {
  let end = 0
  for (const { offset, length } of changed) {
    if (offset < end || length < 0) throw new InvalidContentError('changed ranges that overlap or are not sorted')
    end = offset + length
  }
  const within = changed.filter((range) => range.length > 0)
  return size > oldSize ? [...within, { offset: oldSize, length: size - oldSize }] : within
}

class Rechunker {
  readonly #input: RechunkInput
  readonly #offsets: number[]
  readonly #changes: ChangedRange[]
  #oldIndex = 0
  #changeIndex = 0

  constructor(input: RechunkInput) {
    this.#input = input
    this.#offsets = offsetsOf(input.old)
    this.#changes = changesOf(input, this.#offsets[input.old.length])
  }

  *run(): Generator<NewChunk> {
    let offset = 0
    while (offset < this.#input.size) {
      const id = this.#reusable(offset)
      if (id) {
        const { size } = this.#input.old[this.#oldIndex]
        yield { offset, size, id }
        offset += size
      } else {
        offset = yield* this.#chunkFrom(offset)
      }
    }
  }

  /** The first change that ends behind `offset`. Offsets only grow. */
  #changeAfter(offset: number): ChangedRange | undefined {
    let change = this.#changes[this.#changeIndex]
    while (change && change.offset + change.length <= offset) change = this.#changes[++this.#changeIndex]
    return change
  }

  /** The old chunk at `offset`, if the new content has the same there. Offsets only grow. */
  #reusable(offset: number): ChunkId | undefined {
    const { old, size } = this.#input
    while (this.#oldIndex < old.length && this.#offsets[this.#oldIndex] < offset) this.#oldIndex++
    const chunk = old[this.#oldIndex]
    if (!chunk || this.#offsets[this.#oldIndex] !== offset) return
    const end = offset + chunk.size
    if (end > size) return
    const change = this.#changeAfter(offset)
    if (change && change.offset < end) return
    // The last one was ended by the end of the content, not by its bytes: it may go on now.
    if (this.#oldIndex === old.length - 1 && end < size && chunk.size < CHUNK_MAX) return
    return chunk.id
  }

  /** As much as the change goes on, within bounds: no more than needed where little changed, few reads where all did. */
  #readLength(offset: number): number {
    const change = this.#changeAfter(offset)
    const ahead = change && change.offset <= offset ? change.offset + change.length - offset : 0
    return Math.min(Math.max(READ_MIN, Math.min(ahead, READ_MAX)), this.#input.size - offset)
  }

  #read(offset: number, length: number): Uint8Array {
    const bytes = this.#input.read(offset, length)
    if (bytes.length === length) return bytes
    throw new InvalidContentError(`${bytes.length} bytes were read at ${offset} instead of ${length}`)
  }

  /** Chunks from a boundary on until a chunk ends where an old one can follow. Returns where that is. */
  *#chunkFrom(start: number): Generator<NewChunk, number> {
    const chunker = new Chunker()
    let parts: Uint8Array[] = []
    let begin = start
    let position = start
    while (position < this.#input.size) {
      const piece = this.#read(position, this.#readLength(position))
      let used = 0
      for (const size of chunker.push(piece)) {
        const end = begin + size - position
        parts.push(piece.subarray(used, end))
        yield { offset: begin, size, bytes: concat(parts) }
        parts = []
        used = end
        begin += size
        if (this.#reusable(begin)) return begin
      }
      if (used < piece.length) parts.push(piece.subarray(used))
      position += piece.length
    }
    const [size] = chunker.flush()
    if (size) yield { offset: begin, size, bytes: concat(parts) }
    return position
  }
}

/**
 * The chunks of the new content, in order, reading only around what changed (each change costs about two chunks).
 * Throws InvalidContentError for ranges that are not sorted and for reads that come short.
 */
export function rechunk(input: RechunkInput): Generator<NewChunk> {
  return new Rechunker(input).run()
}
