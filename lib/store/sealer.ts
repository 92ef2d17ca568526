// Seals folders: makes the revision of a folder whose live entries or attributes are newer than its head. Owns what is known
// of unsealed folders: which names changed, when each may be sealed next.
// Invariants: a sealed folder names only documents that have a head in the same or an earlier transaction (an entry whose
// document has none yet is left out, and the folder stays unsealed); a folder in a burst is sealed rarely.

import { hex } from '../model/bytes.js'
import { type EncodedFolder, encodeFolder } from '../model/folder.js'
import { updateFolder } from '../model/folder-update.js'
import {
  type DId,
  FLAG_STICKY,
  type FolderChange,
  type FolderEntry,
  PART_ENTRIES,
  type RId,
  TYPE_FOLDER,
} from '../model/types.js'
import type { PackWriter } from './pack-writer.js'
import type { PackReader } from './packs.js'
import type { EntryRecord, InodeRecord } from './records.js'
import { type HeadRevision, isFolder, type Reviser } from './revise.js'
import { nameKey, nameOf, type WorkingView } from './view.js'

const INTERVAL_MIN = 5
const INTERVAL_MAX = 2000
/** A folder's seals take at most this share of the time: one part in … */
const SHARE = 20
const DEPTH_MAX = 4096

interface Unsealed {
  /** Names that changed since the last seal; undefined: not known, all are looked at. */
  names: Set<string> | undefined
  /** Heads of documents that the folder's inode carried before. */
  parents: RId[]
  /** Monotonic milliseconds before which it is not sealed again. */
  notBefore: number
  /** Waits for heads of entries' documents, and for nothing else. */
  blocked: boolean
}

export class Sealer {
  readonly #view: WorkingView
  readonly #reviser: Reviser
  readonly #writer: PackWriter
  readonly #packs: PackReader
  readonly #monotonic: () => number
  readonly #unsealed = new Map<number, Unsealed>()
  /** Monotonic milliseconds before which a sealed folder is not sealed again, as far as that is in the future. */
  readonly #resting = new Map<number, number>()
  /** Documents without a head → folders that wait for it. */
  readonly #waiting = new Map<string, Set<number>>()
  readonly #root: DId

  constructor(
    components: {
      view: WorkingView
      reviser: Reviser
      writer: PackWriter
      packs: PackReader
      monotonic: () => number
    },
    init: { root: DId },
  ) {
    this.#view = components.view
    this.#reviser = components.reviser
    this.#writer = components.writer
    this.#packs = components.packs
    this.#monotonic = components.monotonic
    this.#root = init.root
  }

  /** Forgets what is in memory: every folder that the table names is looked at as a whole. */
  reset(folders: number[]): void {
    this.#unsealed.clear()
    this.#waiting.clear()
    for (const folder of folders) this.#unsealed.set(folder, fresh(undefined))
  }

  get count(): number {
    return this.#unsealed.size
  }

  /** The entry of this name changed; without a name: attributes. */
  touch(folder: number, change: { name?: string; parent?: RId } = {}): void {
    let known = this.#unsealed.get(folder)
    if (!known) {
      known = fresh(new Set())
      known.notBefore = this.#resting.get(folder) ?? 0
      this.#unsealed.set(folder, known)
      this.#view.setUnsealed(folder, true)
    }
    known.blocked = false
    if (change.name !== undefined) known.names?.add(change.name)
    if (change.parent) known.parents.push(change.parent)
  }

  /** The folder is gone, or its live entries are just what a head from elsewhere says. */
  forget(folder: number): void {
    this.#unsealed.delete(folder)
    this.#view.setUnsealed(folder, false)
  }

  /** A document got its first head: folders that left its entry out may be sealed. */
  arrived(document: DId): void {
    const folders = this.#waiting.get(hex(document))
    if (!folders) return
    this.#waiting.delete(hex(document))
    for (const folder of folders) {
      const known = this.#unsealed.get(folder)
      if (known) known.blocked = false
    }
  }

  /** Milliseconds until the next folder is due; undefined: none waits for time. */
  nextDue(): number | undefined {
    let next: number | undefined
    const now = this.#monotonic()
    for (const { blocked, notBefore } of this.#unsealed.values()) {
      if (!blocked) next = Math.min(next ?? Number.POSITIVE_INFINITY, Math.max(0, notBefore - now))
    }
    return next
  }

  /**
   * Seals folders that are due, children first; `all`: whether it is time or not. `failed` is told of a folder that cannot
   * be sealed (it stays unsealed).
   */
  seal(all: boolean, failed: (folder: number, error: unknown) => void): void {
    const now = this.#monotonic()
    const due: { folder: number; depth: number }[] = []
    const depths = new Map<number, number>()
    for (const [folder, known] of this.#unsealed) {
      const row = this.#view.inode(folder)
      if (!row || !isFolder(row) || row.nlink === 0) this.forget(folder)
      else if (!this.#mayBeSealed(row)) known.blocked = true
      else if (all || (!known.blocked && known.notBefore <= now) || !this.#view.document(row.document)) {
        due.push({ folder, depth: this.#depth(folder, depths) })
      }
    }
    due.sort((a, b) => b.depth - a.depth)
    for (const { folder } of due) this.#sealOne(folder, failed)
    if (this.#resting.size > 10_000) this.#tidy(now)
  }

  #tidy(now: number): void {
    for (const [folder, until] of this.#resting) if (until <= now) this.#resting.delete(folder)
  }

  /** The root of a volume that joins another waits for its head from there, until somebody puts something into it. */
  #mayBeSealed(row: InodeRecord): boolean {
    if (row.ino !== 1 || this.#view.joining === 0 || this.#view.document(this.#root) !== undefined) return true
    return this.#view.entries(row.ino).length > 0
  }

  #depth(folder: number, known: Map<number, number>): number {
    const path: number[] = []
    let at = folder
    while (at > 1 && !known.has(at) && path.length < DEPTH_MAX) {
      path.push(at)
      at = this.#view.inode(at)?.parent ?? 0
    }
    let depth = known.get(at) ?? 0
    for (const ino of path.reverse()) known.set(ino, ++depth)
    return depth
  }

  #sealOne(folder: number, failed: (folder: number, error: unknown) => void): void {
    const known = this.#unsealed.get(folder)!
    const begun = this.#monotonic()
    let sealed = false
    try {
      this.#revise(folder, known)
      sealed = known.names?.size === 0
    } catch (error) {
      failed(folder, error)
      known.blocked = true
    }
    const now = this.#monotonic()
    known.notBefore = now + Math.min(Math.max((now - begun) * SHARE, INTERVAL_MIN), INTERVAL_MAX)
    this.#resting.set(folder, known.notBefore)
    if (sealed) this.forget(folder)
  }

  #revise(folder: number, known: Unsealed): void {
    const row = this.#view.inode(folder)!
    const head = this.#reviser.head(row.document)
    const { encoded, without } = this.#encode(row, head, known.names)
    this.#reviser.store(encoded.chunks)
    this.#reviser.commit(
      {
        document: row.document,
        row,
        part: PART_ENTRIES,
        content: encoded.content,
        type: TYPE_FOLDER,
        flags: head ? head.revision.flags : this.#inherited(row),
        modified: { sec: row.mtimeSec, nsec: row.mtimeNsec },
        parents: known.parents,
        ino: row.ino,
      },
      head,
    )
    known.parents = []
    known.names = without
    known.blocked = without.size > 0
  }

  /** A new folder replicates what is put into it if the folder that it is in does. */
  #inherited(row: InodeRecord): number {
    let parent = row.parent
    for (let depth = 0; parent > 0 && depth < DEPTH_MAX; depth++) {
      const above = this.#view.inode(parent)
      if (!above) return 0
      const head = this.#reviser.head(above.document)
      if (head) return head.revision.flags & FLAG_STICKY
      parent = above.parent
    }
    return 0
  }

  #encode(
    row: InodeRecord,
    head: HeadRevision | undefined,
    names: Set<string> | undefined,
  ): { encoded: EncodedFolder; without: Set<string> } {
    const without = new Set<string>()
    const before = head?.revision.parts.get(PART_ENTRIES)
    if (!before || !names) {
      const entries: FolderEntry[] = []
      for (const { name, entry } of this.#view.entries(row.ino)) {
        const sealed = this.#entry(row.ino, name, entry, without)
        if (sealed) entries.push(sealed)
      }
      return { encoded: encodeFolder(entries), without }
    }
    const changes: FolderChange[] = []
    for (const key of names) {
      const name = nameOf(key)
      const entry = this.#view.entry(row.ino, key)
      changes.push({ name, after: entry && this.#entry(row.ino, name, entry, without) })
    }
    this.#writer.flush()
    return { encoded: updateFolder(before, changes, this.#packs.source), without }
  }

  /** undefined: its document has no head yet; noted in `without`. */
  #entry(folder: number, name: Uint8Array, entry: EntryRecord, without: Set<string>): FolderEntry | undefined {
    const document = this.#view.inode(entry.ino)?.document
    if (document && this.#view.document(document)) return { name, document, type: entry.type, stamp: entry.stamp }
    without.add(nameKey(name))
    if (document) {
      const key = hex(document)
      const folders = this.#waiting.get(key) ?? new Set()
      this.#waiting.set(key, folders.add(folder))
    }
    return undefined
  }
}

function fresh(names: Set<string> | undefined): Unsealed {
  return { names, parents: [], notBefore: 0, blocked: false }
}
