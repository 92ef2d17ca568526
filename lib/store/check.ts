// Verifies a volume: that every row refers to what is there, and that bytes are those of their ids. Reads only; one snapshot
// per event-loop turn, so nobody should commit meanwhile (or findings about the newest rows may be wrong).

import { compare, equal, hex } from '../model/bytes.js'
import { decodeRevision } from '../model/codec.js'
import { allChunks, sameContent } from '../model/content-tree.js'
import { decodeFolder, encodeFolder } from '../model/folder.js'
import { ridOf } from '../model/hash.js'
import { decodeHolding, HOLDING_SETTING } from '../model/holding.js'
import { type Content, type FolderEntry, PART_ENTRIES, type Revision, TYPE_FOLDER } from '../model/types.js'
import { ChunkDamagedError } from './errors.js'
import type { VolumeLayout } from './layout.js'
import { PackReader } from './packs.js'
import type { InodeRecord } from './records.js'
import { isFolder } from './revise.js'
import type { StoreReader } from './tables.js'

export type FindingKind =
  | 'chunk-missing'
  | 'chunk-damaged'
  | 'revision-missing'
  | 'revision-damaged'
  | 'change-wrong'
  | 'document-wrong'
  | 'inode-missing'
  | 'inode-wrong'
  | 'folder-differs'
  | 'spool-missing'
  | 'conflict-wrong'

export interface Finding {
  kind: FindingKind
  /** What it is about: hexadecimal id or inode number. */
  about: string
  message: string
}

export interface CheckOptions {
  /** Most findings; default 1000. */
  limit?: number
  /** Read every chunk and compare its hash. Default true. */
  chunks?: boolean
  /** Folders that are sealed have to say what the live tree says. Default true. */
  folders?: boolean
  /** Told how far it is after each step (a chunk, a document, an inode). */
  step?: (counts: CheckCounts) => void
}

/** What was looked at so far. */
export interface CheckCounts {
  chunks: number
  bytes: number
  documents: number
  inodes: number
}

class Checker {
  readonly findings: Finding[] = []
  readonly #counts: CheckCounts = { chunks: 0, bytes: 0, documents: 0, inodes: 0 }
  readonly #packs: PackReader
  /** Contents of files that are not here are no fault: they are fetched when they are read. */
  readonly #partial: boolean
  readonly #seen = new Set<string>()

  constructor(
    private readonly reader: StoreReader,
    private readonly layout: VolumeLayout,
    private readonly options: CheckOptions,
  ) {
    this.#packs = new PackReader({ reader, layout })
    this.#partial = decodeHolding(reader.setting(HOLDING_SETTING)).partial
  }

  run(): Finding[] {
    try {
      if (this.options.chunks !== false) this.#chunks()
      this.#documents()
      this.#changes()
      this.#tree()
      this.#spools()
    } catch (error) {
      if (error !== ENOUGH) throw error
    } finally {
      this.#packs.close()
    }
    return this.findings
  }

  #add(kind: FindingKind, about: string, message: string): void {
    this.findings.push({ kind, about, message })
    if (this.findings.length >= (this.options.limit ?? 1000)) throw ENOUGH
  }

  #step(): void {
    this.options.step?.(this.#counts)
  }

  #chunks(): void {
    for (const id of this.reader.tables.chunks.getKeys()) {
      this.#counts.chunks++
      try {
        this.#counts.bytes += this.#packs.chunk(id).length
      } catch (error) {
        this.#add('chunk-damaged', hex(id), (error as Error).message)
      }
      this.#step()
    }
  }

  #documents(): void {
    for (const { key, value } of this.reader.tables.revisions.getRange()) {
      if (!equal(ridOf(value), key)) this.#add('revision-damaged', hex(key), 'Its bytes have another hash.')
    }
    for (const { document, row } of this.reader.allDocuments()) {
      this.#counts.documents++
      this.#step()
      const revision = this.#revision(row.head)
      if (!revision) continue
      for (const content of revision.parts.values()) this.#content(content, revision.type === TYPE_FOLDER)
      const conflict = (revision.flags & 4) !== 0
      if (conflict !== this.reader.isConflict(document))
        this.#add('conflict-wrong', hex(document), 'Not listed as it is.')
      const inode = row.ino > 0 ? this.reader.inode(row.ino) : undefined
      if (row.ino > 0 && !(inode && equal(inode.document, document))) {
        this.#add('document-wrong', hex(document), `Inode ${row.ino} is not its place in the live tree.`)
      }
    }
  }

  /** Follows the history too. */
  #revision(rid: Uint8Array): Revision | undefined {
    let first: Revision | undefined
    const next = [rid]
    for (let at = next.pop(); at; at = next.pop()) {
      const bytes = this.reader.revision(at)
      if (!bytes) {
        // What was imported may begin with a revision whose parents are not here.
        if (at === rid) this.#add('revision-missing', hex(at), 'It is the head of a document.')
        continue
      }
      try {
        const revision = decodeRevision(bytes)
        first ??= revision
        for (const parent of revision.parents) {
          const key = hex(parent)
          if (!this.#seen.has(key)) next.push(parent)
          this.#seen.add(key)
        }
      } catch (error) {
        this.#add('revision-damaged', hex(at), (error as Error).message)
      }
    }
    return first
  }

  /** `whole`: also where contents may be elsewhere only. */
  #content(content: Content, whole = false): void {
    try {
      for (const chunk of allChunks(content, this.#packs.source)) {
        if (this.#partial && !whole && chunk.level === 0) continue
        if (!this.reader.chunk(chunk.id)) this.#add('chunk-missing', hex(chunk.id), 'A head needs it.')
      }
    } catch (error) {
      if (error === ENOUGH) throw error
      const kind = error instanceof ChunkDamagedError ? 'chunk-damaged' : 'chunk-missing'
      this.#add(kind, hex(content.root ?? new Uint8Array(0)), (error as Error).message)
    }
  }

  #changes(): void {
    let after = 0
    let count = 0
    for (;;) {
      const rows = this.reader.changes(after, 10_000)
      if (rows.length === 0) break
      for (const { seq, document } of rows) {
        count++
        if (this.reader.document(document)?.seq !== seq)
          this.#add('change-wrong', String(seq), 'Not the last of its document.')
        after = seq
      }
    }
    if (after > this.reader.lastSeq) this.#add('change-wrong', String(after), 'Above the last number given.')
    if (count !== this.reader.meta('documents')) {
      this.#add('change-wrong', String(count), `${this.reader.meta('documents')} documents should have a change.`)
    }
  }

  #tree(): void {
    const unsealed = new Set(this.reader.unsealed())
    for (const row of this.reader.inodes()) {
      this.#counts.inodes++
      this.#step()
      if (row.ino > this.reader.meta('maxIno')) this.#add('inode-wrong', String(row.ino), 'Above the highest known.')
      if (row.content.kind === 'committed') this.#content(row.content.content)
      else if (row.content.kind === 'spool') {
        if (!this.reader.spool(row.content.spool)) this.#add('spool-missing', String(row.ino), 'Its content is gone.')
      } else this.#add('inode-wrong', String(row.ino), `Its content is of kind ${row.content.kind}.`)
      if (isFolder(row) && row.nlink > 0) this.#folder(row, unsealed.has(row.ino))
    }
  }

  #folder(row: InodeRecord, unsealed: boolean): void {
    const entries: FolderEntry[] = []
    let complete = true
    for (const { name, entry } of this.#entries(row.ino)) {
      const child = this.reader.inode(entry.ino)
      if (!child) {
        this.#add('inode-missing', String(entry.ino), `An entry of folder ${row.ino} names it.`)
        complete = false
        continue
      }
      entries.push({ name, document: child.document, type: entry.type, stamp: entry.stamp })
    }
    if (this.options.folders === false || unsealed || !complete) return
    const head = this.reader.document(row.document)
    const revision = head && this.#revision(head.head)
    const part = revision?.parts.get(PART_ENTRIES)
    if (!part || !sameContent(part, encodeFolder(entries.sort((a, b) => compare(a.name, b.name))).content))
      this.#add('folder-differs', String(row.ino), this.#difference(part, entries))
  }

  #difference(part: Content | undefined, tree: FolderEntry[]): string {
    if (!part) return 'It has no revision.'
    try {
      const sealed = new Map(decodeFolder(part, this.#packs.source).map((entry) => [hex(entry.name), entry]))
      const counts = `Its revision has ${sealed.size} entries, the tree ${tree.length}.`
      for (const { name, ...entry } of tree) {
        const other = sealed.get(hex(name))
        const what = other ? differs(entry, other) : 'is not in the revision'
        if (what) return `${counts} ${JSON.stringify(Buffer.from(name).toString())} ${what}.`
      }
      return counts
    } catch (error) {
      return (error as Error).message
    }
  }

  *#entries(folder: number) {
    let after: Uint8Array | undefined
    for (;;) {
      const part = this.reader.entries(folder, after)
      if (part.length === 0) return
      yield* part
      after = part[part.length - 1].name
    }
  }

  #spools(): void {
    for (const { id, spool } of this.reader.spools()) {
      if (spool.state !== 'committed' && !this.layout.hasSpool(id))
        this.#add('spool-missing', String(id), 'Its file is gone.')
    }
  }
}

function differs(a: Omit<FolderEntry, 'name'>, b: FolderEntry): string | undefined {
  if (!equal(a.document, b.document)) return `is ${hex(a.document)}, in the revision ${hex(b.document)}`
  if (a.type !== b.type) return `has type ${a.type}, in the revision ${b.type}`
  return equal(a.stamp, b.stamp) ? undefined : 'has another stamp'
}

const ENOUGH = Symbol('enough findings')

/** Findings, none if all is well. O(volume). */
export function checkVolume(
  components: { reader: StoreReader; layout: VolumeLayout },
  options: CheckOptions = {},
): Finding[] {
  return new Checker(components.reader, components.layout, options).run()
}
