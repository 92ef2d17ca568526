// The values of the data model (ARCHITECTURE "Data model", docs/format.md). Pure data: no methods, no I/O.
// Ids are byte strings; where a Map needs a key, `hex()` of lib/model/bytes.ts makes one.

/** Document id: 16 random bytes. */
export type DId = Uint8Array
/** Revision id: 33 bytes, algorithm byte (0x12: SHA-256) and the hash of the revision's canonical encoding. */
export type RId = Uint8Array
/** Volume id: 16 random bytes. */
export type SId = Uint8Array
/** Chunk id: 33 bytes, algorithm byte and hash of the chunk's bytes. */
export type ChunkId = Uint8Array
/** Hybrid logical clock, 8 bytes, ordered bytewise: 6 bytes milliseconds since the epoch, 2 bytes counter, big endian. */
export type Clock = Uint8Array

export const DID_BYTES = 16
export const HASH_BYTES = 33
export const CLOCK_BYTES = 8
export const DEVICE_BYTES = 32
/** Content up to this size lies inline in the revision. */
export const INLINE_MAX = 512
/** Most bytes of any chunk: of data, of folder entries, or a list. */
export const CHUNK_LIMIT = 256 * 1024
/** Most levels of lists above the data chunks. */
export const LEVELS_MAX = 10

export interface Time {
  sec: number
  nsec: number
}

export interface Xattr {
  name: Uint8Array
  value: Uint8Array
}

export interface Attributes {
  mode: number
  uid: number
  gid: number
  rdev: number
  /** Sorted by name. */
  xattrs: Xattr[]
}

export type MetadataValue =
  | { kind: 'null' }
  | { kind: 'boolean'; value: boolean }
  | { kind: 'integer'; value: number }
  | { kind: 'number'; value: number }
  | { kind: 'text'; value: string }
  | { kind: 'data'; value: Uint8Array }
  | { kind: 'time'; value: Time }
  | { kind: 'list'; value: MetadataValue[] }
  | { kind: 'map'; value: Map<string, MetadataValue> }
  | { kind: 'document'; value: DId }
  | { kind: 'revision'; value: RId }

/**
 * Immutable bytes. `inline` holds all of them when `size <= INLINE_MAX`; otherwise `root` names the one chunk
 * (`levels` 0) or the top list of the content tree (`levels` ≥ 1). Equal bytes always make an equal Content.
 */
export interface Content {
  size: number
  inline?: Uint8Array
  root?: ChunkId
  levels: number
}

export const FLAG_STICKY = 1
export const FLAG_EPHEMERAL = 2
export const FLAG_CONFLICT = 4
/** The document was removed. Its `home` says from where; entries that were made before do not bring it back, later ones do. */
export const FLAG_REMOVED = 8

export const TYPE_FOLDER = 'inode/directory'
export const TYPE_SYMLINK = 'inode/symlink'
export const PART_CONTENT = 'content'
export const PART_ENTRIES = 'entries'

export interface Revision {
  /** Sorted bytewise, unique. */
  parents: RId[]
  type: string
  flags: number
  created: Time
  modified: Time
  /** Device that made it: 32 bytes, or empty in merges. */
  author: Uint8Array
  clock: Clock
  comment: string
  attributes: Attributes
  metadata: Map<string, MetadataValue>
  parts: Map<string, Content>
  /** Of documents that were removed once: where. What is made on top of a removal keeps it. */
  home?: Home
}

/** The entry that named a document when it was removed. */
export interface Home {
  folder: DId
  name: Uint8Array
  stamp: Clock
}

/** Added to the type of an entry that is a further name of a file (link(2)): it does not compete with the others. */
export const TYPE_LINK = 16
export const TYPE_MASK = 15

export interface FolderEntry {
  name: Uint8Array
  document: DId
  /** DT_*: mode >> 12; and TYPE_LINK. */
  type: number
  stamp: Clock
}

/** Difference of two folders, in name order. `before` absent: added; `after` absent: removed. */
export interface FolderChange {
  name: Uint8Array
  before?: FolderEntry
  after?: FolderEntry
}

/** A data chunk of a content, by name. */
export interface ChunkRef {
  id: ChunkId
  /** Bytes. */
  size: number
}

/** A chunk (data or list) with its bytes, ready to be stored. */
export interface Chunk {
  id: ChunkId
  bytes: Uint8Array
}

/** Where a content tree's chunks (data chunks and lists alike) come from. Throws if the chunk is not there. */
export type ChunkSource = (id: ChunkId) => Uint8Array
