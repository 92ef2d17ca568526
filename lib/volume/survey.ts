// Looks through versions, pinned folders and packs on the main thread without holding it up: a piece, then a turn of the event loop.
// Reads only.

import { setImmediate as turn } from 'node:timers/promises'
import { hex } from '../model/bytes.js'
import { decodeRevision } from '../model/codec.js'
import { leaves } from '../model/content-tree.js'
import {
  type ChunkId,
  type Content,
  type DId,
  PART_CONTENT,
  type Revision,
  type RId,
  TYPE_FOLDER,
  TYPE_SYMLINK,
} from '../model/types.js'
import { isFolder } from '../store/revise.js'
import type { StoreReader } from '../store/tables.js'
import type { VolumeReads } from './volume-reads.js'

const PIECE = 100
/** Folders above a document that are looked at. */
const DEPTH_MAX = 4096

export interface SurveyComponents {
  reader: StoreReader
  reads: VolumeReads
}

export interface SurveyedVersion {
  rid: RId
  revision: Revision
  content: Content
}

export class Survey {
  readonly #c: SurveyComponents
  readonly #signal: AbortSignal

  constructor(components: SurveyComponents, signal: AbortSignal) {
    this.#c = components
    this.#signal = signal
  }

  async #pause(): Promise<void> {
    await turn()
    this.#signal.throwIfAborted()
    this.#c.reader.refresh()
  }

  /** Versions of files whose content is in chunks, in the order of their ids, from behind `after` on. */
  async *versions(after?: RId): AsyncGenerator<SurveyedVersion> {
    for (let last = after; ; ) {
      const page = this.#c.reader.revisions(last, PIECE)
      for (const { rid, bytes } of page) {
        const revision = decodeRevision(bytes)
        const content = fileContent(revision)
        if (content) yield { rid, revision, content }
      }
      if (page.length < PIECE) return
      last = page[page.length - 1].rid
      await this.#pause()
    }
  }

  /** Documents that have a head, in the order of their change numbers. */
  async *heads(): AsyncGenerator<{ document: DId; head: RId }> {
    for (let seq = 0; ; ) {
      const page = this.#c.reads.changes(seq, PIECE)
      yield* page
      if (page.length < PIECE) return
      seq = page[page.length - 1].seq
      await this.#pause()
    }
  }

  /** Files in the live tree at or below these documents. */
  async *filesBelow(documents: DId[]): AsyncGenerator<DId> {
    const stack = documents.map((document) => this.#c.reads.head(document)?.ino ?? 0)
    for (let ino = stack.pop(), n = 0; ino !== undefined; ino = stack.pop()) {
      const row = ino === 0 ? undefined : this.#c.reader.inode(ino)
      if (!row || row.nlink === 0) continue
      if (!isFolder(row)) yield row.document
      else
        for (
          let page = this.#c.reader.entries(ino);
          page.length;
          page = this.#c.reader.entries(ino, page[page.length - 1].name)
        )
          for (const { entry } of page) stack.push(entry.ino)
      if (++n % PIECE === 0) await this.#pause()
    }
  }

  /** Live bytes of each pack. */
  async packs(): Promise<Map<number, number>> {
    const found = new Map<number, number>()
    for await (const { location } of this.chunks())
      found.set(location.pack, (found.get(location.pack) ?? 0) + location.length)
    return found
  }

  async *chunks(): AsyncGenerator<{ id: ChunkId; location: { pack: number; length: number } }> {
    for (let last: ChunkId | undefined; ; ) {
      const page = this.#c.reader.chunks(last, PIECE * 10)
      yield* page
      if (page.length < PIECE * 10) return
      last = page[page.length - 1].id
      await this.#pause()
    }
  }

  /** Whether a document is one of the pinned ones, or below one. */
  isBelow(document: DId, pins: ReadonlySet<string>): boolean {
    if (pins.size === 0) return false
    if (pins.has(hex(document))) return true
    let ino = this.#c.reads.head(document)?.ino ?? 0
    for (let depth = 0; ino > 0 && depth < DEPTH_MAX; depth++) {
      const row = this.#c.reader.inode(ino)
      if (!row) return false
      if (pins.has(hex(row.document))) return true
      ino = row.parent
    }
    return false
  }

  leaves(content: Content): ChunkId[] {
    return [...leaves(content, this.#c.reads.source)].map(({ id }) => id)
  }

  revision(rid: RId): Revision | undefined {
    return this.#c.reads.revision(rid)
  }
}

/** The content of a file, if it is in chunks. Folders and links are always here as a whole. */
export function fileContent({ type, parts }: Revision): Content | undefined {
  const content = type === TYPE_FOLDER || type === TYPE_SYMLINK ? undefined : parts.get(PART_CONTENT)
  return content?.root && content
}
