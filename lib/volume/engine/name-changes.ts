// What every change of names needs: finding entries, and what the change does to link counts and times. Owns nothing.

import { ENAMETOOLONG, ENOENT, ENOTDIR } from '../../fuse/errno.js'
import type { Errno } from '../../fuse/file-system.js'
import type { FileData } from './file-data.js'
import { type Folder, keyOf, type LiveEntry } from './folders.js'
import type { Identity } from './identity.js'
import type { Inode } from './inode.js'
import type { LiveState } from './live-state.js'
import { NAME_MAX } from './modes.js'
import type { SpoolFiles } from './spools.js'
import type { Transaction } from './transaction.js'
import type { WallClock } from './wall-clock.js'

export interface NameComponents {
  state: LiveState
  transaction: Transaction
  clock: WallClock
  identity: Identity
  data: FileData
  spools: SpoolFiles
}

/** An entry with what it takes to change it. */
export interface Place {
  parent: Inode
  folder: Folder
  key: string
  name: Buffer
  entry: LiveEntry
  inode: Inode
}

export class NameChanges {
  protected readonly c: NameComponents

  constructor(components: NameComponents) {
    this.c = components
  }

  /** The folder `parent` names, if something can be made in it. */
  protected folder(parent: number): Inode | Errno {
    const inode = this.c.state.inode(parent)
    if (inode === undefined) return ENOENT
    if (!inode.isFolder) return ENOTDIR
    return inode.nlink === 0 ? ENOENT : inode
  }

  protected find(parentIno: number, name: Buffer): Place | Errno {
    if (name.length > NAME_MAX) return ENAMETOOLONG
    const { state } = this.c
    const parent = state.inode(parentIno)
    if (parent === undefined) return ENOENT
    if (!parent.isFolder) return ENOTDIR
    const folder = state.folders.of(parentIno)
    const key = keyOf(name)
    const entry = state.folders.find(folder, key, name)
    const inode = entry && state.inode(entry.ino)
    return inode === undefined ? ENOENT : { parent, folder, key, name, entry: entry!, inode }
  }

  /** Entries of the folder change now. Touches it. */
  protected changed(folder: Inode): void {
    const { transaction, clock } = this.c
    transaction.touch(folder)
    folder.mtimeSec = clock.sec
    folder.mtimeNsec = clock.nsec
    folder.ctimeSec = clock.sec
    folder.ctimeNsec = clock.nsec
  }

  /** Touches an inode whose links change now. */
  protected relinked(inode: Inode): void {
    const { transaction, clock } = this.c
    transaction.touch(inode)
    inode.ctimeSec = clock.sec
    inode.ctimeNsec = clock.nsec
  }

  /** One name less. Touched already. The last one: gone, unless somebody has it open. */
  protected dropLink(inode: Inode): void {
    inode.nlink--
    if (inode.nlink > 0) return
    inode.parent = 0
    if (inode.handles === 0) inode.gone = true
  }

  isEmpty(inode: Inode): boolean {
    const { folders } = this.c.state
    return inode.nlink <= 2 && folders.isEmpty(folders.of(inode.ino))
  }

  protected dropFolder(inode: Inode): void {
    inode.nlink = 0
    inode.parent = 0
    if (inode.handles === 0) inode.gone = true
  }
}
