// Encodings of LMDB rows and journal records: hand-packed, little endian, one version byte per row (docs/on-disk.md).
// Pure. What it decodes is copied out and checked against the bounds below; anything else throws EncodingError.

import { type Content, HASH_BYTES, INLINE_MAX } from '../model/types.js'
import { EncodingError, TooLargeError } from './errors.js'
import { Packer, Unpacker } from './packer.js'
import type { DocumentRecord, EntryRecord, InodeRecord, JournalRecord, LiveContent, SpoolRecord } from './records.js'

/** Most bytes that LiveContent of kind `bytes` holds. */
export const BYTES_MAX = 4096
/** Most bytes of one WRITE record. */
export const WRITE_MAX = 1 << 20
/** Most bytes of an inode's extended attributes, names and values together. */
export const XATTRS_MAX = 256 * 1024
/** Most ranges of a spool that a row keeps; its owner closes the spool before there are more. */
export const RANGES_MAX = 1 << 20
export const NAME_MAX = 255
const ROW_MAX = 32 << 20

const ROW_VERSION = 1
const CONTENT_INLINE = 0
const CONTENT_TREE = 1
const CONTENT_BYTES = 2
const CONTENT_JOURNAL = 3
const CONTENT_SPOOL = 4

export const RECORD_INODE = 1
export const RECORD_INODE_GONE = 2
export const RECORD_ENTRY = 3
export const RECORD_ENTRY_GONE = 4
export const RECORD_WRITE = 5
export const RECORD_TRUNCATE = 6
export const RECORD_SPOOL = 7
export const RECORD_SPOOL_RANGE = 8
export const RECORD_SPOOL_SIZE = 9
export const RECORD_SPOOL_GONE = 10
export const RECORD_HEAD = 11

/** Content without bytes. */
export const EMPTY_CONTENT: Content = { size: 0, inline: new Uint8Array(0), levels: 0 }
export const EMPTY_LIVE: LiveContent = { kind: 'committed', content: EMPTY_CONTENT }

function packTree(p: Packer, content: Content): void {
  if (!content.root) {
    const inline = content.inline
    const length = inline?.length ?? 0
    if (length !== content.size || length > INLINE_MAX) throw new EncodingError('content with neither bytes nor root')
    p.u8(CONTENT_INLINE)
    p.u16(length)
    if (inline) p.bytes(inline)
    return
  }
  p.u8(CONTENT_TREE)
  p.u64(content.size)
  p.u8(content.levels)
  p.fixed(content.root, HASH_BYTES)
}

/** Needs 64 bytes of room (bytes() keeps that much free behind itself). */
export function packContent(p: Packer, live: LiveContent): void {
  switch (live.kind) {
    case 'committed':
      packTree(p, live.content)
      return
    case 'bytes':
      if (live.bytes.length > BYTES_MAX) throw new TooLargeError('Content kept as bytes', live.bytes.length, BYTES_MAX)
      p.u8(CONTENT_BYTES)
      p.u16(live.bytes.length)
      p.bytes(live.bytes)
      return
    case 'journal':
      p.u8(CONTENT_JOURNAL)
      p.u64(live.lsn)
      p.u32(live.size)
      return
    case 'spool':
      p.u8(CONTENT_SPOOL)
      p.u48(live.spool)
      p.u64(live.size)
      return
  }
}

function unpackTree(u: Unpacker, tag: number): Content {
  if (tag === CONTENT_INLINE) {
    const size = u.u16()
    if (size > INLINE_MAX) throw new EncodingError('inline content that is too long')
    return { size, inline: u.bytes(size), levels: 0 }
  }
  const size = u.u64()
  const levels = u.u8()
  return { size, root: u.bytes(HASH_BYTES), levels }
}

export function unpackContent(u: Unpacker): LiveContent {
  const tag = u.u8()
  switch (tag) {
    case CONTENT_INLINE:
    case CONTENT_TREE:
      return { kind: 'committed', content: unpackTree(u, tag) }
    case CONTENT_BYTES: {
      const length = u.u16()
      if (length > BYTES_MAX) throw new EncodingError('content bytes that are too long')
      return { kind: 'bytes', bytes: u.bytes(length) }
    }
    case CONTENT_JOURNAL: {
      const lsn = u.u64()
      const size = u.u32()
      if (size > WRITE_MAX) throw new EncodingError('journal content that is too long')
      return { kind: 'journal', lsn, size }
    }
    case CONTENT_SPOOL: {
      const spool = u.u48()
      return { kind: 'spool', spool, size: u.u64() }
    }
    default:
      throw new EncodingError(`content kind ${tag}`)
  }
}

const EMPTY_XATTRS: InodeRecord['xattrs'] = []

function packXattrs(p: Packer, xattrs: InodeRecord['xattrs']): void {
  p.u16(xattrs.length)
  let total = 0
  for (const { name, value } of xattrs) {
    total += name.length + value.length
    if (total > XATTRS_MAX) throw new TooLargeError('Extended attributes of a file', total, XATTRS_MAX)
    p.room(64)
    p.u8(name.length)
    p.bytes(name)
    p.u32(value.length)
    p.bytes(value)
  }
}

function unpackXattrs(u: Unpacker): InodeRecord['xattrs'] {
  const count = u.u16()
  const xattrs = count === 0 ? EMPTY_XATTRS.slice() : []
  let total = 0
  for (let i = 0; i < count; i++) {
    const name = u.bytes(u.u8())
    const value = u.bytes(u.u32())
    total += name.length + value.length
    if (total > XATTRS_MAX) throw new EncodingError('too many extended attributes')
    xattrs.push({ name, value })
  }
  return xattrs
}

/** Everything but `ino`, which is the row's key. */
export function packInode(p: Packer, inode: InodeRecord): void {
  p.room(192)
  p.u8(ROW_VERSION)
  p.fixed(inode.document, 16)
  p.u32(inode.mode)
  p.u32(inode.uid)
  p.u32(inode.gid)
  p.u32(inode.rdev)
  p.u32(inode.nlink)
  p.u64(inode.size)
  p.i64(inode.mtimeSec)
  p.u32(inode.mtimeNsec)
  p.i64(inode.ctimeSec)
  p.u32(inode.ctimeNsec)
  p.i64(inode.createdSec)
  p.u32(inode.createdNsec)
  p.u48(inode.parent)
  packContent(p, inode.content)
  packXattrs(p, inode.xattrs)
}

function version(u: Unpacker): void {
  const found = u.u8()
  if (found !== ROW_VERSION) throw new EncodingError(`row version ${found}`)
}

export function unpackInode(u: Unpacker, ino: number): InodeRecord {
  version(u)
  return {
    ino,
    document: u.bytes(16),
    mode: u.u32(),
    uid: u.u32(),
    gid: u.u32(),
    rdev: u.u32(),
    nlink: u.u32(),
    size: u.u64(),
    mtimeSec: u.i64(),
    mtimeNsec: u.u32(),
    ctimeSec: u.i64(),
    ctimeNsec: u.u32(),
    createdSec: u.i64(),
    createdNsec: u.u32(),
    parent: u.u48(),
    content: unpackContent(u),
    xattrs: unpackXattrs(u),
  }
}

/** Needs 15 bytes of room. */
export function packEntry(p: Packer, entry: EntryRecord): void {
  p.u48(entry.ino)
  p.u8(entry.type)
  p.fixed(entry.stamp, 8)
}

export function unpackEntry(u: Unpacker): EntryRecord {
  return { ino: u.u48(), type: u.u8(), stamp: u.bytes(8) }
}

const scratch = new Packer(4096, ROW_MAX)

/** Value of a row of table `inodes`. */
export function encodeInode(inode: InodeRecord): Buffer {
  scratch.pos = 0
  packInode(scratch, inode)
  return scratch.take()
}

export function decodeInode(ino: number, row: Uint8Array, length = row.length): InodeRecord {
  const u = new Unpacker(row, 0, length)
  const inode = unpackInode(u, ino)
  u.done()
  return inode
}

/** Value of a row of table `entries`. */
export function encodeEntry(entry: EntryRecord): Buffer {
  scratch.pos = 0
  scratch.room(16)
  packEntry(scratch, entry)
  return scratch.take()
}

export function decodeEntry(row: Uint8Array, length = row.length): EntryRecord {
  const u = new Unpacker(row, 0, length)
  const entry = unpackEntry(u)
  u.done()
  return entry
}

/** Value of a row of table `documents`. */
export function encodeDocument(document: DocumentRecord): Buffer {
  scratch.pos = 0
  scratch.room(64)
  scratch.u8(ROW_VERSION)
  scratch.fixed(document.head, HASH_BYTES)
  scratch.u48(document.ino)
  scratch.u64(document.seq)
  return scratch.take()
}

export function decodeDocument(row: Uint8Array, length = row.length): DocumentRecord {
  const u = new Unpacker(row, 0, length)
  version(u)
  const document = { head: u.bytes(HASH_BYTES), ino: u.u48(), seq: u.u64() }
  u.done()
  return document
}

const SPOOL_STATES = ['open', 'closed', 'committed'] as const

/** Value of a row of table `spools`. */
export function encodeSpool(spool: SpoolRecord): Buffer {
  if (spool.ranges.length > RANGES_MAX) throw new TooLargeError('A list of ranges', spool.ranges.length, RANGES_MAX)
  const p = scratch
  p.pos = 0
  p.room(256)
  p.u8(ROW_VERSION)
  p.u48(spool.ino)
  p.u8(SPOOL_STATES.indexOf(spool.state))
  p.u64(spool.baseSize)
  packContent(p, spool.base)
  p.room(256)
  p.u8(spool.content ? 1 : 0)
  if (spool.content) packTree(p, spool.content)
  p.room(64)
  p.u8(spool.closed ? 1 : 0)
  if (spool.closed) {
    p.fixed(spool.closed.document, 16)
    p.u64(spool.closed.size)
    p.i64(spool.closed.mtimeSec)
    p.u32(spool.closed.mtimeNsec)
  }
  p.room(4 + spool.ranges.length * 16)
  p.u32(spool.ranges.length)
  for (const [offset, length] of spool.ranges) {
    p.u64(offset)
    p.u64(length)
  }
  return p.take()
}

export function decodeSpool(row: Uint8Array, length = row.length): SpoolRecord {
  const u = new Unpacker(row, 0, length)
  version(u)
  const ino = u.u48()
  const state = SPOOL_STATES[u.u8()]
  if (!state) throw new EncodingError('state of a spool')
  const baseSize = u.u64()
  const base = unpackContent(u)
  const content = u.u8() ? unpackCommitted(u) : undefined
  const closed = u.u8() ? { document: u.bytes(16), size: u.u64(), mtimeSec: u.i64(), mtimeNsec: u.u32() } : undefined
  const count = u.u32()
  if (count > RANGES_MAX) throw new EncodingError('too many ranges')
  const ranges: [number, number][] = []
  for (let i = 0; i < count; i++) ranges.push([u.u64(), u.u64()])
  u.done()
  const spool: SpoolRecord = { ino, base, ranges, baseSize, state }
  if (content) spool.content = content
  if (closed) spool.closed = closed
  return spool
}

function unpackCommitted(u: Unpacker): Content {
  const live = unpackContent(u)
  if (live.kind !== 'committed') throw new EncodingError('content that is not committed')
  return live.content
}

function name(u: Unpacker): Uint8Array {
  const length = u.u8()
  if (length === 0) throw new EncodingError('an empty name')
  return u.bytes(length)
}

/** Decodes the record at the unpacker's place. `data` of WRITE records is a view, not a copy. */
export function unpackRecord(u: Unpacker): JournalRecord {
  const type = u.u8()
  switch (type) {
    case RECORD_INODE: {
      const closed = u.u8() !== 0
      const ino = u.u48()
      return { type: 'inode', inode: unpackInode(u, ino), closed }
    }
    case RECORD_INODE_GONE:
      return { type: 'inode-gone', ino: u.u48() }
    case RECORD_ENTRY:
      return { type: 'entry', folder: u.u48(), name: name(u), entry: unpackEntry(u) }
    case RECORD_ENTRY_GONE:
      return { type: 'entry-gone', folder: u.u48(), name: name(u) }
    case RECORD_WRITE:
      return unpackWrite(u)
    case RECORD_TRUNCATE:
      return { type: 'truncate', ino: u.u48(), size: u.u64(), sec: u.i64(), nsec: u.u32() }
    case RECORD_SPOOL:
      return { type: 'spool', spool: u.u48(), ino: u.u48(), base: unpackContent(u) }
    case RECORD_SPOOL_RANGE:
      return { type: 'spool-range', spool: u.u48(), offset: u.u64(), length: u.u64() }
    case RECORD_SPOOL_SIZE:
      return { type: 'spool-size', spool: u.u48(), size: u.u64() }
    case RECORD_SPOOL_GONE:
      return { type: 'spool-gone', spool: u.u48() }
    case RECORD_HEAD:
      return { type: 'head', document: u.bytes(16), head: u.bytes(HASH_BYTES) }
    default:
      throw new EncodingError(`record type ${type}`)
  }
}

function unpackWrite(u: Unpacker): JournalRecord {
  const ino = u.u48()
  const offset = u.u64()
  const sec = u.i64()
  const nsec = u.u32()
  const length = u.u32()
  if (length > WRITE_MAX) throw new EncodingError('a write that is too long')
  u.need(length)
  const data = u.buffer.subarray(u.pos, u.pos + length)
  u.pos += length
  return { type: 'write', ino, offset, data, sec, nsec }
}
