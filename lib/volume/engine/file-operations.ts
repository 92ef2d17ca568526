// Operations on open files: open, read, write, close and what else needs a handle. Owns no state but a buffer for copying.

import { EBADF, EINVAL, EISDIR, ENOENT, EOPNOTSUPP } from '../../fuse/errno.js'
import type { Caller, Errno } from '../../fuse/file-system.js'
import type { AttributeChanges } from './attributes.js'
import type { FileData } from './file-data.js'
import type { Inode } from './inode.js'
import type { LiveState } from './live-state.js'
import type { Namespace } from './namespace.js'
import type { Handle, OpenFiles } from './open-files.js'
import type { Transaction } from './transaction.js'
import type { WallClock } from './wall-clock.js'

const O_ACCMODE = 3
const O_TRUNC = 0o1000
const FALLOC_KEEP_SIZE = 1
const FALLOC_PUNCH_HOLE = 2
const FALLOC_ZERO_RANGE = 16
const SEEK_DATA = 3
const SEEK_HOLE = 4
/** Bytes copied by one request at most, so that others get their turn; the caller asks for the rest. */
const COPY_MAX = 4 << 20
const COPY_STEP = 1 << 20
const DAY = 86_400

export interface FileOperationsComponents {
  state: LiveState
  open: OpenFiles
  data: FileData
  namespace: Namespace
  attributes: AttributeChanges
  transaction: Transaction
  clock: WallClock
}

export class FileOperations {
  readonly #c: FileOperationsComponents
  #copyBuffer: Buffer | undefined

  constructor(components: FileOperationsComponents) {
    this.#c = components
  }

  open(caller: Caller, inode: Inode, flags: number, killSetIds: boolean): Handle | Errno {
    const writable = (flags & O_ACCMODE) !== 0
    if (inode.isFolder) return EISDIR
    if (inode.gone) this.#revive(inode)
    // Also when it is opened to read only, as Linux does.
    if ((flags & O_TRUNC) !== 0) {
      const failed = this.#truncateAtOpen(caller, inode, killSetIds)
      if (failed < 0) return failed
    }
    return this.#c.open.open(inode, writable, this.#c.clock.monotonic())
  }

  #truncateAtOpen(caller: Caller, inode: Inode, killSetIds: boolean): Errno {
    if (!inode.isFile) return 0
    const { data, attributes, clock, transaction } = this.#c
    attributes.dropPrivileges(caller, inode, killSetIds)
    if (inode.size > 0) return data.truncate(inode, 0)
    clock.read()
    transaction.touch(inode)
    inode.mtimeSec = inode.ctimeSec = clock.sec
    inode.mtimeNsec = inode.ctimeNsec = clock.nsec
    transaction.commit()
    return 0
  }

  /** Removed, and gone from the journal, but the kernel still had a reference: it is open without a name now. */
  #revive(inode: Inode): void {
    this.#c.transaction.touch(inode)
    inode.gone = false
    this.#c.transaction.commit()
  }

  /** The handle's inode, also if the handle is from before this thread. */
  inodeOf(ino: number, handle: number): Inode | Errno {
    const known = this.#c.open.get(handle)
    if (known !== undefined) return known.inode
    const inode = this.#c.state.inode(ino)
    if (inode === undefined) return EBADF
    return this.#c.open.adopt(handle, inode, this.#c.clock.monotonic()).inode
  }

  read(inode: Inode, offset: number, into: Buffer): number {
    const done = this.#c.data.read(inode, offset, into)
    this.accessed(inode)
    return done
  }

  /** As mount option relatime has it. */
  accessed(inode: Inode): void {
    const { clock } = this.#c
    const old =
      inode.atimeSec < inode.mtimeSec ||
      (inode.atimeSec === inode.mtimeSec && inode.atimeNsec <= inode.mtimeNsec) ||
      inode.atimeSec < inode.ctimeSec
    if (!old && inode.atimeSec > clock.sec - DAY) return
    clock.read()
    inode.atimeSec = clock.sec
    inode.atimeNsec = clock.nsec
  }

  write(caller: Caller, inode: Inode, offset: number, data: Buffer, killSetIds: boolean): number {
    this.#c.attributes.dropPrivileges(caller, inode, killSetIds)
    return this.#c.data.write(inode, offset, data)
  }

  release(handleNumber: number): void {
    const handle = this.#c.open.release(handleNumber)
    if (handle === undefined) return
    const { inode } = handle
    if (inode.nlink === 0) {
      if (inode.handles === 0) this.#c.namespace.reap(inode)
    } else if (inode.writers === 0 && inode.working !== undefined) this.#c.data.close(inode)
  }

  fallocate(caller: Caller, inode: Inode, mode: number, offset: number, length: number): Errno {
    this.#c.attributes.dropPrivileges(caller, inode, caller.uid !== 0)
    const failed = this.#allocate(inode, mode, offset, length)
    if (failed === 0) this.#c.attributes.modified(inode)
    return failed
  }

  #allocate(inode: Inode, mode: number, offset: number, length: number): Errno {
    const { data } = this.#c
    if (length <= 0 || offset < 0) return EINVAL
    const keepSize = (mode & FALLOC_KEEP_SIZE) !== 0
    switch (mode & ~FALLOC_KEEP_SIZE) {
      case 0:
        return data.allocate(inode, offset, length, keepSize)
      case FALLOC_PUNCH_HOLE:
        return keepSize ? data.punch(inode, offset, length) : EOPNOTSUPP
      case FALLOC_ZERO_RANGE: {
        const failed = data.punch(inode, offset, length)
        if (failed < 0 || keepSize || offset + length <= inode.size) return failed
        return data.truncate(inode, offset + length)
      }
      default:
        return EOPNOTSUPP
    }
  }

  lseek(inode: Inode, offset: number, whence: number): number {
    if (whence !== SEEK_DATA && whence !== SEEK_HOLE) return EINVAL
    return this.#c.data.seek(inode, offset, whence === SEEK_HOLE)
  }

  copy(caller: Caller, from: Inode, offset: number, to: Inode, offsetOut: number, length: number): number {
    if (!from.isFile || !to.isFile) return from.isFolder || to.isFolder ? EISDIR : EINVAL
    const wanted = Math.min(length, from.size - offset)
    if (wanted <= 0) return 0
    if (from === to && offset < offsetOut + wanted && offsetOut < offset + wanted) return EINVAL
    this.#c.attributes.dropPrivileges(caller, to, caller.uid !== 0)
    if (offset === 0 && offsetOut === 0 && wanted === from.size && this.#clone(from, to)) return wanted
    return this.#copyBytes(from, offset, to, offsetOut, Math.min(wanted, COPY_MAX))
  }

  /** A whole file into an empty one: the content is shared, nothing is copied. */
  #clone(from: Inode, to: Inode): boolean {
    if (from === to || to.size > 0) return false
    const { data, transaction, clock } = this.#c
    clock.read()
    transaction.touch(to)
    if (!data.share(from, to)) {
      transaction.rollback()
      return false
    }
    to.mtimeSec = to.ctimeSec = clock.sec
    to.mtimeNsec = to.ctimeNsec = clock.nsec
    transaction.close(to)
    transaction.commit()
    data.shared(to)
    return true
  }

  #copyBytes(from: Inode, offset: number, to: Inode, offsetOut: number, length: number): number {
    const { data } = this.#c
    this.#copyBuffer ??= Buffer.allocUnsafeSlow(COPY_STEP)
    let done = 0
    while (done < length) {
      const piece = this.#copyBuffer.subarray(0, Math.min(COPY_STEP, length - done))
      const n = data.read(from, offset + done, piece)
      if (n === 0) break
      const written = data.write(to, offsetOut + done, piece.subarray(0, n))
      if (written < 0) return done > 0 ? done : written
      done += n
    }
    return done
  }

  /** The kernel dropped references. */
  forget(ino: number, count: number): void {
    const inode = this.#c.state.forget(ino, count)
    if (inode !== undefined && inode.nlink === 0 && inode.lookups === 0) this.#c.namespace.reap(inode)
  }

  require(ino: number): Inode | Errno {
    return this.#c.state.inode(ino) ?? ENOENT
  }
}
