// Changed bytes of an inode that were not closed yet, shared by all its handles: in memory while small (every write is in the
// journal), in a spool file above that. Values only; `FileData` changes them. The length is the inode's `size`.

import fs from 'node:fs'
import type { Lsn } from '../../store/records.js'
import { allocate } from './slab.js'
import type { Spool } from './spools.js'

/** Largest content kept in memory. */
export const SMALL_MAX = 64 * 1024

/** Of 4 KiB, as on most disks, in units of 512 bytes. */
export const wholeBlocks = (size: number) => Math.ceil(size / 4096) * 8

export class SmallCopy {
  readonly kind = 'small'
  buffer: Buffer
  /** Where in the journal one WRITE record has all the bytes; -1: there is none. */
  whole: Lsn = -1

  /** Takes the buffer; bytes beyond the inode's size are anything. */
  constructor(buffer: Buffer) {
    this.buffer = buffer
  }

  blocks(size: number): number {
    return wholeBlocks(size)
  }

  /** Room for `size` bytes, the first `used` of them kept. */
  room(size: number, used: number): void {
    if (size <= this.buffer.length) return
    const grown = allocate(Math.min(SMALL_MAX, Math.max(size, this.buffer.length * 2)))
    this.buffer.copy(grown, 0, 0, used)
    this.buffer = grown
  }
}

export class SpoolCopy {
  readonly kind = 'spool'
  constructor(readonly spool: Spool) {}

  blocks(size: number): number {
    const own = fs.fstatSync(this.spool.fd).blocks
    return this.spool.base ? Math.max(own, wholeBlocks(Math.min(this.spool.baseSize, size))) : own
  }
}

export type WorkingCopy = SmallCopy | SpoolCopy
