// Where a folder is when several folders say that it is in them: after concurrent moves each side's entry is there, and the two
// may even put two folders into each other. The outcome is a function of the set of entries, whatever the order in which they
// became known. The rule is that of Kleppmann, Mulligan, Gomes, Beresford, "A highly-available move operation for replicated
// trees" (TPDS 2021): moves are done in the order of their stamps, and one that would close a circle is not done.
// Here the moves are the entries that are left after merging, so a folder whose every entry would close a circle goes to the
// root instead: none is ever lost. Pure; owns no tree.

import { compare, equal, hex } from './bytes.js'
import type { Clock, DId } from './types.js'

/** An entry that names a folder document. */
export interface PlaceEntry {
  /** The folder it is in. */
  folder: DId
  name: Uint8Array
  /** The folder document that it names. */
  document: DId
  stamp: Clock
}

export interface Place {
  entry: PlaceEntry
  /** In the root, since every entry of it would have closed a circle. Under the name that the latest of them has. */
  rescued: boolean
}

/** Earlier stamp first, ties by folder, name, document. */
function byStamp(x: PlaceEntry, y: PlaceEntry): number {
  return (
    compare(x.stamp, y.stamp) ||
    compare(x.folder, y.folder) ||
    compare(x.name, y.name) ||
    compare(x.document, y.document)
  )
}

/** Whether `document` is `folder` or above it. */
function isWithin(parents: Map<string, string>, folder: string, document: string): boolean {
  for (let at: string | undefined = folder; at !== undefined; at = parents.get(at)) if (at === document) return true
  return false
}

/**
 * The one place of every folder document that is named, by hex(DId); entries that do not hold are in none of them.
 * `root`: the volume's root document; entries that name it never hold. Cost: entries × depth of the tree.
 */
export function choosePlaces(root: DId, entries: Iterable<PlaceEntry>): Map<string, Place> {
  const places = new Map<string, Place>()
  const parents = new Map<string, string>()
  const moves = [...entries].filter((entry) => !equal(entry.document, root)).sort(byStamp)
  for (const entry of moves) {
    const document = hex(entry.document)
    const folder = hex(entry.folder)
    if (isWithin(parents, folder, document)) continue
    parents.set(document, folder)
    places.set(document, { entry, rescued: false })
  }
  for (const entry of moves.reverse()) {
    const document = hex(entry.document)
    if (places.has(document)) continue
    places.set(document, { entry: { ...entry, folder: root }, rescued: true })
  }
  return places
}
