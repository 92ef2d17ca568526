// A FileSystem with history in it: `.versions` in every folder, `.peerdrive` in the root, both read-only and in no listing.
// Everything else goes to the file system within. Owns the rules of the two reserved names.
//
// Cost for what is live: one comparison of an inode number, and for names that are not there one byte. A real entry of a
// reserved name (synced from elsewhere) comes first: it is shown, and may be used, renamed and removed.

import { EEXIST, ENOENT, EOPNOTSUPP, EPERM, EROFS } from '../../fuse/errno.js'
import type {
  Attributes,
  Caller,
  Changes,
  Created,
  DirectoryEntry,
  Errno,
  FileSystem,
  Opened,
  PENDING,
  StatFs,
} from '../../fuse/file-system.js'
import { GATE_NAME, VERSIONS_NAME } from './history.js'
import type { HistoryOperations } from './history-operations.js'
import { HISTORY_BASE } from './nodes.js'

const DOT = 0x2e
const ROOT = 1
const VERSIONS = Buffer.from(VERSIONS_NAME)
const GATE = Buffer.from(GATE_NAME)

/** Whether history has this name in this folder. */
function isReserved(parent: number, name: Buffer): boolean {
  return name[0] === DOT && (VERSIONS.equals(name) || (parent === ROOT && GATE.equals(name)))
}

export interface VersionedComponents {
  live: FileSystem
  history: HistoryOperations
  /** The errno for what an operation on history threw, once it was told whoever has to know. */
  failed: (error: unknown) => Errno
}

export class VersionedFileSystem implements FileSystem {
  readonly #live: FileSystem
  readonly #history: HistoryOperations
  readonly #failed: (error: unknown) => Errno

  constructor({ live, history, failed }: VersionedComponents) {
    this.#live = live
    this.#history = history
    this.#failed = failed
  }

  #run<T>(operation: (history: HistoryOperations) => T): T | Errno {
    try {
      return operation(this.#history)
    } catch (error) {
      return this.#failed(error)
    }
  }

  /** What a new entry of this name gets in place of being made; 0: it may be made. */
  #refused(parent: number, name: Buffer): Errno {
    if (parent >= HISTORY_BASE) return EROFS
    return isReserved(parent, name) ? EEXIST : 0
  }

  lookup(caller: Caller, parent: number, name: Buffer): Attributes | Errno {
    if (parent >= HISTORY_BASE) return this.#run((history) => history.lookup(parent, name))
    const found = this.#live.lookup(caller, parent, name)
    if (found !== ENOENT || !isReserved(parent, name)) return found
    return this.#run((history) => (VERSIONS.equals(name) ? history.versionsOf(parent) : history.gate()))
  }

  forget(ino: number, count: number): void {
    if (ino >= HISTORY_BASE) this.#history.forget(ino, count)
    else this.#live.forget(ino, count)
  }

  getattr(caller: Caller, ino: number, handle?: number): Attributes | Errno {
    return ino >= HISTORY_BASE ? this.#run((history) => history.getattr(ino)) : this.#live.getattr(caller, ino, handle)
  }

  setattr(caller: Caller, ino: number, changes: Changes): Attributes | Errno {
    return ino >= HISTORY_BASE ? EROFS : this.#live.setattr(caller, ino, changes)
  }

  readlink(caller: Caller, ino: number): Buffer | Errno {
    return ino >= HISTORY_BASE ? this.#run((history) => history.readlink(ino)) : this.#live.readlink(caller, ino)
  }

  mknod(caller: Caller, parent: number, name: Buffer, mode: number, rdev: number): Attributes | Errno {
    return this.#refused(parent, name) || this.#live.mknod(caller, parent, name, mode, rdev)
  }

  mkdir(caller: Caller, parent: number, name: Buffer, mode: number): Attributes | Errno {
    return this.#refused(parent, name) || this.#live.mkdir(caller, parent, name, mode)
  }

  symlink(caller: Caller, parent: number, name: Buffer, target: Buffer): Attributes | Errno {
    return this.#refused(parent, name) || this.#live.symlink(caller, parent, name, target)
  }

  link(caller: Caller, ino: number, parent: number, name: Buffer): Attributes | Errno {
    if (ino >= HISTORY_BASE) return EROFS
    return this.#refused(parent, name) || this.#live.link(caller, ino, parent, name)
  }

  unlink(caller: Caller, parent: number, name: Buffer): Errno {
    return this.#removal(parent, name, () => this.#live.unlink(caller, parent, name))
  }

  rmdir(caller: Caller, parent: number, name: Buffer): Errno {
    return this.#removal(parent, name, () => this.#live.rmdir(caller, parent, name))
  }

  #removal(parent: number, name: Buffer, remove: () => Errno): Errno {
    if (parent >= HISTORY_BASE) return EROFS
    const done = remove()
    return done === ENOENT && isReserved(parent, name) ? EROFS : done
  }

  rename(caller: Caller, parent: number, name: Buffer, newParent: number, newName: Buffer, flags: number): Errno {
    if (parent >= HISTORY_BASE || newParent >= HISTORY_BASE) return EROFS
    if (isReserved(newParent, newName) && !this.#isReal(caller, newParent, newName)) return EPERM
    return this.#removal(parent, name, () => this.#live.rename(caller, parent, name, newParent, newName, flags))
  }

  /** A real entry has the reserved name. */
  #isReal(caller: Caller, parent: number, name: Buffer): boolean {
    const found = this.#live.lookup(caller, parent, name)
    if (typeof found === 'number') return false
    this.#live.forget(found.ino, 1)
    return true
  }

  open(caller: Caller, ino: number, flags: number, killSetIds?: boolean): Opened | Errno {
    if (ino >= HISTORY_BASE) return this.#run((history) => history.open(ino, flags, false))
    return this.#live.open(caller, ino, flags, killSetIds)
  }

  create(caller: Caller, parent: number, name: Buffer, mode: number, flags: number): Created | Errno {
    if (parent >= HISTORY_BASE) return EROFS
    if (isReserved(parent, name) && !this.#isReal(caller, parent, name)) return EEXIST
    return this.#live.create(caller, parent, name, mode, flags)
  }

  tmpfile(caller: Caller, parent: number, mode: number, flags: number): Created | Errno {
    return parent >= HISTORY_BASE ? EROFS : this.#live.tmpfile(caller, parent, mode, flags)
  }

  read(caller: Caller, ino: number, handle: number, offset: number, into: Buffer): number {
    if (ino >= HISTORY_BASE) return this.#run((history) => history.read(ino, offset, into))
    return this.#live.read(caller, ino, handle, offset, into)
  }

  write(caller: Caller, ino: number, handle: number, offset: number, data: Buffer, killSetIds: boolean): number {
    return ino >= HISTORY_BASE ? EROFS : this.#live.write(caller, ino, handle, offset, data, killSetIds)
  }

  flush(caller: Caller, ino: number, handle: number): Errno | typeof PENDING {
    return ino >= HISTORY_BASE ? 0 : this.#live.flush(caller, ino, handle)
  }

  release(ino: number, handle: number): void {
    if (ino >= HISTORY_BASE) this.#history.release(handle)
    else this.#live.release(ino, handle)
  }

  fsync(caller: Caller, ino: number, handle: number, dataOnly: boolean): Errno | typeof PENDING {
    return ino >= HISTORY_BASE ? 0 : this.#live.fsync(caller, ino, handle, dataOnly)
  }

  fallocate(caller: Caller, ino: number, handle: number, mode: number, offset: number, length: number): Errno {
    return ino >= HISTORY_BASE ? EROFS : this.#live.fallocate(caller, ino, handle, mode, offset, length)
  }

  lseek(caller: Caller, ino: number, handle: number, offset: number, whence: number): number {
    if (ino >= HISTORY_BASE) return this.#run((history) => history.lseek(ino, offset, whence))
    return this.#live.lseek(caller, ino, handle, offset, whence)
  }

  copyFileRange(
    caller: Caller,
    ino: number,
    handle: number,
    offset: number,
    inoOut: number,
    handleOut: number,
    offsetOut: number,
    length: number,
  ): number {
    if (inoOut >= HISTORY_BASE) return EROFS
    // The kernel copies by reading and writing then.
    if (ino >= HISTORY_BASE) return EOPNOTSUPP
    return this.#live.copyFileRange(caller, ino, handle, offset, inoOut, handleOut, offsetOut, length)
  }

  opendir(caller: Caller, ino: number): Opened | Errno {
    if (ino >= HISTORY_BASE) return this.#run((history) => history.open(ino, 0, true))
    return this.#live.opendir(caller, ino)
  }

  readdir(
    caller: Caller,
    ino: number,
    handle: number,
    offset: number,
    plus: boolean,
    emit: (entry: DirectoryEntry, attributes?: Attributes) => boolean,
  ): Errno {
    if (ino >= HISTORY_BASE) return this.#run((history) => history.readdir(ino, handle, offset, emit))
    return this.#live.readdir(caller, ino, handle, offset, plus, emit)
  }

  releasedir(ino: number, handle: number): void {
    if (ino >= HISTORY_BASE) this.#history.release(handle)
    else this.#live.releasedir(ino, handle)
  }

  fsyncdir(caller: Caller, ino: number, handle: number): Errno | typeof PENDING {
    return ino >= HISTORY_BASE ? 0 : this.#live.fsyncdir(caller, ino, handle)
  }

  statfs(caller: Caller, ino: number): StatFs | Errno {
    return this.#live.statfs(caller, ino >= HISTORY_BASE ? ROOT : ino)
  }

  getxattr(caller: Caller, ino: number, name: Buffer): Buffer | Errno {
    if (ino >= HISTORY_BASE) return this.#run((history) => history.getxattr(ino, name))
    return this.#live.getxattr(caller, ino, name)
  }

  listxattr(caller: Caller, ino: number): Buffer | Errno {
    if (ino >= HISTORY_BASE) return this.#run((history) => history.listxattr(caller, ino))
    return this.#live.listxattr(caller, ino)
  }

  setxattr(caller: Caller, ino: number, name: Buffer, value: Buffer, flags: number, killGroupId?: boolean): Errno {
    return ino >= HISTORY_BASE ? EROFS : this.#live.setxattr(caller, ino, name, value, flags, killGroupId)
  }

  removexattr(caller: Caller, ino: number, name: Buffer): Errno {
    return ino >= HISTORY_BASE ? EROFS : this.#live.removexattr(caller, ino, name)
  }
}
