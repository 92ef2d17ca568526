// Where the bytes of a committed content lie: content tree → chunks table → place in a pack, resolved a mebibyte at a time
// and remembered per inode. Chunks that lie side by side in a pack become one piece, so that they are one read.

import { hex } from '../../model/bytes.js'
import { leaves } from '../../model/content-tree.js'
import type { ChunkId, ChunkSource, Content } from '../../model/types.js'
import { ChunkMissingError } from '../../store/errors.js'
import type { PackFiles } from './pack-files.js'
import type { DurableState } from './ports.js'

export interface Piece {
  /** In the content. */
  offset: number
  length: number
  pack: number
  /** In the pack. */
  at: number
  /** Chunks in it that nobody has compared with their hashes yet; undefined: none. */
  unverified: PlacedChunk[] | undefined
  /** It is a chunk that is not here (and lies nowhere). */
  missing?: ChunkId
}

export interface PlacedChunk {
  id: ChunkId
  /** In the pack. */
  at: number
  length: number
}

export const BLOCK = 1 << 20
const NOWHERE = -1
/** Blocks remembered per inode. */
const BLOCKS_MAX = 256
/** Chunks remembered that were read as a whole: lists of all contents, up to 41 KiB each, and chunks of folders. */
const LISTS_MAX = 64

export class LeafCache {
  readonly #blocks = new Map<number, Piece[]>()

  /** The block that was told to be read last. */
  told = -1
  toldAt = 0

  constructor(readonly content: Content) {}

  /** Pieces that cover the block in which `offset` lies, in order; they may begin before it and end after it. */
  block(offset: number, finder: ChunkFinder): Piece[] {
    const number = Math.floor(offset / BLOCK)
    let pieces = this.#blocks.get(number)
    if (pieces === undefined) {
      pieces = finder.resolve(this.content, number * BLOCK, Math.min(this.content.size, (number + 1) * BLOCK))
      if (this.#blocks.size >= BLOCKS_MAX) this.#blocks.clear()
      this.#blocks.set(number, pieces)
    }
    return pieces
  }

  /** The block is not what it should be: it is looked up again. */
  forget(offset: number): void {
    this.#blocks.delete(Math.floor(offset / BLOCK))
  }
}

export class ChunkFinder {
  readonly #durable: DurableState
  readonly #packs: PackFiles
  readonly #lists = new Map<string, Uint8Array>()
  /** Chunks that are read as a whole and often again: lists, and those of folders. */
  readonly source: ChunkSource = (id) => this.#list(id)

  constructor(components: { durable: DurableState; packs: PackFiles }) {
    this.#durable = components.durable
    this.#packs = components.packs
  }

  #locate(id: ChunkId): { pack: number; offset: number; length: number } | undefined {
    const location = this.#durable.chunk(id)
    if (location) return location
    this.#durable.refresh()
    return this.#durable.chunk(id)
  }

  /** A list chunk. */
  #list(id: ChunkId): Uint8Array {
    const key = hex(id)
    const known = this.#lists.get(key)
    if (known) return known
    let location = this.#locate(id)
    if (!location) throw new ChunkMissingError(id)
    const bytes = Buffer.allocUnsafe(location.length)
    try {
      this.#packs.readChunk(location.pack, { id, at: location.offset, length: location.length }, bytes)
    } catch (error) {
      // It may have been moved meanwhile.
      const before = location
      this.#durable.refresh()
      location = this.#locate(id)
      if (!location || (location.pack === before.pack && location.offset === before.offset)) throw error
      this.#packs.readChunk(location.pack, { id, at: location.offset, length: location.length }, bytes)
    }
    if (this.#lists.size >= LISTS_MAX) this.#lists.delete(this.#lists.keys().next().value!)
    this.#lists.set(key, bytes)
    return bytes
  }

  /** Chunks that are not here are pieces as well. Throws ChunkMissingError for lists, and what the tree's lists throw if they are not what they should be. */
  resolve(content: Content, from: number, to: number): Piece[] {
    const pieces: Piece[] = []
    for (const leaf of leaves(content, (id) => this.#list(id), from, to)) {
      const location = this.#locate(leaf.id)
      if (!location) {
        const { id, offset, size: length } = leaf
        pieces.push({ offset, length, pack: NOWHERE, at: 0, unverified: undefined, missing: id })
        continue
      }
      const { pack, offset: at } = location
      const chunk = { id: leaf.id, at, length: leaf.size }
      const last = pieces[pieces.length - 1]
      if (last && last.pack === pack && last.at + last.length === at) {
        last.length += leaf.size
        last.unverified!.push(chunk)
      } else pieces.push({ offset: leaf.offset, length: leaf.size, pack, at, unverified: [chunk] })
    }
    return pieces
  }
}
