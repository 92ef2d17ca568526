// A complete file system in memory behind the driver interface, to test drivers with. Owns its inodes.
// Behaves as a local Linux file system does; permissions are the kernel's business (default_permissions).

import * as errno from '../../lib/fuse/errno.js'
import type {
  Attributes,
  Caller,
  Changes,
  Created,
  DirectoryEntry,
  Errno,
  FileSystem,
  Opened,
  StatFs,
  Time,
} from '../../lib/fuse/file-system.js'
import { Entries, MemoryNode } from './memory-node.js'

const S_IFMT = 0o170000
const S_IFDIR = 0o040000
const S_IFLNK = 0o120000
const S_ISUID = 0o4000
const S_ISGID = 0o2000
const S_IXGRP = 0o010
const O_TRUNC = 0o1000

export class MemoryFileSystem implements FileSystem {
  readonly nodes = new Map<number, MemoryNode>()
  readonly root: MemoryNode
  private nextIno = 2
  private nextHandle = 1
  private readonly handles = new Map<number, MemoryNode>()

  constructor(private readonly clock: () => Time = systemClock()) {
    this.root = new MemoryNode(1, S_IFDIR | 0o755, process.getuid?.() ?? 0, process.getgid?.() ?? 0)
    this.root.nlink = 2
    this.root.entries = new Entries()
    this.root.parent = this.root
    this.root.lookups = 1
    this.nodes.set(1, this.root)
    this.touch(this.root, true, true, true)
  }

  get openHandles(): number {
    return this.handles.size
  }

  lookup(_caller: Caller, parent: number, name: Buffer): Attributes | Errno {
    const directory = this.directory(parent)
    if (typeof directory === 'number') return directory
    const found = directory.entries!.get(key(name))
    if (!found) return errno.ENOENT
    found.node.lookups++
    return found.node
  }

  forget(ino: number, count: number): void {
    const node = this.nodes.get(ino)
    if (!node || ino === 1) return
    node.lookups -= count
    if (node.lookups < 0) throw new Error(`Inode ${ino} was forgotten more often than it was looked up`)
    this.reap(node)
  }

  getattr(_caller: Caller, ino: number): Attributes | Errno {
    return this.nodes.get(ino) ?? errno.ENOENT
  }

  setattr(_caller: Caller, ino: number, c: Changes): Attributes | Errno {
    const node = this.nodes.get(ino)
    if (!node) return errno.ENOENT
    if (c.size !== undefined) {
      if (node.isDirectory) return errno.EISDIR
      if (c.size !== node.size) node.resize(c.size)
      this.touch(node, false, true, true)
    }
    if (c.killSetIds) killSetIds(node)
    if (c.mode !== undefined) node.mode = (node.mode & S_IFMT) | (c.mode & 0o7777)
    if (c.uid !== undefined) node.uid = c.uid
    if (c.gid !== undefined) node.gid = c.gid
    if (c.atime) [node.atimeSec, node.atimeNsec] = this.time(c.atime)
    if (c.mtime) [node.mtimeSec, node.mtimeNsec] = this.time(c.mtime)
    this.touch(node, false, false, true)
    return node
  }

  readlink(_caller: Caller, ino: number): Buffer | Errno {
    return this.nodes.get(ino)?.target ?? errno.EINVAL
  }

  mknod(caller: Caller, parent: number, name: Buffer, mode: number, rdev: number): Attributes | Errno {
    const node = this.make(caller, parent, name, mode)
    if (typeof node === 'number') return node
    node.rdev = rdev
    return node
  }

  mkdir(caller: Caller, parent: number, name: Buffer, mode: number): Attributes | Errno {
    return this.make(caller, parent, name, (mode & 0o7777) | S_IFDIR)
  }

  symlink(caller: Caller, parent: number, name: Buffer, target: Buffer): Attributes | Errno {
    const node = this.make(caller, parent, name, S_IFLNK | 0o777)
    if (typeof node === 'number') return node
    node.target = Buffer.from(target)
    node.size = target.length
    return node
  }

  unlink(_caller: Caller, parent: number, name: Buffer): Errno {
    const directory = this.directory(parent)
    if (typeof directory === 'number') return directory
    const entry = directory.entries!.get(key(name))
    if (!entry) return errno.ENOENT
    if (entry.node.isDirectory) return errno.EISDIR
    directory.entries!.delete(entry.key)
    this.touch(directory, false, true, true)
    this.dropLink(entry.node)
    return 0
  }

  rmdir(_caller: Caller, parent: number, name: Buffer): Errno {
    const directory = this.directory(parent)
    if (typeof directory === 'number') return directory
    const entry = directory.entries!.get(key(name))
    if (!entry) return errno.ENOENT
    if (!entry.node.isDirectory) return errno.ENOTDIR
    if (entry.node.entries!.size > 0) return errno.ENOTEMPTY
    directory.entries!.delete(entry.key)
    this.removeDirectory(directory, entry.node)
    return 0
  }

  rename(_c: Caller, parent: number, name: Buffer, newParent: number, newName: Buffer, flags: number): Errno {
    const from = this.directory(parent)
    const to = this.directory(newParent)
    if (typeof from === 'number') return from
    if (typeof to === 'number') return to
    const moved = from.entries!.get(key(name))
    if (!moved) return errno.ENOENT
    const node = moved.node
    const over = to.entries!.get(key(newName))?.node
    if (flags & ~3) return errno.EINVAL
    if (flags & 1 && over) return errno.EEXIST
    if (flags & 2) return over ? this.exchange(from, name, node, to, newName, over) : errno.ENOENT
    if (over === node) return 0
    if (node.isDirectory && this.within(to, node)) return errno.EINVAL
    if (over) {
      if (over.isDirectory && !node.isDirectory) return errno.EISDIR
      if (!over.isDirectory && node.isDirectory) return errno.ENOTDIR
      if (over.isDirectory && over.entries!.size > 0) return errno.ENOTEMPTY
    }
    from.entries!.delete(moved.key)
    to.entries!.set(newName, key(newName), node)
    this.moveDirectory(node, from, to)
    if (over?.isDirectory) this.removeDirectory(to, over)
    else if (over) this.dropLink(over)
    for (const changed of [from, to]) this.touch(changed, false, true, true)
    this.touch(node, false, false, true)
    return 0
  }

  link(_caller: Caller, ino: number, newParent: number, newName: Buffer): Attributes | Errno {
    const node = this.nodes.get(ino)
    const directory = this.directory(newParent)
    if (typeof directory === 'number') return directory
    if (!node || node.nlink === 0) return errno.ENOENT
    if (node.isDirectory) return errno.EPERM
    if (directory.entries!.get(key(newName))) return errno.EEXIST
    directory.entries!.set(newName, key(newName), node)
    node.nlink++
    node.lookups++
    this.touch(node, false, false, true)
    this.touch(directory, false, true, true)
    return node
  }

  open(_caller: Caller, ino: number, flags: number, kill = false): Opened | Errno {
    const node = this.nodes.get(ino)
    if (!node) return errno.ENOENT
    if (flags & O_TRUNC) {
      node.resize(0)
      if (kill) killSetIds(node)
      this.touch(node, false, true, true)
    }
    return this.handle(node)
  }

  create(caller: Caller, parent: number, name: Buffer, mode: number, _flags: number): Created | Errno {
    const node = this.make(caller, parent, name, mode)
    if (typeof node === 'number') return node
    return { ...this.handle(node), attributes: node }
  }

  tmpfile(): Created | Errno {
    return errno.ENOSYS
  }

  read(_caller: Caller, ino: number, handle: number, offset: number, into: Buffer): number {
    const node = this.handles.get(handle)
    if (!node || node.ino !== ino) return errno.EBADF
    return node.read(offset, into)
  }

  write(_caller: Caller, ino: number, handle: number, offset: number, data: Buffer, kill: boolean): number {
    // The kernel names any handle of the inode when it writes pages of a shared mapping; one is open then.
    const node = this.handles.get(handle) ?? this.nodes.get(ino)
    if (!node || node.ino !== ino) return errno.EBADF
    node.write(offset, data)
    if (kill) killSetIds(node)
    this.touch(node, false, true, true)
    return data.length
  }

  flush(): Errno {
    return 0
  }

  release(_ino: number, handle: number): void {
    const node = this.handles.get(handle)
    if (!node) throw new Error(`Handle ${handle} is released and not open`)
    this.handles.delete(handle)
    node.handles--
    this.reap(node)
  }

  fsync(): Errno {
    return 0
  }

  fallocate(_caller: Caller, ino: number, _handle: number, mode: number, offset: number, length: number): Errno {
    const node = this.nodes.get(ino)
    if (!node) return errno.ENOENT
    const KEEP_SIZE = 1
    const PUNCH_HOLE = 2
    if (mode & ~(KEEP_SIZE | PUNCH_HOLE)) return errno.EOPNOTSUPP
    if (mode & PUNCH_HOLE) node.zero(offset, Math.min(node.size, offset + length))
    else {
      node.allocate(offset, offset + length)
      if (!(mode & KEEP_SIZE)) node.size = Math.max(node.size, offset + length)
    }
    this.touch(node, false, true, true)
    return 0
  }

  lseek(_caller: Caller, ino: number, _handle: number, offset: number, whence: number): number {
    const found = this.nodes.get(ino)?.seek(offset, whence) ?? -1
    return found < 0 ? errno.ENXIO : found
  }

  copyFileRange(
    _caller: Caller,
    ino: number,
    _handle: number,
    offset: number,
    inoOut: number,
    _handleOut: number,
    offsetOut: number,
    length: number,
  ): number {
    const from = this.nodes.get(ino)
    const to = this.nodes.get(inoOut)
    if (!from || !to) return errno.ENOENT
    const bytes = Buffer.alloc(Math.max(0, Math.min(length, from.size - offset, 1 << 24)))
    from.read(offset, bytes)
    to.write(offsetOut, bytes)
    this.touch(to, false, true, true)
    return bytes.length
  }

  opendir(_caller: Caller, ino: number): Opened | Errno {
    const directory = this.directory(ino)
    return typeof directory === 'number' ? directory : this.handle(directory)
  }

  readdir(
    _caller: Caller,
    ino: number,
    _handle: number,
    offset: number,
    _plus: boolean,
    emit: (entry: DirectoryEntry, attributes?: Attributes) => boolean,
  ): Errno {
    const directory = this.directory(ino)
    if (typeof directory === 'number') return directory
    const DOT = Buffer.from('.')
    const DOTS = Buffer.from('..')
    if (offset < 1 && !emit({ name: DOT, ino, type: 4, offset: 1 })) return 0
    if (offset < 2 && !emit({ name: DOTS, ino: directory.parent!.ino, type: 4, offset: 2 })) return 0
    for (const { name, node, offset: at } of directory.entries!.after(offset)) {
      if (!emit({ name, ino: node.ino, type: node.mode >> 12, offset: at }, node)) return 0
      if (_plus) node.lookups++
    }
    return 0
  }

  releasedir(ino: number, handle: number): void {
    this.release(ino, handle)
  }

  fsyncdir(): Errno {
    return 0
  }

  statfs(): StatFs {
    return {
      blockSize: 4096,
      blocks: 1 << 20,
      blocksFree: 1 << 19,
      blocksAvailable: 1 << 19,
      files: 1 << 20,
      filesFree: (1 << 20) - this.nodes.size,
      nameMax: 255,
    }
  }

  getxattr(_caller: Caller, ino: number, name: Buffer): Buffer | Errno {
    return this.nodes.get(ino)?.xattrs.get(key(name)) ?? errno.ENODATA
  }

  listxattr(_caller: Caller, ino: number): Buffer | Errno {
    const names = [...(this.nodes.get(ino)?.xattrs.keys() ?? [])]
    return Buffer.from(names.map((name) => `${name}\0`).join(''), 'latin1')
  }

  setxattr(_caller: Caller, ino: number, name: Buffer, value: Buffer, flags: number): Errno {
    const node = this.nodes.get(ino)
    if (!node) return errno.ENOENT
    if (!name.toString().startsWith('user.')) return errno.EOPNOTSUPP
    const known = node.xattrs.has(key(name))
    if (flags & 1 && known) return errno.EEXIST
    if (flags & 2 && !known) return errno.ENODATA
    node.xattrs.set(key(name), Buffer.from(value))
    this.touch(node, false, false, true)
    return 0
  }

  removexattr(_caller: Caller, ino: number, name: Buffer): Errno {
    const node = this.nodes.get(ino)
    if (!node?.xattrs.delete(key(name))) return errno.ENODATA
    this.touch(node, false, false, true)
    return 0
  }

  // --- inside -----------------------------------------------------------------------------------------------------------

  private directory(ino: number): MemoryNode | Errno {
    const node = this.nodes.get(ino)
    if (!node) return errno.ENOENT
    return node.isDirectory ? node : errno.ENOTDIR
  }

  private make(caller: Caller, parent: number, name: Buffer, mode: number): MemoryNode | Errno {
    const directory = this.directory(parent)
    if (typeof directory === 'number') return directory
    if (directory.nlink === 0) return errno.ENOENT
    if (directory.entries!.get(key(name))) return errno.EEXIST
    const inherits = (directory.mode & S_ISGID) !== 0
    const node = new MemoryNode(this.nextIno++, mode, caller.uid, inherits ? directory.gid : caller.gid)
    if ((mode & S_IFMT) === S_IFDIR) {
      node.entries = new Entries()
      node.parent = directory
      node.nlink = 2
      if (inherits) node.mode |= S_ISGID
      directory.nlink++
    }
    node.lookups = 1
    this.nodes.set(node.ino, node)
    directory.entries!.set(name, key(name), node)
    this.touch(node, true, true, true)
    this.touch(directory, false, true, true)
    return node
  }

  private handle(node: MemoryNode): Opened {
    const handle = this.nextHandle++
    this.handles.set(handle, node)
    node.handles++
    return { handle, keepCache: true }
  }

  private exchange(
    from: MemoryNode,
    name: Buffer,
    a: MemoryNode,
    to: MemoryNode,
    newName: Buffer,
    b: MemoryNode,
  ): Errno {
    if ((a.isDirectory && this.within(to, a)) || (b.isDirectory && this.within(from, b))) return errno.EINVAL
    from.entries!.set(name, key(name), b)
    to.entries!.set(newName, key(newName), a)
    this.moveDirectory(a, from, to)
    this.moveDirectory(b, to, from)
    for (const changed of [from, to]) this.touch(changed, false, true, true)
    for (const changed of [a, b]) this.touch(changed, false, false, true)
    return 0
  }

  private moveDirectory(node: MemoryNode, from: MemoryNode, to: MemoryNode): void {
    if (!node.isDirectory || from === to) return
    from.nlink--
    to.nlink++
    node.parent = to
  }

  private within(node: MemoryNode, ancestor: MemoryNode): boolean {
    for (let n = node; ; n = n.parent!) {
      if (n === ancestor) return true
      if (n === this.root) return false
    }
  }

  private removeDirectory(parent: MemoryNode, node: MemoryNode): void {
    parent.nlink--
    node.nlink = 0
    this.touch(parent, false, true, true)
    this.reap(node)
  }

  private dropLink(node: MemoryNode): void {
    node.nlink--
    this.touch(node, false, false, true)
    this.reap(node)
  }

  private reap(node: MemoryNode): void {
    if (node.nlink === 0 && node.lookups === 0 && node.handles === 0) this.nodes.delete(node.ino)
  }

  private time(time: Time | 'now'): [number, number] {
    const { sec, nsec } = time === 'now' ? this.clock() : time
    return [sec, nsec]
  }

  private touch(node: MemoryNode, atime: boolean, mtime: boolean, ctime: boolean): void {
    const { sec, nsec } = this.clock()
    if (atime) [node.atimeSec, node.atimeNsec] = [sec, nsec]
    if (mtime) [node.mtimeSec, node.mtimeNsec] = [sec, nsec]
    if (ctime) [node.ctimeSec, node.ctimeNsec] = [sec, nsec]
  }
}

function key(name: Buffer): string {
  return name.toString('latin1')
}

function killSetIds(node: MemoryNode): void {
  if (!node.isFile) return
  node.mode &= ~S_ISUID
  if (node.mode & S_IXGRP) node.mode &= ~S_ISGID
}

function systemClock(): () => Time {
  const base = Date.now() - performance.now()
  return () => {
    const ms = base + performance.now()
    const sec = Math.floor(ms / 1000)
    return { sec, nsec: Math.floor((ms - sec * 1000) * 1e6) }
  }
}
