// From a spool's row to what a hasher is asked. Reads only; decides nothing.

import { statSync } from 'node:fs'
import type { Content } from '../model/types.js'
import type { VolumeLayout } from '../store/layout.js'
import type { StoreReader } from '../store/tables.js'
import { SpoolUnreadableError } from './hashing/errors.js'
import type { HashJob } from './hashing/hash-job.js'

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

function fileSize(path: string): number {
  try {
    return statSync(path).size
  } catch (error) {
    throw new SpoolUnreadableError(path, (error as Error).message)
  }
}
