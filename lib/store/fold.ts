// Folds journal records into the working view: the live tree as it is after them, and the versions that have to be made of
// it. Owns what a batch has touched. Writes nothing but the view (and chunks into packs, through the reviser).
//
// Content in rows is committed or a spool. Bytes of small closed contents are kept until `finish`, which makes revisions of
// what changed: one for each closed content, so that a file that comes and goes within a batch leaves no trace.

import { equal, hex } from '../model/bytes.js'
import { receive } from '../model/clock.js'
import { type DId, FLAG_CONFLICT, type Home, type RId } from '../model/types.js'
import { EMPTY_LIVE, unpackRecord } from './codec.js'
import { SpoolFold, sizeOf } from './fold-spools.js'
import { Heirs } from './heirs.js'
import { type Frame, type JournalReader, lsnOf } from './journal-reader.js'
import type { PendingWrites } from './pending.js'
import type { InodeRecord, JournalRecord, LiveContent } from './records.js'
import { isFolder, type Reviser, S_IFMT } from './revise.js'
import type { Sealer } from './sealer.js'
import { nameKey, type WorkingView } from './view.js'

type Of<T extends JournalRecord['type']> = JournalRecord & { type: T }

const NAMES_MAX = 8192
const NONE: Set<string> = new Set()

interface Version {
  row: InodeRecord
  parents: RId[]
  dismiss: boolean
  sample?: Uint8Array
}

interface Touched {
  /** Closed contents that were followed by others: rows as they were then. */
  earlier: Version[]
  /** The row in the view was closed in this batch. */
  closed: boolean
  /** Heads of documents that the inode carried before. */
  parents: RId[]
  /** First bytes of the content. */
  sample?: Uint8Array
}

export interface FoldComponents {
  view: WorkingView
  journal: () => JournalReader
  pending: PendingWrites
  sealer: Sealer
  reviser: Reviser
  /** Milliseconds since the epoch. */
  now: () => number
  /** Told of an inode that no revision can be made of. */
  failed: (what: string, error: unknown) => void
}

export class Fold {
  readonly #c: FoldComponents
  readonly #touched = new Map<number, Touched>()
  /** Inodes that live on in the frame at hand. */
  #live: Of<'inode'>[] = []
  /** Inodes whose document changed in the frame at hand. */
  readonly #moved: InodeRecord[] = []
  /** New files whose first content was not closed yet: no version is made of them until it is. */
  readonly #unborn = new Set<number>()
  /** Where inodes were linked last, for some of them. */
  readonly #names = new Map<number, { folder: number; key: string }>()

  /** Inodes that are new in the frame at hand. */
  readonly #born = new Set<number>()
  /** Closed contents of documents that were never told of and lost their inode in this batch: they may go on in another one. */
  readonly #orphans = new Map<string, Version[]>()

  /** Documents that lost their last name here, and where they were. */
  readonly #left = new Map<string, { document: DId; home: Home }>()

  readonly spools: SpoolFold
  readonly #heirs: Heirs

  constructor(components: FoldComponents) {
    this.#c = components
    const { view, pending, sealer } = components
    this.#heirs = new Heirs({ view, sealer, nameOf: (ino) => this.#names.get(ino) })
    this.spools = new SpoolFold({ view, pending, baseOf: (record) => this.#baseOf(record) })
  }

  clear(): void {
    this.#touched.clear()
    this.#left.clear()
    this.#orphans.clear()
    this.#heirs.clear()
    this.#moved.length = 0
    this.spools.clear()
  }

  /** Throws EncodingError, with nothing changed, if a record is not valid. */
  frame(frame: Frame): void {
    const records = this.#records(frame)
    const heads = records.filter((record) => record.type === 'head')
    const applied = new Set(heads.map(({ document }) => hex(document)))
    this.#live = records.filter((record) => record.type === 'inode' && record.inode.nlink > 0) as Of<'inode'>[]
    this.#born.clear()
    for (const { inode } of this.#live) if (!this.#c.view.inode(inode.ino)) this.#born.add(inode.ino)
    if (heads.length === 0) this.#noteLeft(records)
    for (const record of records) this.#record(record, frame, applied)
    this.#heads(heads)
    for (const row of this.#moved.splice(0)) this.#renamed(row)
  }

  /** Where documents were that lose their last name in this frame. What sync takes out was removed elsewhere. */
  #noteLeft(records: JournalRecord[]): void {
    const { view } = this.#c
    const leaving = this.#leaving(records)
    if (leaving.size === 0) return
    for (const record of records) {
      if (record.type !== 'entry' && record.type !== 'entry-gone') continue
      const entry = view.entry(record.folder, nameKey(record.name))
      const document = entry && leaving.get(entry.ino)
      const folder = document && view.inode(record.folder)?.document
      if (folder) this.#left.set(hex(document), { document, home: { folder, name: record.name, stamp: entry!.stamp } })
    }
  }

  /** Documents that go in this frame, by the inode whose name goes. */
  #leaving(records: JournalRecord[]): Map<number, DId> {
    const { view } = this.#c
    const leaving = new Map<number, DId>()
    for (const record of records) {
      const last = record.type === 'inode-gone' || (record.type === 'inode' && record.inode.nlink === 0)
      const ino = record.type === 'inode-gone' ? record.ino : record.type === 'inode' ? record.inode.ino : 0
      const before = last ? view.inode(ino) : undefined
      if (!before) continue
      // A file that took the place of another one took its document, too: what goes is the document that it had.
      const heir = this.#live.find(({ inode }) => inode.ino !== ino && equal(inode.document, before.document))?.inode
      const old = heir && view.inode(heir.ino)
      if (!heir) leaving.set(ino, before.document)
      else if (old && !equal(old.document, heir.document)) leaving.set(heir.ino, old.document)
    }
    return leaving
  }

  #record(record: JournalRecord, frame: Frame, applied: Set<string>): void {
    switch (record.type) {
      case 'inode':
        return this.inode(record.inode, record.closed, applied)
      case 'inode-gone':
        return this.remove(record.ino)
      case 'entry':
        return this.#entry(record.folder, record.name, record.entry, applied)
      case 'entry-gone':
        return this.#entry(record.folder, record.name, undefined, applied)
      case 'write':
        return this.#c.pending.add(record, frame.lsn, this.#dataOf(frame, record))
      case 'truncate':
        return this.#c.pending.add(record, frame.lsn, 0)
      case 'head':
        return
      case 'spool':
        return this.spools.begins(record)
      case 'spool-gone':
        return this.spools.gone(record.spool)
      default:
        return this.spools.changed(record)
    }
  }

  /** Only what has to be remembered of frames that are folded already. */
  skim(frame: Frame): void {
    for (const record of this.#records(frame)) {
      if (record.type === 'write') this.#c.pending.add(record, frame.lsn, this.#dataOf(frame, record))
      else if (record.type === 'truncate') this.#c.pending.add(record, frame.lsn, 0)
      else if (record.type === 'inode' && record.closed) this.#c.pending.settle(record.inode.ino)
      else if (record.type === 'inode-gone') this.#c.pending.settle(record.ino)
      else if (record.type === 'spool') this.#c.pending.settle(record.ino)
    }
  }

  #records(frame: Frame): JournalRecord[] {
    const records: JournalRecord[] = []
    const u = frame.records
    while (u.pos < u.end) records.push(unpackRecord(u))
    return records
  }

  #dataOf(frame: Frame, { data }: Of<'write'>): number {
    return lsnOf(frame, data.byteOffset - frame.records.buffer.byteOffset)
  }

  #touch(ino: number): Touched {
    let touched = this.#touched.get(ino)
    if (!touched) this.#touched.set(ino, (touched = { earlier: [], closed: false, parents: [] }))
    return touched
  }

  /** An after-image of an inode. `heads`: documents of the head records of its frame, hex: their rows are as given. */
  inode(record: InodeRecord, closed: boolean, heads = NONE): void {
    const { view, pending, sealer } = this.#c
    const before = view.inode(record.ino)
    const applied = heads.size > 0 && heads.has(hex(record.document))
    if (applied) this.#settleFirst(record.ino)
    const row = { ...record, content: this.#contentOf(record, before, closed || applied) }
    if ((row.mode & S_IFMT) === 0o100000) row.size = sizeOf(row.content)
    if (closed) pending.settle(record.ino)
    if (row.nlink === 0 && before && before.nlink > 0) this.#unlinked(before)
    if (closed) this.#unborn.delete(record.ino)
    else if (!before && pending.isOpen(record.ino)) this.#unborn.add(record.ino)
    if (!before) this.#adopt(record.document)
    const touched = this.#touch(record.ino)
    if (before && !equal(before.document, record.document)) this.#otherDocument(before, row, closed, touched)
    // That a file was empty for a moment is no version of it: programs make temporaries so, and fill them after.
    const filled = before !== undefined && sizeOf(before.content) > 0
    if (closed && touched.closed && filled && equal(before.document, record.document)) {
      touched.earlier.push({ row: before, parents: touched.parents, dismiss: true })
      touched.parents = []
    }
    if (closed) touched.closed = true
    view.putInode(row)
    this.spools.noteClosed(row)
    if (row.nlink > 0) view.setDocumentIno(row.document, row.ino)
    else view.setDocumentIno(row.document, 0, row.ino)
    if (applied) {
      this.#touched.delete(record.ino)
      if (isFolder(row)) sealer.forget(row.ino)
    } else if (isFolder(row) && row.nlink > 0) sealer.touch(row.ino)
  }

  /** The content of the new row: what the journal holds is read, what was stored meanwhile stays. */
  #contentOf(record: InodeRecord, before: InodeRecord | undefined, given: boolean): LiveContent {
    const { content } = record
    if (isFolder(record)) return EMPTY_LIVE
    if (content.kind === 'committed') return content
    // Not closed: the last closed content, which the row has in the form that it is stored in by now.
    if (!given && before) return before.content
    if (content.kind === 'journal') {
      // Closed once more without new bytes: the row has them, and the journal may not any more.
      if (before && !this.#c.pending.has(record.ino, content.lsn) && sizeOf(before.content) === content.size) {
        return before.content
      }
      return { kind: 'bytes', bytes: this.#c.journal().readBytes(content.lsn, content.size) }
    }
    if (content.kind === 'spool') {
      const spool = this.#c.view.spool(content.spool)
      if (spool?.content) return { kind: 'committed', content: spool.content }
      if (!spool && before) return before.content
    }
    return content
  }

  /**
   * Another document at this inode: the history of the one before goes on in it. `closed`: with the content that it has. What was closed
   * before belongs to the document that it had then, if that was told of or goes on in another inode; but two that change places
   * give each other their names, and what is closed with that was never the other's.
   */
  #otherDocument(before: InodeRecord, row: InodeRecord, closed: boolean, touched: Touched): void {
    const { view, sealer } = this.#c
    const heir = this.#heir(before)
    const isKept = view.document(before.document) || (heir && (!closed || this.#born.has(heir.ino)))
    if (touched.closed && before.nlink > 0 && isKept) {
      // Its closed content belongs to the document that it had then.
      touched.earlier.push({ row: before, parents: touched.parents, dismiss: true })
      this.#versions(touched)
      touched.parents = []
    }
    const head = view.document(before.document)?.head
    view.setDocumentIno(before.document, 0, row.ino)
    if (isFolder(row)) sealer.touch(row.ino, { parent: head })
    else if (head) touched.parents.push(head)
    this.#moved.push(row)
  }

  /** Folders name documents: those that have an entry for an inode whose document changed are not sealed any more. */
  #renamed(row: InodeRecord): void {
    if (row.nlink === 0 || row.parent === 0) return
    for (const { folder, key } of this.#namesOf(row)) this.#c.sealer.touch(folder, { name: key })
  }

  /**
   * Where an inode is linked. Its `parent` is believed only when it has an entry for it: a file keeps it when it loses just that
   * one of its names.
   */
  #namesOf(row: InodeRecord): { folder: number; key: string }[] {
    const { view } = this.#c
    if (isFolder(row) || row.nlink === 1) {
      const last = this.#names.get(row.ino)
      if (last && view.entry(last.folder, last.key)?.ino === row.ino) return [last]
      const there = view.entries(row.parent).find(({ entry }) => entry.ino === row.ino)
      if (there) return [{ folder: row.parent, key: nameKey(there.name) }]
    }
    return view.namesOf(row.ino).map(({ folder, name }) => ({ folder, key: nameKey(name) }))
  }

  /** The last name is gone: what was closed before is kept, if the document was ever told or lives on in another inode. */
  #unlinked(before: InodeRecord): void {
    const touched = this.#touched.get(before.ino)
    if (!touched) return
    if (touched.closed) touched.earlier.push({ row: before, parents: touched.parents, dismiss: true })
    if (this.#heir(before) || this.#c.view.document(before.document)) this.#versions(touched)
    else if (touched.earlier.length > 0) this.#orphans.set(hex(before.document), touched.earlier)
    this.#touched.delete(before.ino)
  }

  /** A new inode goes on with a document: what others closed of it in this batch are versions after all. */
  #adopt(document: DId): void {
    if (this.#orphans.size === 0) return
    const key = hex(document)
    for (const version of this.#orphans.get(key) ?? []) this.#revise(version)
    this.#orphans.delete(key)
  }

  /** Which other inode carries its document after the frame at hand. */
  #heir({ ino, document }: InodeRecord): InodeRecord | undefined {
    return this.#live.find(({ inode }) => inode.ino !== ino && equal(inode.document, document))?.inode
  }

  /** Makes what has to be made of an inode before something else happens to its document. */
  #settleFirst(ino: number): void {
    const touched = this.#touched.get(ino)
    if (!touched) return
    this.#finishOne(ino, touched)
    this.#touched.delete(ino)
  }

  /** The inode is gone. */
  remove(ino: number): void {
    const { view, pending, sealer } = this.#c
    pending.settle(ino)
    this.#unborn.delete(ino)
    const before = view.inode(ino)
    if (before) {
      if (before.nlink > 0) this.#unlinked(before)
      view.setDocumentIno(before.document, 0, ino)
      if (isFolder(before)) sealer.forget(ino)
    }
    this.#touched.delete(ino)
    view.removeInode(ino)
  }

  #entry(folder: number, name: Uint8Array, entry: Of<'entry'>['entry'] | undefined, heads: Set<string>): void {
    const { view, sealer } = this.#c
    const key = nameKey(name)
    if (heads.size === 0) this.#heirs.changes(view.entry(folder, key), entry)
    view.setEntry(folder, key, entry)
    if (entry) this.#named(entry.ino, folder, key)
    const document = heads.size > 0 ? view.inode(folder)?.document : undefined
    if (document && heads.has(hex(document))) return
    sealer.touch(folder, { name: key })
  }

  #named(ino: number, folder: number, key: string): void {
    if (this.#names.size >= NAMES_MAX) this.#names.clear()
    this.#names.set(ino, { folder, key })
  }

  #heads(heads: Of<'head'>[]): void {
    if (heads.length === 0) return
    // Of several inodes of a document the first one in the frame counts.
    const inodes = new Map(this.#live.toReversed().map(({ inode }) => [hex(inode.document), inode.ino]))
    for (const head of heads) this.#head(head, inodes.get(hex(head.document)))
  }

  #head({ document, head }: Of<'head'>, ino: number | undefined): void {
    const { view, reviser, failed } = this.#c
    try {
      const revision = reviser.revision(head)
      const first = !view.document(document)
      view.setHead(document, head, (revision.flags & FLAG_CONFLICT) !== 0, ino)
      view.clock = receive(view.clock, revision.clock, this.#c.now())
      if (first) reviser.onFirstHead(document)
    } catch (error) {
      failed('A head from another device', error)
    }
  }

  #baseOf({ base, ino }: Of<'spool'>): LiveContent {
    if (base.kind === 'committed') return base
    const row = this.#c.view.inode(ino)
    if (row && sizeOf(row.content) === sizeOf(base)) return this.#stored(row).content
    return base.kind === 'spool' ? base : { kind: 'committed', content: this.#c.reviser.content(this.#bytesOf(base)) }
  }

  #bytesOf(content: LiveContent): Uint8Array {
    if (content.kind === 'bytes') return content.bytes
    if (content.kind === 'journal') return this.#c.journal().readBytes(content.lsn, content.size)
    return new Uint8Array(0)
  }

  /** The row with its content stored; in the view too, if it is the one there. */
  #stored(row: InodeRecord): InodeRecord {
    if (row.content.kind !== 'bytes') return row
    const stored: InodeRecord = {
      ...row,
      content: { kind: 'committed', content: this.#c.reviser.content(row.content.bytes) },
    }
    if (this.#c.view.inode(row.ino) === row) this.#c.view.putInode(stored)
    return stored
  }

  /** The closed content of an inode arrived (a spool that was hashed): a revision is due. */
  due(ino: number, sample?: Uint8Array): void {
    const touched = this.#touch(ino)
    touched.closed = true
    touched.sample = sample
  }

  /** Makes the revisions that are due. Afterwards every row of the view can be written. */
  finish(): void {
    for (const [ino, touched] of this.#touched) this.#finishOne(ino, touched)
    this.#touched.clear()
    this.#orphans.clear()
    this.#heirs.finish()
    for (const { document, home } of this.#left.values()) this.#bury(document, home)
    this.#left.clear()
  }

  /** Not if it is back under another inode, or was never told of. */
  #bury(document: DId, home: Home): void {
    const row = this.#c.view.document(document)
    if (row?.ino !== 0) return
    try {
      this.#c.reviser.bury(document, home)
    } catch (error) {
      this.#c.failed('A document that was removed', error)
    }
  }

  #finishOne(ino: number, touched: Touched): void {
    const { closed } = touched
    this.#versions(touched)
    const row = this.#c.view.inode(ino)
    if (!row) return
    if (row.nlink === 0) {
      this.#stored(row)
      return
    }
    if (isFolder(row) || this.#unborn.has(ino)) return
    const told = !closed && this.#isOpen(ino) ? this.#asClosed(row) : row
    this.#revise({ row: told, parents: touched.parents, dismiss: closed, sample: touched.sample }, true)
  }

  #isOpen(ino: number): boolean {
    return this.#c.pending.isOpen(ino) || this.spools.isOpen(ino)
  }

  /** While a file is written its time is ahead of its content, which is that of the last close: they are told together. */
  #asClosed(row: InodeRecord): InodeRecord {
    const modified = this.#c.reviser.head(row.document)?.revision.modified
    return modified ? { ...row, mtimeSec: modified.sec, mtimeNsec: modified.nsec } : row
  }

  #versions(touched: Touched): void {
    for (const version of touched.earlier.splice(0)) this.#revise(version)
    touched.closed = false
  }

  #revise({ row, parents, dismiss, ...more }: Version, latest = false): void {
    const sample = row.content.kind === 'bytes' ? row.content.bytes : more.sample
    const stored = this.#stored(row)
    try {
      this.#c.reviser.revise(stored, { parents, dismiss, sample, latest })
    } catch (error) {
      this.#c.failed(`Inode ${row.ino}`, error)
    }
  }
}
