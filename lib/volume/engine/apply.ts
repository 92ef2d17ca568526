// Applies what sync asks to the live tree: attributes, times, contents, entries, all accepted changes of a request in one frame
// together with their `head` records. Owns the rules of moving: a folder keeps its inode when it is removed here and set there
// in one request; nothing is ever lost, in two places or in itself, whatever is asked.
// Times of folders come from revisions; applying changes none of its own.

import type { Invalidation } from '../../fuse/file-system.js'
import { equal } from '../../model/bytes.js'
import type { DId, RId } from '../../model/types.js'
import { EMPTY_LIVE } from '../../store/codec.js'
import type { LiveContent } from '../../store/records.js'
import type { ApplyRequest, LiveChange, LiveEntryChange, LiveRevision } from '../contract.js'
import { ApplyCheck, type ApplyCheckComponents } from './apply-check.js'
import { TreeChanges } from './apply-tree.js'
import type { FileData } from './file-data.js'
import { keyOf } from './folders.js'
import { placeKey } from './identity.js'
import { Inode } from './inode.js'
import type { ApplyAnswer, RestoreAnswer } from './messages.js'
import { S_IFDIR, S_IFMT } from './modes.js'
import type { Journal } from './ports.js'
import type { Transaction } from './transaction.js'
import type { WallClock } from './wall-clock.js'

export interface ApplierComponents extends ApplyCheckComponents {
  transaction: Transaction
  journal: Journal
  clock: WallClock
  data: FileData
  report: (text: string) => void
}

export class Applier {
  readonly #c: ApplierComponents

  constructor(components: ApplierComponents) {
    this.#c = components
  }

  /** Throws what the journal throws; nothing is changed then. */
  apply(request: ApplyRequest): ApplyAnswer {
    const results = new ApplyCheck(this.#c).check(request.changes)
    const accepted = request.changes.filter((_, i) => results[i] === 'applied')
    if (accepted.length === 0) return { results, invalidations: [] }
    try {
      return { results, invalidations: this.#commit(accepted) }
    } catch (error) {
      this.#c.transaction.rollback()
      throw error
    }
  }

  #commit(changes: LiveChange[]): Invalidation[] {
    const { transaction, journal, heads, identity, clock } = this.#c
    clock.read()
    const children = new Map<string, LiveRevision>()
    for (const { entries = [] } of changes) {
      for (const { after, child } of entries) if (after && child) children.set(placeKey(after.document), child)
    }
    const tree = new TreeChanges(this.#c, children, (document, child, parent) => this.#make(document, child, parent))
    const invalidations: Invalidation[] = []
    for (const change of changes) this.#applyState(change, tree, invalidations)
    for (const change of changes) this.#eachEntry(change, tree, (folder, entry) => tree.remove(folder, entry))
    for (const change of changes) this.#eachEntry(change, tree, (folder, entry) => tree.add(folder, entry))
    tree.settle()
    for (const { document, live } of changes) transaction.record(() => journal.head(document, live.head))
    for (const { document, head } of this.#headsOf(tree, changes))
      transaction.record(() => journal.head(document, head))
    const lsn = transaction.commit({ applied: true })
    for (const { document, live } of changes) heads.set(document, live.head, lsn)
    for (const { document, ino } of tree.placed) identity.place(document, ino, lsn)
    tree.repair()
    heads.tidy()
    return onceEach([...invalidations, ...tree.invalidations])
  }

  /** Heads of documents that come into the tree, where nobody has set them yet. */
  #headsOf(tree: TreeChanges, changes: LiveChange[]): { document: DId; head: RId }[] {
    const set = new Set(changes.map(({ document }) => placeKey(document)))
    return tree.created.filter(({ document, head }) => {
      const known = set.has(placeKey(document)) ? head : this.#c.heads.get(document)
      return !known || !equal(known, head)
    })
  }

  #eachEntry(change: LiveChange, tree: TreeChanges, visit: (folder: Inode, entry: LiveEntryChange) => void): void {
    if (!change.entries || change.entries.length === 0) return
    const folder = tree.carrier(change.document)
    if (folder?.isFolder) for (const entry of change.entries) visit(folder, entry)
  }

  #applyState({ document, live }: LiveChange, tree: TreeChanges, invalidations: Invalidation[]): void {
    const inode = tree.carrier(document)
    if (inode === undefined) return
    const { transaction } = this.#c
    transaction.touch(inode)
    const data = !inode.isFolder && this.#setContent(inode, live)
    // What is told only to remove it changes nothing that the kernel could see.
    if (!inode.isFolder && !data && hasAttributes(inode, live)) return
    this.#setAttributes(inode, live)
    if (inode.isFolder) inode.epoch++
    invalidations.push({ kind: 'inode', ino: inode.ino, data: data || inode.isFolder })
  }

  #setAttributes(inode: Inode, live: LiveRevision): void {
    const { attributes, modified, created } = live
    const { clock } = this.#c
    // The type of an inode never changes under the kernel's eyes.
    inode.mode = (inode.mode & S_IFMT) | (attributes.mode & ~S_IFMT)
    inode.uid = attributes.uid
    inode.gid = attributes.gid
    inode.xattrs = attributes.xattrs
    inode.mtimeSec = modified.sec
    inode.mtimeNsec = modified.nsec
    inode.ctimeSec = inode.isFolder ? modified.sec : clock.sec
    inode.ctimeNsec = inode.isFolder ? modified.nsec : clock.nsec
    inode.createdSec = created.sec
    inode.createdNsec = created.nsec
  }

  /** Answers whether the bytes are others now. */
  #setContent(inode: Inode, live: LiveRevision): boolean {
    const content = contentOf(live)
    if (sameContent(inode.content, content)) return false
    this.#c.contents.forget(inode)
    inode.content = content
    inode.size = sizeOf(content)
    inode.epoch++
    return true
  }

  #make(document: DId, live: LiveRevision, parent: number): Inode {
    const { attributes, modified, created } = live
    const { state, transaction, clock } = this.#c
    const isFolder = (attributes.mode & S_IFMT) === S_IFDIR
    const content = isFolder ? EMPTY_LIVE : contentOf(live)
    const inode = new Inode({
      ...{ ino: state.newIno(), document, nlink: isFolder ? 2 : 0, parent, content, size: sizeOf(content) },
      ...{ mode: attributes.mode, uid: attributes.uid, gid: attributes.gid, rdev: attributes.rdev },
      ...{ mtimeSec: modified.sec, mtimeNsec: modified.nsec, createdSec: created.sec, createdNsec: created.nsec },
      ctimeSec: isFolder ? modified.sec : clock.sec,
      ctimeNsec: isFolder ? modified.nsec : clock.nsec,
      xattrs: attributes.xattrs,
    })
    transaction.add(inode)
    if (isFolder) state.folders.fresh(inode.ino)
    return inode
  }

  /** An older version as the newest: content and mode of `live`, times are now. */
  restore(ino: number, live: LiveRevision): RestoreAnswer | undefined {
    const { state, transaction, clock } = this.#c
    const inode = state.inode(ino)
    if (inode === undefined || inode.isFolder || (inode.mode & S_IFMT) !== (live.attributes.mode & S_IFMT))
      return undefined
    if (inode.working !== undefined || inode.writers > 0) return { result: 'busy', invalidations: [] }
    try {
      clock.read()
      transaction.touch(inode)
      this.#setContent(inode, live)
      inode.mtimeSec = inode.ctimeSec = clock.sec
      inode.mtimeNsec = inode.ctimeNsec = clock.nsec
      transaction.close(inode)
      transaction.commit()
    } catch (error) {
      transaction.rollback()
      throw error
    }
    return { result: 'done', invalidations: [{ kind: 'inode', ino, data: true }] }
  }
}

/** Whether nothing would be changed. */
function hasAttributes(inode: Inode, { attributes, modified, created }: LiveRevision): boolean {
  const { mode, uid, gid, xattrs } = attributes
  return (
    (inode.mode & ~S_IFMT) === (mode & ~S_IFMT) &&
    inode.uid === uid &&
    inode.gid === gid &&
    inode.mtimeSec === modified.sec &&
    inode.mtimeNsec === modified.nsec &&
    inode.createdSec === created.sec &&
    inode.createdNsec === created.nsec &&
    inode.xattrs.length === 0 &&
    xattrs.length === 0
  )
}

/** What is told of an inode or a name several times is told once: that a name is gone says more than that it is another. */
function onceEach(all: Invalidation[]): Invalidation[] {
  const inodes = new Map<number, Invalidation & { kind: 'inode' }>()
  const gone = new Set<string>()
  for (const one of all) {
    if (one.kind === 'inode') inodes.set(one.ino, { ...one, data: one.data || inodes.get(one.ino)?.data === true })
    if (one.kind === 'delete') gone.add(nameIn(one))
  }
  const names = all.filter((one) => one.kind !== 'inode' && !(one.kind === 'entry' && gone.has(nameIn(one))))
  return [...inodes.values(), ...names]
}

const nameIn = ({ parent, name }: { parent: number; name: Uint8Array }): string => `${parent}/${keyOf(name)}`

function contentOf(live: LiveRevision): LiveContent {
  if (live.content) return { kind: 'committed', content: live.content }
  if (live.inline) return { kind: 'bytes', bytes: live.inline }
  return EMPTY_LIVE
}

function sizeOf(content: LiveContent): number {
  if (content.kind === 'committed') return content.content.size
  return content.kind === 'bytes' ? content.bytes.length : content.size
}

/** Whether they are surely the same bytes. */
function sameContent(a: LiveContent, b: LiveContent): boolean {
  if (a.kind !== 'committed' || b.kind !== 'committed' || a.content.size !== b.content.size) return false
  const [x, y] = [a.content, b.content]
  if (x.root && y.root) return x.levels === y.levels && Buffer.compare(x.root, y.root) === 0
  if (x.root || y.root) return false
  return Buffer.compare(x.inline ?? NONE, y.inline ?? NONE) === 0
}

const NONE = new Uint8Array(0)
