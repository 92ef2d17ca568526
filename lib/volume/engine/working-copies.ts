// How a working copy begins, grows from memory into a spool file, goes on after the death of a thread, or ends with its inode. Owns
// which inodes have one in memory. `FileData` changes and closes them.
// Invariant: an inode has a working copy only after the journal has what makes one of it.

import fs from 'node:fs'
import { EMPTY_LIVE } from '../../store/codec.js'
import type { Lsn } from '../../store/records.js'
import type { Contents } from './contents.js'
import type { Inode } from './inode.js'
import type { LiveState } from './live-state.js'
import type { Journal, Progress } from './ports.js'
import type { Spool, SpoolFiles } from './spools.js'
import type { Transaction } from './transaction.js'
import type { WallClock } from './wall-clock.js'
import { SMALL_MAX, SmallCopy, SpoolCopy } from './working-copy.js'

const EMPTY = Buffer.alloc(0)

export interface Sealed {
  ino: number
  spool: number
  size: number
  /** The frame that says so: what is journaled of the spool is durable once this is committed. */
  lsn: Lsn
}

export interface FileDataComponents {
  state: LiveState
  journal: Journal
  progress: Progress
  transaction: Transaction
  clock: WallClock
  contents: Contents
  spools: SpoolFiles
  /** A large content was closed and wants hashing. */
  onSealed: (sealed: Sealed) => void
}

export class WorkingCopies {
  protected readonly c: FileDataComponents
  /** Inodes with a working copy in memory, to be journaled again when the journal goes on in a new segment. */
  protected readonly small = new Set<Inode>()

  /** Committed contents may be given away: nothing that is journaled of a working copy in memory may rest on one. */
  partial = false

  constructor(components: FileDataComponents) {
    this.c = components
  }

  /** Whether a working copy in memory that begins now must not rest on what is closed. */
  protected mustBeWhole(inode: Inode): boolean {
    if (!this.partial || inode.size === 0) return false
    const content = this.c.contents.locate(inode)
    return content.kind === 'committed' && content.content.root !== undefined
  }

  /** One frame of `write`'s records. */
  protected frame(inode: Inode, write: (journal: Journal) => void): void {
    const { journal, progress } = this.c
    journal.begin()
    write(journal)
    const lsn = journal.commitFrame()
    progress.journalEnd(journal.written)
    inode.dirtyLsn = lsn
    inode.localLsn = lsn
  }

  /** A working copy in memory with the closed content. Not the inode's before it was changed. */
  protected begin(inode: Inode): SmallCopy {
    return new SmallCopy(inode.size === 0 ? EMPTY : this.c.contents.load(inode, inode.size))
  }

  protected adopt(inode: Inode, working: SmallCopy | SpoolCopy): void {
    inode.working = working
    if (working.kind === 'small') this.small.add(inode)
    else this.small.delete(inode)
    this.c.contents.forget(inode)
  }

  /** For a new inode in a transaction: what makes an empty working copy of it is journaled in the same frame. */
  recordEmpty(inode: Inode): void {
    const { clock, journal, transaction } = this.c
    const { sec, nsec } = clock
    transaction.record(() => journal.truncate(inode.ino, 0, sec, nsec))
  }

  /** After that frame. */
  beginEmpty(inode: Inode): void {
    this.adopt(inode, new SmallCopy(EMPTY))
  }

  /** A spool over what is closed; small contents are copied into it. */
  protected beginSpool(inode: Inode): SpoolCopy {
    if (inode.size <= SMALL_MAX) return this.grow(inode, this.begin(inode))
    const base = this.c.contents.locate(inode)
    return this.#spool(inode, base, inode.size)
  }

  /** From memory into a spool without a base. */
  protected grow(inode: Inode, small: SmallCopy): SpoolCopy {
    return this.#spool(inode, undefined, 0, small.buffer.subarray(0, inode.size))
  }

  #spool(inode: Inode, base: Inode['content'] | undefined, baseSize: number, bytes?: Buffer): SpoolCopy {
    const { state, spools, clock } = this.c
    const spool = spools.create(state.newSpool(), inode.ino, base, baseSize, clock.span)
    try {
      for (let done = 0; bytes && done < bytes.length; ) {
        done += fs.writeSync(spool.fd, bytes, done, bytes.length - done, done)
      }
      this.frame(inode, (journal) => journal.spool(spool.id, inode.ino, base ?? EMPTY_LIVE))
    } catch (error) {
      spools.discard(spool)
      throw error
    }
    const working = new SpoolCopy(spool)
    this.adopt(inode, working)
    return working
  }

  /** The inode goes, and with it what was not closed. Before the frame that says so: its spool's end is part of it. */
  abandon(inode: Inode): Spool | undefined {
    const working = inode.working
    if (working === undefined) return undefined
    inode.working = undefined
    if (working.kind === 'small') return undefined
    const { journal, transaction } = this.c
    transaction.record(() => journal.spoolGone(working.spool.id))
    return working.spool
  }

  /** Bytes that were being written when the thread before this one died: a working copy, journaled again as a whole. */
  resume(inode: Inode, bytes: Buffer, sec: number, nsec: number): void {
    const working = new SmallCopy(bytes)
    this.frame(inode, (journal) => {
      journal.truncate(inode.ino, 0, sec, nsec)
      if (bytes.length > 0) working.whole = journal.write(inode.ino, 0, bytes, sec, nsec)
    })
    inode.size = bytes.length
    inode.mtimeSec = inode.ctimeSec = sec
    inode.mtimeNsec = inode.ctimeNsec = nsec
    this.adopt(inode, working)
  }

  /** The same for a spool. */
  resumeSpool(inode: Inode, spool: Spool): void {
    const { size } = fs.fstatSync(spool.fd)
    const own = spool.ranges.list().at(-1)
    inode.size = spool.base ? Math.max(size, spool.baseSize, own ? own[0] + own[1] : 0) : size
    this.adopt(inode, new SpoolCopy(spool))
  }

  /** Working copies in memory are journaled again, as a whole: the journal begins anew from here. */
  journalAgain(): void {
    for (const inode of this.small) {
      const working = inode.working
      if (working?.kind !== 'small') {
        this.small.delete(inode)
        continue
      }
      const { ino, size, mtimeSec, mtimeNsec } = inode
      this.frame(inode, (journal) => {
        journal.truncate(ino, 0, mtimeSec, mtimeNsec)
        if (size > 0) working.whole = journal.write(ino, 0, working.buffer.subarray(0, size), mtimeSec, mtimeNsec)
      })
    }
  }
}
