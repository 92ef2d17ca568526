// What a path led to that leads nowhere now: found through the revisions of the folders on the way. Reads only, newest first,
// no further than it must.

import { hex } from '../../model/bytes.js'
import { decodeRevision } from '../../model/codec.js'
import { sameContent } from '../../model/content-tree.js'
import { lookupFolder } from '../../model/folder.js'
import { type Content, type DId, PART_ENTRIES, TYPE_FOLDER } from '../../model/types.js'
import { FOLDER_WALK_MAX, ifHere } from './folder-names.js'
import type { HistoryStore } from './ports.js'
import { newestFirst } from './timeline.js'

/** Documents that this folder ever had under this name, the latest first. Revisions whose chunks are not here are left out. */
export function* documentsNamed(store: HistoryStore, folder: DId, name: Uint8Array): Generator<DId> {
  const seen = new Set<string>()
  let before: Content | undefined
  let left = FOLDER_WALK_MAX
  for (const { rid } of newestFirst(store, store.head(folder))) {
    if (left-- === 0) return
    const part = decodeRevision(store.encoded(rid)!).parts.get(PART_ENTRIES)
    if (!part || (before && sameContent(before, part))) continue
    before = part
    const document = ifHere(() => lookupFolder(part, name, store.source)?.document)
    if (!document || seen.has(hex(document))) continue
    seen.add(hex(document))
    yield document
  }
}

/** The document that these names led to last, from a folder on; undefined: they never led anywhere. */
export function lastAt(store: HistoryStore, folder: DId, names: readonly Uint8Array[]): DId | undefined {
  const [name, ...below] = names
  for (const document of documentsNamed(store, folder, name)) {
    const head = store.head(document)
    const bytes = head && store.encoded(head)
    if (!bytes) continue
    if (below.length === 0) return document
    if (decodeRevision(bytes).type !== TYPE_FOLDER) continue
    const found = lastAt(store, document, below)
    if (found) return found
  }
  return undefined
}
