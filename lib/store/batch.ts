// One batch of the committer after another: folds frames and requests into the working view, makes revisions, seals folders,
// and commits all of it at once: packs synced, then one LMDB transaction. Owns the committer's end of everything. Runs to
// the end whenever it is called (nothing here waits); committer.ts decides when.
// Invariant: after `commit` everything is durable; after `abort` everything is as after the last `commit`.

import fs from 'node:fs'
import { constants } from 'node:os'
import path from 'node:path'
import type { DId } from '../model/types.js'
import { DatabaseRoom } from './database-room.js'
import { DiskError, NoSpaceError, StoreError, typedError } from './errors.js'
import { Fold } from './fold.js'
import { GONE_PACKS, removeGonePacks } from './giving-away.js'
import { type Frame, type JournalCut, JournalReader } from './journal-reader.js'
import { removeSegmentsBelow } from './journal-segments.js'
import { syncDirectory, type VolumeLayout } from './layout.js'
import { cutPacks, type PackState, PackWriter } from './pack-writer.js'
import { PackReader } from './packs.js'
import { PendingWrites } from './pending.js'
import type { Lsn } from './records.js'
import { Reviser } from './revise.js'
import { Sealer } from './sealer.js'
import { asDamage, type StoreReader } from './tables.js'
import { type CommittedHead, WorkingView } from './view.js'

/** Positions may lag behind by this much when nothing else is to be written. */
const LAG_MAX = 4 << 20

export interface BatchComponents {
  layout: VolumeLayout
  reader: StoreReader
  /** Milliseconds since the epoch. */
  now: () => number
  /** Milliseconds from any beginning, with fractions. */
  monotonic: () => number
  /** Told, in words, what could not be done and what was repaired. */
  report: (text: string) => void
}

export interface BatchInit {
  author: Uint8Array
  root: DId
  packMax?: number
}

export interface Committed {
  committed: Lsn
  heads: CommittedHead[]
}

export interface FoldBounds {
  frames: number
  bytes: number
  /** Monotonic milliseconds. */
  until: number
}

export class Batch {
  readonly view: WorkingView
  readonly pending = new PendingWrites()
  readonly packs: PackReader
  readonly writer: PackWriter
  readonly reviser: Reviser
  readonly sealer: Sealer
  readonly fold: Fold
  /** Packs in which nothing is any more: their files go after the commit that says so. */
  readonly gonePacks: number[] = []
  readonly #c: BatchComponents
  readonly #room: DatabaseRoom
  #journal: JournalReader
  /** Folded and durable. */
  #committed: Lsn
  /** Folded and durable as LMDB knows it. */
  #stored: Lsn
  #removedBelow: Lsn = 0

  constructor(components: BatchComponents, init: BatchInit) {
    this.#c = components
    const { layout, reader, now, monotonic } = components
    this.#room = new DatabaseRoom({ directory: layout.db })
    this.view = new WorkingView({ reader })
    this.packs = new PackReader({ reader: this.view, layout })
    this.writer = new PackWriter({ layout }, { state: this.#openPacks(components.report), packMax: init.packMax })
    const { view, writer, packs, pending } = this
    this.reviser = new Reviser({ view, writer, packs, now }, { author: init.author })
    this.sealer = new Sealer({ view, reviser: this.reviser, writer, packs, monotonic }, { root: init.root })
    this.reviser.onFirstHead = (document) => this.sealer.arrived(document)
    const { reviser, sealer } = this
    const failed = (what: string, error: unknown) => this.#failed(what, error)
    this.fold = new Fold({ view, journal: () => this.#journal, pending, sealer, reviser, now, failed })
    this.#committed = this.#stored = reader.committed
    this.#journal = this.#openJournal()
    this.sealer.reset(reader.unsealed())
  }

  /** Cuts what no commit knows off the packs. A pack that is too short is left as it is, and not appended to. */
  #openPacks(report: (text: string) => void): PackState {
    const { reader, layout } = this.#c
    const state = { pack: reader.meta('pack'), end: reader.meta('packEnd'), last: reader.meta('lastPack') }
    removeGonePacks(layout, reader.setting(GONE_PACKS))
    const { reports, short } = cutPacks(layout, state)
    for (const text of reports) report(text)
    return short ? { pack: state.last + 1, end: 0, last: state.last + 1 } : state
  }

  #openJournal(): JournalReader {
    const { reader, layout } = this.#c
    return new JournalReader({ directory: layout.journal, from: reader.meta('replayFrom') })
  }

  /** Reads the journal's files anew, from the stored position on. */
  reopenJournal(): void {
    this.#journal.close()
    this.#journal = this.#openJournal()
  }

  /** Frames up to here are folded, not necessarily committed. */
  get position(): Lsn {
    return Math.max(this.#journal.position, this.#committed)
  }

  get committed(): Lsn {
    return this.#committed
  }

  /** Where the journal's bytes turned out to be bad. */
  get cut(): JournalCut | undefined {
    return this.#journal.cut
  }

  /** Bytes of the journal. */
  readBytes(lsn: Lsn, length: number): Uint8Array {
    return this.#journal.readBytes(lsn, length)
  }

  /** Folds frames that end at `end` or before. Returns whether there may be more of them. */
  foldFrames(end: Lsn | undefined, bounds: FoldBounds): boolean {
    let frames = 0
    const limit = this.position + bounds.bytes
    for (;;) {
      const frame = this.#journal.next(end)
      if (!frame) return false
      this.#foldFrame(frame)
      if (++frames >= bounds.frames || this.#journal.position >= limit) return true
      if ((frames & 31) === 0 && this.#c.monotonic() >= bounds.until) return true
    }
  }

  #foldFrame(frame: Frame): void {
    const start = frame.records.pos
    try {
      if (frame.lsn < this.#stored) this.fold.skim(frame)
      else this.fold.frame(frame)
    } catch (error) {
      if (isFatal(error)) throw error
      this.#park(frame, start, error)
    }
  }

  /** A frame that cannot be understood is put aside as a file and told; the rest goes on. */
  #park(frame: Frame, start: number, error: unknown): void {
    const file = path.join(this.#c.layout.journal, `${frame.lsn.toString(16).padStart(16, '0')}.parked`)
    fs.writeFileSync(file, frame.records.buffer.subarray(start, frame.records.end), { mode: 0o600 })
    this.#c.report(`A change could not be folded and was put aside as ${file}: ${(error as Error).message}`)
  }

  #failed(what: string, error: unknown): void {
    if (isFatal(error)) throw error
    this.#c.report(`${what}: no version was made: ${(error as Error).message}`)
  }

  /**
   * Makes revisions, seals folders (all of them, or those that are due) and commits. `force`: writes the position at least. Throws NoSpaceError, DiskError,
   * DamagedVolumeError: then `abort()`.
   */
  commit(sealAll: boolean, force = false): Committed {
    this.fold.finish()
    if (this.sealer.count > 0) {
      this.sealer.seal(sealAll, (folder, error) => this.#failed(`Folder ${folder}`, error))
    }
    const { position } = this
    const heads = this.view.heads()
    if (force || this.view.changed || position - this.#stored > LAG_MAX) this.#write(position)
    this.#committed = position
    return { committed: position, heads }
  }

  #write(position: Lsn): void {
    const { reader, layout } = this.#c
    this.writer.sync()
    if (this.fold.spools.begun) this.#syncSpools()
    const replayFrom = this.pending.lowest(position)
    const { rows, bytes } = this.view.weight()
    this.#room.reserve(rows, bytes)
    try {
      reader.tables.root.transactionSync(() => {
        this.view.write(reader.tables, { committed: position, replayFrom, packs: this.writer.state })
      })
    } catch (error) {
      throw asDamage(layout.db, withCode(error, layout.db))
    }
    this.writer.kept()
    this.#stored = position
    for (const spool of this.fold.spools.goneFiles) fs.rmSync(layout.spool(spool), { force: true })
    if (this.gonePacks.length > 0) this.#removePacks(this.gonePacks.splice(0))
    this.fold.clear()
    this.view.clear()
    this.#removeSegments(replayFrom)
  }

  /** Should it be cut short, the next start does it: the setting says which. */
  #removePacks(packs: number[]): void {
    this.packs.forget(packs)
    for (const pack of packs) fs.rmSync(this.#c.layout.pack(pack), { force: true })
  }

  #syncSpools(): void {
    try {
      syncDirectory(this.#c.layout.spools)
    } catch (error) {
      throw typedError('large contents', error)
    }
  }

  #removeSegments(below: Lsn): void {
    if (below - this.#removedBelow < LAG_MAX) return
    this.#removedBelow = below
    removeSegmentsBelow(this.#c.layout.journal, below)
  }

  /**
   * Forgets what is not committed; it will be folded again. What is committed LMDB says, and is asked before anything is cut off
   * the packs: a failed last step of a commit may have reached the disk. Throws as `commit` does: to be called again
   * then, before anything else.
   */
  abort(): void {
    const { reader, layout } = this.#c
    try {
      this.view.clear()
      this.#stored = this.#committed = reader.committed
      this.writer.takeBack(this.#openPacks(() => {}))
      this.gonePacks.length = 0
      this.packs.close()
      this.fold.clear()
      this.pending.clear()
      this.reopenJournal()
      this.sealer.reset(reader.unsealed())
    } catch (error) {
      throw asDamage(layout.db, error)
    }
  }

  close(): void {
    this.#journal.close()
    this.packs.close()
    this.writer.close()
    this.#room.close()
  }
}

const errnoNames = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]))

/** LMDB tells errors of the system by their numbers, and a write that a full disk cut short as EIO. */
function withCode(error: unknown, directory: string): unknown {
  const { code } = error as { code?: unknown }
  const told = typeof code === 'number' ? errnoNames.get(code) : undefined
  const name = told === 'EIO' && isFull(directory) ? 'ENOSPC' : told
  return name ? Object.assign(new Error((error as Error).message, { cause: error }), { code: name }) : error
}

const FULL_BELOW = 1 << 20

function isFull(directory: string): boolean {
  try {
    const { bavail, bsize } = fs.statfsSync(directory)
    return bavail * bsize < FULL_BELOW
  } catch {
    return false
  }
}

const FATAL = new Set(['ENOSPC', 'EDQUOT', 'EIO', 'EROFS', 'EMFILE', 'ENFILE', 'ENOMEM'])

/** Errors of the disk or the system concern the whole batch, which is tried again; others one record or request. */
export function isFatal(error: unknown): boolean {
  if (error instanceof NoSpaceError || error instanceof DiskError) return true
  return !(error instanceof StoreError) && FATAL.has(String((error as NodeJS.ErrnoException).code))
}
