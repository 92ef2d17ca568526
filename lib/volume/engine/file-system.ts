// The volume as a FileSystem: every operation of the driver, answered in place from the live state. Owns the boundary: an
// exception below becomes an errno, and the live state is as it was before the operation. Hands on what has to wait (fsync).

import fs from 'node:fs'
import { EINVAL, EISDIR, ENAMETOOLONG, ENOENT, ENOTDIR } from '../../fuse/errno.js'
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
import type { AttributeChanges } from './attributes.js'
import type { Contents } from './contents.js'
import type { Directories } from './directories.js'
import { errnoOf } from './errno.js'
import type { FileOperations } from './file-operations.js'
import type { Inode } from './inode.js'
import type { LiveState } from './live-state.js'
import { NAME_MAX, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from './modes.js'
import type { Namespace } from './namespace.js'
import type { OpenFiles } from './open-files.js'
import type { Renames } from './renames.js'
import type { Transaction } from './transaction.js'
import type { WallClock } from './wall-clock.js'
import * as xattrs from './xattrs.js'

const O_EXCL = 0o200
const TARGET_MAX = 4095
/** Operations between two looks at memory and journal. */
const TIDY_EVERY = 64

export interface FileSystemComponents {
  directory: string
  state: LiveState
  namespace: Namespace
  renames: Renames
  files: FileOperations
  attributes: AttributeChanges
  directories: Directories
  contents: Contents
  open: OpenFiles
  transaction: Transaction
  clock: WallClock
  /** Has everything so far synced to disk; of `inode` also its spool. Answers as `fsync` does. */
  sync: (inode: Inode | undefined) => Errno | typeof PENDING
  /** Now and then between operations: memory, journal, backlog. */
  tidy: () => void
  /** Throws NotYet if what failed the operation comes from elsewhere, and the operation is served again then. */
  notYet?: (error: unknown, ino?: number) => void
  /** An exception that became an errno; of which file, where that is known. */
  onError: (error: unknown, ino?: number) => void
}

export class VolumeFileSystem implements FileSystem {
  readonly #c: FileSystemComponents
  readonly #state: LiveState
  #untilTidy = TIDY_EVERY

  constructor(components: FileSystemComponents) {
    this.#c = components
    this.#state = components.state
  }

  #failed(error: unknown, ino?: number): Errno {
    this.#c.transaction.rollback()
    this.#c.notYet?.(error, ino)
    this.#c.onError(error, ino)
    return errnoOf(error)
  }

  /** Runs an operation; what it throws is taken back and becomes an errno. */
  #run<T>(operation: () => T | Errno, ino?: number): T | Errno {
    this.#tidy()
    try {
      return operation()
    } catch (error) {
      return this.#failed(error, ino)
    }
  }

  #tidy(): void {
    if (--this.#untilTidy > 0) return
    this.#untilTidy = TIDY_EVERY
    this.#c.tidy()
  }

  /** An inode that the answer names: one more reference of the kernel. */
  #given(found: Inode | Errno): Attributes | Errno {
    if (typeof found !== 'number') found.lookups++
    return found
  }

  lookup(_caller: Caller, parent: number, name: Buffer): Attributes | Errno {
    this.#tidy()
    try {
      return this.#given(this.#c.namespace.lookup(parent, name))
    } catch (error) {
      return this.#failed(error)
    }
  }

  forget(ino: number, count: number): void {
    this.#run(() => this.#c.files.forget(ino, count))
  }

  getattr(_caller: Caller, ino: number): Attributes | Errno {
    try {
      return this.#state.inode(ino) ?? ENOENT
    } catch (error) {
      return this.#failed(error)
    }
  }

  setattr(caller: Caller, ino: number, changes: Changes): Attributes | Errno {
    return this.#run<Attributes>(() => this.#c.attributes.set(caller, ino, changes), ino)
  }

  readlink(_caller: Caller, ino: number): Buffer | Errno {
    return this.#run<Buffer>(() => {
      const inode = this.#state.inode(ino)
      if (inode === undefined) return ENOENT
      if ((inode.mode & S_IFMT) !== S_IFLNK) return EINVAL
      this.#c.files.accessed(inode)
      return this.#c.contents.load(inode, inode.size)
    })
  }

  mknod(caller: Caller, parent: number, name: Buffer, mode: number, rdev: number): Attributes | Errno {
    return this.#run<Attributes>(() => {
      const type = mode & S_IFMT
      if (type === S_IFDIR || type === S_IFLNK) return EINVAL
      const full = type === 0 ? mode | S_IFREG : mode
      return this.#given(this.#c.namespace.make(caller, parent, name, full, rdev))
    })
  }

  mkdir(caller: Caller, parent: number, name: Buffer, mode: number): Attributes | Errno {
    return this.#run<Attributes>(() =>
      this.#given(this.#c.namespace.make(caller, parent, name, S_IFDIR | (mode & 0o7777), 0)),
    )
  }

  symlink(caller: Caller, parent: number, name: Buffer, target: Buffer): Attributes | Errno {
    return this.#run<Attributes>(() => {
      if (target.length > TARGET_MAX) return ENAMETOOLONG
      if (target.length === 0) return ENOENT
      const content = { kind: 'bytes' as const, bytes: new Uint8Array(target) }
      return this.#given(this.#c.namespace.make(caller, parent, name, S_IFLNK | 0o777, 0, content))
    })
  }

  unlink(_caller: Caller, parent: number, name: Buffer): Errno {
    return this.#run(() => this.#c.namespace.unlink(parent, name))
  }

  rmdir(_caller: Caller, parent: number, name: Buffer): Errno {
    return this.#run(() => this.#c.namespace.rmdir(parent, name))
  }

  rename(_caller: Caller, parent: number, name: Buffer, newParent: number, newName: Buffer, flags: number): Errno {
    return this.#run(() => this.#c.renames.rename(parent, name, newParent, newName, flags))
  }

  link(_caller: Caller, ino: number, newParent: number, newName: Buffer): Attributes | Errno {
    return this.#run<Attributes>(() => this.#given(this.#c.namespace.link(ino, newParent, newName)))
  }

  #opened(caller: Caller, inode: Inode, flags: number, killSetIds = false): Opened | Errno {
    const handle = this.#c.files.open(caller, inode, flags, killSetIds)
    if (typeof handle === 'number') return handle
    const keepCache = inode.openEpoch === inode.epoch
    inode.openEpoch = inode.epoch
    return { handle: handle.id, keepCache }
  }

  open(caller: Caller, ino: number, flags: number, killSetIds = false): Opened | Errno {
    return this.#run<Opened>(() => {
      const inode = this.#state.inode(ino)
      return inode === undefined ? ENOENT : this.#opened(caller, inode, flags, killSetIds)
    })
  }

  create(caller: Caller, parent: number, name: Buffer, mode: number, flags: number): Created | Errno {
    return this.#run<Created>(() => {
      const known = this.#c.namespace.lookup(parent, name)
      if (typeof known === 'number' && known !== ENOENT) return known
      const inode =
        typeof known === 'number' || (flags & O_EXCL) !== 0
          ? this.#c.namespace.make(caller, parent, name, S_IFREG | (mode & 0o7777), 0, undefined, true)
          : known
      if (typeof inode === 'number') return inode
      return this.#created(caller, inode, flags)
    })
  }

  tmpfile(caller: Caller, parent: number, mode: number, flags: number): Created | Errno {
    return this.#run<Created>(() => {
      const inode = this.#c.namespace.makeUnnamed(caller, parent, S_IFREG | (mode & 0o7777))
      return typeof inode === 'number' ? inode : this.#created(caller, inode, flags)
    })
  }

  #created(caller: Caller, inode: Inode, flags: number): Created | Errno {
    const opened = this.#opened(caller, inode, flags, caller.uid !== 0)
    if (typeof opened === 'number') return opened
    inode.lookups++
    return { handle: opened.handle, keepCache: opened.keepCache, attributes: inode }
  }

  read(_caller: Caller, ino: number, handle: number, offset: number, into: Buffer): number {
    try {
      const inode = this.#c.files.inodeOf(ino, handle)
      return typeof inode === 'number' ? inode : this.#c.files.read(inode, offset, into)
    } catch (error) {
      return this.#failed(error, ino)
    }
  }

  write(caller: Caller, ino: number, handle: number, offset: number, data: Buffer, killSetIds: boolean): number {
    this.#tidy()
    try {
      const inode = this.#c.files.inodeOf(ino, handle)
      return typeof inode === 'number' ? inode : this.#c.files.write(caller, inode, offset, data, killSetIds)
    } catch (error) {
      return this.#failed(error, ino)
    }
  }

  /** Closing is done by `release`: everything written is safe by then. */
  flush(): Errno {
    return 0
  }

  release(_ino: number, handle: number): void {
    this.#run(() => this.#c.files.release(handle))
  }

  fsync(_caller: Caller, ino: number): Errno | typeof PENDING {
    return this.#run<typeof PENDING>(() => {
      const inode = this.#state.inode(ino)
      return inode === undefined ? ENOENT : this.#c.sync(inode)
    })
  }

  #onFile(ino: number, handle: number, operation: (inode: Inode) => number): number {
    return this.#run(() => {
      const inode = this.#c.files.inodeOf(ino, handle)
      return typeof inode === 'number' ? inode : operation(inode)
    }, ino)
  }

  fallocate(caller: Caller, ino: number, handle: number, mode: number, offset: number, length: number): Errno {
    return this.#onFile(ino, handle, (inode) => {
      if (!inode.isFile) return inode.isFolder ? EISDIR : EINVAL
      return this.#c.files.fallocate(caller, inode, mode, offset, length)
    })
  }

  lseek(_caller: Caller, ino: number, handle: number, offset: number, whence: number): number {
    return this.#onFile(ino, handle, (inode) => this.#c.files.lseek(inode, offset, whence))
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
    return this.#onFile(ino, handle, (from) => {
      const to = this.#c.files.inodeOf(inoOut, handleOut)
      return typeof to === 'number' ? to : this.#c.files.copy(caller, from, offset, to, offsetOut, length)
    })
  }

  opendir(_caller: Caller, ino: number): Opened | Errno {
    return this.#run<Opened>(() => {
      const inode = this.#state.inode(ino)
      if (inode === undefined) return ENOENT
      if (!inode.isFolder) return ENOTDIR
      const handle = this.#c.open.open(inode, false, 0)
      const keepCache = inode.openEpoch === inode.epoch
      inode.openEpoch = inode.epoch
      return { handle: handle.id, keepCache }
    })
  }

  readdir(
    _caller: Caller,
    ino: number,
    handle: number,
    offset: number,
    plus: boolean,
    emit: (entry: DirectoryEntry, attributes?: Attributes) => boolean,
  ): Errno {
    return this.#onFile(ino, handle, (inode) => {
      if (!inode.isFolder) return ENOTDIR
      this.#c.directories.read(this.#c.open.get(handle)!, offset, plus, emit)
      this.#c.files.accessed(inode)
      return 0
    })
  }

  releasedir(_ino: number, handle: number): void {
    this.#run(() => this.#c.files.release(handle))
  }

  fsyncdir(): Errno | typeof PENDING {
    return this.#run<typeof PENDING>(() => this.#c.sync(undefined))
  }

  statfs(): StatFs | Errno {
    return this.#run<StatFs>(() => {
      const { bsize, blocks, bfree, bavail, files, ffree } = fs.statfsSync(this.#c.directory)
      return {
        ...{ blockSize: bsize, blocks, blocksFree: bfree, blocksAvailable: bavail },
        ...{ files, filesFree: ffree, nameMax: NAME_MAX },
      }
    })
  }

  getxattr(_caller: Caller, ino: number, name: Buffer): Buffer | Errno {
    return this.#onInode<Buffer>(ino, (inode) => xattrs.get(inode, name))
  }

  listxattr(caller: Caller, ino: number): Buffer | Errno {
    return this.#onInode<Buffer>(ino, (inode) => xattrs.list(inode, caller.uid === 0))
  }

  setxattr(_caller: Caller, ino: number, name: Buffer, value: Buffer, flags: number, killGroupId = false): Errno {
    return this.#onInode<never>(ino, (inode) => this.#c.attributes.setXattr(inode, name, value, flags, killGroupId))
  }

  removexattr(_caller: Caller, ino: number, name: Buffer): Errno {
    return this.#onInode<never>(ino, (inode) => this.#c.attributes.removeXattr(inode, name))
  }

  #onInode<T>(ino: number, operation: (inode: Inode) => T | Errno): T | Errno {
    return this.#run<T>(() => {
      const inode = this.#state.inode(ino)
      return inode === undefined ? ENOENT : operation(inode)
    })
  }
}
