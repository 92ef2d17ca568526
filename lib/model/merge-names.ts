// Names for entries of a merged folder that would have the same name: one keeps it, the others get `name~<hex of DId>.ext`.
// Owns how such a name is made; never gives a name twice.

import { compare, equal, hex } from './bytes.js'
import { ENTRY_NAME_MAX } from './folder-entry.js'
import type { FolderEntry } from './types.js'

const DOT = 0x2e
/** What is behind the last dot is an extension if it is not longer. Bytes, with the dot. */
const EXTENSION_MAX = 16
const DT_DIR = 4

/** Where the extension begins; the length if there is none (folders have none, and names like `.profile`). */
function extensionStart({ name, type }: FolderEntry): number {
  const dot = name.lastIndexOf(DOT)
  if (type === DT_DIR || dot <= 0 || dot === name.length - 1 || name.length - dot > EXTENSION_MAX) return name.length
  return dot
}

/** At most `max` bytes of the beginning, not ending within a UTF-8 character. */
function cutStem(stem: Uint8Array, max: number): Uint8Array {
  if (stem.length <= max) return stem
  let end = max
  while (end > max - 4 && end > 1 && (stem[end] & 0xc0) === 0x80) end--
  return stem.subarray(0, end)
}

/** The name with a mark between stem and extension. */
export function markedName(entry: FolderEntry, mark: string): Uint8Array {
  const at = extensionStart(entry)
  const extension = entry.name.subarray(at)
  const middle = new TextEncoder().encode(`~${mark}`)
  const stem = cutStem(entry.name.subarray(0, at), ENTRY_NAME_MAX - middle.length - extension.length)
  return new Uint8Array([...stem, ...middle, ...extension])
}

/** Smaller stamp first (it was there first), then smaller document id. */
function elder(x: FolderEntry, y: FolderEntry): number {
  return compare(x.stamp, y.stamp) || compare(x.document, y.document)
}

/** First eight digits of the id, more if that is taken, in the end a number too. */
function* marks(entry: FolderEntry): Generator<string> {
  const id = hex(entry.document)
  for (const digits of [8, 16, 32]) yield id.slice(0, digits)
  for (let n = 2; ; n++) yield `${id}-${n}`
}

/** The entry by its name, or by one with a mark if that is taken by another document. */
export function freeName(entry: FolderEntry, taken: (name: Uint8Array) => boolean): FolderEntry {
  if (!taken(entry.name)) return entry
  for (const mark of marks(entry)) {
    const name = markedName(entry, mark)
    if (!taken(name)) return { ...entry, name }
  }
  return entry
}

/**
 * Gives every entry a name of its own: entries with different names keep theirs, of those with the same name the elder one
 * does. `taken`: whether an entry that is not among these has a name. The outcome does not depend on the order.
 */
export function separateNames(entries: FolderEntry[], taken: (name: Uint8Array) => boolean): FolderEntry[] {
  const sorted = [...entries].sort((x, y) => compare(x.name, y.name) || elder(x, y))
  const used = new Set(sorted.map((entry) => hex(entry.name)))
  return sorted.map((entry, i) => {
    if (i === 0 || !equal(sorted[i - 1].name, entry.name)) return entry
    for (const mark of marks(entry)) {
      const name = markedName(entry, mark)
      if (used.has(hex(name)) || taken(name)) continue
      used.add(hex(name))
      return { ...entry, name }
    }
    return entry
  })
}
