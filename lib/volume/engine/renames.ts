// rename(2): to a free name, over a file or an empty folder, and exchange. Owns the order in which POSIX checks, and hands documents
// over where a file takes the place of another one (identity.ts).

import { EEXIST, EINVAL, EISDIR, ENAMETOOLONG, ENOENT, ENOTDIR, ENOTEMPTY } from '../../fuse/errno.js'
import type { Errno } from '../../fuse/file-system.js'
import { TYPE_LINK, TYPE_MASK } from '../../model/types.js'
import type { EntryRecord } from '../../store/records.js'
import { keyOf } from './folders.js'
import type { Inode } from './inode.js'
import { NAME_MAX, S_IFMT } from './modes.js'
import { NameChanges, type Place } from './name-changes.js'

const RENAME_NOREPLACE = 1
const RENAME_EXCHANGE = 2

/**
 * Whether `name` is made from `target`, as temporaries are (`letter.txt.tmp` → `letter.txt`), while backups are made the other way
 * (`letter.txt` → `letter.txt~`): only after a backup is a new file of the old name the same document.
 */
function isTemporaryOf(name: Buffer, target: Buffer): boolean {
  return name.length > target.length && name.includes(target)
}

export class Renames extends NameChanges {
  rename(parentIno: number, name: Buffer, newParentIno: number, newName: Buffer, flags: number): Errno {
    if (newName.length > NAME_MAX) return ENAMETOOLONG
    if ((flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE)) !== 0 || flags === 3) return EINVAL
    const from = this.find(parentIno, name)
    if (typeof from === 'number') return from
    const newParent = this.folder(newParentIno)
    if (typeof newParent === 'number') return newParent
    const to = this.find(newParentIno, newName)
    if (typeof to === 'number' && to !== ENOENT) return to
    if (from.inode.isFolder && this.c.state.isWithin(newParent, from.inode)) return EINVAL
    if ((flags & RENAME_EXCHANGE) !== 0) return typeof to === 'number' ? to : this.#exchange(from, to)
    if (typeof to === 'number') return this.#move(from, newParent, newName)
    if ((flags & RENAME_NOREPLACE) !== 0) return EEXIST
    if (from.inode === to.inode) return 0
    return this.#replace(from, to)
  }

  #move(from: Place, newParent: Inode, newName: Buffer): Errno {
    const { state, transaction, clock } = this.c
    clock.read()
    this.#begin(from, newParent)
    if (from.inode.isFolder && from.parent !== newParent) {
      from.parent.nlink--
      newParent.nlink++
    }
    transaction.unlink(from.folder, from.key, from.name)
    const entry = this.#moved(from)
    transaction.link(state.folders.of(newParent.ino), keyOf(newName), newName, entry)
    transaction.commit()
    if (!isTemporaryOf(from.name, newName)) this.c.identity.left(from.parent.ino, from.key, from.inode, clock.span)
    return 0
  }

  /** Its entry elsewhere: later than the one it has. A further name stays one while there are others. */
  #moved({ inode, entry }: Place): EntryRecord {
    const link = inode.nlink > 1 ? entry.type & TYPE_LINK : 0
    return { ino: inode.ino, type: (entry.type & TYPE_MASK) | link, stamp: this.c.clock.stamp(entry.stamp) }
  }

  /** Touches what every rename changes. */
  #begin(from: Place, newParent: Inode): void {
    this.changed(from.parent)
    this.changed(newParent)
    this.relinked(from.inode)
    from.inode.parent = newParent.ino
  }

  #replace(from: Place, to: Place): Errno {
    if (from.inode.isFolder) {
      if (!to.inode.isFolder) return ENOTDIR
      if (!this.isEmpty(to.inode)) return ENOTEMPTY
    } else if (to.inode.isFolder) return EISDIR
    const { transaction, clock, identity } = this.c
    clock.read()
    this.#begin(from, to.parent)
    this.relinked(to.inode)
    const handsOver =
      !from.inode.isFolder &&
      from.inode.nlink === 1 &&
      identity.goesOnAt(to.parent.ino, to.key, to.inode, clock.span) &&
      (from.inode.mode & S_IFMT) === (to.inode.mode & S_IFMT)
    if (handsOver) identity.swap(transaction, from.inode, to.inode)
    if (to.inode.isFolder) {
      from.parent.nlink--
      this.dropFolder(to.inode)
    } else this.dropLink(to.inode)
    transaction.unlink(from.folder, from.key, from.name)
    const entry = this.#moved(from)
    transaction.link(to.folder, to.key, to.name, entry)
    const lsn = transaction.commit({ urgent: true })
    if (handsOver) {
      identity.place(from.inode.document, from.inode.ino, lsn)
      identity.place(to.inode.document, to.inode.gone ? 0 : to.inode.ino, lsn)
      // The name it had before: whoever is created there goes on with the document that was there.
      if (!isTemporaryOf(from.name, to.name)) identity.left(from.parent.ino, from.key, to.inode, clock.span)
    } else identity.left(from.parent.ino, from.key, from.inode, clock.span)
    return 0
  }

  #exchange(from: Place, to: Place): Errno {
    if (from.inode === to.inode) return 0
    if (to.inode.isFolder && this.c.state.isWithin(from.parent, to.inode)) return EINVAL
    const { transaction, clock } = this.c
    clock.read()
    this.#begin(from, to.parent)
    this.relinked(to.inode)
    to.inode.parent = from.parent.ino
    if (from.parent !== to.parent && from.inode.isFolder !== to.inode.isFolder) {
      const [loses, gains] = from.inode.isFolder ? [from.parent, to.parent] : [to.parent, from.parent]
      loses.nlink--
      gains.nlink++
    }
    const there = this.#moved(from)
    const here = this.#moved(to)
    transaction.link(to.folder, to.key, to.name, there)
    transaction.link(from.folder, from.key, from.name, here)
    transaction.commit()
    return 0
  }
}
