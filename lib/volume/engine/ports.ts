// What the engine needs of the store, so that tests can give it less. lib/store's StoreReader and JournalWriter fit.

import type { ChunkId, DId, RId } from '../../model/types.js'
import type { DocumentRecord, EntryRecord, InodeRecord, LiveContent, Lsn, SpoolRecord } from '../../store/records.js'

/** Durable state: everything folded up to `committed`, as of the last `refresh()` or later. */
export interface DurableState {
  refresh(): void
  inode(ino: number): InodeRecord | undefined
  entry(folder: number, name: Uint8Array): EntryRecord | undefined
  /** Bytewise order of names. */
  entries(folder: number, after?: Uint8Array, limit?: number): { name: Uint8Array; entry: EntryRecord }[]
  document(document: DId): DocumentRecord | undefined
  /** Canonical bytes of a revision. */
  revision(rid: RId): Uint8Array | undefined
  spool(id: number): SpoolRecord | undefined
  spools(): { id: number; spool: SpoolRecord }[]
  chunk(id: ChunkId): { pack: number; offset: number; length: number } | undefined
  isUnsealed(folder: number): boolean
  /** Folders whose entries are newer than their revision; few. */
  unsealed(): number[]
  readonly nextIno: number
  readonly nextSpool: number
}

export interface Journal {
  readonly end: Lsn
  readonly written: Lsn
  readonly needsRotation: boolean
  begin(): void
  inode(inode: InodeRecord, closed: boolean): void
  inodeGone(ino: number): void
  entry(folder: number, name: Uint8Array, entry: EntryRecord): void
  entryGone(folder: number, name: Uint8Array): void
  write(ino: number, offset: number, data: Uint8Array, sec: number, nsec: number): Lsn
  truncate(ino: number, size: number, sec: number, nsec: number): void
  spool(spool: number, ino: number, base: LiveContent): void
  spoolRange(spool: number, offset: number, length: number): void
  spoolSize(spool: number, size: number): void
  spoolGone(spool: number): void
  head(document: DId, head: RId): void
  abandon(): void
  commitFrame(urgent?: boolean): Lsn
  defer(): Lsn
  flushDeferred(): void
  rotate(): void
  sync(): { fds: number[]; directory?: string; upTo: Lsn }
  readBytes(lsn: Lsn, length: number): Uint8Array
  release(lsn: Lsn): void
  close(): void
}

/** How far the committer came. */
export interface Progress {
  /** Frames that begin below are folded and durable. */
  committed(): Lsn
  /** The journal's file ends here now. */
  journalEnd(lsn: Lsn): void
}
