// One operation's changes: written to the journal as one frame, or taken back. Owns the undo information of the operation
// that runs. Use: `touch` an inode before changing it, `link`/`unlink` entries, then `commit`; `rollback` undoes all since
// `begin`. Invariant: after an exception and `rollback` the live state is what it was before `begin`.

import type { EntryRecord, Lsn } from '../../store/records.js'
import { type Folder, goneEntry, type LiveEntry, nameOf } from './folders.js'
import { type Inode, SavedInode } from './inode.js'
import type { LiveState } from './live-state.js'
import type { Journal, Progress } from './ports.js'

/** Undo slots kept for the next operation. */
const SAVED_MAX = 256

interface EntryChange {
  folder: Folder
  key: string
  name: Uint8Array | undefined
  before: LiveEntry | undefined
  after: LiveEntry
}

export class Transaction {
  readonly #state: LiveState
  readonly #journal: Journal
  readonly #progress: Progress
  #inodes: Inode[] = []
  #closed: boolean[] = []
  #added: Inode[] = []
  readonly #saved: SavedInode[] = []
  #number = 1
  #entries: EntryChange[] = []
  #records: (() => void)[] = []

  constructor(components: { state: LiveState; journal: Journal; progress: Progress }) {
    this.#state = components.state
    this.#journal = components.journal
    this.#progress = components.progress
  }

  /** Before the first change of an inode in this operation; its after-image goes into the frame. */
  touch(inode: Inode): void {
    if (inode.frame === this.#number) return
    inode.frame = this.#number
    const at = this.#inodes.length
    this.#inodes.push(inode)
    this.#closed.push(false)
    if (this.#saved.length === at) this.#saved.push(new SavedInode())
    this.#saved[at].save(inode)
  }

  /** A new inode: not there any more if the operation fails. */
  add(inode: Inode): void {
    this.touch(inode)
    this.#added.push(inode)
    this.#state.add(inode)
  }

  /** The content of an inode (touched) is a version to keep. */
  close(inode: Inode): void {
    this.#closed[this.#inodes.indexOf(inode)] = true
  }

  /** `name`: bytes of `key`, where they are at hand. */
  link(folder: Folder, key: string, name: Uint8Array | undefined, entry: EntryRecord): void {
    const after: LiveEntry = { ino: entry.ino, type: entry.type, stamp: entry.stamp, lsn: -1 }
    const before = this.#state.folders.set(folder, key, after)
    this.#entries.push({ folder, key, name, before, after })
  }

  unlink(folder: Folder, key: string, name: Uint8Array | undefined): void {
    const after = goneEntry()
    const before = this.#state.folders.set(folder, key, after)
    this.#entries.push({ folder, key, name, before, after })
  }

  /** A record of another kind: `write` calls the journal's method. Comes before inodes and entries. */
  record(write: () => void): void {
    this.#records.push(write)
  }

  /**
   * Writes the frame. Throws what the journal throws; the caller rolls back. `urgent`: it frees space. `defer`: what it says
   * is in the journal already in another form. `applied`: by sync, not by somebody here.
   */
  commit(options: { urgent?: boolean; defer?: boolean; applied?: boolean } = {}): Lsn {
    const journal = this.#journal
    journal.begin()
    for (const write of this.#records) write()
    let gone = false
    for (let i = 0; i < this.#inodes.length; i++) {
      const inode = this.#inodes[i]
      if (!inode.gone) journal.inode(inode, this.#closed[i])
      else gone = true
    }
    for (const { folder, key, name, after } of this.#entries) {
      if (after.ino === 0) journal.entryGone(folder.ino, name ?? nameOf(key))
      else journal.entry(folder.ino, name ?? nameOf(key), after)
    }
    if (gone) for (const inode of this.#inodes) if (inode.gone) journal.inodeGone(inode.ino)
    const lsn = options.defer ? journal.defer() : journal.commitFrame(options.urgent)
    for (const inode of this.#inodes) {
      inode.dirtyLsn = lsn
      if (!options.applied) inode.localLsn = lsn
    }
    for (const { after } of this.#entries) after.lsn = lsn
    this.#progress.journalEnd(journal.written)
    this.#end()
    return lsn
  }

  /** Takes back everything since the last commit. Does nothing if there is nothing. */
  rollback(): void {
    for (let i = this.#entries.length - 1; i >= 0; i--) {
      const { folder, key, before } = this.#entries[i]
      this.#state.folders.unset(folder, key, before)
    }
    for (let i = this.#inodes.length - 1; i >= 0; i--) this.#saved[i].restore()
    for (const inode of this.#added) this.#state.drop(inode)
    this.#end()
  }

  #end(): void {
    this.#number++
    for (let i = 0; i < this.#inodes.length; i++) this.#saved[i].clear()
    if (this.#saved.length > SAVED_MAX) this.#saved.length = SAVED_MAX
    if (this.#inodes.length > 0) {
      this.#inodes = []
      this.#closed = []
    }
    if (this.#added.length > 0) this.#added = []
    if (this.#entries.length > 0) this.#entries = []
    if (this.#records.length > 0) this.#records = []
  }
}
