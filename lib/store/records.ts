// What the volume thread writes to the journal and the committer folds into LMDB: the shapes, shared by both sides.
// Owns no bytes: the encodings are in lib/store/codec.ts (LMDB rows and journal records use the same ones).

import type { Clock, Content, DId, RId } from '../model/types.js'

/** Log sequence number: the byte position in the endless journal of a volume at which a frame begins; a safe integer. */
export type Lsn = number

/** Where a closed file's bytes are. */
export type LiveContent =
  /** In the store; also every empty content. */
  | { kind: 'committed'; content: Content }
  /** The bytes themselves, up to 4096 of them (symlink targets, tiny files). */
  | { kind: 'bytes'; bytes: Uint8Array }
  /** `size` bytes of a WRITE record in the journal, the data of which begins at byte position `lsn`. */
  | { kind: 'journal'; lsn: Lsn; size: number }
  /** A closed spool that the hashers have not put into packs yet. */
  | { kind: 'spool'; spool: number; size: number }

/** An inode: the live state of a document in this volume. Also a row of table `inodes`, keyed by `ino`. */
export interface InodeRecord {
  /** 1 is the root. Never given twice in a volume. Up to 2^48. */
  ino: number
  document: DId
  mode: number
  uid: number
  gid: number
  rdev: number
  /** Entries that name it; of a folder 2 + its subfolders. 0: unlinked but open. */
  nlink: number
  size: number
  mtimeSec: number
  mtimeNsec: number
  ctimeSec: number
  ctimeNsec: number
  /** Creation of the document. */
  createdSec: number
  createdNsec: number
  /** A folder in which it is linked (for a folder: its only parent); 0 when in none. A hint for files with several names. */
  parent: number
  content: LiveContent
  /** Pairs sorted by name; empty for most. */
  xattrs: { name: Uint8Array; value: Uint8Array }[]
}

/** An entry of a folder. Also a row of table `entries`, keyed by folder ino and name. */
export interface EntryRecord {
  ino: number
  /** DT_*: mode >> 12; and TYPE_LINK of lib/model for a further name of a file. */
  type: number
  /** When it was linked here. */
  stamp: Clock
}

/**
 * Journal records. One *frame* (length, CRC-32, records) holds the records of one operation and is replayed whole or not
 * at all. Records are after-images: replaying one twice changes nothing.
 */
export type JournalRecord =
  /**
   * The inode as it is now. `closed`: its content was just closed and is a version to keep; earlier WRITE and TRUNCATE
   * records of the inode are settled by it. Not `closed`: `content` is the last closed one, working copies go on.
   */
  | { type: 'inode'; inode: InodeRecord; closed: boolean }
  /** The inode is gone (no name, not open). */
  | { type: 'inode-gone'; ino: number }
  | { type: 'entry'; folder: number; name: Uint8Array; entry: EntryRecord }
  | { type: 'entry-gone'; folder: number; name: Uint8Array }
  /** A write to a small working copy (held in memory by the volume thread). Time: of the write, for mtime. */
  | { type: 'write'; ino: number; offset: number; data: Uint8Array; sec: number; nsec: number }
  | { type: 'truncate'; ino: number; size: number; sec: number; nsec: number }
  /** A large working copy begins: file `spool/<id>` over `base` (empty base: the file is the content as it is). */
  | { type: 'spool'; spool: number; ino: number; base: LiveContent }
  /** With a non-empty base: this range of the content is now the spool's own. */
  | { type: 'spool-range'; spool: number; offset: number; length: number }
  /** The content was cut to or extended to `size`: bytes of the base beyond it are not seen any more. */
  | { type: 'spool-size'; spool: number; size: number }
  /** Nothing refers to the spool any more; row and file may go. */
  | { type: 'spool-gone'; spool: number }
  /**
   * Sync applied this head: the inode and entry records in the same frame are its live state, so no revision is made of
   * them. Also for documents without an inode here.
   */
  | { type: 'head'; document: DId; head: RId }

/** Row of table `documents`, keyed by DId. */
export interface DocumentRecord {
  head: RId
  /** 0: not in the live tree. */
  ino: number
  /** Change number of the last head change; row `changes[seq]` names the document. */
  seq: number
}

/** Row of table `spools`, keyed by spool id. */
export interface SpoolRecord {
  ino: number
  base: LiveContent
  /** Own ranges, sorted, merged: [offset, length]. Empty with an empty base (then all is its own). */
  ranges: [number, number][]
  /** How many bytes of the base are still seen. */
  baseSize: number
  state: 'open' | 'closed' | 'committed'
  /** Once committed. */
  content?: Content
  /** Once closed: what it is a version of, and when it was made. Set by the committer. */
  closed?: { document: DId; size: number; mtimeSec: number; mtimeNsec: number }
}

/**
 * A few numbers shared by the two threads of a volume (SharedArrayBuffer, BigInt64 slots by these indexes, Atomics):
 * the journal's end (written by the volume thread after the write(2)), what is folded and durable (written by the
 * committer), and whether the committer sleeps.
 */
export const PROGRESS_JOURNAL_END = 0
export const PROGRESS_COMMITTED = 1
/**
 * 1 while the committer sleeps: who appends to the journal then sets it to 0 and sends the thread the message `wake`. Else
 * the committer looks at the journal's end by itself.
 */
export const PROGRESS_ASLEEP = 2
export const PROGRESS_SLOTS = 3
