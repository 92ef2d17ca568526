// The face of a volume towards everything above it (sync, API, console): what others may ask, and the messages that cross
// the threads for it. Implemented by lib/volume/volume.ts on the main thread. Reads show durable state only.

import type { Claim, Whereabouts } from '../model/tree-facts.js'
import type {
  Attributes,
  Chunk,
  ChunkId,
  ChunkSource,
  Content,
  DId,
  FolderEntry,
  Revision,
  RId,
  SId,
  Time,
} from '../model/types.js'
import type { VolumeHolding } from './holding.js'
import type { Wants } from './wants.js'

export interface Head {
  document: DId
  head: RId
  /** Change number: grows with every change of a head in this volume, never given twice. */
  seq: number
  /** Inode number in the live tree, 0 if it is not there. */
  ino: number
}

/** Move the head of a document to a revision that the volume has (imported before). Compare-and-set on `expected`. */
export interface HeadChange {
  document: DId
  /** The head that the caller knows; absent: the document is new to this volume. */
  expected?: RId
  head: RId
  /** Changes of one call with the same number are made all or none of them. */
  group?: number
}

/**
 * `applied`: durable soon, live now. `stale`: the head is another one (told). `busy`: local changes are not committed yet or
 * a working copy is open; `Volume.flush()` first. `missing`: a folder names documents that this volume does not have (told).
 */
export type ApplyResult =
  | { result: 'applied' }
  | { result: 'busy' }
  | { result: 'stale'; head?: RId }
  | { result: 'missing'; documents: DId[] }

export interface WalkResult {
  ino: number
  document: DId
  mode: number
  size: number
  modified: Time
}

export interface VolumeStatus {
  sid: SId
  label: string
  root: DId
  /** Where it is mounted, if it is. */
  mountPoint?: string
  /** Journal bytes that are not committed yet. */
  backlog: number
  documents: number
  seq: number
  bytesFree: number
  /** Of a volume that may not have everything: bytes that contents take here, pinned files that lack something. */
  held?: { bytes: number; lacking: number }
  /** What recovery or scrub repaired or found, newest last, bounded. */
  reports: string[]
}

export interface VolumeEvents {
  /** Heads that became durable, in order of `seq`. */
  heads: (heads: Head[]) => void
}

export interface Volume {
  readonly sid: SId
  readonly label: string
  readonly root: DId
  /** This device: 32 bytes, the author of revisions. */
  readonly author: Uint8Array

  head(document: DId): Head | undefined
  revision(rid: RId): Revision | undefined
  /** Canonical bytes of a revision. */
  encoded(rid: RId): Uint8Array | undefined
  /** Heads with a change number above `after`, in order, at most `limit`. O(result). */
  changes(after: number, limit: number): Head[]
  /** The highest change number. */
  lastSeq(): number
  conflicts(limit: number): Head[]
  hasChunk(id: ChunkId): boolean
  /** Bytes of one chunk, read off the main thread's back; throws ChunkMissingError or ChunkDamagedError. */
  chunk(id: ChunkId): Promise<Uint8Array>
  /** Synchronous, for list chunks and folders. */
  readonly source: ChunkSource
  /** Part of a content, e.g. for `cat`. */
  read(content: Content, offset: number, length: number): Promise<Uint8Array>
  entries(folder: Revision): FolderEntry[]
  /** Where documents are in the live tree, as far as it is folded; with everything that was applied. */
  whereabouts(documents: DId[]): Promise<Whereabouts[]>
  /** The entries that name a document, likewise; of a file with several names those in one folder. O(entries of the folder). */
  claims(document: DId): Promise<Claim[]>

  /** Verified (canonical, hashes) by the callee; durable when resolved. `chunks` are stored together with them: all or nothing. */
  importRevisions(encoded: Uint8Array[], chunks?: Chunk[]): Promise<RId[]>
  /** Mends those that are damaged here. */
  importChunks(chunks: Chunk[]): Promise<void>
  /** What is not here and somebody waits for; who may have it. */
  readonly wants: Wants
  /** What is held here, and what of it is pinned. */
  readonly holding: VolumeHolding
  /** Chunks that are known to be damaged here, and count as missing; at most `limit`. */
  damagedChunks(limit: number): ChunkId[]
  /** One call is one atomic change of the live tree, as far as its results are `applied`. Children are applied before folders. */
  apply(changes: HeadChange[]): Promise<ApplyResult[]>
  /** Resolves when everything acknowledged before the call is committed and folders are sealed. */
  flush(): Promise<void>

  /** Small durable settings of upper layers (sync anchors, rules): key up to 200 bytes, value up to 64 KiB. */
  setting(key: string): Uint8Array | undefined
  setSetting(key: string, value: Uint8Array | undefined): Promise<void>

  /** Walks the live tree from the root by names. Rejects with PathError (code ENOENT, ENOTDIR …). */
  walk(names: Uint8Array[]): Promise<WalkResult>
  list(ino: number): Promise<{ name: Uint8Array; ino: number; type: number }[]>
  /** Path of an inode in the live tree, names from the root; undefined if it is not there. */
  path(ino: number): Promise<Uint8Array[] | undefined>
  /** Makes `content` the new content of the file, as a new version on top of its history. */
  restore(ino: number, rid: RId): Promise<void>
  /**
   * Makes a file at a path where there is none, with the content of a version of `document`, and going on with that document if it
   * is nowhere in the live tree; or an empty folder, which is a new one, with its attributes. Missing folders on the way are made.
   * Rejects with PathError (EEXIST, ENOTDIR …).
   */
  revive(names: Uint8Array[], document: DId, rid: RId): Promise<void>
  status(): VolumeStatus
  on<K extends keyof VolumeEvents>(event: K, listener: VolumeEvents[K]): () => void
}

/** The live state that a head stands for, as the volume thread needs it. */
export interface LiveRevision {
  head: RId
  attributes: Attributes
  modified: Time
  created: Time
  /** Files and symlinks. */
  content?: Content
  /** Bytes of `content` where they are few (symlinks always). */
  inline?: Uint8Array
}

/** How an entry of a folder changes in the live tree. */
export interface LiveEntryChange {
  name: Uint8Array
  before?: FolderEntry
  after?: FolderEntry
  /** With `after`: its document has no inode here yet and gets this state. Its head is set already, or by it. */
  child?: LiveRevision
}

export interface LiveChange {
  document: DId
  expected?: RId
  live: LiveRevision
  /** See HeadChange. */
  group?: number
  /** Folders that are in the live tree: how entries differ between `expected` and `head`. */
  entries?: LiveEntryChange[]
}

/**
 * Message of `apply` to the volume thread. Answer: `('applied' | 'busy' | 'stale')[]`, one for each change. Changes are
 * made in order. A folder that has no inode when its change comes has no live entries to change: its change carries none.
 * When a later change links it (as `child`: an empty folder at first), one more change follows with `expected` equal to
 * `head` and all its entries; so on for folders in it.
 */
export interface ApplyRequest {
  changes: LiveChange[]
}
