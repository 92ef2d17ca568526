// What is done when a volume is opened, before anything else: folds what is left of the journal, settles what was open when
// the process ended, and clears away what nothing refers to. Runs once, to the end, with nobody else at the volume.
// Idempotent: it only commits batches, so a second run goes on where the first was killed.

import fs from 'node:fs'
import path from 'node:path'
import { readContent } from '../model/content-tree.js'
import { Batch, type BatchComponents, type BatchInit } from './batch.js'
import type { JournalCut } from './journal-reader.js'
import { cutJournal, listSegments } from './journal-segments.js'
import { syncDirectory } from './layout.js'
import { applyChanges, isWhole, type PendingChange } from './pending.js'
import type { InodeRecord, Lsn } from './records.js'
import { settleSpools } from './recover-spools.js'

const BOUNDS = { frames: 20_000, bytes: 32 << 20, until: Number.POSITIVE_INFINITY }

export interface Recovered {
  /** Goes on with the committer. */
  batch: Batch
  /** Where the journal ends: where the volume thread begins its segment. */
  end: Lsn
}

export interface RecoveryInit extends BatchInit {
  /** The process lives, and so may its mount: files without a name may be open, and are kept. */
  open?: boolean
}

/**
 * Throws NoSpaceError, DiskError, DamagedVolumeError: nothing was lost, open it again later. What was repaired or found is
 * told through `components.report`.
 */
export function recover(components: BatchComponents, init: RecoveryInit): Recovered {
  const batch = new Batch(components, init)
  try {
    while (batch.foldFrames(undefined, BOUNDS)) batch.commit(false)
    settleWrites(batch, components, init.open)
    settleSpools(batch, components, init.open)
    if (!init.open) removeOrphans(batch, components)
    batch.commit(true, true)
    const end = batch.position
    const { cut } = batch
    if (cut) cutOff(cut, components)
    clearFiles(batch, components)
    // The committer goes on with a reader that knows nothing of the cut, nor of files that are gone.
    batch.reopenJournal()
    return { batch, end }
  } catch (error) {
    batch.close()
    throw error
  }
}

/** The journal ends where its bytes are bad; everything before is committed. */
function cutOff(cut: JournalCut, { layout, report }: BatchComponents): void {
  if (cut.bytes > 0) report(`Cut ${cut.bytes} bytes off the journal at ${cut.lsn}: ${cut.why}.`)
  for (const name of cutJournal(layout.journal, cut.lsn))
    report(`Put journal segment ${name} aside: it follows the cut.`)
}

/** Small working copies that were open: their writes become a closed version. */
function settleWrites(batch: Batch, { report }: BatchComponents, open?: boolean): void {
  for (const [ino, changes] of batch.pending.entries()) {
    const row = batch.view.inode(ino)
    batch.pending.settle(ino)
    if (!row || (row.nlink === 0 && !open)) continue
    try {
      batch.fold.inode(settled(batch, row, changes), true)
      if (row.nlink > 0)
        report(`Inode ${ino} was being written when the volume was closed: its bytes are kept as a version.`)
    } catch (error) {
      report(`Inode ${ino} was being written when the volume was closed, and was not kept: ${(error as Error).message}`)
    }
  }
}

function settled(batch: Batch, row: InodeRecord, changes: PendingChange[]): InodeRecord {
  const base = row.content.kind === 'committed' ? row.content.content : undefined
  const known = row.content.kind === 'bytes' ? row.content.bytes : undefined
  const before = isWhole(changes) ? undefined : (known ?? (base && readContent(base, batch.packs.source)))
  const bytes = applyChanges(before ?? new Uint8Array(0), changes, (lsn, length) => batch.readBytes(lsn, length))
  return { ...row, ...lastTime(row, changes), content: { kind: 'bytes', bytes }, size: bytes.length }
}

function lastTime(row: InodeRecord, changes: PendingChange[]): Partial<InodeRecord> {
  const last = changes.at(-1)
  if (!last || last.sec < row.mtimeSec || (last.sec === row.mtimeSec && last.nsec < row.mtimeNsec)) return {}
  return { mtimeSec: last.sec, mtimeNsec: last.nsec, ctimeSec: last.sec, ctimeNsec: last.nsec }
}

/** Files that were unlinked while open. */
function removeOrphans(batch: Batch, { reader }: BatchComponents): void {
  const inos = new Set([...reader.orphans(), ...batch.view.changedOrphans()])
  for (const ino of inos) {
    const row = batch.view.inode(ino)
    if (row?.nlink === 0) batch.fold.remove(ino)
  }
}

/** Spool files without a row, and journal segments that are committed. */
function clearFiles(batch: Batch, { layout, report }: BatchComponents): void {
  for (const name of fs.readdirSync(layout.spools)) {
    const id = Number(name)
    if (String(id) === name && batch.view.spool(id)) continue
    fs.rmSync(path.join(layout.spools, name), { force: true, recursive: true })
    report(`Removed spool file ${name}: nothing refers to it.`)
  }
  // All of the journal is folded, stored, and settled.
  for (const { file } of listSegments(layout.journal)) fs.rmSync(file, { force: true })
  // Else a power cut could bring an old segment back in the place of a new one that was not synced: frames that were cut off
  // might be read from it.
  syncDirectory(layout.journal)
}
