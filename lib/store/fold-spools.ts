// Folds the journal's records of spools into their rows: which ranges are their own, when they are closed, when they may go.
// Owns what is to be cleared away with the batch. Never touches the files.

import type { PendingWrites } from './pending.js'
import type { InodeRecord, JournalRecord, LiveContent, SpoolRecord } from './records.js'
import { addRange, cutRanges } from './spool-ranges.js'
import type { WorkingView } from './view.js'

type Of<T extends JournalRecord['type']> = JournalRecord & { type: T }

/** Bytes of a content, wherever they are. */
export function sizeOf(content: LiveContent): number {
  switch (content.kind) {
    case 'committed':
      return content.content.size
    case 'bytes':
      return content.bytes.length
    default:
      return content.size
  }
}

export class SpoolFold {
  readonly #view: WorkingView
  readonly #pending: PendingWrites
  readonly #baseOf: (record: Of<'spool'>) => LiveContent
  /** Rows made in this batch: their ranges may be changed in place. */
  #own = new WeakSet<SpoolRecord>()
  /** Spools whose files may go once the batch is committed. */
  goneFiles: number[] = []
  /** Spools begin with this batch: their names have to last before rows name them. */
  begun = false
  /** Inodes that are written through a spool, and which. */
  readonly #open = new Map<number, number>()
  /** Closed spools that go as soon as their content is stored. */
  readonly discarded = new Set<number>()

  /** `baseOf`: what a new spool lies on, in a form that lasts. */
  constructor(components: {
    view: WorkingView
    pending: PendingWrites
    baseOf: (record: Of<'spool'>) => LiveContent
  }) {
    this.#view = components.view
    this.#pending = components.pending
    this.#baseOf = components.baseOf
  }

  /** The batch is committed, or taken back. */
  clear(): void {
    this.goneFiles = []
    this.begun = false
    this.#own = new WeakSet()
  }

  /** Whether the inode is being written through a spool, as far as frames since the start tell. */
  isOpen(ino: number): boolean {
    const id = this.#open.get(ino)
    return id !== undefined && this.#view.spool(id)?.state === 'open'
  }

  begins(record: Of<'spool'>): void {
    this.#open.set(record.ino, record.spool)
    if (this.#view.spool(record.spool)) return
    this.#pending.settle(record.ino)
    const base = this.#baseOf(record)
    this.begun = true
    this.#put(record.spool, { ino: record.ino, base, ranges: [], baseSize: sizeOf(base), state: 'open' })
  }

  #put(id: number, row: SpoolRecord): void {
    this.#own.add(row)
    this.#view.putSpool(id, row)
  }

  changed(record: Of<'spool-range' | 'spool-size'>): void {
    const spool = this.#view.spool(record.spool)
    if (spool?.state !== 'open') return
    const own = this.#own.has(spool)
    const row = own ? spool : { ...spool, ranges: spool.ranges.map(([at, length]): [number, number] => [at, length]) }
    if (record.type === 'spool-range') addRange(row.ranges, record.offset, record.length)
    else {
      cutRanges(row.ranges, record.size)
      row.baseSize = Math.min(row.baseSize, record.size)
    }
    if (!own) this.#put(record.spool, row)
  }

  /** The inode's content was closed as a spool: what it will be a version of. */
  noteClosed(row: InodeRecord): void {
    if (row.content.kind !== 'spool') return
    const id = row.content.spool
    const spool = this.#view.spool(id)
    if (spool?.state !== 'open') return
    const { document, mtimeSec, mtimeNsec } = row
    this.#open.delete(row.ino)
    const closed = { document, size: row.content.size, mtimeSec, mtimeNsec }
    this.#view.putSpool(id, { ...spool, state: 'closed', closed })
  }

  /** A closed spool whose content is a version to keep stays until it is stored, whoever lets go of it. */
  gone(id: number): void {
    const spool = this.#view.spool(id)
    if (!spool) return
    if (this.#open.get(spool.ino) === id) this.#open.delete(spool.ino)
    const row = this.#view.inode(spool.ino)
    const kept = spool.closed && ((row && row.nlink > 0) || this.#view.document(spool.closed.document))
    if (spool.state === 'closed' && kept) this.discarded.add(id)
    else this.drop(id)
  }

  /** Row and file go with this batch. */
  drop(id: number): void {
    this.#view.putSpool(id, undefined)
    this.goneFiles.push(id)
    this.discarded.delete(id)
  }
}
