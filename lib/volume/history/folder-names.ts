// Every name that a folder ever had, as far as its revisions tell, and the documents that had it. Owns this index of one
// folder; goes on from where it was when the folder has newer revisions. Reads what differs between revisions only.

import { hex } from '../../model/bytes.js'
import { decodeRevision } from '../../model/codec.js'
import { inlineContent, sameContent } from '../../model/content-tree.js'
import { decodeFolder, diffFolder } from '../../model/folder.js'
import { type Content, type DId, type FolderEntry, PART_ENTRIES, type RId } from '../../model/types.js'
import { ChunkDamagedError, ChunkMissingError } from '../../store/errors.js'
import { keyOf, nameOf } from './names.js'
import type { HistoryStore } from './ports.js'
import { newestFirst } from './timeline.js'

/** Revisions of a folder that are looked at, the newest ones. */
export const FOLDER_WALK_MAX = 20_000
/** Names of a folder that are found, the newest ones. */
export const NAMES_MAX = 500_000

/** Documents of one name that are found, the newest ones. */
const DOCUMENTS_MAX = 1000

const EMPTY = inlineContent(new Uint8Array(0))

export class FolderNames {
  readonly #store: HistoryStore
  readonly #documents = new Map<string, string[]>()
  readonly #seen = new Set<string>()
  /** Of the revision looked at last, and of its parents: they come next. */
  readonly #parts = new Map<string, Content>()
  #head = ''

  constructor(components: { store: HistoryStore }) {
    this.#store = components.store
  }

  /** Names and revisions that it holds. */
  get weight(): number {
    return this.#documents.size + this.#seen.size
  }

  /** As keys. */
  names(): Iterable<string> {
    return this.#documents.keys()
  }

  /** Which documents had the name (a key), the latest first. */
  documents(name: string): DId[] {
    return (this.#documents.get(name) ?? []).map((key) => new Uint8Array(nameOf(key)))
  }

  /** Takes in what is newer than before. Throws what reading revisions throws. */
  update(head: RId | undefined): void {
    const key = head ? hex(head) : ''
    if (key === this.#head) return
    const found = new Map<string, string[]>()
    let left = FOLDER_WALK_MAX
    const walked: string[] = []
    for (const { rid, parents } of newestFirst(this.#store, head, { except: this.#seen })) {
      walked.push(hex(rid))
      this.#noteRevision(found, rid, --left > 0 ? parents : [])
      if (left <= 0 || found.size > NAMES_MAX) break
    }
    this.#parts.clear()
    this.#merge(found)
    for (const one of walked) this.#seen.add(one)
    this.#head = key
  }

  /**
   * What differs from each of the parents, everything without any. Old versions need not be here as a whole: a folder whose chunks
   * are missing tells nothing, and hides nothing that others tell.
   */
  #noteRevision(found: Map<string, string[]>, rid: RId, parents: RId[]): void {
    const entries = this.#entriesOf(rid) ?? EMPTY
    let told = false
    for (const parent of parents) {
      const before = this.#entriesOf(parent)
      if (before && ifHere(() => this.#noteChanges(found, before, entries))) told = true
    }
    if (told) return
    for (const entry of ifHere(() => decodeFolder(entries, this.#store.source)) ?? []) note(found, entry)
  }

  #noteChanges(found: Map<string, string[]>, before: Content, after: Content): true {
    if (sameContent(before, after)) return true
    for (const change of diffFolder(before, after, this.#store.source)) {
      if (change.after) note(found, change.after)
      if (change.before) note(found, change.before)
    }
    return true
  }

  /** undefined: the revision is not here. */
  #entriesOf(rid: RId): Content | undefined {
    const key = hex(rid)
    const known = this.#parts.get(key)
    if (known) return known
    const bytes = this.#store.encoded(rid)
    if (!bytes) return undefined
    const part = decodeRevision(bytes).parts.get(PART_ENTRIES) ?? EMPTY
    if (this.#parts.size > 64) this.#parts.clear()
    this.#parts.set(key, part)
    return part
  }

  #merge(found: Map<string, string[]>): void {
    for (const [name, documents] of found) {
      const before = this.#documents.get(name)?.filter((key) => !documents.includes(key)) ?? []
      this.#documents.set(name, [...documents, ...before])
    }
  }
}

/** undefined: chunks that it would take are not here. */
export function ifHere<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof ChunkMissingError || error instanceof ChunkDamagedError) return undefined
    throw error
  }
}

function note(found: Map<string, string[]>, { name, document }: FolderEntry): void {
  const key = keyOf(name)
  const documents = found.get(key)
  const who = keyOf(document)
  if (!documents) found.set(key, [who])
  else if (documents.length < DOCUMENTS_MAX && !documents.includes(who)) documents.push(who)
}
