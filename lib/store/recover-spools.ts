// What becomes of spools when a volume is opened: those that were open are closed as they are, those that are stored go, and of
// closed ones whose bytes a power cut took (nobody had synced them) the version before is shown again. Runs within
// recovery, once the journal is folded. Never makes up bytes: what is shown was written, by somebody, to this file.
// What tells a whole spool: its file has the length that the journal says. All that writes one sees to that.

import fs from 'node:fs'
import { equal } from '../model/bytes.js'
import { PART_CONTENT, type Time } from '../model/types.js'
import type { Batch, BatchComponents } from './batch.js'
import { EMPTY_LIVE } from './codec.js'
import { sizeOf } from './fold-spools.js'
import type { InodeRecord, LiveContent, SpoolRecord } from './records.js'
import { cutRanges } from './spool-ranges.js'

type Report = BatchComponents['report']

/** `open`: files without a name may be, and are kept. */
export function settleSpools(batch: Batch, { layout, report }: BatchComponents, open = false): void {
  const lengthOnDisk = (id: number) => fs.statSync(layout.spool(id), { throwIfNoEntry: false })?.size
  // What was closed before is a version first: it may be the one to be shown.
  if (batch.view.spools().some(({ id, spool }) => isLost(spool, lengthOnDisk(id)))) batch.commit(false)
  // A spool lies on older ones only, so what it lies on is settled before it.
  for (const { id } of batch.view.spools()) {
    const spool = batch.view.spool(id)!
    const length = lengthOnDisk(id)
    if (spool.state === 'committed') batch.fold.spools.drop(id)
    else if (isLost(spool, length)) lost(batch, id, spool, length, report)
    else if (spool.state === 'closed') continue
    else if (length === undefined || (!open && !batch.view.inode(spool.ino)?.nlink)) batch.fold.spools.drop(id)
    else close(batch, id, spool, length, layout.spool(id), report)
  }
}

const isLost = (spool: SpoolRecord, length: number | undefined) =>
  spool.state === 'closed' && (length === undefined || length < lengthOf(spool))

/** How long the file of a spool is at least. */
function lengthOf(spool: SpoolRecord): number {
  if (sizeOf(spool.base) === 0) return spool.closed?.size ?? 0
  return spool.ranges.reduce((most, [offset, length]) => Math.max(most, offset + length), 0)
}

/** A large working copy that was open becomes a version as it is. */
function close(batch: Batch, id: number, spool: SpoolRecord, length: number, file: string, report: Report): void {
  const row = batch.view.inode(spool.ino)
  const based = sizeOf(spool.base) > 0
  if (based && length < lengthOf(spool)) {
    // Lost to a power cut: what it lies on is seen there.
    cutRanges(spool.ranges, length)
    batch.view.putSpool(id, spool)
  }
  const end = lengthOf(spool)
  const unchanged = based && spool.ranges.length === 0 && spool.baseSize === sizeOf(spool.base)
  if (!row || unchanged) return batch.fold.spools.drop(id)
  const size = based ? Math.max(spool.baseSize, end) : length
  const { mtimeMs } = fs.statSync(file)
  const mtimeSec = Math.floor(mtimeMs / 1000)
  const mtimeNsec = Math.floor((mtimeMs % 1000) * 1e6)
  const time = mtimeSec > row.mtimeSec ? { mtimeSec, mtimeNsec, ctimeSec: mtimeSec, ctimeNsec: mtimeNsec } : {}
  batch.fold.inode({ ...row, ...time, content: { kind: 'spool', spool: id, size }, size }, true)
  if (row.nlink === 0) return
  report(`Inode ${spool.ino} was being written when the volume was closed: its ${size} bytes are kept as a version.`)
}

/** The bytes of a closed spool are not all there. Whoever lies on it, or has it as content, gets what was before it. */
function lost(batch: Batch, id: number, spool: SpoolRecord, length: number | undefined, report: Report): void {
  const { view } = batch
  const row = view.inode(spool.ino)
  const shown = row?.content.kind === 'spool' && row.content.spool === id ? row : undefined
  const before = versionBefore(batch, id, shown)
  for (const other of view.spools()) {
    const { base, baseSize } = other.spool
    if (base.kind !== 'spool' || base.spool !== id) continue
    const seen = Math.min(baseSize, sizeOf(before.content))
    view.putSpool(other.id, { ...other.spool, base: before.content, baseSize: seen })
  }
  const what = `The last bytes of inode ${spool.ino} (${spool.closed?.size ?? 0}) were not synced and are lost`
  if (shown && before.fresh && length) {
    // A new file: as much of it as there is.
    view.putSpool(id, { ...spool, closed: { ...spool.closed!, size: length } })
    view.putInode({ ...shown, content: { kind: 'spool', spool: id, size: length }, size: length })
    return report(`${what}: the first ${length} are kept.`)
  }
  batch.fold.spools.drop(id)
  if (shown) {
    view.putInode({ ...shown, ...before.times, content: before.content, size: sizeOf(before.content) })
    if (shown.nlink > 0) batch.fold.due(shown.ino)
  }
  report(`${what}: ${before.fresh ? 'it is empty' : 'the version before is shown'}.`)
}

/** `fresh`: there was none, the content is empty. */
function versionBefore(
  batch: Batch,
  id: number,
  shown: InodeRecord | undefined,
): { content: LiveContent; times: Partial<InodeRecord>; fresh: boolean } {
  const spool = batch.view.spool(id)!
  if (spool.base.kind === 'spool') return { content: spool.base, times: {}, fresh: false }
  // What was cut to nothing before it was written anew, or was in memory before it grew, has its last version in its history.
  const document = shown?.document ?? spool.closed?.document
  const head = document && batch.reviser.head(document)
  const content = head?.revision.parts.get(PART_CONTENT)
  const last = lastBefore(batch, id, spool)
  if (last && !(head && isLater(head.revision.modified, last.closed!))) {
    const { size, mtimeSec, mtimeNsec } = last.closed!
    return { content: { kind: 'spool', spool: last.id, size }, times: { mtimeSec, mtimeNsec }, fresh: false }
  }
  if (head && content) {
    const { sec: mtimeSec, nsec: mtimeNsec } = head.revision.modified
    return { content: { kind: 'committed', content }, times: { mtimeSec, mtimeNsec }, fresh: false }
  }
  const fresh = sizeOf(spool.base) === 0
  return { content: fresh ? EMPTY_LIVE : spool.base, times: {}, fresh }
}

/** A whole spool that was closed as the same file before and is no version yet. */
function lastBefore(
  batch: Batch,
  id: number,
  { ino, closed }: SpoolRecord,
): (SpoolRecord & { id: number }) | undefined {
  const earlier = batch.view
    .spools()
    .filter((one) => one.id < id && one.spool.ino === ino && one.spool.state === 'closed')
  const same = earlier.filter(({ spool }) => closed && spool.closed && equal(spool.closed.document, closed.document))
  const last = same.at(-1)
  return last && { ...last.spool, id: last.id }
}

const isLater = (time: Time, closed: NonNullable<SpoolRecord['closed']>) =>
  time.sec > closed.mtimeSec || (time.sec === closed.mtimeSec && time.nsec > closed.mtimeNsec)
