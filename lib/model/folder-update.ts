// Changing and searching a large folder without reading all of it. Owns the search for the chunks that a change touches;
// what a folder is and where it is cut is in folder.ts. Law: `updateFolder` equals `encodeFolder` of the resulting entries.

import { compare, equal, hex } from './bytes.js'
import { buildContent, chunkBytes, leaves, rootOf } from './content-tree.js'
import { InvalidFolderError, NotCanonicalError } from './errors.js'
import { decodeFolderEntries } from './folder-entry.js'
import {
  applyChanges,
  cutEntries,
  decodeFolder,
  type EncodedFolder,
  encodeFolder,
  folderChunk,
  isCut,
} from './folder-part.js'
import {
  type Chunk,
  type ChunkRef,
  type ChunkSource,
  type Content,
  type FolderChange,
  type FolderEntry,
  INLINE_MAX,
} from './types.js'

function sortedChanges(changes: readonly FolderChange[]): FolderChange[] {
  const sorted = [...changes].sort((a, b) => compare(a.name, b.name))
  for (let i = 0; i < sorted.length; i++) {
    const { name, after } = sorted[i]
    if (i > 0 && equal(sorted[i - 1].name, name)) throw new InvalidFolderError('two changes of the same name')
    if (after && !equal(after.name, name)) throw new InvalidFolderError('a change whose entry has another name')
  }
  return sorted
}

/** The chunks of a folder by place: decoded when asked for. */
class FolderChunks {
  readonly refs: ChunkRef[]
  readonly #source: ChunkSource
  readonly #decoded = new Map<number, FolderEntry[]>()

  constructor(content: Content, source: ChunkSource) {
    this.refs = [...leaves(content, source)]
    this.#source = source
  }

  entries(index: number): FolderEntry[] {
    let entries = this.#decoded.get(index)
    if (!entries) {
      entries = decodeFolderEntries(chunkBytes(this.refs[index], this.#source))
      if (entries.length === 0) throw new NotCanonicalError('a folder', 'a chunk without entries')
      this.#decoded.set(index, entries)
    }
    return entries
  }

  /** The chunk in which `name` is or would be: the last that does not begin behind it, from `from` on. */
  find(name: Uint8Array, from = 0): number {
    let low = from
    let high = this.refs.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (compare(this.entries(middle)[0].name, name) <= 0) low = middle
      else high = middle - 1
    }
    return low
  }
}

/** Rewrites chunks from the first changed one on, until cut and old boundary meet; then goes on at the next changed one. */
class FolderUpdate {
  readonly refs: ChunkRef[] = []
  readonly fresh: Chunk[] = []
  readonly #old: FolderChunks
  readonly #changes: FolderChange[]
  #change = 0

  constructor(old: FolderChunks, changes: FolderChange[]) {
    this.#old = old
    this.#changes = changes
  }

  run(): void {
    let index = 0
    while (this.#change < this.#changes.length && index < this.#old.refs.length) {
      const touched = this.#old.find(this.#changes[this.#change].name, index)
      while (index < touched) this.refs.push(this.#old.refs[index++])
      index = this.#rewriteFrom(touched)
    }
    while (index < this.#old.refs.length) this.refs.push(this.#old.refs[index++])
  }

  /** The changes that belong to chunk `index`: all names up to the beginning of the next one. */
  #changesOf(index: number): FolderChange[] {
    const start = this.#change
    if (index === this.#old.refs.length - 1) this.#change = this.#changes.length
    else if (start < this.#changes.length) {
      const next = this.#old.entries(index + 1)[0].name
      while (this.#change < this.#changes.length && compare(this.#changes[this.#change].name, next) < 0) this.#change++
    }
    return this.#changes.slice(start, this.#change)
  }

  #add(entries: FolderEntry[]): void {
    const chunk = folderChunk(entries)
    this.fresh.push(chunk)
    this.refs.push({ id: chunk.id, size: chunk.bytes.length })
  }

  /** Returns the first old chunk that stays as it is. */
  #rewriteFrom(first: number): number {
    let open: FolderEntry[] = []
    for (let index = first; index < this.#old.refs.length; index++) {
      const entries = applyChanges(this.#old.entries(index), this.#changesOf(index))
      const pending = [...open, ...entries]
      open = []
      for (const chunk of cutEntries(pending)) {
        if (isCut(chunk)) this.#add(chunk)
        else open = chunk
      }
      if (open.length === 0) return index + 1
    }
    if (open.length > 0) this.#add(open)
    return this.#old.refs.length
  }
}

/**
 * The folder with these changes made, each name at most once, in any order (`before` is not looked at; removing what is
 * not there changes nothing). Equal to `encodeFolder` of the resulting entries, but reads only the lists and about two
 * chunks for each change. Throws InvalidFolderError for changes that are not valid, and as `decodeFolder` does.
 */
export function updateFolder(old: Content, changes: readonly FolderChange[], source: ChunkSource): EncodedFolder {
  const sorted = sortedChanges(changes)
  if (sorted.length === 0) return { content: old, chunks: [] }
  if (!rootOf(old)) return encodeFolder(applyChanges(decodeFolder(old, source), sorted))
  const known = new Set<string>()
  const remember: ChunkSource = (id) => {
    known.add(hex(id))
    return source(id)
  }
  const chunks = new FolderChunks(old, remember)
  const update = new FolderUpdate(chunks, sorted)
  update.run()
  const size = update.refs.reduce((sum, ref) => sum + ref.size, 0)
  if (size <= INLINE_MAX) return encodeFolder(applyChanges(decodeFolder(old, source), sorted))
  const { content, lists } = buildContent(update.refs)
  return { content, chunks: [...update.fresh, ...lists].filter(({ id }) => !known.has(hex(id))) }
}

/** Looks names up in one folder: chunks are read once. Throws as `decodeFolder` does. */
export function folderLookup(content: Content, source: ChunkSource): (name: Uint8Array) => FolderEntry | undefined {
  if (!rootOf(content)) {
    const entries = new Map(decodeFolder(content, source).map((entry) => [hex(entry.name), entry]))
    return (name) => entries.get(hex(name))
  }
  const chunks = new FolderChunks(content, source)
  return (name) => chunks.entries(chunks.find(name)).find((entry) => equal(entry.name, name))
}

/** The entry of this name, reading the lists and as many chunks as it takes to find it. Throws as `decodeFolder` does. */
export function lookupFolder(content: Content, name: Uint8Array, source: ChunkSource): FolderEntry | undefined {
  const same = (entry: FolderEntry) => equal(entry.name, name)
  if (!rootOf(content)) return decodeFolder(content, source).find(same)
  const chunks = new FolderChunks(content, source)
  return chunks.entries(chunks.find(name)).find(same)
}
