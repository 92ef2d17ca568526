// The tree: entries made, removed, linked (renames.ts: renamed). Owns the rules of POSIX for names, link counts and times of folders, and
// leaves permissions to the kernel (default_permissions). Every operation checks all it can first, then changes the live
// state and commits one frame.

import { EEXIST, EISDIR, EMLINK, ENAMETOOLONG, ENOENT, ENOTDIR, ENOTEMPTY, EPERM } from '../../fuse/errno.js'
import type { Caller, Errno } from '../../fuse/file-system.js'
import { TYPE_LINK } from '../../model/types.js'
import { EMPTY_LIVE } from '../../store/codec.js'
import type { LiveContent } from '../../store/records.js'
import { born } from './acl.js'
import { keyOf } from './folders.js'
import { Inode } from './inode.js'
import { LINK_MAX, NAME_MAX, S_IFDIR, S_IFLNK, S_IFMT, S_ISGID, typeOf } from './modes.js'
import { NameChanges } from './name-changes.js'

function sizeOf(content: LiveContent): number {
  if (content.kind === 'committed') return content.content.size
  return content.kind === 'bytes' ? content.bytes.length : content.size
}

const DOT = 0x2e
const ROOT = 1
const NO_XATTRS: Inode['xattrs'] = []

export class Namespace extends NameChanges {
  lookup(parent: number, name: Buffer): Inode | Errno {
    if (name.length > NAME_MAX) return ENAMETOOLONG
    if (name[0] === DOT && (name.length === 1 || (name.length === 2 && name[1] === DOT)))
      return this.#byNumber(parent, name)
    const { folders } = this.c.state
    const entry = folders.find(folders.of(parent), keyOf(name), name)
    if (entry === undefined) return ENOENT
    return this.c.state.inode(entry.ino) ?? ENOENT
  }

  /** An inode itself, or the folder it is in: asked for by the kernel when it has only the number. */
  #byNumber(ino: number, name: Buffer): Inode | Errno {
    const inode = this.c.state.inode(ino)
    if (inode === undefined || inode.nlink === 0) return ENOENT
    return name.length === 1 ? inode : (this.c.state.inode(inode.parent || ROOT) ?? ENOENT)
  }

  /**
   * A new inode with an entry. `content` given: it is closed with it. `open`: it begins with a working copy, so that its first
   * version is what is closed and not the empty file before. Answers the inode or an errno (EEXIST).
   */
  make(
    caller: Caller,
    parentIno: number,
    name: Buffer,
    mode: number,
    rdev: number,
    content?: LiveContent,
    open = false,
  ): Inode | Errno {
    if (name.length > NAME_MAX) return ENAMETOOLONG
    const parent = this.folder(parentIno)
    if (typeof parent === 'number') return parent
    const { state, transaction, clock, identity } = this.c
    const folder = state.folders.of(parentIno)
    const key = keyOf(name)
    if (state.folders.find(folder, key, name) !== undefined) return EEXIST
    const isFolder = (mode & S_IFMT) === S_IFDIR
    if (isFolder && parent.nlink >= LINK_MAX) return EMLINK
    clock.read()
    const birth = isFolder ? undefined : identity.take(transaction, parentIno, key, mode & S_IFMT, clock)
    const inode = this.#newInode(caller, parent, mode, rdev, content)
    if (birth) {
      inode.document = birth.document
      inode.createdSec = birth.createdSec
      inode.createdNsec = birth.createdNsec
    }
    transaction.add(inode)
    if (content) transaction.close(inode)
    if (open) this.c.data.recordEmpty(inode)
    this.changed(parent)
    if (isFolder) parent.nlink++
    transaction.link(folder, key, name, { ino: inode.ino, type: typeOf(mode), stamp: clock.stamp() })
    const lsn = transaction.commit()
    if (open) this.c.data.beginEmpty(inode)
    if (birth) identity.place(birth.document, inode.ino, lsn)
    if (isFolder) state.folders.fresh(inode.ino)
    return inode
  }

  /** O_TMPFILE: a file without a name, which exists as long as it is open or until it is linked. The caller opens it. */
  makeUnnamed(caller: Caller, parentIno: number, mode: number): Inode | Errno {
    const parent = this.folder(parentIno)
    if (typeof parent === 'number') return parent
    const { transaction, clock, data } = this.c
    clock.read()
    const inode = this.#newInode(caller, parent, mode, 0, undefined)
    inode.nlink = 0
    inode.parent = 0
    inode.linkable = true
    transaction.add(inode)
    data.recordEmpty(inode)
    transaction.commit()
    data.beginEmpty(inode)
    return inode
  }

  #newInode(caller: Caller, parent: Inode, wanted: number, rdev: number, content: LiveContent | undefined): Inode {
    const { state, clock, identity } = this.c
    const isFolder = (wanted & S_IFMT) === S_IFDIR
    const inherits = (parent.mode & S_ISGID) !== 0
    const isLink = (wanted & S_IFMT) === S_IFLNK
    const { mode, xattrs } = isLink
      ? { mode: wanted, xattrs: NO_XATTRS }
      : born(parent.xattrs, wanted, caller.umask ?? 0, isFolder)
    const { sec, nsec } = clock
    return new Inode({
      ino: state.newIno(),
      document: identity.newDocument(),
      mode: isFolder && inherits ? mode | S_ISGID : mode,
      uid: caller.uid,
      gid: inherits ? parent.gid : caller.gid,
      rdev,
      nlink: isFolder ? 2 : 1,
      size: content ? sizeOf(content) : 0,
      mtimeSec: sec,
      mtimeNsec: nsec,
      ctimeSec: sec,
      ctimeNsec: nsec,
      createdSec: sec,
      createdNsec: nsec,
      parent: parent.ino,
      content: content ?? EMPTY_LIVE,
      xattrs,
    })
  }

  unlink(parentIno: number, name: Buffer): Errno {
    const place = this.find(parentIno, name)
    if (typeof place === 'number') return place
    const { parent, folder, key, inode } = place
    if (inode.isFolder) return EISDIR
    const { transaction, clock, identity } = this.c
    clock.read()
    this.changed(parent)
    this.relinked(inode)
    this.dropLink(inode)
    transaction.unlink(folder, key, name)
    transaction.commit({ urgent: true })
    if (inode.nlink === 0) identity.left(parentIno, key, inode, clock.span)
    return 0
  }

  rmdir(parentIno: number, name: Buffer): Errno {
    const place = this.find(parentIno, name)
    if (typeof place === 'number') return place
    const { parent, folder, key, inode } = place
    if (!inode.isFolder) return ENOTDIR
    if (!this.isEmpty(inode)) return ENOTEMPTY
    const { transaction, clock } = this.c
    clock.read()
    this.changed(parent)
    parent.nlink--
    this.relinked(inode)
    this.dropFolder(inode)
    transaction.unlink(folder, key, name)
    transaction.commit({ urgent: true })
    return 0
  }

  link(ino: number, parentIno: number, name: Buffer): Inode | Errno {
    if (name.length > NAME_MAX) return ENAMETOOLONG
    const { state, transaction, clock, identity } = this.c
    const inode = state.inode(ino)
    if (inode === undefined) return ENOENT
    if (inode.isFolder) return EPERM
    const parent = this.folder(parentIno)
    if (typeof parent === 'number') return parent
    const folder = state.folders.of(parentIno)
    const key = keyOf(name)
    if (state.folders.find(folder, key, name) !== undefined) return EEXIST
    if (inode.nlink === 0 && !inode.linkable) return ENOENT
    if (inode.nlink >= LINK_MAX) return EMLINK
    clock.read()
    this.relinked(inode)
    if (inode.nlink === 0) inode.parent = parentIno
    inode.nlink++
    this.changed(parent)
    transaction.link(folder, key, name, { ino, type: typeOf(inode.mode) | TYPE_LINK, stamp: clock.stamp() })
    transaction.commit()
    if (inode.nlink > 1) identity.linked(parentIno, key, inode, clock.span)
    return inode
  }

  /** Nobody has the inode open any more: one without a name goes for good. In its own frame, which may wait. */
  reap(inode: Inode): void {
    if (inode.nlink > 0 || inode.handles > 0 || inode.gone) return
    const { transaction, data, spools } = this.c
    transaction.touch(inode)
    const spool = data.abandon(inode)
    inode.gone = true
    transaction.commit({ defer: true })
    if (spool) spools.drop(spool)
  }
}
