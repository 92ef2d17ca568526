// Brings a folder back with everything that was in it at a time: what is missing is made again, what differs gets the content that it
// had, as new versions; what came later stays. Can be done again after it was interrupted: what is right already is left alone.

import { equal, hex } from '../model/bytes.js'
import { sameContent } from '../model/content-tree.js'
import {
  type Clock,
  type DId,
  type FolderEntry,
  PART_CONTENT,
  type Revision,
  type RId,
  TYPE_FOLDER,
} from '../model/types.js'
import type { Volume, WalkResult } from '../volume/contract.js'
import { PathError } from '../volume/errors.js'
import type { HistoryStore } from '../volume/history/ports.js'
import { revisionAt } from '../volume/history/timeline.js'

/** More are not told. */
const PROBLEMS_MAX = 100
const S_IFMT = 0o170000
const S_IFDIR = 0o040000

export interface FolderRestored {
  /** Files, links and devices that were made again or given the content that they had. */
  files: number
  /** Those that have it already. */
  same: number
  /** Entries that came later, and stay. */
  later: number
  /** What could not be restored and why, a sentence each. */
  problems: string[]
}

/** What walks through history read of a volume. */
export function historyOf(volume: Volume): HistoryStore {
  return {
    head: (document) => volume.head(document)?.head,
    encoded: (rid) => volume.encoded(rid),
    source: volume.source,
  }
}

export class FolderRestore {
  readonly restored: FolderRestored = { files: 0, same: 0, later: 0, problems: [] }
  readonly #volume: Volume
  readonly #store: HistoryStore
  readonly #at: Clock

  /** `at`: what is in the folder is as of this time. */
  constructor(volume: Volume, at: Clock) {
    this.#volume = volume
    this.#store = historyOf(volume)
    this.#at = at
  }

  /** `names`: where, from the root. Rejects where nothing can be restored, and if the disk is full; what was done until then stays. */
  async folder(names: Uint8Array[], document: DId, rid: RId, revision: Revision): Promise<void> {
    const volume = this.#volume
    const here = await this.#there(names)
    if (!here) await volume.revive(names, document, rid)
    else if (!isFolder(here)) throw new PathError('ENOTDIR', `${shown(names)} is a file now`)
    const entries = volume.entries(revision)
    for (const entry of entries) await this.#attempt(names, entry)
    if (!here) return
    const then = new Set(entries.map(({ name }) => hex(name)))
    this.restored.later += (await volume.list(here.ino)).filter(({ name }) => !then.has(hex(name))).length
  }

  async #attempt(parent: Uint8Array[], { name, document }: FolderEntry): Promise<void> {
    const names = [...parent, name]
    try {
      const rid = revisionAt(this.#store, document, this.#at)
      const revision = rid && this.#volume.revision(rid)
      if (!revision) throw new Error(`${shown(names)}: the version of then is not here.`)
      if (revision.type === TYPE_FOLDER) return await this.folder(names, document, rid, revision)
      this.restored[await this.#file(names, document, rid, revision)]++
    } catch (error) {
      const { code, message } = error as { code?: string; message: string }
      if (code === 'ENOSPC' || code === 'EDQUOT') throw error
      if (this.restored.problems.length < PROBLEMS_MAX) this.restored.problems.push(message)
    }
  }

  async #file(names: Uint8Array[], document: DId, rid: RId, revision: Revision): Promise<'files' | 'same'> {
    const here = await this.#there(names)
    if (!here) await this.#volume.revive(names, document, rid)
    else if (isFolder(here)) throw new PathError('EISDIR', `${shown(names)} is a folder now`)
    else if (this.#isAsThen(here, rid, revision)) return 'same'
    else await this.#volume.restore(here.ino, rid)
    return 'files'
  }

  #isAsThen({ document, mode }: WalkResult, rid: RId, revision: Revision): boolean {
    const head = this.#volume.head(document)
    if (!head || (mode & S_IFMT) !== (revision.attributes.mode & S_IFMT)) return false
    if (equal(head.head, rid)) return true
    const now = this.#volume.revision(head.head)?.parts.get(PART_CONTENT)
    const then = revision.parts.get(PART_CONTENT)
    return now && then ? sameContent(now, then) : now === then
  }

  /** undefined: nothing is there. */
  async #there(names: Uint8Array[]): Promise<WalkResult | undefined> {
    try {
      return await this.#volume.walk(names)
    } catch (error) {
      if (error instanceof PathError && error.code === 'ENOENT') return undefined
      throw error
    }
  }
}

const isFolder = ({ mode }: WalkResult) => (mode & S_IFMT) === S_IFDIR
const shown = (names: Uint8Array[]) => names.map((name) => Buffer.from(name).toString()).join('/')
