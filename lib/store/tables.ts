// The LMDB environment of a volume: which tables there are, how rows are read. Any thread may open it to read; only the
// committer writes. Owns the environment of this thread.
// A reader sees one snapshot until the next event-loop turn, or until `refresh()` in a thread that does not turn its loop.

import fs from 'node:fs'
import path from 'node:path'
import { type Database, open, type RootDatabase } from 'lmdb'
import type { ChunkId, DId, RId } from '../model/types.js'
import * as codec from './codec.js'
import { DamagedVolumeError, DiskError, typedError } from './errors.js'
import { entryKey, key48, key64, read48, read64 } from './keys.js'
import type { DocumentRecord, EntryRecord, InodeRecord, Lsn, SpoolRecord } from './records.js'
import { preallocate } from './syscalls.js'

export type Table = Database<Buffer, Buffer>

export const TABLES = [
  'meta',
  'inodes',
  'entries',
  'documents',
  'revisions',
  'chunks',
  'changes',
  'spools',
  'unsealed',
  'conflicts',
  'settings',
  'orphans',
] as const
export type TableName = (typeof TABLES)[number]
export type Tables = { root: RootDatabase } & Record<TableName, Table>

/** Numbers in table `meta`, 8 bytes each (as keys of table `changes`). */
export type MetaName =
  | 'committed' // journal folded up to here
  | 'replayFrom' // recovery reads the journal from here
  | 'seq' // last change number given
  | 'pack' // number of the pack that is appended to
  | 'packEnd' // its length as far as it is indexed
  | 'lastPack' // highest number of a pack in use
  | 'maxIno' // highest inode number ever seen
  | 'maxSpool' // highest spool id ever seen
  | 'documents' // how many documents have a head
  | 'joining' // 1: the root waits for its first head from another device
  | 'clock' // last hybrid logical clock: not a number, 8 bytes

export const DATA_FILE = 'data.mdb'
const LOCK_FILE = 'lock.mdb'
/** More than LMDB takes for 126 readers. */
const LOCK_BYTES = 64 * 1024
const META_MAGIC = 0xbeefc0de

/** LMDB maps what it finds, so a file that is not one of its own is refused before it gets there. */
function checkDataFile(directory: string): void {
  const file = path.join(directory, DATA_FILE)
  if (!fs.existsSync(file)) throw new DamagedVolumeError(file, 'it is missing')
  const fd = fs.openSync(file, 'r')
  try {
    const page = Buffer.alloc(8192)
    const done = fs.readSync(fd, page, 0, page.length, 0)
    if (done < page.length) throw new DamagedVolumeError(file, 'it is too short')
    // Two meta pages, each with a magic number after the 16 bytes of its page header (LMDB's mdb.c, MDB_meta).
    const good = [0, 4096].filter((at) => [16, 24].some((skip) => page.readUInt32LE(at + skip) === META_MAGIC))
    if (good.length === 0) throw new DamagedVolumeError(file, 'it does not begin like a database')
  } finally {
    fs.closeSync(fd)
  }
}

/**
 * LMDB maps its lock file and writes to the mapping: without disk space behind it, that would kill the process (SIGBUS). So
 * the space is taken first, or NoSpaceError thrown.
 */
function reserveLockFile(directory: string): void {
  const { O_RDWR, O_CREAT } = fs.constants
  const fd = fs.openSync(path.join(directory, LOCK_FILE), O_RDWR | O_CREAT, 0o600)
  try {
    preallocate(fd, 0, LOCK_BYTES)
  } finally {
    fs.closeSync(fd)
  }
}

/** Opens the environment in `directory`; `create` makes a new one. Throws DamagedVolumeError and typed errors of the disk. */
export function openTables(directory: string, options: { create?: boolean } = {}): Tables {
  try {
    if (!options.create) checkDataFile(directory)
    reserveLockFile(directory)
    const root = open({
      path: directory,
      noSubdir: false,
      maxDbs: 16,
      maxReaders: 126,
      // transactionSync then returns after fdatasync, whatever else goes on.
      overlappingSync: false,
      keyEncoding: 'binary',
      encoding: 'binary',
    })
    return openAll(root)
  } catch (error) {
    throw asDamage(directory, error)
  }
}

function openAll(root: RootDatabase): Tables {
  const tables = { root } as Tables
  for (const name of TABLES) {
    tables[name] = root.openDB(name, { keyEncoding: 'binary', encoding: 'binary', cache: false }) as unknown as Table
  }
  return tables
}

const DAMAGE = /MDB_(CORRUPTED|INVALID|PAGE_NOTFOUND|VERSION_MISMATCH|BAD_TXN|INCOMPATIBLE)|corrupt|not an LMDB file/i

/**
 * The disk failed in the last step of a commit. Nothing is damaged, and nothing lost: but this process cannot use the database
 * any more, as it does not know what of the step has reached the disk.
 */
const PANIC = /MDB_PANIC/

/** LMDB's own errors about its file, as DamagedVolumeError. */
export function asDamage(directory: string, error: unknown): unknown {
  const { message = '', code } = error as { message?: string; code?: number | string }
  if (PANIC.test(message)) {
    const cause = new Error('its last step failed; everything is there when the node is started again', {
      cause: error,
    })
    return new DiskError('the database could not be written', cause)
  }
  const badCode = typeof code === 'number' && code <= -30788 && code >= -30797
  if (DAMAGE.test(message) || badCode) {
    return new DamagedVolumeError(path.join(directory, DATA_FILE), message || `LMDB error ${code}`, { cause: error })
  }
  return typedError(`the database in ${directory}`, error)
}

export interface ChunkLocation {
  pack: number
  offset: number
  length: number
}

export interface NamedEntry {
  name: Uint8Array
  entry: EntryRecord
}

/** Most rows of one answer of a range read. */
export const RANGE_MAX = 65536
const LAST_NAME = Buffer.alloc(256, 0xff)
/** A copy of the first `length` bytes. LMDB's read buffer only claims to be as long as its row: never copy it as a whole. */
const copyOf = (bytes: Uint8Array, length = bytes.length) => {
  const copy = new Uint8Array(length)
  copy.set(bytes.subarray(0, length))
  return copy
}

/** Typed reads. Values are copies. A row that cannot be decoded throws EncodingError. */
export class StoreReader {
  constructor(readonly tables: Tables) {}

  static open(directory: string): StoreReader {
    return new StoreReader(openTables(directory))
  }

  /** From now on reads see everything committed so far, by any thread. Cheap; needs no turn of the event loop. */
  refresh(): void {
    this.tables.root.resetReadTxn()
  }

  close(): Promise<void> {
    return this.tables.root.close()
  }

  /** A row, valid until the next read; read not more than `length` of it. */
  #row(table: Table, key: Uint8Array): Buffer | undefined {
    return table.getBinaryFast(key as Buffer)
  }

  inode(ino: number): InodeRecord | undefined {
    const row = this.#row(this.tables.inodes, key48(ino))
    return row && codec.decodeInode(ino, row, row.length)
  }

  /** Every inode, in order of number. */
  *inodes(): Iterable<InodeRecord> {
    for (const { key, value } of this.tables.inodes.getRange()) yield codec.decodeInode(read48(key), value)
  }

  entry(folder: number, name: Uint8Array): EntryRecord | undefined {
    const row = this.#row(this.tables.entries, entryKey(folder, name))
    return row && codec.decodeEntry(row, row.length)
  }

  /** Entries of a folder in bytewise order of names, those after `after`, at most `limit`. */
  entries(folder: number, after?: Uint8Array, limit = RANGE_MAX): NamedEntry[] {
    const start = after ? Buffer.concat([entryKey(folder, after), Buffer.of(0)]) : key48(folder)
    const found: NamedEntry[] = []
    for (const { key, value } of this.tables.entries.getRange({ start, end: entryKey(folder, LAST_NAME), limit })) {
      found.push({ name: copyOf(key.subarray(6)), entry: codec.decodeEntry(value) })
    }
    return found
  }

  /** Every entry of every folder. */
  *allEntries(): Iterable<NamedEntry & { folder: number }> {
    for (const { key, value } of this.tables.entries.getRange()) {
      yield { folder: read48(key), name: copyOf(key.subarray(6)), entry: codec.decodeEntry(value) }
    }
  }

  /** How many entries a folder has. O(entries). */
  entryCount(folder: number): number {
    return this.tables.entries.getKeysCount({ start: key48(folder), end: entryKey(folder, LAST_NAME) })
  }

  document(document: DId): DocumentRecord | undefined {
    const row = this.#row(this.tables.documents, document)
    return row && codec.decodeDocument(row, row.length)
  }

  /** Every document that has a head. */
  *allDocuments(): Iterable<{ document: DId; row: DocumentRecord }> {
    for (const { key, value } of this.tables.documents.getRange()) {
      yield { document: copyOf(key), row: codec.decodeDocument(value) }
    }
  }

  isConflict(document: DId): boolean {
    return this.#row(this.tables.conflicts, document) !== undefined
  }

  /** Canonical bytes of a revision. */
  revision(rid: RId): Uint8Array | undefined {
    const row = this.#row(this.tables.revisions, rid)
    return row && copyOf(row, row.length)
  }

  /** Revisions in the order of their ids, those after `after`, at most `limit`. */
  revisions(after: RId | undefined, limit: number): { rid: RId; bytes: Uint8Array }[] {
    const start = after && Buffer.concat([after, Buffer.of(0)])
    const found: { rid: RId; bytes: Uint8Array }[] = []
    for (const { key, value } of this.tables.revisions.getRange({ start, limit: Math.min(limit, RANGE_MAX) }))
      found.push({ rid: copyOf(key), bytes: copyOf(value) })
    return found
  }

  /** Chunks and their places in the order of their ids, those after `after`, at most `limit`. */
  chunks(after: ChunkId | undefined, limit: number): { id: ChunkId; location: ChunkLocation }[] {
    const start = after && Buffer.concat([after, Buffer.of(0)])
    const found: { id: ChunkId; location: ChunkLocation }[] = []
    for (const { key, value } of this.tables.chunks.getRange({ start, limit: Math.min(limit, RANGE_MAX) }))
      found.push({ id: copyOf(key), location: decodeLocation(value) })
    return found
  }

  /** How many chunks there are. */
  get chunkCount(): number {
    return (this.tables.chunks.getStats() as { entryCount: number }).entryCount
  }

  hasRevision(rid: RId): boolean {
    return this.#row(this.tables.revisions, rid) !== undefined
  }

  chunk(id: ChunkId): ChunkLocation | undefined {
    const row = this.#row(this.tables.chunks, id)
    return row && decodeLocation(row)
  }

  /** Documents whose heads have a change number above `after`, in order, at most `limit`. */
  changes(after: number, limit: number): { seq: number; document: DId }[] {
    const found: { seq: number; document: DId }[] = []
    const start = key64(after + 1)
    for (const { key, value } of this.tables.changes.getRange({ start, limit: Math.min(limit, RANGE_MAX) })) {
      found.push({ seq: read64(key), document: copyOf(value) })
    }
    return found
  }

  /** Documents whose heads carry a conflict. */
  conflicts(limit: number): DId[] {
    const found: DId[] = []
    for (const key of this.tables.conflicts.getKeys({ limit: Math.min(limit, RANGE_MAX) })) found.push(copyOf(key))
    return found
  }

  spool(id: number): SpoolRecord | undefined {
    const row = this.#row(this.tables.spools, key48(id))
    return row && codec.decodeSpool(row, row.length)
  }

  spools(): { id: number; spool: SpoolRecord }[] {
    const found: { id: number; spool: SpoolRecord }[] = []
    for (const { key, value } of this.tables.spools.getRange()) {
      found.push({ id: read48(key), spool: codec.decodeSpool(value) })
    }
    return found
  }

  /** Folders whose live entries or attributes are newer than their revision. */
  unsealed(): number[] {
    return [...this.tables.unsealed.getKeys()].map((key) => read48(key))
  }

  isUnsealed(folder: number): boolean {
    return this.#row(this.tables.unsealed, key48(folder)) !== undefined
  }

  /** Inodes that were unlinked while open; recovery removes them. */
  orphans(): number[] {
    return [...this.tables.orphans.getKeys()].map((key) => read48(key))
  }

  setting(key: string): Uint8Array | undefined {
    const row = this.#row(this.tables.settings, Buffer.from(key))
    return row && copyOf(row, row.length)
  }

  /** A number of table `meta`, 0 if it is not there. */
  meta(name: Exclude<MetaName, 'clock'>): number {
    const row = this.#row(this.tables.meta, Buffer.from(name))
    return row ? read64(copyOf(row, row.length)) : 0
  }

  /** The last hybrid logical clock that was given out. */
  clock(): Uint8Array | undefined {
    const row = this.#row(this.tables.meta, Buffer.from('clock'))
    return row && copyOf(row, row.length)
  }

  get committed(): Lsn {
    return this.meta('committed')
  }

  get lastSeq(): number {
    return this.meta('seq')
  }

  /** The next inode number never used before. */
  get nextIno(): number {
    return Math.max(this.meta('maxIno'), 1) + 1
  }

  /** The next spool id never used before. */
  get nextSpool(): number {
    return this.meta('maxSpool') + 1
  }
}

export function encodeLocation(location: ChunkLocation): Buffer {
  const row = Buffer.allocUnsafe(14)
  row.writeUInt32LE(location.pack, 0)
  row.writeUIntLE(location.offset, 4, 6)
  row.writeUInt32LE(location.length, 10)
  return row
}

export function decodeLocation(row: Uint8Array): ChunkLocation {
  const view = Buffer.from(row.buffer, row.byteOffset, 14)
  return { pack: view.readUInt32LE(0), offset: view.readUIntLE(4, 6), length: view.readUInt32LE(10) }
}
