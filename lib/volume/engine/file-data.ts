// What is in files: reading, writing, cutting, closing. Owns in which order bytes, journal and memory change, and how a working
// copy (working-copies.ts) becomes the closed content.
// Invariants: bytes are in the journal or in the spool file before the caller hears of them; when the journal or the disk
// refuses, size, content and bytes seen are as before; a changed file that is closed is a version.

import fs from 'node:fs'
import { EFBIG, ENOSPC, ENXIO, EOPNOTSUPP } from '../../fuse/errno.js'
import { EMPTY_LIVE } from '../../store/codec.js'
import type { Lsn } from '../../store/records.js'
import { preallocate } from '../../store/syscalls.js'
import type { Inode } from './inode.js'
import { SIZE_MAX } from './modes.js'
import { hasRoom, nextData, nextHole, zero } from './sparse.js'
import { type Spool, seekOver } from './spools.js'
import { WorkingCopies } from './working-copies.js'
import { SMALL_MAX, SmallCopy, type SpoolCopy } from './working-copy.js'

/** Content up to this size goes into the inode's record when it is closed. */
const BYTES_MAX = 512
const ZEROS = Buffer.alloc(SMALL_MAX)

export class FileData extends WorkingCopies {
  readonly #unclosed = new Set<Inode>()

  /** Answers the bytes read; short at the end only. */
  read(inode: Inode, offset: number, into: Buffer): number {
    const length = Math.min(into.length, inode.size - offset)
    if (length <= 0) return 0
    const working = inode.working
    if (working === undefined) this.c.contents.read(inode, offset, into, length)
    else if (working.kind === 'small') working.buffer.copy(into, 0, offset, offset + length)
    else this.c.contents.readSpool(working.spool, offset, into, 0, length)
    return length
  }

  /** All or nothing: answers `data.length` or an errno. */
  write(inode: Inode, offset: number, data: Buffer): number {
    if (data.length === 0) return 0
    const end = offset + data.length
    if (end > SIZE_MAX) return EFBIG
    this.c.clock.read()
    let working = inode.working
    if (working === undefined) {
      if (end <= SMALL_MAX && inode.size <= SMALL_MAX) working = this.begin(inode)
      else working = this.beginSpool(inode)
    } else if (working.kind === 'small' && end > SMALL_MAX) working = this.grow(inode, working)
    if (working.kind === 'small') this.#writeSmall(inode, working, offset, data)
    else this.#writeSpool(inode, working.spool, offset, data)
    return data.length
  }

  #writeSmall(inode: Inode, working: SmallCopy, offset: number, data: Buffer): void {
    const { journal, clock, progress } = this.c
    const whole = inode.working === undefined && this.mustBeWhole(inode)
    journal.begin()
    if (whole) {
      journal.truncate(inode.ino, 0, clock.sec, clock.nsec)
      journal.write(inode.ino, 0, working.buffer.subarray(0, inode.size), clock.sec, clock.nsec)
    }
    const position = journal.write(inode.ino, offset, data, clock.sec, clock.nsec)
    const lsn = journal.commitFrame()
    progress.journalEnd(journal.written)
    const size = inode.size
    const end = offset + data.length
    working.room(end, size)
    if (offset > size) working.buffer.fill(0, size, offset)
    data.copy(working.buffer, offset)
    working.whole = offset === 0 && end >= size ? position : -1
    if (inode.working === undefined) this.adopt(inode, working)
    if (end > size) inode.size = end
    inode.dirtyLsn = lsn
    inode.localLsn = lsn
    this.#modified(inode)
  }

  #writeSpool(inode: Inode, spool: Spool, offset: number, data: Buffer): void {
    const size = inode.size
    const end = offset + data.length
    try {
      for (let done = 0; done < data.length; ) {
        done += fs.writeSync(spool.fd, data, done, data.length - done, offset + done)
      }
      if (spool.base && !spool.ranges.covers(offset, data.length)) this.#own(inode, spool, offset, data.length)
    } catch (error) {
      if (!spool.base && end > size) fs.ftruncateSync(spool.fd, size)
      throw error
    }
    if (end > size) inode.size = end
    this.#modified(inode)
  }

  #modified(inode: Inode): void {
    const { sec, nsec } = this.c.clock
    inode.mtimeSec = sec
    inode.mtimeNsec = nsec
    inode.ctimeSec = sec
    inode.ctimeNsec = nsec
  }

  /** A range of the content is the spool's own now. The bytes are in its file. */
  #own(inode: Inode, spool: Spool, offset: number, length: number): void {
    this.frame(inode, (journal) => journal.spoolRange(spool.id, offset, length))
    spool.ranges.add(offset, length)
  }

  /** Cuts or extends the content; extensions are zeros. Answers 0 or an errno. */
  truncate(inode: Inode, size: number): number {
    if (size > SIZE_MAX) return EFBIG
    if (size === inode.size) return 0
    this.c.clock.read()
    let working = inode.working
    if (size <= SMALL_MAX && (working === undefined || working.kind === 'small'))
      this.#truncateSmall(inode, working, size)
    else {
      if (working === undefined) working = this.beginSpool(inode)
      else if (working.kind === 'small') working = this.grow(inode, working)
      this.#truncateSpool(inode, working.spool, size)
    }
    this.#modified(inode)
    return 0
  }

  #truncateSmall(inode: Inode, known: SmallCopy | undefined, size: number): void {
    const { clock, contents } = this.c
    const { sec, nsec } = clock
    const kept = Math.min(size, inode.size)
    const working = known ?? new SmallCopy(contents.load(inode, kept))
    working.room(size, kept)
    if (known === undefined && (inode.size > SMALL_MAX || this.mustBeWhole(inode))) {
      // The closed content is large, or may be given away: what is left of it is journaled, so that nobody has to read it for this.
      this.frame(inode, (journal) => {
        journal.truncate(inode.ino, 0, sec, nsec)
        if (kept > 0) journal.write(inode.ino, 0, working.buffer.subarray(0, kept), sec, nsec)
        if (size > kept) journal.truncate(inode.ino, size, sec, nsec)
      })
    } else this.frame(inode, (journal) => journal.truncate(inode.ino, size, sec, nsec))
    if (size > inode.size) working.buffer.fill(0, inode.size, size)
    working.whole = -1
    if (known === undefined) this.adopt(inode, working)
    inode.size = size
  }

  #truncateSpool(inode: Inode, spool: Spool, size: number): void {
    if (spool.base === undefined) fs.ftruncateSync(spool.fd, size)
    // The last byte becomes the spool's own: so the length is in the journal without a record for it.
    else if (size > inode.size) {
      lengthen(spool.fd, size)
      this.#own(inode, spool, size - 1, 1)
    } else {
      this.frame(inode, (journal) => journal.spoolSize(spool.id, size))
      spool.ranges.cut(size)
      spool.baseSize = Math.min(spool.baseSize, size)
      if (size < fs.fstatSync(spool.fd).size) fs.ftruncateSync(spool.fd, size)
    }
    inode.size = size
  }

  /** Zeros in a range of what is there. */
  punch(inode: Inode, offset: number, length: number): number {
    const end = Math.min(offset + length, inode.size)
    if (end <= offset) return 0
    if (inode.size <= SMALL_MAX && inode.working?.kind !== 'spool') {
      const done = this.write(inode, offset, ZEROS.subarray(0, end - offset))
      return done < 0 ? done : 0
    }
    this.c.clock.read()
    const { spool } = inode.working?.kind === 'spool' ? inode.working : this.beginSpool(inode)
    if (spool.base) this.#ownZeros(inode, spool, offset, end)
    else zero(spool.fd, offset, end - offset)
    this.#modified(inode)
    return 0
  }

  /** Old own bytes may lie where zeros are wanted; they go only after the range is journaled as own, or were own before. */
  #ownZeros(inode: Inode, spool: Spool, offset: number, end: number): void {
    lengthen(spool.fd, end)
    for (let at = offset; at < end; ) {
      const piece = spool.ranges.piece(at, end)
      if (!piece.own) zero(spool.fd, at, piece.end - at)
      at = piece.end
    }
    if (!spool.ranges.covers(offset, end - offset)) this.#own(inode, spool, offset, end - offset)
    zero(spool.fd, offset, end - offset)
  }

  /** fallocate(2) without flags or with FALLOC_FL_KEEP_SIZE: reserves room on the disk where there is a spool to reserve it for. */
  allocate(inode: Inode, offset: number, length: number, keepSize: boolean): number {
    const end = offset + length
    if (end > SIZE_MAX) return EFBIG
    if (end > SMALL_MAX && (!keepSize || inode.working?.kind === 'spool')) {
      this.c.clock.read()
      let working = inode.working
      if (working === undefined) working = this.beginSpool(inode)
      else if (working.kind === 'small') working = this.grow(inode, working)
      const failed = this.#reserve(working.spool, offset, length)
      if (failed < 0) return failed
    }
    return !keepSize && end > inode.size ? this.truncate(inode, end) : 0
  }

  /** Refused before the disk is full of it: what a disk reserves until it finds that it cannot, it keeps. */
  #reserve({ fd }: Spool, offset: number, length: number): number {
    if (!hasRoom(fd, length)) return ENOSPC
    try {
      return preallocate(fd, offset, length) ? 0 : EOPNOTSUPP
    } catch (error) {
      // Gives back what was reserved beyond the end.
      fs.ftruncateSync(fd, fs.fstatSync(fd).size)
      throw error
    }
  }

  /** SEEK_DATA, SEEK_HOLE. */
  seek(inode: Inode, offset: number, hole: boolean): number {
    if (offset < 0 || offset >= inode.size) return ENXIO
    const working = inode.working
    if (working?.kind !== 'spool') return hole ? inode.size : offset
    const { spool } = working
    if (spool.base) return seekOver(spool, offset, hole, inode.size)
    const found = hole ? nextHole(spool.fd, offset) : nextData(spool.fd, offset)
    return found < 0 ? ENXIO : Math.min(found, inode.size)
  }

  /**
   * The last writer is gone: what was changed becomes the closed content, a version. Nothing new is said that a crash could
   * lose, so the record may wait for the next frame.
   */
  close(inode: Inode): void {
    const working = inode.working
    if (working === undefined) return
    // Should it fail: the bytes stay where they are (journal or spool), and the version is made as soon as it can be.
    this.#unclosed.add(inode)
    const { transaction } = this.c
    transaction.touch(inode)
    if (working.kind === 'small') this.#closeSmall(inode, working)
    else {
      inode.content = { kind: 'spool', spool: working.spool.id, size: inode.size }
      inode.working = undefined
    }
    transaction.close(inode)
    const lsn = transaction.commit({ defer: true })
    this.#unclosed.delete(inode)
    this.#closed(inode, working, lsn)
  }

  /** It has no writer, and is to be closed even if the operation that follows fails. */
  closeLater(inode: Inode): void {
    if (inode.working !== undefined) this.#unclosed.add(inode)
  }

  /** What could not be closed when it should have been, because the disk was full. */
  closeAgain(): void {
    for (const inode of this.#unclosed) {
      if (inode.working === undefined || inode.writers > 0 || inode.nlink === 0) this.#unclosed.delete(inode)
      else this.close(inode)
    }
  }

  #closeSmall(inode: Inode, working: SmallCopy): void {
    const { transaction, journal } = this.c
    const { ino, size } = inode
    const bytes = working.buffer.subarray(0, size)
    inode.working = undefined
    if (size === 0) inode.content = EMPTY_LIVE
    else if (size <= BYTES_MAX) inode.content = { kind: 'bytes', bytes: new Uint8Array(bytes) }
    else if (working.whole >= 0) inode.content = { kind: 'journal', lsn: working.whole, size }
    else {
      const content = { kind: 'journal' as const, lsn: 0, size }
      inode.content = content
      transaction.record(() => {
        content.lsn = journal.write(ino, 0, bytes, inode.mtimeSec, inode.mtimeNsec)
      })
    }
  }

  #closed(inode: Inode, working: SmallCopy | SpoolCopy, lsn: Lsn): void {
    const { contents, onSealed } = this.c
    if (working.kind === 'small') {
      this.small.delete(inode)
      contents.remember(inode, working.buffer.subarray(0, inode.size))
      return
    }
    inode.closedBlocks = working.blocks(inode.size)
    working.spool.state = 'closed'
    onSealed({ ino: inode.ino, spool: working.spool.id, size: inode.size, lsn })
  }

  /** Content by reference: `to` becomes the closed content of `from`, as a version. In the transaction. */
  share(from: Inode, to: Inode): boolean {
    if (from.working || to.working?.kind === 'spool' || to.size > 0) return false
    const content = this.c.contents.locate(from)
    if (content.kind !== 'committed' && content.kind !== 'bytes') return false
    this.c.contents.forget(to)
    to.content = content
    to.size = from.size
    return true
  }

  /** After that transaction: the empty working copy that `to` may have had is settled by it. */
  shared(to: Inode): void {
    to.working = undefined
    this.small.delete(to)
  }
}

/** The file of a spool is as long as what is its own, so that recovery sees when a power cut took some of it. */
function lengthen(fd: number, length: number): void {
  if (fs.fstatSync(fd).size < length) fs.ftruncateSync(fd, length)
}
