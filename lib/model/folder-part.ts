// The "entries" part of a folder: its entries sorted by name, cut into chunks at entry boundaries, a content tree above them.
// Owns where it is cut. Invariant: equal entries make an equal Content, by `encodeFolder` and by any way of `updateFolder`
// (folder-update.ts); one changed entry changes one chunk and the lists above it.

import { compare, equal } from './bytes.js'
import { buildContent, chunkBytes, compareTrees, inlineContent, leaves, rootOf } from './content-tree.js'
import { InvalidFolderError } from './errors.js'
import { decodeFolderEntries, encodeFolderEntries, entryLength } from './folder-entry.js'
import { hashOf } from './hash.js'
import type { Chunk, ChunkRef, ChunkSource, Content, FolderChange, FolderEntry } from './types.js'
import { INLINE_MAX } from './types.js'

/** Most entries of a chunk: even with the longest names it stays below CHUNK_LIMIT. */
export const FOLDER_CHUNK_MAX = 768
/** Every 128th entry is the last of its chunk. */
const CUT_MASK = 127

export interface EncodedFolder {
  content: Content
  /** What has to be stored: data chunks and lists, each once; of an update only those that the old folder did not have. */
  chunks: Chunk[]
}

/** Whether an entry of this name ends its chunk: FNV-1a of the name, mixed by MurmurHash3's finalizer, ends in 7 zero bits. */
export function endsChunk(name: Uint8Array): boolean {
  let h = 0x811c9dc5
  for (let i = 0; i < name.length; i++) h = Math.imul(h ^ name[i], 0x01000193)
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return ((h ^ (h >>> 16)) & CUT_MASK) === 0
}

/** Whether these entries are a whole chunk, whatever follows. */
export function isCut(chunk: readonly FolderEntry[]): boolean {
  return chunk.length === FOLDER_CHUNK_MAX || endsChunk(chunk[chunk.length - 1].name)
}

/** Cuts a sequence of entries into those of its chunks. */
export function* cutEntries(entries: Iterable<FolderEntry>): Generator<FolderEntry[]> {
  let chunk: FolderEntry[] = []
  for (const entry of entries) {
    chunk.push(entry)
    if (!isCut(chunk)) continue
    yield chunk
    chunk = []
  }
  if (chunk.length > 0) yield chunk
}

function checkSorted(entries: readonly FolderEntry[]): void {
  for (let i = 1; i < entries.length; i++) {
    if (compare(entries[i - 1].name, entries[i].name) >= 0) {
      throw new InvalidFolderError('entries that are not sorted by name, or two of the same name')
    }
  }
}

/** The chunk of these entries. */
export function folderChunk(entries: FolderEntry[]): Chunk {
  const bytes = encodeFolderEntries(entries)
  return { id: hashOf(bytes), bytes }
}

/** Throws InvalidFolderError if an entry is not valid or the entries are not sorted by name. */
export function encodeFolder(entries: readonly FolderEntry[]): EncodedFolder {
  checkSorted(entries)
  const size = entries.reduce((sum, entry) => sum + entryLength(entry), 0)
  if (size <= INLINE_MAX) return { content: inlineContent(encodeFolderEntries(entries)), chunks: [] }
  const chunks = [...cutEntries(entries)].map(folderChunk)
  const { content, lists } = buildContent(chunks.map(({ id, bytes }) => ({ id, size: bytes.length })))
  return { content, chunks: [...chunks, ...lists] }
}

/** The entries of each chunk in order; inline entries as one. */
function* entriesByChunk(content: Content, source: ChunkSource): Generator<FolderEntry[]> {
  let after: Uint8Array | undefined
  const pieces = rootOf(content) ? leaves(content, source) : [undefined]
  for (const leaf of pieces) {
    const bytes = leaf ? chunkBytes(leaf, source) : content.inline!
    const entries = decodeFolderEntries(bytes, after)
    after = entries.at(-1)?.name ?? after
    yield entries
  }
}

/**
 * All entries, in name order; their byte strings are views of the chunks. Throws NotCanonicalError for what is no folder,
 * InvalidContentError for a tree that contradicts itself, and what the source throws.
 */
export function decodeFolder(content: Content, source: ChunkSource): FolderEntry[] {
  const entries: FolderEntry[] = []
  for (const chunk of entriesByChunk(content, source)) for (const entry of chunk) entries.push(entry)
  return entries
}

export function sameEntry(a: FolderEntry | undefined, b: FolderEntry | undefined): boolean {
  if (!a || !b) return a === b
  return a.type === b.type && equal(a.name, b.name) && equal(a.document, b.document) && equal(a.stamp, b.stamp)
}

function decodeSome(chunks: ChunkRef[], source: ChunkSource): FolderEntry[] {
  const entries: FolderEntry[] = []
  for (const chunk of chunks) {
    for (const entry of decodeFolderEntries(chunkBytes(chunk, source), entries.at(-1)?.name)) entries.push(entry)
  }
  return entries
}

/** Entries of both folders without those in chunks that both have. */
function differingEntries(a: Content, b: Content, source: ChunkSource): [FolderEntry[], FolderEntry[]] {
  if (!rootOf(a) || !rootOf(b)) return [decodeFolder(a, source), decodeFolder(b, source)]
  const { onlyA, onlyB } = compareTrees(a, b, source)
  const data = (chunks: typeof onlyA) => chunks.filter((chunk) => chunk.level === 0)
  return [decodeSome(data(onlyA), source), decodeSome(data(onlyB), source)]
}

/**
 * What has to change in folder a to become b, in name order. Reads only chunks and lists that differ: cost O(changes).
 * Throws as `decodeFolder` does.
 */
export function diffFolder(a: Content, b: Content, source: ChunkSource): FolderChange[] {
  const [before, after] = differingEntries(a, b, source)
  const changes: FolderChange[] = []
  let i = 0
  let j = 0
  while (i < before.length || j < after.length) {
    const order = compareHeads(before[i], after[j])
    const old = order <= 0 ? before[i++] : undefined
    const now = order >= 0 ? after[j++] : undefined
    if (!sameEntry(old, now)) changes.push({ name: (old ?? now)!.name, before: old, after: now })
  }
  return changes
}

function compareHeads(a: FolderEntry | undefined, b: FolderEntry | undefined): number {
  if (!a) return 1
  return b ? compare(a.name, b.name) : -1
}

/** Applies sorted changes to sorted entries. What is removed need not be there. */
export function applyChanges(entries: readonly FolderEntry[], changes: readonly FolderChange[]): FolderEntry[] {
  const result: FolderEntry[] = []
  let i = 0
  for (const { name, after } of changes) {
    while (i < entries.length && compare(entries[i].name, name) < 0) result.push(entries[i++])
    if (i < entries.length && equal(entries[i].name, name)) i++
    if (after) result.push(after)
  }
  while (i < entries.length) result.push(entries[i++])
  return result
}
