// Every name that a folder ever had, as far as its revisions tell, and the documents that had it. Owns this index of one
// folder; goes on from where it was when the folder has newer revisions. Reads what differs between revisions only. Files that
// were there for a moment only are found by their names, but not listed.

import { hex } from '../../model/bytes.js'
import { clockTime } from '../../model/clock.js'
import { decodeRevision } from '../../model/codec.js'
import { inlineContent, sameContent } from '../../model/content-tree.js'
import { decodeFolder, diffFolder } from '../../model/folder.js'
import { type Content, type DId, type FolderEntry, PART_ENTRIES, type RId, TYPE_MASK } from '../../model/types.js'
import { ChunkDamagedError, ChunkMissingError } from '../../store/errors.js'
import { keyOf, nameOf } from './names.js'
import type { HistoryStore } from './ports.js'
import { Stays } from './stays.js'
import { newestFirst } from './timeline.js'

/** Revisions of a folder that are looked at, the newest ones. */
export const FOLDER_WALK_MAX = 20_000
/** Names of a folder that are found, the newest ones. */
export const NAMES_MAX = 500_000

/** Documents of one name that are found, the newest ones. */
const DOCUMENTS_MAX = 1000

const DT_DIR = 4

const EMPTY = inlineContent(new Uint8Array(0))

/** What a revision said of a name, for `Stays`. */
type Event = [kind: 'came' | 'left' | 'long', name: string, ms: number]

export class FolderNames {
  readonly #store: HistoryStore
  readonly #documents = new Map<string, string[]>()
  readonly #stays = new Stays()
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
  names(): string[] {
    return [...this.#documents.keys()]
  }

  /** Those that were there for more than a moment. */
  lasting(): string[] {
    return this.names().filter((name) => !this.#stays.wasBrief(name))
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
    const events: Event[] = []
    for (const { rid, parents, clock } of newestFirst(this.#store, head, { except: this.#seen })) {
      walked.push(hex(rid))
      const ms = clockTime(clock)
      const note = (change: Change) => {
        noteChange(found, change)
        const event = eventOf(change, ms)
        if (event) events.push(event)
      }
      this.#noteRevision(note, rid, { isFirst: parents.length === 0, parents: --left > 0 ? parents : [] })
      if (left <= 0 || found.size > NAMES_MAX) break
    }
    this.#parts.clear()
    this.#merge(found)
    for (const [kind, name, ms] of events.reverse()) this.#stays[kind](name, ms)
    for (const one of walked) this.#seen.add(one)
    this.#head = key
  }

  /**
   * What differs from each of the parents, everything without any. Old versions need not be here as a whole: a folder whose chunks
   * are missing tells nothing, and hides nothing that others tell.
   */
  #noteRevision(
    note: (change: Change) => void,
    rid: RId,
    { isFirst, parents }: { isFirst: boolean; parents: RId[] },
  ): void {
    const entries = this.#entriesOf(rid) ?? EMPTY
    let told = false
    for (const parent of parents) {
      const before = this.#entriesOf(parent)
      if (before && ifHere(() => this.#noteChanges(note, before, entries))) told = true
    }
    if (told) return
    for (const after of ifHere(() => decodeFolder(entries, this.#store.source)) ?? [])
      note({ after, unknown: !isFirst })
  }

  #noteChanges(note: (change: Change) => void, before: Content, after: Content): true {
    if (!sameContent(before, after)) for (const change of diffFolder(before, after, this.#store.source)) note(change)
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

interface Change {
  before?: FolderEntry
  after?: FolderEntry
  /** When the name came is not known. */
  unknown?: boolean
}

function noteChange(found: Map<string, string[]>, { before, after }: Change): void {
  if (after) note(found, after)
  if (before) note(found, before)
}

/** Folders stay, however short they were there. */
function eventOf({ before, after, unknown }: Change, ms: number): Event | undefined {
  const entry = after ?? before
  if (!entry || (before && after)) return undefined
  const name = keyOf(entry.name)
  if (unknown || (entry.type & TYPE_MASK) === DT_DIR) return ['long', name, ms]
  return [after ? 'came' : 'left', name, ms]
}

function note(found: Map<string, string[]>, { name, document }: FolderEntry): void {
  const key = keyOf(name)
  const documents = found.get(key)
  const who = keyOf(document)
  if (!documents) found.set(key, [who])
  else if (documents.length < DOCUMENTS_MAX && !documents.includes(who)) documents.push(who)
}
