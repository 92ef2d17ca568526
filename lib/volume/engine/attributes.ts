// setattr and extended attributes: what chmod, chown, utimensat, truncate and setxattr change. Owns no state. Permissions are
// the kernel's business; what follows from a permitted change (set-id bits, ctime) is done here.

import { EACCES, EINVAL, EISDIR, ENODATA, ENOENT, EOPNOTSUPP } from '../../fuse/errno.js'
import type { Caller, Changes, Errno, Time } from '../../fuse/file-system.js'
import * as acl from './acl.js'
import type { FileData } from './file-data.js'
import type { Inode } from './inode.js'
import type { LiveState } from './live-state.js'
import { S_IFLNK, S_IFMT, S_ISGID } from './modes.js'
import { dropPrivileges, hasPrivileges } from './set-ids.js'
import type { Transaction } from './transaction.js'
import type { WallClock } from './wall-clock.js'
import * as xattrs from './xattrs.js'

export class AttributeChanges {
  readonly #state: LiveState
  readonly #transaction: Transaction
  readonly #clock: WallClock
  readonly #data: FileData

  constructor(components: { state: LiveState; transaction: Transaction; clock: WallClock; data: FileData }) {
    this.#state = components.state
    this.#transaction = components.transaction
    this.#clock = components.clock
    this.#data = components.data
  }

  set(caller: Caller, ino: number, changes: Changes): Inode | Errno {
    const inode = this.#state.inode(ino)
    if (inode === undefined) return ENOENT
    const { size } = changes
    if (size !== undefined) {
      if (inode.isFolder) return EISDIR
      if (!inode.isFile || size < 0) return EINVAL
      const failed = this.#data.truncate(inode, size)
      if (failed < 0) return failed
      if (inode.writers === 0) this.#data.closeLater(inode)
    }
    this.#setOthers(caller, inode, changes)
    // Cut by name, with nobody who will close it.
    if (size !== undefined && inode.writers === 0 && inode.nlink > 0) this.#data.close(inode)
    return inode
  }

  #setOthers(caller: Caller, inode: Inode, changes: Changes): void {
    const clock = this.#clock
    const kill = changes.uid !== undefined || changes.gid !== undefined || (changes.killSetIds ?? false)
    clock.read()
    this.#transaction.touch(inode)
    if (!inode.isFolder && (kill || changes.size !== undefined))
      dropPrivileges(inode, kill && mayKill(caller, inode, changes), caller)
    if (changes.mode !== undefined) this.#setMode(inode, changes.mode)
    if (changes.uid !== undefined) inode.uid = changes.uid
    if (changes.gid !== undefined) inode.gid = changes.gid
    if (changes.size !== undefined) this.#setModified(inode, 'now')
    if (changes.mtime !== undefined) this.#setModified(inode, changes.mtime)
    const { atime } = changes
    if (atime !== undefined) {
      inode.atimeSec = atime === 'now' ? clock.sec : atime.sec
      inode.atimeNsec = atime === 'now' ? clock.nsec : atime.nsec
    }
    inode.ctimeSec = clock.sec
    inode.ctimeNsec = clock.nsec
    this.#transaction.commit()
  }

  #setMode(inode: Inode, mode: number): void {
    inode.mode = (inode.mode & S_IFMT) | (mode & 0o7777)
    const list = inode.xattrs.length === 0 ? undefined : inode.xattrs.find(({ name }) => acl.ACCESS.equals(name))
    if (!list) return
    const now = { name: list.name, value: new Uint8Array(acl.changed(list.value, mode)) }
    inode.xattrs = inode.xattrs.map((xattr) => (xattr === list ? now : xattr))
  }

  #setModified(inode: Inode, time: Time | 'now'): void {
    inode.mtimeSec = time === 'now' ? this.#clock.sec : time.sec
    inode.mtimeNsec = time === 'now' ? this.#clock.nsec : time.nsec
  }

  /** Before the bytes of a file change. `setIds`: by somebody who may not keep set-id bits. */
  dropPrivileges(caller: Caller, inode: Inode, setIds: boolean): void {
    if (!hasPrivileges(inode, setIds)) return
    this.#transaction.touch(inode)
    dropPrivileges(inode, setIds, caller)
    this.#transaction.commit()
  }

  /** Content, or what it occupies on the disk, was changed other than by a write. */
  modified(inode: Inode): void {
    const clock = this.#clock
    clock.read()
    this.#transaction.touch(inode)
    inode.mtimeSec = inode.ctimeSec = clock.sec
    inode.mtimeNsec = inode.ctimeNsec = clock.nsec
    this.#transaction.commit()
  }

  /** `killGroupId`: the caller may not keep the set-group-id bit of a file whose access list is set. */
  setXattr(inode: Inode, name: Buffer, value: Buffer, flags: number, killGroupId: boolean): Errno {
    if (acl.ACCESS.equals(name)) return this.#setAccessList(inode, value, flags, killGroupId)
    if (acl.DEFAULT.equals(name) && (!inode.isFolder || !acl.isList(value))) return inode.isFolder ? EINVAL : EACCES
    return this.#putXattrs(inode, xattrs.set(inode, name, value, flags))
  }

  /** The mode says what the list says; a list that says no more than the mode is not kept. */
  #setAccessList(inode: Inode, value: Buffer, flags: number, killGroupId: boolean): Errno {
    if ((inode.mode & S_IFMT) === S_IFLNK) return EOPNOTSUPP
    const given = acl.applied(value, inode.mode)
    if (!given) return EINVAL
    const pairs = given.acl ? xattrs.set(inode, acl.ACCESS, given.acl, flags) : xattrs.without(inode, acl.ACCESS)
    return this.#putXattrs(inode, pairs, killGroupId ? given.mode & ~S_ISGID : given.mode)
  }

  removeXattr(inode: Inode, name: Buffer): Errno {
    const left = xattrs.remove(inode, name)
    // Every file has an access list, if only its mode: taking it away never fails.
    if (left === ENODATA && (acl.ACCESS.equals(name) || acl.DEFAULT.equals(name))) return 0
    return this.#putXattrs(inode, left)
  }

  #putXattrs(inode: Inode, pairs: Inode['xattrs'] | Errno, mode = inode.mode): Errno {
    if (typeof pairs === 'number') return pairs
    this.#clock.read()
    this.#transaction.touch(inode)
    inode.xattrs = pairs
    inode.mode = mode
    inode.ctimeSec = this.#clock.sec
    inode.ctimeNsec = this.#clock.nsec
    this.#transaction.commit()
    return 0
  }
}

/**
 * A request that changes nothing is either chown(-1, -1), which drops set-id bits of one's own files, or the kernel before a write by
 * somebody else, which says itself what is to be dropped.
 */
function mayKill(caller: Caller, inode: Inode, { uid, gid, size }: Changes): boolean {
  if (uid !== undefined || gid !== undefined || size !== undefined) return true
  return caller.uid === 0 || caller.uid === inode.uid
}
