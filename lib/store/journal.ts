// The volume thread's end of the journal: packs the records of one operation into a frame and hands it to the kernel with
// one write(2), so that what was acknowledged outlives the process. Never syncs by itself, never reads LMDB.
// Invariants: a frame is on file whole or not at all; on ENOSPC the file is as before and the frame is forgotten; the last
// RESERVE bytes of preallocated space are kept for frames marked urgent (removing things on a full disk).

import fs from 'node:fs'
import path from 'node:path'
import type { DId, RId } from '../model/types.js'
import * as codec from './codec.js'
import { StoreError, TooLargeError, typedError } from './errors.js'
import {
  FRAME_HEADER,
  FRAME_MAX,
  frameChecksum,
  SEGMENT_HEADER,
  segmentAt,
  segmentHeader,
  segmentName,
} from './journal-segments.js'
import { Packer } from './packer.js'
import type { EntryRecord, InodeRecord, LiveContent, Lsn } from './records.js'
import { preallocate, write } from './syscalls.js'

const ROTATE_AT = 64 << 20
const PREALLOCATE = 4 << 20
const RESERVE = 256 << 10
const DEFERRED_MAX = 1 << 20

interface OpenSegment {
  start: Lsn
  fd: number
  dirty: boolean
}

export interface JournalInit {
  directory: string
  /** Where the journal ends (recovery says); a new segment starts there. */
  end: Lsn
  /** Size at which `needsRotation` turns true; default 64 MiB. */
  rotateAt?: number
}

/**
 * Use: `begin()`, records, then `commitFrame()` or `defer()` (or `abandon()`). Record methods return nothing but `write`,
 * which returns the position of its data. Bounded: see the limits of codec.ts; TooLargeError leaves the frame to be abandoned.
 */
export class JournalWriter {
  readonly directory: string
  readonly #rotateAt: number
  readonly #packer = new Packer(1 << 20, FRAME_MAX + DEFERRED_MAX + 4096)
  readonly #segments: OpenSegment[] = []
  #fd = -1
  /** Bytes of the newest segment's file. */
  #fileSize = 0
  #allocated = 0
  /** On file up to here. */
  #written: Lsn
  /** Bytes of complete frames at the start of the buffer that are not on file yet. */
  #deferred = 0
  #open = false
  #directoryDirty = true

  constructor(init: JournalInit) {
    this.directory = init.directory
    this.#rotateAt = init.rotateAt ?? ROTATE_AT
    this.#written = init.end
    this.#start(init.end)
  }

  /** Where the next frame will begin, counting deferred ones. */
  get end(): Lsn {
    return this.#written + this.#deferred
  }

  /** Where the frames on file end: what PROGRESS_JOURNAL_END may say. */
  get written(): Lsn {
    return this.#written
  }

  get needsRotation(): boolean {
    return this.#fileSize >= this.#rotateAt
  }

  begin(): void {
    const p = this.#packer
    p.pos = this.#deferred
    p.room(FRAME_HEADER + 256)
    p.pos += FRAME_HEADER
    this.#open = true
  }

  inode(inode: InodeRecord, closed: boolean): void {
    const p = this.#packer
    p.room(16)
    p.u8(codec.RECORD_INODE)
    p.u8(closed ? 1 : 0)
    p.u48(inode.ino)
    codec.packInode(p, inode)
  }

  inodeGone(ino: number): void {
    const p = this.#packer
    p.room(16)
    p.u8(codec.RECORD_INODE_GONE)
    p.u48(ino)
  }

  entry(folder: number, name: Uint8Array, entry: EntryRecord): void {
    this.#name(codec.RECORD_ENTRY, folder, name)
    codec.packEntry(this.#packer, entry)
  }

  entryGone(folder: number, name: Uint8Array): void {
    this.#name(codec.RECORD_ENTRY_GONE, folder, name)
  }

  #name(type: number, folder: number, name: Uint8Array): void {
    if (name.length > codec.NAME_MAX) throw new TooLargeError('A name', name.length, codec.NAME_MAX)
    const p = this.#packer
    p.room(16)
    p.u8(type)
    p.u48(folder)
    p.u8(name.length)
    p.bytes(name)
  }

  /** Returns the position of the data, for LiveContent of kind `journal`; valid once the frame is committed or deferred. */
  write(ino: number, offset: number, data: Uint8Array, sec: number, nsec: number): Lsn {
    if (data.length > codec.WRITE_MAX) throw new TooLargeError('A write', data.length, codec.WRITE_MAX)
    const p = this.#packer
    p.room(64)
    p.u8(codec.RECORD_WRITE)
    p.u48(ino)
    p.u64(offset)
    p.i64(sec)
    p.u32(nsec)
    p.u32(data.length)
    const lsn = this.#written + p.pos
    p.bytes(data)
    return lsn
  }

  truncate(ino: number, size: number, sec: number, nsec: number): void {
    const p = this.#packer
    p.room(64)
    p.u8(codec.RECORD_TRUNCATE)
    p.u48(ino)
    p.u64(size)
    p.i64(sec)
    p.u32(nsec)
  }

  spool(spool: number, ino: number, base: LiveContent): void {
    const p = this.#packer
    p.room(128)
    p.u8(codec.RECORD_SPOOL)
    p.u48(spool)
    p.u48(ino)
    codec.packContent(p, base)
  }

  spoolRange(spool: number, offset: number, length: number): void {
    const p = this.#packer
    p.room(32)
    p.u8(codec.RECORD_SPOOL_RANGE)
    p.u48(spool)
    p.u64(offset)
    p.u64(length)
  }

  spoolSize(spool: number, size: number): void {
    const p = this.#packer
    p.room(32)
    p.u8(codec.RECORD_SPOOL_SIZE)
    p.u48(spool)
    p.u64(size)
  }

  spoolGone(spool: number): void {
    const p = this.#packer
    p.room(16)
    p.u8(codec.RECORD_SPOOL_GONE)
    p.u48(spool)
  }

  head(document: DId, head: RId): void {
    const p = this.#packer
    p.room(64)
    p.u8(codec.RECORD_HEAD)
    p.fixed(document, 16)
    p.fixed(head, 33)
  }

  /** Forgets the frame that was begun. */
  abandon(): void {
    this.#open = false
  }

  /**
   * The frame is complete: it goes to the file, together with deferred ones, in one write(2). Returns its position.
   * Throws NoSpaceError or DiskError: the frame is forgotten, deferred ones are still to be written, the file is as before.
   * `urgent`: may use the reserve (operations that free space).
   */
  commitFrame(urgent = false): Lsn {
    const lsn = this.#seal()
    this.#flush(this.#packer.pos, urgent)
    return lsn
  }

  /** The frame is complete but may wait: it goes to the file with the next one, or by `flushDeferred()`. Returns its position. */
  defer(): Lsn {
    const lsn = this.#seal()
    this.#deferred = this.#packer.pos
    if (this.#deferred > DEFERRED_MAX) this.flushDeferred()
    return lsn
  }

  /** Writes deferred frames, if there are any. Errors as of `commitFrame`; they stay deferred then. */
  flushDeferred(): void {
    if (this.#deferred > 0) this.#flush(this.#deferred, false)
  }

  /** Fills in length and checksum of the open frame. */
  #seal(): Lsn {
    if (!this.#open) throw new StoreError('NO_FRAME', 'No journal frame was begun')
    this.#open = false
    const start = this.#deferred
    const { buffer, pos } = this.#packer
    const body = start + FRAME_HEADER
    if (pos === body) throw new StoreError('NO_FRAME', 'The journal frame is empty')
    if (pos - body > FRAME_MAX) throw new TooLargeError('A journal frame', pos - body, FRAME_MAX)
    const lsn = this.#written + start
    const checksum = frameChecksum(buffer.subarray(body, pos), lsn)
    buffer.writeUInt32LE(pos - body, start)
    buffer.writeUInt32LE(checksum, start + 4)
    return lsn
  }

  #flush(count: number, urgent: boolean): void {
    this.#reserve(count, urgent)
    let done: number
    try {
      done = write(this.#fd, this.#packer.buffer, count)
    } catch (error) {
      throw this.#takenBack(error)
    }
    if (done < count) this.#rest(done, count)
    this.#fileSize += count
    this.#written += count
    this.#deferred = 0
    this.#segments[this.#segments.length - 1].dirty = true
  }

  /** After a short write: the rest, or everything back. */
  #rest(done: number, count: number): void {
    let at = done
    try {
      while (at < count) at += write(this.#fd, this.#packer.buffer.subarray(at), count - at)
    } catch (error) {
      throw this.#takenBack(error)
    }
  }

  #takenBack(error: unknown): unknown {
    try {
      fs.ftruncateSync(this.#fd, this.#fileSize)
    } catch (second) {
      return typedError('the journal (nor could a half-written frame be taken back)', second)
    }
    this.#allocated = this.#allocated === Number.POSITIVE_INFINITY ? this.#allocated : this.#fileSize
    return typedError('a change', error)
  }

  /** Sees to it that `count` bytes (and, unless urgent, the reserve behind them) have disk space. */
  #reserve(count: number, urgent: boolean): void {
    const end = this.#fileSize + count
    if (end + RESERVE <= this.#allocated) return
    try {
      this.#allocate(Math.max(PREALLOCATE, end + RESERVE - this.#allocated))
    } catch {
      try {
        this.#allocate(end + RESERVE - this.#allocated)
      } catch (error) {
        if (!urgent || end > this.#allocated) throw typedError('a change', error)
      }
    }
  }

  #allocate(bytes: number): void {
    if (preallocate(this.#fd, this.#allocated, bytes)) this.#allocated += bytes
    else this.#allocated = Number.POSITIVE_INFINITY
  }

  /** Begins a new segment file at `lsn`. */
  #start(lsn: Lsn): void {
    const file = path.join(this.directory, segmentName(lsn))
    let fd = -1
    try {
      const { O_RDWR, O_CREAT, O_TRUNC, O_APPEND } = fs.constants
      fd = fs.openSync(file, O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0o600)
      const header = segmentHeader(lsn)
      if (write(fd, header, header.length) < header.length) {
        throw Object.assign(new Error('short write'), { code: 'ENOSPC' })
      }
      const before = { fd: this.#fd, size: this.#fileSize, allocated: this.#allocated }
      this.#fd = fd
      this.#fileSize = SEGMENT_HEADER
      this.#allocated = SEGMENT_HEADER
      try {
        this.#reserve(0, false)
      } catch (error) {
        this.#fd = before.fd
        this.#fileSize = before.size
        this.#allocated = before.allocated
        throw error
      }
    } catch (error) {
      if (fd >= 0) fs.closeSync(fd)
      if (fd >= 0) fs.rmSync(file, { force: true })
      throw typedError('a journal segment', error)
    }
    this.#segments.push({ start: lsn, fd, dirty: true })
    this.#directoryDirty = true
  }

  /**
   * Goes on in a new segment. The owner then writes its open working copies again (a `truncate` to 0 and `write`s), so that
   * old segments can go. Throws NoSpaceError: goes on in the old one.
   */
  rotate(): void {
    this.flushDeferred()
    if (this.#segments.at(-1)?.start === this.#written) return
    const old = this.#fd
    const size = this.#fileSize
    this.#start(this.#written)
    fs.ftruncateSync(old, size)
  }

  /**
   * What has to be fdatasync'ed, elsewhere, to have everything on stable storage up to `upTo`; deferred frames are written
   * first. Descriptors stay open until `release`. `directory` is set when segment files are new: fsync that path's directory.
   */
  sync(): { fds: number[]; directory?: string; upTo: Lsn } {
    this.flushDeferred()
    const fds: number[] = []
    for (const segment of this.#segments) {
      if (segment.dirty) fds.push(segment.fd)
      segment.dirty = false
    }
    const directory = this.#directoryDirty ? this.directory : undefined
    this.#directoryDirty = false
    return directory ? { fds, directory, upTo: this.#written } : { fds, upTo: this.#written }
  }

  /** Bytes of the journal from `lsn`, e.g. content of kind `journal`: since this writer began, and not released. */
  readBytes(lsn: Lsn, length: number): Uint8Array {
    if (lsn >= this.#written) {
      const at = lsn - this.#written
      return Uint8Array.prototype.slice.call(this.#packer.buffer, at, at + length)
    }
    const segment = this.#segments[segmentAt(this.#segments, lsn)]
    if (!segment) throw new StoreError('NOT_IN_JOURNAL', `Position ${lsn} is not in this journal any more`)
    const bytes = new Uint8Array(length)
    const done = fs.readSync(segment.fd, bytes, 0, length, SEGMENT_HEADER + lsn - segment.start)
    if (done < length) throw new StoreError('NOT_IN_JOURNAL', `Position ${lsn} + ${length} is not in this journal`)
    return bytes
  }

  /** Nothing below `lsn` will be read through this writer: descriptors of older segments are closed. */
  release(lsn: Lsn): void {
    while (this.#segments.length > 1 && this.#segments[1].start <= lsn && !this.#segments[0].dirty) {
      fs.closeSync(this.#segments.shift()!.fd)
    }
  }

  /** Writes deferred frames, gives unused space back, closes. */
  close(): void {
    if (this.#fd < 0) return
    this.flushDeferred()
    fs.ftruncateSync(this.#fd, this.#fileSize)
    for (const segment of this.#segments.splice(0)) fs.closeSync(segment.fd)
    this.#fd = -1
  }
}
