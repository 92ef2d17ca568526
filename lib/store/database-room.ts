// Disk space for the database, taken before a transaction begins: LMDB must not meet a full disk in the middle of one (what it
// does then is not to be relied on), and a full disk keeps some room for commits, so that removing things can be
// committed. Owns a descriptor of the database's file and what is known to be reserved behind it. Never changes a byte of it.
// Where the file system cannot reserve, or copies on write, a full disk is met by LMDB after all.

import fs from 'node:fs'
import path from 'node:path'
import { typedError } from './errors.js'
import { preallocate } from './syscalls.js'
import { DATA_FILE } from './tables.js'

const PAGE = 4096
/** Behind the end of the file: taken again as long as the disk has some, used up when it has none. */
const RESERVE = 4 << 20
const STEP = 4 << 20

export class DatabaseRoom {
  readonly #file: string
  #fd = -1
  #allocated = 0

  constructor(init: { directory: string }) {
    this.#file = path.join(init.directory, DATA_FILE)
  }

  /** A transaction may change `rows` rows of `bytes` bytes together. Throws NoSpaceError, DiskError; nothing has changed then. */
  reserve(rows: number, bytes: number): void {
    try {
      if (this.#fd < 0) this.#fd = fs.openSync(this.#file, 'r+')
      const { size } = fs.fstatSync(this.#fd)
      // Each row lies in another page at most, which is written elsewhere; and pages split.
      this.#take(size + Math.min(rows * PAGE, size) + 2 * bytes + 64 * PAGE)
    } catch (error) {
      throw typedError('the database', error)
    }
  }

  #take(end: number): void {
    if (end + RESERVE <= this.#allocated) return
    try {
      this.#allocate(Math.max(STEP, end + RESERVE - this.#allocated))
    } catch {
      if (end > this.#allocated) this.#allocate(end - this.#allocated)
    }
  }

  /** Holes within the file get their blocks as well. */
  #allocate(bytes: number): void {
    if (preallocate(this.#fd, this.#allocated, bytes)) this.#allocated += bytes
    else this.#allocated = Number.POSITIVE_INFINITY
  }

  close(): void {
    if (this.#fd >= 0) fs.closeSync(this.#fd)
    this.#fd = -1
  }
}
