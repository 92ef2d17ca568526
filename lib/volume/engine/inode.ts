// An inode in memory. It has the fields of its record and of what stat(2) shows, flat, so that the driver and the journal
// read it as it is and nothing is copied on the hot path. Owns no logic but what is derived from its own fields.
//
// Access times live in memory only: a read moves atime like `relatime` does, utimensat sets it, and an inode that comes from
// the store again shows its mtime. So reading never writes.

import type { Attributes } from '../../fuse/file-system.js'
import type { DId } from '../../model/types.js'
import type { InodeRecord, LiveContent, Lsn } from '../../store/records.js'
import type { LeafCache } from './leaf-cache.js'
import { S_IFDIR, S_IFMT, S_IFREG } from './modes.js'
import { type WorkingCopy, wholeBlocks } from './working-copy.js'

export class Inode implements Attributes, InodeRecord {
  ino: number
  document: DId
  mode: number
  uid: number
  gid: number
  rdev: number
  nlink: number
  size: number
  atimeSec: number
  atimeNsec: number
  mtimeSec: number
  mtimeNsec: number
  ctimeSec: number
  ctimeNsec: number
  createdSec: number
  createdNsec: number
  parent: number
  content: LiveContent
  xattrs: InodeRecord['xattrs']

  /** References that the kernel holds (FUSE lookup count). */
  lookups = 0
  /** Open handles, and how many of them may write. */
  handles = 0
  writers = 0
  /** The last frame that has it; -1: none since it came from the store. */
  dirtyLsn: Lsn = -1
  /** The last frame that has a change made here (not applied by sync). */
  localLsn: Lsn = -1
  /** Number of the last transaction that touched it. */
  frame = 0
  /** Changed bytes that were not closed yet. */
  working: WorkingCopy | undefined = undefined
  /** All bytes of a small closed content; the content cache decides how long. */
  cached: Buffer | undefined = undefined
  /** What the spool occupied when it was closed; -1: not known, the content is shown as full. */
  closedBlocks = -1
  /** Where the chunks of a committed content lie, as far as they were looked up. */
  leaves: LeafCache | undefined = undefined
  /** Used since the cache's hand passed. */
  touched = true
  /** The journal says that it is gone; only open handles and the kernel's references keep it. */
  gone = false
  /** Made without a name (O_TMPFILE), so that it may get one. Not kept: of what is left after a crash nobody has a handle. */
  linkable = false
  /** Grows when content changes other than through the kernel, and what it was at the last open. */
  epoch = 0
  openEpoch = 0

  constructor(record: InodeRecord) {
    this.ino = record.ino
    this.document = record.document
    this.mode = record.mode
    this.uid = record.uid
    this.gid = record.gid
    this.rdev = record.rdev
    this.nlink = record.nlink
    this.size = record.size
    this.atimeSec = record.mtimeSec
    this.atimeNsec = record.mtimeNsec
    this.mtimeSec = record.mtimeSec
    this.mtimeNsec = record.mtimeNsec
    this.ctimeSec = record.ctimeSec
    this.ctimeNsec = record.ctimeNsec
    this.createdSec = record.createdSec
    this.createdNsec = record.createdNsec
    this.parent = record.parent
    this.content = record.content
    this.xattrs = record.xattrs
  }

  /** 512-byte units. What a spool really occupies is known to the disk only; sparse ones are shown as such. */
  get blocks(): number {
    if (this.working) return this.working.blocks(this.size)
    return this.closedBlocks >= 0 ? this.closedBlocks : wholeBlocks(this.size)
  }

  get isFolder(): boolean {
    return (this.mode & S_IFMT) === S_IFDIR
  }

  get isFile(): boolean {
    return (this.mode & S_IFMT) === S_IFREG
  }
}

/** What a change may touch, kept to take the change back. Reused, so that saving allocates nothing. */
export class SavedInode {
  #inode: Inode | undefined
  #document: DId | undefined
  #mode = 0
  #uid = 0
  #gid = 0
  #nlink = 0
  #size = 0
  #atimeSec = 0
  #atimeNsec = 0
  #mtimeSec = 0
  #mtimeNsec = 0
  #ctimeSec = 0
  #ctimeNsec = 0
  #createdSec = 0
  #createdNsec = 0
  #parent = 0
  #content: LiveContent | undefined
  #xattrs: InodeRecord['xattrs'] = []
  #working: WorkingCopy | undefined
  #gone = false
  #epoch = 0

  save(inode: Inode): void {
    this.#inode = inode
    this.#document = inode.document
    this.#mode = inode.mode
    this.#uid = inode.uid
    this.#gid = inode.gid
    this.#nlink = inode.nlink
    this.#size = inode.size
    this.#atimeSec = inode.atimeSec
    this.#atimeNsec = inode.atimeNsec
    this.#mtimeSec = inode.mtimeSec
    this.#mtimeNsec = inode.mtimeNsec
    this.#ctimeSec = inode.ctimeSec
    this.#ctimeNsec = inode.ctimeNsec
    this.#createdSec = inode.createdSec
    this.#createdNsec = inode.createdNsec
    this.#parent = inode.parent
    this.#content = inode.content
    this.#xattrs = inode.xattrs
    this.#working = inode.working
    this.#gone = inode.gone
    this.#epoch = inode.epoch
  }

  restore(): void {
    const inode = this.#inode!
    inode.document = this.#document!
    inode.mode = this.#mode
    inode.uid = this.#uid
    inode.gid = this.#gid
    inode.nlink = this.#nlink
    inode.size = this.#size
    inode.atimeSec = this.#atimeSec
    inode.atimeNsec = this.#atimeNsec
    inode.mtimeSec = this.#mtimeSec
    inode.mtimeNsec = this.#mtimeNsec
    inode.ctimeSec = this.#ctimeSec
    inode.ctimeNsec = this.#ctimeNsec
    inode.createdSec = this.#createdSec
    inode.createdNsec = this.#createdNsec
    inode.parent = this.#parent
    inode.content = this.#content!
    inode.xattrs = this.#xattrs
    inode.working = this.#working
    inode.gone = this.#gone
    inode.epoch = this.#epoch
  }

  /** Lets go of what it holds. */
  clear(): void {
    this.#inode = undefined
    this.#content = undefined
    this.#working = undefined
  }
}
