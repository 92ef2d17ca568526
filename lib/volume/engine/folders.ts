// Entries of folders in memory: those that changed and are not durable yet (the overlay), and those that were asked for.
// Owns no inodes. Looks into LMDB when it does not know.
// Invariants: an entry that a frame changed stays until a snapshot of LMDB has it; `complete` folders hold every entry they
// have, so that a name that is not there is not asked for.

import { TYPE_MASK } from '../../model/types.js'
import type { EntryRecord, Lsn } from '../../store/records.js'
import type { DurableState } from './ports.js'

// Three times as fast as toString('latin1'); not in the types of Node 20.
const { latin1Slice } = Buffer.prototype as unknown as {
  latin1Slice(this: Uint8Array, from: number, to: number): string
}

/** Names and ids are Map keys as latin1 strings: one character per byte, cheap and exact. */
export const keyOf = (bytes: Uint8Array): string => latin1Slice.call(bytes, 0, bytes.length)

export const nameOf = (key: string): Buffer => Buffer.from(key, 'latin1')

/** `ino` 0: no such entry. */
export interface LiveEntry extends EntryRecord {
  /** The last frame that changed it; -1: as LMDB has it. */
  lsn: Lsn
}

const NO_STAMP = new Uint8Array(8)
export const goneEntry = (): LiveEntry => ({ ino: 0, type: 0, stamp: NO_STAMP, lsn: -1 })

export class Folder {
  readonly entries = new Map<string, LiveEntry>()
  complete = false
  touched = true
  constructor(
    readonly ino: number,
    /** Another number after every change, never met again. */
    public version: number,
  ) {}
}

export interface Listed {
  key: string
  ino: number
  /** DT_*. */
  type: number
}

/** Entries kept although LMDB has them. */
const CLEAN_MAX = 100_000
/** Folders up to this many entries are kept whole once they were listed. */
const KEEP_LISTED = 2000
const PAGE = 4096

export class Folders {
  readonly #durable: DurableState
  readonly #folders = new Map<number, Folder>()
  readonly #limit: number
  /** Upper bound of entries in all folders: recounted by `sweep`. */
  #count = 0
  #sweepAt: number
  #version = 0

  constructor(components: { durable: DurableState }, init: { cleanMax?: number } = {}) {
    this.#durable = components.durable
    this.#limit = init.cleanMax ?? CLEAN_MAX
    this.#sweepAt = this.#limit
  }

  get count(): number {
    return this.#count
  }

  get crowded(): boolean {
    return this.#count > this.#sweepAt
  }

  of(ino: number): Folder {
    let folder = this.#folders.get(ino)
    if (folder === undefined) {
      folder = new Folder(ino, ++this.#version)
      this.#folders.set(ino, folder)
      this.#count++
    }
    folder.touched = true
    return folder
  }

  /** A folder that was just made: there is nothing in it. */
  fresh(ino: number): void {
    this.of(ino).complete = true
  }

  find(folder: Folder, key: string, name: Uint8Array): LiveEntry | undefined {
    const known = folder.entries.get(key)
    if (known !== undefined) return known.ino === 0 ? undefined : known
    if (folder.complete) return undefined
    const record = this.#durable.entry(folder.ino, name)
    this.#count++
    if (record === undefined) {
      folder.entries.set(key, goneEntry())
      return undefined
    }
    const entry: LiveEntry = { ino: record.ino, type: record.type, stamp: record.stamp, lsn: -1 }
    folder.entries.set(key, entry)
    return entry
  }

  /** Puts an entry (or a gone one) in; answers what was known before. Whoever calls it journals it. */
  set(folder: Folder, key: string, entry: LiveEntry): LiveEntry | undefined {
    const before = folder.entries.get(key)
    if (before === undefined) this.#count++
    folder.entries.set(key, entry)
    folder.version = ++this.#version
    return before
  }

  /** Takes `set` back. */
  unset(folder: Folder, key: string, before: LiveEntry | undefined): void {
    if (before !== undefined) folder.entries.set(key, before)
    else if (folder.entries.delete(key)) this.#count--
  }

  isEmpty(folder: Folder): boolean {
    for (const entry of folder.entries.values()) if (entry.ino !== 0) return false
    if (folder.complete) return true
    let after: Uint8Array | undefined
    for (;;) {
      const page = this.#durable.entries(folder.ino, after, 64)
      for (const { name } of page) if (!folder.entries.has(keyOf(name))) return false
      if (page.length < 64) return true
      after = page[page.length - 1].name
    }
  }

  /** All entries now: a snapshot. */
  list(folder: Folder): Listed[] {
    const listed: Listed[] = []
    if (folder.complete) {
      for (const [key, entry] of folder.entries)
        if (entry.ino !== 0) listed.push({ key, ino: entry.ino, type: entry.type & TYPE_MASK })
      return listed
    }
    this.#listDurable(folder, listed)
    if (listed.length <= KEEP_LISTED) this.#keep(folder, listed)
    return listed
  }

  #listDurable(folder: Folder, listed: Listed[]): void {
    const seen = new Set<string>()
    let after: Uint8Array | undefined
    for (;;) {
      const page = this.#durable.entries(folder.ino, after, PAGE)
      for (const { name, entry } of page) {
        const key = keyOf(name)
        const known = folder.entries.get(key)
        if (known !== undefined) seen.add(key)
        const { ino, type } = known ?? entry
        if (ino !== 0) listed.push({ key, ino, type: type & TYPE_MASK })
      }
      if (page.length < PAGE) break
      after = page[page.length - 1].name
    }
    for (const [key, entry] of folder.entries) {
      if (entry.ino !== 0 && !seen.has(key)) listed.push({ key, ino: entry.ino, type: entry.type & TYPE_MASK })
    }
  }

  #keep(folder: Folder, listed: Listed[]): void {
    for (const { key } of listed) if (!folder.entries.has(key)) this.find(folder, key, nameOf(key))
    folder.complete = true
  }

  /** Lets go of what LMDB has, at the snapshot where everything below `durable` is folded, and was not used lately. */
  sweep(durable: Lsn): void {
    let count = 0
    for (const folder of this.#folders.values()) {
      if (folder.touched && this.#count > 0) {
        folder.touched = false
        this.#sweepGone(folder, durable)
      } else this.#sweepFolder(folder, durable)
      if (folder.entries.size === 0 && !folder.complete) this.#folders.delete(folder.ino)
      else count += folder.entries.size + 1
    }
    this.#count = count
    // Half above what is needed now, so that a sweep pays for itself; hard above twice the bound.
    if (count > this.#limit) this.#sweepAll(durable)
    this.#sweepAt = Math.max(this.#limit, this.#count + (this.#count >> 1))
  }

  #sweepGone(folder: Folder, durable: Lsn): void {
    for (const [key, entry] of folder.entries) if (entry.ino === 0 && entry.lsn < durable) folder.entries.delete(key)
  }

  #sweepFolder(folder: Folder, durable: Lsn): void {
    for (const [key, entry] of folder.entries) {
      if (entry.lsn >= durable) continue
      if (entry.ino !== 0) folder.complete = false
      folder.entries.delete(key)
    }
    if (folder.entries.size === 0) folder.complete = false
  }

  #sweepAll(durable: Lsn): void {
    let count = 0
    for (const folder of this.#folders.values()) {
      this.#sweepFolder(folder, durable)
      if (folder.entries.size === 0) this.#folders.delete(folder.ino)
      else count += folder.entries.size + 1
    }
    this.#count = count
  }
}
