// Entries that a request of sync removes and sets, in one transaction: first all removals, then all additions, then what was
// removed and not set anywhere goes, with everything below it. Owns what was taken out and not put back yet.
// Invariants: link counts are right at the end; a folder has one parent and is not below itself. Where the request says
// otherwise, the later stamp wins and the folder of the other entry is changed here, so that its next revision says so.

import type { Invalidation } from '../../fuse/file-system.js'
import { compare } from '../../model/bytes.js'
import { type DId, type RId, TYPE_LINK } from '../../model/types.js'
import type { LiveEntryChange, LiveRevision } from '../contract.js'
import { type Folder, keyOf, type LiveEntry, nameOf } from './folders.js'
import { type Identity, placeKey, sameDocument } from './identity.js'
import type { Inode } from './inode.js'
import type { LiveState } from './live-state.js'
import { DT_DIR, typeOf } from './modes.js'
import type { Transaction } from './transaction.js'
import type { WallClock } from './wall-clock.js'

/** Where something was taken out. */
interface Origin {
  folder: Inode
  key: string
  entry: LiveEntry
}

interface Components {
  state: LiveState
  transaction: Transaction
  identity: Identity
  clock: WallClock
  report: (text: string) => void
}

type Make = (document: DId, child: LiveRevision, parent: number) => Inode

export class TreeChanges {
  readonly #c: Components
  readonly #make: Make
  readonly #children: Map<string, LiveRevision>
  readonly #taken = new Map<Inode, Origin>()
  readonly #made = new Map<string, Inode>()
  readonly #leftOut = new Set<Inode>()
  readonly #repairs: (() => void)[] = []
  /** Documents that got an inode, and the heads of which it is the live state. */
  readonly created: { document: DId; head: RId }[] = []
  readonly placed: { document: DId; ino: number }[] = []
  readonly invalidations: Invalidation[] = []

  /** `children`: states of documents that have no inode yet, whichever entry they came with. */
  constructor(components: Components, children: Map<string, LiveRevision>, make: Make) {
    this.#c = components
    this.#children = children
    this.#make = make
  }

  carrier(document: DId): Inode | undefined {
    return this.#made.get(placeKey(document)) ?? this.#c.identity.carrier(document)
  }

  #folderOf(inode: Inode): Folder {
    return this.#c.state.folders.of(inode.ino)
  }

  #entry(folder: Inode, key: string, name: Uint8Array): LiveEntry | undefined {
    return this.#c.state.folders.find(this.#folderOf(folder), key, name)
  }

  /** The removal that a change asks for; not if the entry names somebody else by now, or stays with another stamp. */
  remove(folder: Inode, { name, before, after }: LiveEntryChange): void {
    if (!before || (after && sameDocument(before.document, after.document))) return
    const key = keyOf(name)
    const entry = this.#entry(folder, key, name)
    const inode = entry && this.#c.state.inode(entry.ino)
    if (!inode || !sameDocument(inode.document, before.document)) return
    this.#takeOut(folder, key, entry, inode)
  }

  #takeOut(folder: Inode, key: string, entry: LiveEntry, inode: Inode): void {
    const { transaction } = this.#c
    transaction.touch(folder)
    transaction.touch(inode)
    transaction.unlink(this.#folderOf(folder), key, undefined)
    if (inode.isFolder) {
      folder.nlink--
      inode.parent = 0
    } else inode.nlink--
    if (inode.isFolder || inode.nlink === 0) this.#taken.set(inode, { folder, key, entry })
    this.invalidations.push({ kind: 'entry', parent: folder.ino, name: nameOf(key) })
    if (!inode.isFolder) this.invalidations.push({ kind: 'inode', ino: inode.ino, data: false })
  }

  /** The addition that a change asks for. */
  add(folder: Inode, { name, after }: LiveEntryChange): void {
    if (!after) return
    const child = this.#children.get(placeKey(after.document))
    const inode = this.carrier(after.document) ?? (child && this.#create(after.document, child, folder))
    if (!inode) return
    const key = keyOf(name)
    const there = this.#entry(folder, key, name)
    const entry = { ino: inode.ino, type: typeOf(inode.mode) | (after.type & TYPE_LINK), stamp: after.stamp }
    this.#c.clock.observe(after.stamp)
    if (there?.ino === inode.ino) {
      this.#c.transaction.link(this.#folderOf(folder), key, name, entry)
      return
    }
    if (inode.isFolder && !this.#mayPut(folder, key, inode, entry)) return
    const other = there && this.#c.state.inode(there.ino)
    if (other) this.#takeOut(folder, key, there, other)
    this.#putIn(folder, key, inode, entry)
  }

  #create(document: DId, child: LiveRevision, folder: Inode): Inode {
    const inode = this.#make(document, child, folder.ino)
    if (inode.isFolder) inode.parent = 0
    this.#made.set(placeKey(document), inode)
    this.created.push({ document, head: child.head })
    this.placed.push({ document, ino: inode.ino })
    return inode
  }

  #putIn(folder: Inode, key: string, inode: Inode, entry: { ino: number; type: number; stamp: Uint8Array }): void {
    const { transaction } = this.#c
    transaction.touch(folder)
    transaction.touch(inode)
    transaction.link(this.#folderOf(folder), key, undefined, entry)
    this.#taken.delete(inode)
    inode.parent = folder.ino
    if (inode.isFolder) folder.nlink++
    else inode.nlink++
    this.invalidations.push({ kind: 'entry', parent: folder.ino, name: nameOf(key) })
    this.invalidations.push({ kind: 'inode', ino: inode.ino, data: false })
  }

  /** Whether a folder may be put into another: not below itself, and it has no other place, or gives that up. */
  #mayPut(folder: Inode, key: string, inode: Inode, entry: { stamp: Uint8Array }): boolean {
    if (this.#c.state.isWithin(folder, inode)) {
      this.#leaveOut(folder, key, inode, 'it would be below itself')
      return false
    }
    const parent = inode.parent === 0 ? undefined : this.#c.state.inode(inode.parent)
    if (!parent) return true
    const old = this.#placeIn(parent, inode)
    if (!old) return true
    const goes = this.#isTaken(parent)
    if (!goes && compare(old.entry.stamp, entry.stamp) > 0) {
      this.#leaveOut(folder, key, inode, 'it was put elsewhere later')
      return false
    }
    this.#takeOut(parent, old.key, old.entry, inode)
    if (!goes) this.#repair(parent, old.key, undefined)
    return true
  }

  #placeIn(parent: Inode, inode: Inode): { key: string; entry: LiveEntry } | undefined {
    for (const { key, ino } of this.#c.state.folders.list(this.#folderOf(parent))) {
      if (ino !== inode.ino) continue
      const entry = this.#entry(parent, key, nameOf(key))
      if (entry) return { key, entry }
    }
    return undefined
  }

  /** Whether a folder is, or is below, one that was taken out. */
  #isTaken(folder: Inode): boolean {
    for (const inode of this.#taken.keys()) if (inode.isFolder && this.#c.state.isWithin(folder, inode)) return true
    return false
  }

  #leaveOut(folder: Inode, key: string, inode: Inode, why: string): void {
    this.#leftOut.add(inode)
    this.#c.report(`Folder ${JSON.stringify(nameOf(key).toString())} was not put into inode ${folder.ino}: ${why}`)
    this.#repair(folder, key, undefined)
  }

  /** After the frame, as a change made here: so its next revision says what the tree is like. */
  #repair(folder: Inode, key: string, entry: LiveEntry | undefined): void {
    const { transaction } = this.#c
    this.#repairs.push(() => {
      transaction.touch(folder)
      if (entry) transaction.link(this.#folderOf(folder), key, undefined, entry)
      else if (!this.#entry(folder, key, nameOf(key))) transaction.unlink(this.#folderOf(folder), key, undefined)
      transaction.commit()
    })
  }

  repair(): void {
    for (const repair of this.#repairs) repair()
  }

  /** What was taken out and not put in again goes, unless it is a folder that is above or below nothing but itself. */
  settle(): void {
    for (const [inode, origin] of [...this.#taken]) {
      if (!this.#taken.has(inode)) continue
      if (inode.isFolder && this.#wasWanted(inode, origin)) continue
      this.#drop(inode, origin)
    }
    // Made, and then left out.
    for (const inode of this.#made.values()) if (inode.parent === 0 && !inode.gone) this.#dropBelow(inode)
  }

  /** A folder that was left out of its new place stays in its old one. */
  #wasWanted(inode: Inode, { folder, key, entry }: Origin): boolean {
    if (!this.#leftOut.has(inode) || this.#entry(folder, key, nameOf(key)) || this.#c.state.isWithin(folder, inode))
      return false
    const { ino, type, stamp } = entry
    this.#putIn(folder, key, inode, { ino, type, stamp })
    this.#repair(folder, key, entry)
    return true
  }

  #drop(inode: Inode, origin: Origin): void {
    this.#dropBelow(inode)
    const { folder, key } = origin
    this.invalidations.push({ kind: 'delete', parent: folder.ino, child: inode.ino, name: nameOf(key) })
  }

  /** The inode goes, and all that is only below it. */
  #dropBelow(top: Inode): void {
    const { transaction } = this.#c
    const stack = [top]
    for (let inode = stack.pop(); inode; inode = stack.pop()) {
      transaction.touch(inode)
      if (inode.isFolder) stack.push(...this.#empty(inode))
      inode.nlink = 0
      inode.parent = 0
      if (inode.handles === 0) inode.gone = true
      this.placed.push({ document: inode.document, ino: 0 })
      if (inode.lookups > 0) this.invalidations.push({ kind: 'inode', ino: inode.ino, data: true })
    }
  }

  /** Takes all entries out of a folder; answers the inodes that had no other name. */
  #empty(folder: Inode): Inode[] {
    const { state, transaction } = this.#c
    const last: Inode[] = []
    const entries = this.#folderOf(folder)
    for (const { key, ino, type } of state.folders.list(entries)) {
      transaction.unlink(entries, key, undefined)
      const inode = state.inode(ino)
      if (!inode) continue
      if (type !== DT_DIR && inode.nlink > 1) {
        transaction.touch(inode)
        inode.nlink--
      } else last.push(inode)
    }
    return last
  }
}
