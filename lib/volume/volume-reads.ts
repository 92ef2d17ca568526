// What a volume answers from LMDB and packs, on the main thread: heads, revisions, contents. Durable state only.
// Never writes, never asks another thread. Reads of chunks that may be many or large go through libuv's pool.

import { hex } from '../model/bytes.js'
import { decodeRevision } from '../model/codec.js'
import { leaves, readContent } from '../model/content-tree.js'
import { decodeFolder } from '../model/folder.js'
import type { Claim, Whereabouts } from '../model/tree-facts.js'
import {
  type ChunkId,
  type ChunkSource,
  type Content,
  type DId,
  type FolderEntry,
  PART_ENTRIES,
  type Revision,
  type RId,
} from '../model/types.js'
import { ChunkDamagedError } from '../store/errors.js'
import type { PackReader } from '../store/packs.js'
import type { InodeRecord } from '../store/records.js'
import { isFolder } from '../store/revise.js'
import { RANGE_MAX, type StoreReader } from '../store/tables.js'
import type { ChunkFiles } from './chunk-files.js'
import type { Head } from './contract.js'
import type { DamagedChunks } from './damaged-chunks.js'

/** Most bytes of one `read`. */
export const READ_MAX = 64 << 20
/** Most rows of one answer. */
const ROWS_MAX = 10_000
/** Revisions that are kept decoded, and the longest of them, bytes. */
const DECODED = 4096
const DECODED_BYTES = 2048
/** Chunks of one `read` that are fetched at the same time. */
const PARALLEL = 4

export interface ReadComponents {
  reader: StoreReader
  packs: PackReader
  chunkFiles: ChunkFiles
  damaged: DamagedChunks
}

export class VolumeReads {
  readonly source: ChunkSource
  readonly #reader: StoreReader
  readonly #chunkFiles: ChunkFiles

  readonly #damaged: DamagedChunks
  /** Revisions that were asked for lately: they never change, and several steps of sync ask for the same ones. By hex id. */
  readonly #decoded = new Map<string, Revision>()

  constructor({ reader, packs, chunkFiles, damaged }: ReadComponents) {
    this.#damaged = damaged
    this.#reader = reader
    this.#chunkFiles = chunkFiles
    this.source = (id) => {
      try {
        return packs.source(id)
      } catch (error) {
        if (error instanceof ChunkDamagedError) damaged.add(id)
        throw error
      }
    }
  }

  head(document: DId): Head | undefined {
    const row = this.#reader.document(document)
    return row && { document, head: row.head, seq: row.seq, ino: row.ino }
  }

  revision(rid: RId): Revision | undefined {
    const key = hex(rid)
    const known = this.#decoded.get(key)
    if (known) return known
    const encoded = this.#reader.revision(rid)
    if (!encoded) return undefined
    const revision = decodeRevision(encoded)
    if (encoded.length > DECODED_BYTES) return revision
    if (this.#decoded.size >= DECODED) this.#decoded.clear()
    this.#decoded.set(key, revision)
    return revision
  }

  encoded(rid: RId): Uint8Array | undefined {
    return this.#reader.revision(rid)
  }

  /** A document whose row is gone meanwhile is left out. */
  changes(after: number, limit: number): Head[] {
    return this.#reader
      .changes(after, Math.min(limit, ROWS_MAX))
      .map(({ document }) => this.head(document))
      .filter((head) => head !== undefined)
  }

  lastSeq(): number {
    return this.#reader.lastSeq
  }

  conflicts(limit: number): Head[] {
    return this.#reader
      .conflicts(Math.min(limit, ROWS_MAX))
      .map((document) => this.head(document))
      .filter((head) => head !== undefined)
  }

  /** A damaged one counts as none. */
  hasChunk(id: ChunkId): boolean {
    return !this.#damaged.has(id) && this.#reader.chunk(id) !== undefined
  }

  async chunk(id: ChunkId): Promise<Uint8Array> {
    try {
      return await this.#chunkFiles.read(id)
    } catch (error) {
      // It may have been moved meanwhile.
      const before = this.#reader.chunk(id)
      this.#reader.refresh()
      const now = this.#reader.chunk(id)
      if (!now || (before && before.pack === now.pack && before.offset === now.offset)) throw error
      return this.#chunkFiles.read(id)
    }
  }

  /** Data chunks of a content that cover [from, to) and are not here. */
  missingLeaves(content: Content, from = 0, to = content.size): ChunkId[] {
    const ids: ChunkId[] = []
    for (const { id } of leaves(content, this.source, from, Math.min(to, content.size)))
      if (!this.hasChunk(id)) ids.push(id)
    return ids
  }

  /** Bytes [offset, offset + length) as far as the content has them. Throws RangeError for more than READ_MAX. */
  async read(content: Content, offset: number, length: number): Promise<Uint8Array> {
    if (length > READ_MAX) throw new RangeError(`${length} bytes asked for at once, ${READ_MAX} at most`)
    const end = Math.min(content.size, offset + length)
    if (end <= offset) return new Uint8Array(0)
    if (content.inline || !content.root) return readContent(content, this.source, offset, end)
    const bytes = new Uint8Array(end - offset)
    const wanted = leaves(content, this.source, offset, end)
    const worker = async () => {
      for (const leaf of wanted) {
        const chunk = await this.chunk(leaf.id)
        const skip = Math.max(offset - leaf.offset, 0)
        bytes.set(chunk.subarray(skip, Math.min(chunk.length, end - leaf.offset)), leaf.offset + skip - offset)
      }
    }
    await Promise.all(Array.from({ length: PARALLEL }, worker))
    return bytes
  }

  entries(folder: Revision): FolderEntry[] {
    const part = folder.parts.get(PART_ENTRIES)
    return part ? decodeFolder(part, this.source) : []
  }

  whereabouts(document: DId): Whereabouts {
    const inode = this.#inode(document)
    if (!inode || inode.nlink === 0) return { names: 0 }
    const names = isFolder(inode) ? Math.sign(inode.parent) : inode.nlink
    return { names, parent: this.#reader.inode(inode.parent)?.document }
  }

  /** Entries that name a document, in the folder that its inode knows. */
  claims(document: DId): Claim[] {
    const inode = this.#inode(document)
    const folder = inode && this.#reader.inode(inode.parent)?.document
    if (!inode || !folder) return []
    const found: Claim[] = []
    for (let page = this.#reader.entries(inode.parent); page.length; ) {
      for (const { name, entry } of page)
        if (entry.ino === inode.ino)
          found.push({ folder, entry: { name, document, type: entry.type, stamp: entry.stamp } })
      page = page.length < RANGE_MAX ? [] : this.#reader.entries(inode.parent, page[page.length - 1].name)
    }
    return found
  }

  #inode(document: DId): InodeRecord | undefined {
    const ino = this.#reader.document(document)?.ino ?? 0
    return ino === 0 ? undefined : this.#reader.inode(ino)
  }

  setting(key: string): Uint8Array | undefined {
    return this.#reader.setting(key)
  }
}
