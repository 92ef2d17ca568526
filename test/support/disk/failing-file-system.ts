// A disk for tests that fails when it is told to: a file system in memory that counts what changes it, and answers some of it with an
// error. It is told through the file `notes` of its root, so that what it is told has its place among what it is asked:
// `count` begins at zero, `fail N ERRNO once` fails the N-th change from there, `fail N ERRNO on` that and all that follow, `short N`
// takes only a part of what the N-th change writes, `heal` ends it. Changes of LMDB's file are left out, or with a last word `db` all others.

import type { Attributes, Caller, Changes, Created, Errno } from '../../../lib/fuse/file-system.js'
import { MemoryFileSystem } from '../memory-file-system.js'

const NOTES = 'notes'
/** LMDB's lock file is mapped memory: the kernel writes it back whenever it likes. */
const UNCOUNTED = [NOTES, 'lock.mdb']
const DATABASE = 'data.mdb'
const ENOSPC = -28

export interface Counted {
  /** Changes since it was told something last. */
  count: number
  /** What failed first. */
  failed: string
}

interface Plan {
  at: number
  errno: Errno
  /** All that follows, too. */
  on: boolean
  short: boolean
}

export class FailingFileSystem extends MemoryFileSystem {
  #count = 0
  #plan: Plan | undefined
  #failed = ''
  #notes = 0
  #wantsDatabase = false
  readonly #uncounted = new Set<number>()
  readonly #databases = new Set<number>()

  get counted(): Counted {
    return { count: this.#count, failed: this.#failed }
  }

  #told(text: string): void {
    const words = text.trim().split(' ')
    const [word, number, errno, last] = words
    this.#plan = undefined
    if (word === 'heal') return
    this.#wantsDatabase = words.at(-1) === 'db'
    this.#count = 0
    this.#failed = ''
    if (word === 'count') return
    this.#plan = { at: Number(number), errno: Number(errno), on: last === 'on', short: word === 'short' }
  }

  /** Something is to change: 0, or the error that is the answer. `frees`: it needs no room, so a full disk does it. */
  #change(what: string, ino: number, frees = false): Errno {
    if (!this.#counts(ino)) return 0
    this.#count++
    const plan = this.#plan
    if (!plan || plan.short || this.#count < plan.at || (this.#count > plan.at && !plan.on)) return 0
    if (frees && plan.errno === ENOSPC) return 0
    this.#failed ||= what
    return plan.errno
  }

  #counts(ino: number): boolean {
    return !this.#uncounted.has(ino) && this.#databases.has(ino) === this.#wantsDatabase
  }

  #made(name: Buffer, ino: number): void {
    if (name.toString() === DATABASE) this.#databases.add(ino)
    if (!UNCOUNTED.includes(name.toString())) return
    this.#uncounted.add(ino)
    if (name.toString() === NOTES) this.#notes = ino
  }

  override mknod(caller: Caller, parent: number, name: Buffer, mode: number, rdev: number): Attributes | Errno {
    const failed = UNCOUNTED.includes(name.toString()) ? 0 : this.#change(`mknod ${name}`, parent)
    if (failed) return failed
    const made = super.mknod(caller, parent, name, mode, rdev)
    if (typeof made !== 'number') this.#made(name, made.ino)
    return made
  }

  override create(caller: Caller, parent: number, name: Buffer, mode: number, flags: number): Created | Errno {
    const failed = UNCOUNTED.includes(name.toString()) ? 0 : this.#change(`create ${name}`, parent)
    if (failed) return failed
    const made = super.create(caller, parent, name, mode, flags)
    if (typeof made !== 'number') this.#made(name, made.attributes.ino)
    return made
  }

  override mkdir(caller: Caller, parent: number, name: Buffer, mode: number): Attributes | Errno {
    return this.#change(`mkdir ${name}`, parent) || super.mkdir(caller, parent, name, mode)
  }

  override link(caller: Caller, ino: number, parent: number, name: Buffer): Attributes | Errno {
    return this.#change(`link ${name}`, parent) || super.link(caller, ino, parent, name)
  }

  override unlink(caller: Caller, parent: number, name: Buffer): Errno {
    return this.#change(`unlink ${name}`, parent, true) || super.unlink(caller, parent, name)
  }

  override rename(c: Caller, parent: number, name: Buffer, to: number, newName: Buffer, flags: number): Errno {
    return this.#change(`rename ${name}`, parent) || super.rename(c, parent, name, to, newName, flags)
  }

  override setattr(caller: Caller, ino: number, changes: Changes): Attributes | Errno {
    if (changes.size === undefined) return super.setattr(caller, ino, changes)
    const frees = changes.size <= this.nodes.get(ino)!.size
    return this.#change('truncate', ino, frees) || super.setattr(caller, ino, changes)
  }

  override write(c: Caller, ino: number, handle: number, offset: number, data: Buffer, kill: boolean): number {
    if (ino === this.#notes) {
      this.#told(data.toString())
      return data.length
    }
    const failed = this.#change('write', ino)
    if (failed) return failed
    const short = this.#plan?.short && this.#counts(ino) && this.#count === this.#plan.at && data.length > 1
    if (short) this.#failed = 'write'
    return super.write(c, ino, handle, offset, short ? data.subarray(0, data.length >> 1) : data, kill)
  }

  override fallocate(c: Caller, ino: number, handle: number, mode: number, offset: number, length: number): Errno {
    const failed = this.#change('fallocate', ino, (mode & 2) !== 0)
    return failed || super.fallocate(c, ino, handle, mode, offset, length)
  }

  override copyFileRange(...args: Parameters<MemoryFileSystem['copyFileRange']>): number {
    return this.#change('copy', args[4]) || super.copyFileRange(...args)
  }

  override fsync(_caller?: Caller, ino = 0): Errno {
    return this.#change('fsync', ino)
  }

  override fsyncdir(_caller?: Caller, ino = 0): Errno {
    return this.#change('fsync of a folder', ino)
  }
}
