// From a spool's row to what a hasher is asked. Reads only; decides nothing.

import { statSync } from 'node:fs'
import { hex } from '../model/bytes.js'
import { CHUNK_LIMIT, type ChunkId, type Content } from '../model/types.js'
import type { VolumeLayout } from '../store/layout.js'
import type { StoreReader } from '../store/tables.js'
import { SpoolUnreadableError } from './hashing/errors.js'
import type { HashJob } from './hashing/hash-job.js'
import type { VolumeReads } from './volume-reads.js'

export interface SpoolJobComponents {
  reader: StoreReader
  layout: VolumeLayout
}

export type SpoolWork =
  | { kind: 'hash'; job: HashJob }
  /** It is in packs already: only the volume thread has to hear of it. */
  | { kind: 'committed'; content: Content }
  /** It lies on another spool that has to be committed before. */
  | { kind: 'waits'; for: number }
  /** It is open again, or nobody needs it any more. */
  | { kind: 'none' }

/** Throws SpoolUnreadableError if the file is not there. */
export function spoolWork({ reader, layout }: SpoolJobComponents, spool: number): SpoolWork {
  reader.refresh()
  const row = reader.spool(spool)
  if (!row || row.state === 'open') return { kind: 'none' }
  if (row.state === 'committed' && row.content) return { kind: 'committed', content: row.content }
  const path = layout.spool(spool)
  const common = { path, volume: layout.directory, baseSize: row.baseSize, ranges: row.ranges }
  const size = row.closed?.size ?? fileSize(path)
  switch (row.base.kind) {
    case 'committed': {
      const base = row.base.content.size > 0 ? row.base.content : undefined
      return { kind: 'hash', job: { ...common, size, base } }
    }
    case 'bytes':
      return { kind: 'hash', job: { ...common, size, baseBytes: row.base.bytes } }
    case 'spool': {
      const below = reader.spool(row.base.spool)
      if (!below?.content) return { kind: 'waits', for: row.base.spool }
      return { kind: 'hash', job: { ...common, size, base: below.content } }
    }
    case 'journal':
      throw new SpoolUnreadableError(path, 'what it lies on is only in the journal')
  }
}

/** How far around a change the base is read to find where chunks begin and end. */
const AROUND = 2 * CHUNK_LIMIT

/** Chunks of the base that hashing a job reads, nearly always all of them, and that are not here. */
export function missingOfBase(
  { base, ranges, baseSize, size }: HashJob,
  reads: Pick<VolumeReads, 'missingLeaves'>,
): ChunkId[] {
  if (!base) return []
  const ids = new Map<string, ChunkId>()
  const add = (from: number, to: number) => {
    for (const id of reads.missingLeaves(base, Math.max(0, from), to)) ids.set(hex(id), id)
  }
  for (const [offset, length] of ranges) {
    add(offset - AROUND, Math.min(offset, offset + AROUND))
    add(offset + length, offset + length + AROUND)
  }
  if (baseSize < base.size || size > baseSize) add(baseSize - AROUND, baseSize)
  return [...ids.values()]
}

function fileSize(path: string): number {
  try {
    return statSync(path).size
  } catch (error) {
    throw new SpoolUnreadableError(path, (error as Error).message)
  }
}
