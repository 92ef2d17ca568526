// Giving chunks away, and the room that they took back: rows go first; then what is left in a pack of many holes is copied into the
// current one, and the pack's file goes. Runs within batches of the committer. Whether a chunk may be given away is decided
// elsewhere (docs/on-demand.md).
//
// Invariants: a chunk's row goes, or names another place, in the transaction that makes it so, after the bytes of that place are
// synced; a file goes only after a commit in which no row names it. Readers that know an old place find the file gone, and look again.

import fs from 'node:fs'
import type { ChunkId } from '../model/types.js'
import type { Batch } from './batch.js'
import { ImportError } from './errors.js'
import type { VolumeLayout } from './layout.js'
import { decodeLocation, type StoreReader } from './tables.js'

/** Setting: numbers of the packs that were emptied last, whose files may be there still after a crash. Numbers are never used again. */
export const GONE_PACKS = 'packs/gone'
/** Packs removed at once: they fit into a setting. */
const PACKS_MAX = 4096

/** Their bytes are not here any more. Answers how many bytes that were. */
export function dropChunks({ view }: Batch, ids: ChunkId[]): number {
  let bytes = 0
  for (const id of ids) {
    const location = view.chunk(id)
    if (!location) continue
    bytes += location.length
    view.removeChunk(id)
  }
  return bytes
}

/** Copies those of the chunks that lie in this pack into the current one. A damaged one stays where it is. */
export function moveChunks({ view, packs, writer }: Batch, pack: number, ids: ChunkId[]): void {
  if (writer.state.pack === pack) writer.next()
  writer.flush()
  for (const id of ids) {
    if (view.chunk(id)?.pack !== pack) continue
    let bytes: Uint8Array
    try {
      bytes = packs.chunk(id)
    } catch {
      continue
    }
    view.putChunk(id, writer.append(bytes))
  }
}

/** The files of those of the packs in which nothing is any more go after this commit. Answers which. O(chunks). */
export function removePacks(batch: Batch, reader: StoreReader, packs: number[]): number[] {
  const { view, writer } = batch
  if (packs.length > PACKS_MAX) throw new ImportError(`${packs.length} packs at once`)
  const empty = new Set(packs.filter((pack) => pack !== writer.state.pack && pack <= writer.state.last))
  for (const pack of empty) if (view.usesPack(pack)) empty.delete(pack)
  for (const { value } of reader.tables.chunks.getRange()) {
    if (empty.size === 0) break
    empty.delete(decodeLocation(value).pack)
  }
  if (empty.size === 0) return []
  view.putSetting(GONE_PACKS, Buffer.from(JSON.stringify([...empty])))
  batch.gonePacks.push(...empty)
  return [...empty]
}

/** What a crash left of packs that nothing refers to. */
export function removeGonePacks(layout: VolumeLayout, setting: Uint8Array | undefined): void {
  if (!setting) return
  for (const pack of numbers(setting)) fs.rmSync(layout.pack(pack), { force: true })
}

function numbers(setting: Uint8Array): number[] {
  try {
    const list: unknown = JSON.parse(Buffer.from(setting).toString())
    return Array.isArray(list) ? list.filter(Number.isSafeInteger) : []
  } catch {
    return []
  }
}
