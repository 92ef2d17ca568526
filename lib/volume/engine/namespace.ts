// The tree: entries made, removed, renamed, linked. Owns the rules of POSIX for names, link counts and times of folders, and
// leaves permissions to the kernel (default_permissions). Every operation checks all it can first, then changes the live
// state and commits one frame.

import { EEXIST, EINVAL, EISDIR, EMLINK, ENAMETOOLONG, ENOENT, ENOTDIR, ENOTEMPTY, EPERM } from '../../fuse/errno.js'
import type { Caller, Errno } from '../../fuse/file-system.js'
import { EMPTY_LIVE } from '../../store/codec.js'
import type { LiveContent } from '../../store/records.js'
import type { FileData } from './file-data.js'
import { type Folder, keyOf, type LiveEntry } from './folders.js'
import type { Identity } from './identity.js'
import { Inode } from './inode.js'
import type { LiveState } from './live-state.js'
import { LINK_MAX, NAME_MAX, S_IFDIR, S_IFMT, S_ISGID, typeOf } from './modes.js'
import type { SpoolFiles } from './spools.js'
import type { Transaction } from './transaction.js'
import type { WallClock } from './wall-clock.js'

const RENAME_NOREPLACE = 1
const RENAME_EXCHANGE = 2
const NO_XATTRS: Inode['xattrs'] = []

export interface NamespaceComponents {
  state: LiveState
  transaction: Transaction
  clock: WallClock
  identity: Identity
  data: FileData
  spools: SpoolFiles
}

/** An entry with what it takes to change it. */
interface Place {
  parent: Inode
  folder: Folder
  key: string
  name: Buffer
  entry: LiveEntry
  inode: Inode
}

export class Namespace {
  readonly #c: NamespaceComponents

  constructor(components: NamespaceComponents) {
    this.#c = components
  }

  lookup(parent: number, name: Buffer): Inode | Errno {
    if (name.length > NAME_MAX) return ENAMETOOLONG
    const { folders } = this.#c.state
    const entry = folders.find(folders.of(parent), keyOf(name), name)
    if (entry === undefined) return ENOENT
    return this.#c.state.inode(entry.ino) ?? ENOENT
  }

  /** The folder `parent` names, if something can be made in it. */
  #folder(parent: number): Inode | Errno {
    const inode = this.#c.state.inode(parent)
    if (inode === undefined) return ENOENT
    if (!inode.isFolder) return ENOTDIR
    return inode.nlink === 0 ? ENOENT : inode
  }

  #find(parentIno: number, name: Buffer): Place | Errno {
    if (name.length > NAME_MAX) return ENAMETOOLONG
    const { state } = this.#c
    const parent = state.inode(parentIno)
    if (parent === undefined) return ENOENT
    if (!parent.isFolder) return ENOTDIR
    const folder = state.folders.of(parentIno)
    const key = keyOf(name)
    const entry = state.folders.find(folder, key, name)
    const inode = entry && state.inode(entry.ino)
    return inode === undefined ? ENOENT : { parent, folder, key, name, entry: entry!, inode }
  }

  /** A new inode with an entry. `content` given: it is closed with it. Answers the inode or an errno (EEXIST). */
  make(
    caller: Caller,
    parentIno: number,
    name: Buffer,
    mode: number,
    rdev: number,
    content?: LiveContent,
  ): Inode | Errno {
    if (name.length > NAME_MAX) return ENAMETOOLONG
    const parent = this.#folder(parentIno)
    if (typeof parent === 'number') return parent
    const { state, transaction, clock, identity } = this.#c
    const folder = state.folders.of(parentIno)
    const key = keyOf(name)
    if (state.folders.find(folder, key, name) !== undefined) return EEXIST
    const isFolder = (mode & S_IFMT) === S_IFDIR
    if (isFolder && parent.nlink >= LINK_MAX) return EMLINK
    clock.read()
    const birth = isFolder ? undefined : identity.take(transaction, parentIno, key, mode & S_IFMT, clock.span)
    const inode = this.#newInode(caller, parent, mode, rdev, content)
    if (birth) {
      inode.document = birth.document
      inode.createdSec = birth.createdSec
      inode.createdNsec = birth.createdNsec
    }
    transaction.add(inode)
    if (content) transaction.close(inode)
    this.#changed(parent)
    if (isFolder) parent.nlink++
    transaction.link(folder, key, name, { ino: inode.ino, type: typeOf(mode), stamp: clock.stamp() })
    const lsn = transaction.commit()
    if (birth) identity.place(birth.document, inode.ino, lsn)
    if (isFolder) state.folders.fresh(inode.ino)
    return inode
  }

  #newInode(caller: Caller, parent: Inode, mode: number, rdev: number, content: LiveContent | undefined): Inode {
    const { state, clock, identity } = this.#c
    const isFolder = (mode & S_IFMT) === S_IFDIR
    const inherits = (parent.mode & S_ISGID) !== 0
    const { sec, nsec } = clock
    return new Inode({
      ino: state.newIno(),
      document: identity.newDocument(),
      mode: isFolder && inherits ? mode | S_ISGID : mode,
      uid: caller.uid,
      gid: inherits ? parent.gid : caller.gid,
      rdev,
      nlink: isFolder ? 2 : 1,
      size: content?.kind === 'bytes' ? content.bytes.length : 0,
      mtimeSec: sec,
      mtimeNsec: nsec,
      ctimeSec: sec,
      ctimeNsec: nsec,
      createdSec: sec,
      createdNsec: nsec,
      parent: parent.ino,
      content: content ?? EMPTY_LIVE,
      xattrs: NO_XATTRS,
    })
  }

  /** Entries of the folder change now. Touches it. */
  #changed(folder: Inode): void {
    const { transaction, clock } = this.#c
    transaction.touch(folder)
    folder.mtimeSec = clock.sec
    folder.mtimeNsec = clock.nsec
    folder.ctimeSec = clock.sec
    folder.ctimeNsec = clock.nsec
  }

  /** Touches an inode whose links change now. */
  #relinked(inode: Inode): void {
    const { transaction, clock } = this.#c
    transaction.touch(inode)
    inode.ctimeSec = clock.sec
    inode.ctimeNsec = clock.nsec
  }

  /** One name less. Touched already. The last one: gone, unless somebody has it open. */
  #dropLink(inode: Inode): void {
    inode.nlink--
    if (inode.nlink > 0) return
    inode.parent = 0
    if (inode.handles === 0) inode.gone = true
  }

  unlink(parentIno: number, name: Buffer): Errno {
    const place = this.#find(parentIno, name)
    if (typeof place === 'number') return place
    const { parent, folder, key, inode } = place
    if (inode.isFolder) return EISDIR
    const { transaction, clock, identity } = this.#c
    clock.read()
    this.#changed(parent)
    this.#relinked(inode)
    this.#dropLink(inode)
    transaction.unlink(folder, key, name)
    transaction.commit({ urgent: true })
    if (inode.nlink === 0) identity.left(parentIno, key, inode, clock.span)
    return 0
  }

  rmdir(parentIno: number, name: Buffer): Errno {
    const place = this.#find(parentIno, name)
    if (typeof place === 'number') return place
    const { parent, folder, key, inode } = place
    if (!inode.isFolder) return ENOTDIR
    if (!this.isEmpty(inode)) return ENOTEMPTY
    const { transaction, clock } = this.#c
    clock.read()
    this.#changed(parent)
    parent.nlink--
    this.#relinked(inode)
    this.#dropFolder(inode)
    transaction.unlink(folder, key, name)
    transaction.commit({ urgent: true })
    return 0
  }

  isEmpty(inode: Inode): boolean {
    const { folders } = this.#c.state
    return inode.nlink <= 2 && folders.isEmpty(folders.of(inode.ino))
  }

  #dropFolder(inode: Inode): void {
    inode.nlink = 0
    inode.parent = 0
    if (inode.handles === 0) inode.gone = true
  }

  link(ino: number, parentIno: number, name: Buffer): Inode | Errno {
    if (name.length > NAME_MAX) return ENAMETOOLONG
    const { state, transaction, clock } = this.#c
    const inode = state.inode(ino)
    if (inode === undefined) return ENOENT
    if (inode.isFolder) return EPERM
    const parent = this.#folder(parentIno)
    if (typeof parent === 'number') return parent
    const folder = state.folders.of(parentIno)
    const key = keyOf(name)
    if (state.folders.find(folder, key, name) !== undefined) return EEXIST
    if (inode.nlink === 0) return ENOENT
    if (inode.nlink >= LINK_MAX) return EMLINK
    clock.read()
    this.#relinked(inode)
    inode.nlink++
    this.#changed(parent)
    transaction.link(folder, key, name, { ino, type: typeOf(inode.mode), stamp: clock.stamp() })
    transaction.commit()
    return inode
  }

  rename(parentIno: number, name: Buffer, newParentIno: number, newName: Buffer, flags: number): Errno {
    if (newName.length > NAME_MAX) return ENAMETOOLONG
    if ((flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE)) !== 0 || flags === 3) return EINVAL
    const from = this.#find(parentIno, name)
    if (typeof from === 'number') return from
    const newParent = this.#folder(newParentIno)
    if (typeof newParent === 'number') return newParent
    const to = this.#find(newParentIno, newName)
    if (typeof to === 'number' && to !== ENOENT) return to
    if (from.inode.isFolder && this.#c.state.isWithin(newParent, from.inode)) return EINVAL
    if ((flags & RENAME_EXCHANGE) !== 0) return typeof to === 'number' ? to : this.#exchange(from, to)
    if (typeof to === 'number') return this.#move(from, newParent, newName)
    if ((flags & RENAME_NOREPLACE) !== 0) return EEXIST
    if (from.inode === to.inode) return 0
    return this.#replace(from, to)
  }

  #move(from: Place, newParent: Inode, newName: Buffer): Errno {
    const { state, transaction, clock } = this.#c
    clock.read()
    this.#begin(from, newParent)
    if (from.inode.isFolder && from.parent !== newParent) {
      from.parent.nlink--
      newParent.nlink++
    }
    transaction.unlink(from.folder, from.key, from.name)
    const entry = { ino: from.inode.ino, type: from.entry.type, stamp: clock.stamp() }
    transaction.link(state.folders.of(newParent.ino), keyOf(newName), newName, entry)
    transaction.commit()
    this.#c.identity.left(from.parent.ino, from.key, from.inode, clock.span)
    return 0
  }

  /** Touches what every rename changes. */
  #begin(from: Place, newParent: Inode): void {
    this.#changed(from.parent)
    this.#changed(newParent)
    this.#relinked(from.inode)
    from.inode.parent = newParent.ino
  }

  #replace(from: Place, to: Place): Errno {
    if (from.inode.isFolder) {
      if (!to.inode.isFolder) return ENOTDIR
      if (!this.isEmpty(to.inode)) return ENOTEMPTY
    } else if (to.inode.isFolder) return EISDIR
    const { transaction, clock, identity } = this.#c
    clock.read()
    this.#begin(from, to.parent)
    this.#relinked(to.inode)
    const handsOver =
      !from.inode.isFolder &&
      from.inode.nlink === 1 &&
      to.inode.nlink === 1 &&
      (from.inode.mode & S_IFMT) === (to.inode.mode & S_IFMT)
    if (handsOver) identity.swap(transaction, from.inode, to.inode)
    if (to.inode.isFolder) {
      from.parent.nlink--
      this.#dropFolder(to.inode)
    } else this.#dropLink(to.inode)
    transaction.unlink(from.folder, from.key, from.name)
    const entry = { ino: from.inode.ino, type: from.entry.type, stamp: clock.stamp() }
    transaction.link(to.folder, to.key, to.name, entry)
    const lsn = transaction.commit({ urgent: true })
    if (handsOver) {
      identity.place(from.inode.document, from.inode.ino, lsn)
      identity.place(to.inode.document, to.inode.gone ? 0 : to.inode.ino, lsn)
      // The name it had before: whoever is created there goes on with the document that was there.
      identity.left(from.parent.ino, from.key, to.inode, clock.span)
    } else identity.left(from.parent.ino, from.key, from.inode, clock.span)
    return 0
  }

  #exchange(from: Place, to: Place): Errno {
    if (from.inode === to.inode) return 0
    if (to.inode.isFolder && this.#c.state.isWithin(from.parent, to.inode)) return EINVAL
    const { transaction, clock } = this.#c
    clock.read()
    this.#begin(from, to.parent)
    this.#relinked(to.inode)
    to.inode.parent = from.parent.ino
    if (from.parent !== to.parent && from.inode.isFolder !== to.inode.isFolder) {
      const [loses, gains] = from.inode.isFolder ? [from.parent, to.parent] : [to.parent, from.parent]
      loses.nlink--
      gains.nlink++
    }
    const there = { ino: from.inode.ino, type: from.entry.type, stamp: clock.stamp() }
    const here = { ino: to.inode.ino, type: to.entry.type, stamp: clock.stamp() }
    transaction.link(to.folder, to.key, to.name, there)
    transaction.link(from.folder, from.key, from.name, here)
    transaction.commit()
    return 0
  }

  /** Nobody has the inode open any more: one without a name goes for good. In its own frame, which may wait. */
  reap(inode: Inode): void {
    if (inode.nlink > 0 || inode.handles > 0 || inode.gone) return
    const { transaction, data, spools } = this.#c
    transaction.touch(inode)
    const spool = data.abandon(inode)
    inode.gone = true
    transaction.commit({ defer: true })
    if (spool) spools.drop(spool)
  }
}
