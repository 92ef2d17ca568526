// What a volume thread does before anything else when the one before it died: bytes that were written and not closed by then are
// in the journal or in open spools; they become closed versions (or, of files without a name, working copies again), and
// the handles that are still open go on with them. At an ordinary start there is nothing to do. Owns nothing.

import { unpackRecord } from '../../store/codec.js'
import { JournalReader, lsnOf } from '../../store/journal-reader.js'
import { applyChanges, isWhole, type PendingChange, PendingWrites } from '../../store/pending.js'
import type { JournalRecord, Lsn } from '../../store/records.js'
import type { Contents } from './contents.js'
import type { FileData } from './file-data.js'
import type { Inode } from './inode.js'
import type { LiveState } from './live-state.js'
import type { DurableState, Journal } from './ports.js'
import type { SpoolFiles } from './spools.js'
import type { Transaction } from './transaction.js'
import { SMALL_MAX } from './working-copy.js'

export interface ResumeComponents {
  state: LiveState
  durable: DurableState
  data: FileData
  contents: Contents
  spools: SpoolFiles
  journal: Journal
  transaction: Transaction
  report: (text: string) => void
}

export interface ResumeInit {
  /** Directory of the journal. */
  journal: string
  /** Where writes that are not settled may begin. */
  from: Lsn
  /** Where the journal ends. */
  end: Lsn
}

export function resume(components: ResumeComponents, { journal: directory, from, end }: ResumeInit): void {
  const journal = new JournalReader({ directory, from })
  try {
    const pending = pendingWrites(journal, end)
    for (const [ino, changes] of pending.entries()) resumeWrites(components, ino, changes, journal)
  } finally {
    journal.close()
  }
  for (const { id, spool } of components.durable.spools()) {
    if (spool.state === 'open') resumeSpool(components, id, spool.ino)
  }
  dropCommitted(components)
}

/** Follows what settles writes, as the committer does (fold.ts). */
function pendingWrites(journal: JournalReader, end: Lsn): PendingWrites {
  const pending = new PendingWrites()
  for (let frame = journal.next(end); frame; frame = journal.next(end)) {
    const { records } = frame
    while (records.pos < records.end) {
      const record = unpackRecord(records)
      if (record.type === 'write') {
        pending.add(record, frame.lsn, lsnOf(frame, record.data.byteOffset - records.buffer.byteOffset))
      } else if (record.type === 'truncate') pending.add(record, frame.lsn, 0)
      else settle(pending, record)
    }
  }
  return pending
}

function settle(pending: PendingWrites, record: JournalRecord): void {
  if (record.type === 'inode' && record.closed) pending.settle(record.inode.ino)
  else if (record.type === 'inode-gone' || record.type === 'spool') pending.settle(record.ino)
}

function resumeWrites(c: ResumeComponents, ino: number, changes: PendingChange[], journal: JournalReader): void {
  const inode = c.state.inode(ino)
  const last = changes.at(-1)
  if (!inode || !last) return
  // A large content is cut to nothing before it is written in memory, so it need not be read.
  const base = inode.size <= SMALL_MAX && !isWhole(changes) ? c.contents.load(inode, inode.size) : new Uint8Array(0)
  const bytes = Buffer.from(applyChanges(base, changes, (lsn, length) => journal.readBytes(lsn, length)))
  c.data.resume(inode, bytes, last.sec, last.nsec)
  close(c, inode)
}

function resumeSpool(c: ResumeComponents, id: number, ino: number): void {
  const inode = c.state.inode(ino)
  if (inode) {
    c.data.resumeSpool(inode, c.spools.get(id))
    return close(c, inode)
  }
  c.transaction.record(() => c.journal.spoolGone(id))
  c.transaction.commit()
}

/** Committed ones that nothing lies on: the thread before did not come to say that they may go. */
function dropCommitted(c: ResumeComponents): void {
  const rows = c.durable.spools()
  const needed = new Set(rows.map(({ spool }) => (spool.base.kind === 'spool' ? spool.base.spool : 0)))
  for (const { id, spool } of rows) {
    if (spool.state !== 'committed' || needed.has(id)) continue
    c.transaction.record(() => c.journal.spoolGone(id))
    c.transaction.commit({ defer: true })
  }
}

function close(c: ResumeComponents, inode: Inode): void {
  if (inode.nlink === 0) return
  c.data.close(inode)
  c.report(`Inode ${inode.ino} was being written when the volume thread stopped: its bytes are kept as a version.`)
}
