// What the tables will say once the batch is committed: changed rows laid over LMDB. Owned by the committer. Nothing is
// written before `write`, which runs inside the one transaction of the batch; `clear` forgets all.

import { compare, hex } from '../model/bytes.js'
import { CLOCK_ZERO } from '../model/clock.js'
import type { ChunkId, Clock, DId, RId } from '../model/types.js'
import * as codec from './codec.js'
import { entryKey, key48, key64 } from './keys.js'
import type { PackState } from './pack-writer.js'
import type { DocumentRecord, EntryRecord, InodeRecord, Lsn, SpoolRecord } from './records.js'
import {
  type ChunkLocation,
  encodeLocation,
  type MetaName,
  type NamedEntry,
  type StoreReader,
  type Tables,
} from './tables.js'

/** A head that a batch moved. */
export interface CommittedHead {
  document: DId
  head: RId
  seq: number
  /** 0: not in the live tree. */
  ino: number
}

const latin1 = (Buffer.prototype as unknown as { latin1Slice(this: Uint8Array, from: number, to: number): string })
  .latin1Slice

/** Names as keys of a Map: one character a byte. */
export const nameKey = (name: Uint8Array) => latin1.call(name, 0, name.length)
export const nameOf = (key: string): Uint8Array => new Uint8Array(Buffer.from(key, 'latin1'))

/** Bytes of most rows, with their keys, at most. */
const ROW = 400

function xattrBytes(row: InodeRecord | undefined): number {
  return row ? row.xattrs.reduce((sum, { name, value }) => sum + name.length + value.length + 5, 0) : 0
}

interface DocumentRow {
  document: DId
  row: DocumentRecord | undefined
  /** Change number in LMDB, 0: none. */
  storedSeq: number
  changed: boolean
}

export class WorkingView {
  readonly #reader: StoreReader
  /** undefined: gone. */
  readonly #inodes = new Map<number, InodeRecord | undefined>()
  readonly #changedInodes = new Set<number>()
  readonly #entries = new Map<number, Map<string, EntryRecord | undefined>>()
  readonly #documents = new Map<string, DocumentRow>()
  readonly #revisions = new Map<string, { rid: RId; bytes: Uint8Array }>()
  /** No location: gone. */
  readonly #chunks = new Map<string, { id: ChunkId; location?: ChunkLocation }>()
  readonly #spools = new Map<number, SpoolRecord | undefined>()
  readonly #unsealed = new Map<number, boolean>()
  readonly #conflicts = new Map<string, { document: DId; on: boolean }>()
  readonly #settings = new Map<string, Uint8Array | undefined>()
  #storedMaxIno = 0
  #storedUnsealed: Set<number> | undefined
  maxIno = 0
  maxSpool = 0
  seq = 0
  documents = 0
  joining = 0
  clock: Clock = CLOCK_ZERO
  #changed = false

  constructor(components: { reader: StoreReader }) {
    this.#reader = components.reader
    this.clear()
  }

  /** Whether a commit has anything to write but the position in the journal. */
  get changed(): boolean {
    return this.#changed
  }

  inode(ino: number): InodeRecord | undefined {
    if (this.#inodes.has(ino)) return this.#inodes.get(ino)
    const row = ino > this.#storedMaxIno ? undefined : this.#reader.inode(ino)
    this.#inodes.set(ino, row)
    return row
  }

  putInode(row: InodeRecord): void {
    this.#changed = true
    this.#inodes.set(row.ino, row)
    this.#changedInodes.add(row.ino)
    if (row.ino > this.maxIno) this.maxIno = row.ino
  }

  removeInode(ino: number): void {
    this.#changed = true
    this.#inodes.set(ino, undefined)
    if (ino > this.#storedMaxIno) this.#changedInodes.delete(ino)
    else this.#changedInodes.add(ino)
    if (ino > this.maxIno) this.maxIno = ino
  }

  /** Inodes without a name among those that changed. */
  changedOrphans(): number[] {
    return [...this.#changedInodes].filter((ino) => this.#inodes.get(ino)?.nlink === 0)
  }

  entry(folder: number, key: string): EntryRecord | undefined {
    const changes = this.#entries.get(folder)
    if (changes?.has(key)) return changes.get(key)
    return folder > this.#storedMaxIno ? undefined : this.#reader.entry(folder, nameOf(key))
  }

  setEntry(folder: number, key: string, entry: EntryRecord | undefined): void {
    this.#changed = true
    let changes = this.#entries.get(folder)
    if (!changes) this.#entries.set(folder, (changes = new Map()))
    if (!entry && folder > this.#storedMaxIno) changes.delete(key)
    else changes.set(key, entry)
  }

  /** All entries of a folder in bytewise order of names. */
  entries(folder: number): NamedEntry[] {
    const changes = this.#entries.get(folder)
    const found = folder > this.#storedMaxIno ? [] : this.#storedEntries(folder)
    if (!changes) return found
    const merged = found.filter(({ name }) => !changes.has(nameKey(name)))
    for (const [key, entry] of changes) if (entry) merged.push({ name: nameOf(key), entry })
    return merged.sort((a, b) => compare(a.name, b.name))
  }

  #storedEntries(folder: number): NamedEntry[] {
    const all: NamedEntry[] = []
    for (;;) {
      const part = this.#reader.entries(folder, all.at(-1)?.name)
      if (part.length === 0) return all
      for (const entry of part) all.push(entry)
    }
  }

  /** Every name of an inode. O(all entries): for inodes with several names, whose document changes. */
  namesOf(ino: number): { folder: number; name: Uint8Array }[] {
    const found: { folder: number; name: Uint8Array }[] = []
    for (const { folder, name, entry } of this.#reader.allEntries()) {
      if (entry.ino === ino && !this.#entries.get(folder)?.has(nameKey(name))) found.push({ folder, name })
    }
    for (const [folder, changes] of this.#entries) {
      for (const [key, entry] of changes) if (entry?.ino === ino) found.push({ folder, name: nameOf(key) })
    }
    return found
  }

  /** A name of each of these inodes that has one. O(all entries). */
  someNames(inodes: ReadonlyMap<number, unknown>): Map<number, { folder: number; name: Uint8Array }> {
    const found = new Map<number, { folder: number; name: Uint8Array }>()
    for (const { folder, name, entry } of this.#reader.allEntries())
      if (inodes.has(entry.ino) && !this.#entries.get(folder)?.has(nameKey(name)))
        found.set(entry.ino, { folder, name })
    for (const [folder, changes] of this.#entries)
      for (const [key, entry] of changes)
        if (entry && inodes.has(entry.ino)) found.set(entry.ino, { folder, name: nameOf(key) })
    return found
  }

  #documentRow(document: DId): DocumentRow {
    const key = hex(document)
    let known = this.#documents.get(key)
    if (!known) {
      const row = this.#reader.document(document)
      known = { document, row, storedSeq: row?.seq ?? 0, changed: false }
      this.#documents.set(key, known)
    }
    return known
  }

  document(document: DId): DocumentRecord | undefined {
    return this.#documentRow(document).row
  }

  /** Moves a head: the document gets the next change number. `ino` absent: as it was. */
  setHead(document: DId, head: RId, conflict: boolean, ino?: number): void {
    this.#changed = true
    const known = this.#documentRow(document)
    if (!known.row) this.documents++
    this.seq++
    known.row = { head, ino: ino ?? known.row?.ino ?? 0, seq: this.seq }
    known.changed = true
    const key = hex(document)
    if (conflict || this.#conflicts.has(key) || known.storedSeq > 0)
      this.#conflicts.set(key, { document, on: conflict })
  }

  /** The document's place in the live tree, if it has a head. `onlyIf`: only if it was this one. */
  setDocumentIno(document: DId, ino: number, onlyIf?: number): void {
    const known = this.#documentRow(document)
    if (!known.row || known.row.ino === ino || (onlyIf !== undefined && known.row.ino !== onlyIf)) return
    this.#changed = true
    known.row = { ...known.row, ino }
    known.changed = true
  }

  /** Canonical bytes. */
  revision(rid: RId): Uint8Array | undefined {
    return this.#revisions.get(hex(rid))?.bytes ?? this.#reader.revision(rid)
  }

  putRevision(rid: RId, bytes: Uint8Array): void {
    this.#changed = true
    this.#revisions.set(hex(rid), { rid, bytes })
  }

  chunk(id: ChunkId): ChunkLocation | undefined {
    const changed = this.#chunks.get(hex(id))
    return changed ? changed.location : this.#reader.chunk(id)
  }

  removeChunk(id: ChunkId): void {
    this.#changed = true
    this.#chunks.set(hex(id), { id })
  }

  /** Whether a chunk that lies in this pack is among those that changed. */
  usesPack(pack: number): boolean {
    return [...this.#chunks.values()].some(({ location }) => location?.pack === pack)
  }

  putChunk(id: ChunkId, location: ChunkLocation): void {
    this.#changed = true
    this.#chunks.set(hex(id), { id, location })
  }

  spool(id: number): SpoolRecord | undefined {
    return this.#spools.has(id) ? this.#spools.get(id) : this.#reader.spool(id)
  }

  putSpool(id: number, spool: SpoolRecord | undefined): void {
    this.#changed = true
    this.#spools.set(id, spool)
    if (id > this.maxSpool) this.maxSpool = id
  }

  /** Every spool there is; few. */
  spools(): { id: number; spool: SpoolRecord }[] {
    const stored = this.#reader.spools().filter(({ id }) => !this.#spools.has(id))
    const changed = [...this.#spools].flatMap(([id, spool]) => (spool ? [{ id, spool }] : []))
    return [...stored, ...changed].sort((a, b) => a.id - b.id)
  }

  setUnsealed(folder: number, on: boolean): void {
    this.#storedUnsealed ??= new Set(this.#reader.unsealed())
    if (this.#storedUnsealed.has(folder) === on) {
      this.#unsealed.delete(folder)
      return
    }
    this.#changed = true
    this.#unsealed.set(folder, on)
  }

  putSetting(key: string, value: Uint8Array | undefined): void {
    this.#changed = true
    this.#settings.set(key, value)
  }

  setJoining(on: boolean): void {
    this.#changed = true
    this.joining = on ? 1 : 0
  }

  /** The heads that moved, in order of their change numbers. */
  heads(): CommittedHead[] {
    const heads: CommittedHead[] = []
    for (const { document, row, storedSeq } of this.#documents.values()) {
      if (row && row.seq !== storedSeq) heads.push({ document, ...row })
    }
    return heads.sort((a, b) => a.seq - b.seq)
  }

  /** What `write` changes, roughly, and never much less: rows of all tables, and their bytes. */
  weight(): { rows: number; bytes: number } {
    const maps = [this.#documents, this.#revisions, this.#chunks, this.#spools, this.#unsealed]
    let rows = maps.reduce((sum, { size }) => sum + size, 0)
    // With the change numbers of documents, and the orphans.
    rows += 2 * this.#documents.size + this.#conflicts.size + this.#settings.size + 2 * this.#changedInodes.size
    for (const changes of this.#entries.values()) rows += changes.size
    let bytes = rows * ROW
    for (const { bytes: encoded } of this.#revisions.values()) bytes += encoded.length
    for (const ino of this.#changedInodes) bytes += xattrBytes(this.#inodes.get(ino))
    for (const value of this.#settings.values()) bytes += value?.length ?? 0
    for (const spool of this.#spools.values()) bytes += 16 * (spool?.ranges.length ?? 0)
    return { rows, bytes }
  }

  /** Inside a transaction. */
  write(tables: Tables, position: { committed: Lsn; replayFrom: Lsn; packs: PackState }): void {
    this.#writeTree(tables)
    this.#writeVersions(tables)
    this.#writeRest(tables)
    const { committed, replayFrom, packs } = position
    const numbers: [Exclude<MetaName, 'clock'>, number][] = [
      ['committed', committed],
      ['replayFrom', replayFrom],
      ['seq', this.seq],
      ['pack', packs.pack],
      ['packEnd', packs.end],
      ['lastPack', packs.last],
      ['maxIno', this.maxIno],
      ['maxSpool', this.maxSpool],
      ['documents', this.documents],
      ['joining', this.joining],
    ]
    for (const [name, number] of numbers) tables.meta.put(Buffer.from(name), key64(number))
    tables.meta.put(Buffer.from('clock'), asBuffer(this.clock))
  }

  #writeTree(tables: Tables): void {
    for (const ino of this.#changedInodes) {
      const row = this.#inodes.get(ino)
      const key = key48(ino)
      if (row) tables.inodes.put(key, codec.encodeInode(row))
      else tables.inodes.remove(key)
      if (row?.nlink === 0) tables.orphans.put(key, Buffer.of(1))
      else if (ino <= this.#storedMaxIno) tables.orphans.remove(key)
    }
    for (const [folder, changes] of this.#entries) {
      for (const [key, entry] of changes) {
        const row = entryKey(folder, nameOf(key))
        if (entry) tables.entries.put(row, codec.encodeEntry(entry))
        else tables.entries.remove(row)
      }
    }
  }

  #writeVersions(tables: Tables): void {
    for (const { rid, bytes } of this.#revisions.values()) tables.revisions.put(asBuffer(rid), asBuffer(bytes))
    for (const { document, row, storedSeq, changed } of this.#documents.values()) {
      if (!changed || !row) continue
      tables.documents.put(asBuffer(document), codec.encodeDocument(row))
      if (row.seq === storedSeq) continue
      if (storedSeq > 0) tables.changes.remove(key64(storedSeq))
      tables.changes.put(key64(row.seq), asBuffer(document))
    }
    for (const { id, location } of this.#chunks.values()) {
      if (location) tables.chunks.put(asBuffer(id), encodeLocation(location))
      else tables.chunks.remove(asBuffer(id))
    }
    for (const { document, on } of this.#conflicts.values()) {
      if (on) tables.conflicts.put(asBuffer(document), Buffer.of(1))
      else tables.conflicts.remove(asBuffer(document))
    }
  }

  #writeRest(tables: Tables): void {
    for (const [id, spool] of this.#spools) {
      if (spool) tables.spools.put(key48(id), codec.encodeSpool(spool))
      else tables.spools.remove(key48(id))
    }
    for (const [folder, on] of this.#unsealed) {
      if (on) tables.unsealed.put(key48(folder), Buffer.of(1))
      else tables.unsealed.remove(key48(folder))
    }
    for (const [key, value] of this.#settings) {
      if (value) tables.settings.put(Buffer.from(key), asBuffer(value))
      else tables.settings.remove(Buffer.from(key))
    }
  }

  /** As LMDB says, again. */
  clear(): void {
    for (const map of [this.#inodes, this.#entries, this.#documents, this.#revisions, this.#chunks]) map.clear()
    for (const map of [this.#spools, this.#unsealed, this.#conflicts, this.#settings]) map.clear()
    this.#changedInodes.clear()
    this.#storedUnsealed = undefined
    const reader = this.#reader
    reader.refresh()
    this.#storedMaxIno = reader.meta('maxIno')
    this.maxIno = this.#storedMaxIno
    this.maxSpool = reader.meta('maxSpool')
    this.seq = reader.lastSeq
    this.documents = reader.meta('documents')
    this.joining = reader.meta('joining')
    this.clock = reader.clock() ?? CLOCK_ZERO
    this.#changed = false
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
}
