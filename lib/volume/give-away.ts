// The one place where contents are given away: asks devices that keep everything, and forgets what they promise to keep. Owns no
// state. Why nothing is lost by it: docs/on-demand.md.

import { hex } from '../model/bytes.js'
import { keeps } from '../model/holding.js'
import type { ChunkId } from '../model/types.js'
import type { VolumeHolding } from './holding.js'
import type { Supplier } from './wants.js'

export interface GiveAwayComponents {
  holding: Pick<VolumeHolding, 'policy' | 'exclusively'>
  suppliers(): Pick<Supplier, 'confirm'>[]
  /** Forgets them, durably; answers how many bytes that were. */
  drop(ids: ChunkId[]): Promise<number>
}

/**
 * Gives away those of the chunks that another device promises to keep; answers how many bytes that were. Each is asked about now, and
 * while it is asked and forgotten this volume's policy stays as it is: one that keeps nothing for others.
 */
export function giveAway(c: GiveAwayComponents, ids: ChunkId[]): Promise<number> {
  return c.holding.exclusively(async () => {
    let bytes = 0
    const open = new Map(ids.map((id) => [hex(id), id]))
    for (const supplier of c.suppliers()) {
      if (open.size === 0) break
      if (keeps(c.holding.policy)) return bytes
      const kept = await supplier.confirm([...open.values()]).catch(() => [])
      const ours = kept.filter((id) => open.delete(hex(id)))
      if (ours.length) bytes += await c.drop(ours)
    }
    return bytes
  })
}
