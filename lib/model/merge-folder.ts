// Three-way merge of folders, entry by entry. Never a conflict, never loses a document that one side kept or changed. Pure.
//
// For each document, over the names that are not the same in all three: one place on each side: a removal is taken if the
// other side left the entry alone; if both moved it, the later stamp stands. Several places (hard links): each name for
// itself. Then names that two documents want are separated (merge-names.ts). Cost: the changes of both sides.

import { compare, equal, hex } from './bytes.js'
import { diffFolder, type EncodedFolder, sameEntry } from './folder-part.js'
import { lookupFolder, updateFolder } from './folder-update.js'
import { separateNames } from './merge-names.js'
import { type ChunkSource, type Content, type FolderChange, type FolderEntry, TYPE_LINK } from './types.js'

/** One name in the three folders. */
interface Place {
  a?: FolderEntry
  b?: FolderEntry
  base?: FolderEntry
}

/** The names at which the three folders are not all the same. */
function differingPlaces(a: Content, b: Content, base: Content, source: ChunkSource): Map<string, Place> {
  const places = new Map<string, Place>()
  for (const { name, before, after } of diffFolder(base, a, source)) {
    places.set(hex(name), { a: after, b: before, base: before })
  }
  for (const { name, before, after } of diffFolder(base, b, source)) {
    const place = places.get(hex(name))
    if (place) place.b = after
    else places.set(hex(name), { a: before, b: after, base: before })
  }
  return places
}

/** What one document has in each folder, among the places that differ. */
interface DocumentPlaces {
  a: FolderEntry[]
  b: FolderEntry[]
  base: FolderEntry[]
}

function byDocument(places: Iterable<Place>): Map<string, DocumentPlaces> {
  const documents = new Map<string, DocumentPlaces>()
  for (const place of places) {
    for (const side of ['a', 'b', 'base'] as const) {
      const entry = place[side]
      if (!entry) continue
      const key = hex(entry.document)
      let document = documents.get(key)
      if (!document) documents.set(key, (document = { a: [], b: [], base: [] }))
      document[side].push(entry)
    }
  }
  return documents
}

/** The one with the later stamp, then with the larger name, then type. */
export function laterEntry(x: FolderEntry, y: FolderEntry): FolderEntry {
  return (compare(x.stamp, y.stamp) || compare(x.name, y.name) || x.type - y.type) >= 0 ? x : y
}

/** Three-way merge of one entry that each side may have. */
function mergeEntry({ a, b, base }: Place): FolderEntry | undefined {
  if (sameEntry(a, b) || sameEntry(b, base)) return a
  if (sameEntry(a, base)) return b
  if (a && b) return laterEntry(a, b)
  // A merge that gave it another name did not move it: a removal is one still.
  const left = a ?? b
  return left && base && isSamePlace(left, base) ? undefined : left
}

/** The same entry, but for its name: whoever moves one gives it a new stamp. */
const isSamePlace = (x: FolderEntry, y: FolderEntry): boolean =>
  equal(x.document, y.document) && equal(x.stamp, y.stamp) && x.type === y.type

/** Whether an entry is the place of its document, and no further name of it. */
export const isPlace = ({ type }: FolderEntry): boolean => (type & TYPE_LINK) === 0

function mergeLinks({ a, b, base }: DocumentPlaces): FolderEntry[] {
  const names = new Map<string, Place>()
  for (const [side, entries] of [
    ['a', a],
    ['b', b],
    ['base', base],
  ] as const) {
    for (const entry of entries) {
      const key = hex(entry.name)
      names.set(key, { ...names.get(key), [side]: entry })
    }
  }
  const kept = [...names.values()].map(mergeEntry).filter((entry) => entry !== undefined)
  // Further names of a file stand each for itself; of places there is one.
  const places = kept.filter(isPlace)
  const links = kept.filter((entry) => !isPlace(entry))
  return places.length > 0 ? [...links, places.reduce(laterEntry)] : links
}

function mergeDocument(document: DocumentPlaces): FolderEntry[] {
  const { a, b, base } = document
  if (a.length > 1 || b.length > 1 || base.length > 1) return mergeLinks(document)
  const entry = mergeEntry({ a: a[0], b: b[0], base: base[0] })
  return entry ? [entry] : []
}

/**
 * The folder with the changes of both sides: content, and chunks that none of the three have to be stored with it.
 * mergeFolder(a, b) equals mergeFolder(b, a). Throws as `decodeFolder` does.
 */
export function mergeFolder(a: Content, b: Content, base: Content, source: ChunkSource): EncodedFolder {
  const places = differingPlaces(a, b, base, source)
  const entries = [...byDocument(places.values()).values()].flatMap(mergeDocument)
  const isTaken = (name: Uint8Array) => !places.has(hex(name)) && lookupFolder(base, name, source) !== undefined
  const changes = new Map<string, FolderChange>()
  for (const place of places.values()) {
    const { name } = (place.a ?? place.b ?? place.base)!
    changes.set(hex(name), { name })
  }
  for (const after of separateNames(entries, isTaken)) changes.set(hex(after.name), { name: after.name, after })
  return updateFolder(base, [...changes.values()], source)
}
