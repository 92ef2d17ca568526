// A volume in a temporary directory with the committer in-process, and a stand-in for the volume thread: the frames that it
// would write. `crash()` drops all that is in memory and opens the volume again, as after kill -9.

import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { decodeFolder, encodeFolder } from '../../../lib/model/folder.js'
import { decodeRevision, hashOf, makeClock, readContent } from '../../../lib/model/index.js'
import type { Content, FolderEntry, Revision } from '../../../lib/model/types.js'
import { EMPTY_LIVE } from '../../../lib/store/codec.js'
import { Committer, type CommitterInit } from '../../../lib/store/committer.js'
import { JournalWriter } from '../../../lib/store/journal.js'
import { VolumeLayout } from '../../../lib/store/layout.js'
import { PackReader } from '../../../lib/store/packs.js'
import { type InodeRecord, type LiveContent, PROGRESS_JOURNAL_END, PROGRESS_SLOTS } from '../../../lib/store/records.js'
import { recover } from '../../../lib/store/recovery.js'
import { openTables, StoreReader } from '../../../lib/store/tables.js'
import { createVolume, openVolume } from '../../../lib/store/volume-store.js'

export const AUTHOR = new Uint8Array(32).fill(7)
export const FOLDER = 0o040755
export const FILE = 0o100644

export function temporaryDirectory(): string {
  return fs.mkdtempSync(path.join(os.tmpdir(), 'peerdrive-store-'))
}

export function removeDirectory(directory: string): void {
  fs.rmSync(directory, { recursive: true, force: true })
}

/** A document id that says which it is. */
export function did(number: number): Uint8Array {
  const id = new Uint8Array(16).fill(0xd0)
  new DataView(id.buffer).setUint32(12, number)
  return id
}

let clock = 1
/** Stamps that grow. */
export const stamp = () => makeClock(1_700_000_000_000 + clock++)

export function inode(ino: number, change: Partial<InodeRecord> = {}): InodeRecord {
  return {
    ino,
    document: did(ino),
    mode: FILE,
    uid: 1000,
    gid: 1000,
    rdev: 0,
    nlink: 1,
    size: 0,
    mtimeSec: 1_700_000_000,
    mtimeNsec: 5,
    ctimeSec: 1_700_000_000,
    ctimeNsec: 5,
    createdSec: 1_700_000_000,
    createdNsec: 1,
    parent: 1,
    content: EMPTY_LIVE,
    xattrs: [],
    ...change,
  }
}

export const bytesContent = (bytes: Uint8Array): LiveContent => ({ kind: 'bytes', bytes })

export class TestVolume {
  reader!: StoreReader
  committer!: Committer
  journal!: JournalWriter
  packs!: PackReader
  reports: string[] = []
  readonly progress = new BigInt64Array(new SharedArrayBuffer(PROGRESS_SLOTS * 8))
  #lock?: { free(): void }

  private constructor(
    readonly directory: string,
    readonly root: Uint8Array,
    readonly init: Partial<CommitterInit>,
  ) {}

  static async create(
    init: Partial<CommitterInit> & { directory?: string; join?: Uint8Array } = {},
  ): Promise<TestVolume> {
    const { directory = temporaryDirectory(), join, ...rest } = init
    const { root } = await createVolume({ directory, label: 'test', author: AUTHOR, uid: 1000, gid: 1000, root: join })
    const volume = new TestVolume(directory, root, rest)
    volume.open()
    return volume
  }

  get layout(): VolumeLayout {
    return new VolumeLayout(this.directory)
  }

  open(): void {
    const { layout, lock } = openVolume(this.directory)
    this.#lock = lock
    try {
      this.reader = new StoreReader(openTables(layout.db))
      const report = (text: string) => this.reports.push(text)
      const components = { layout, reader: this.reader, now: Date.now, monotonic: () => performance.now(), report }
      const init = { author: AUTHOR, root: this.root, lazyMs: 1, ...this.init }
      const { batch, end } = recover(components, init)
      Atomics.store(this.progress, PROGRESS_JOURNAL_END, BigInt(end))
      this.committer = new Committer({ ...components, progress: this.progress, batch }, init)
      this.journal = new JournalWriter({ directory: layout.journal, end })
      this.packs = new PackReader({ reader: this.reader, layout })
    } catch (error) {
      lock.free()
      throw error
    }
  }

  /** One frame; the committer is not told. */
  frame(records: (journal: JournalWriter) => void): number {
    this.journal.begin()
    records(this.journal)
    const lsn = this.journal.commitFrame()
    Atomics.store(this.progress, PROGRESS_JOURNAL_END, BigInt(this.journal.written))
    return lsn
  }

  /** Links a new file or folder in a folder and closes it. */
  put(folder: number, name: string, row: InodeRecord, closed = true): void {
    this.frame((j) => {
      j.inode(row, closed)
      j.entry(folder, Buffer.from(name), { ino: row.ino, type: row.mode >> 12, stamp: stamp() })
    })
  }

  mkdir(folder: number, name: string, ino: number): void {
    this.put(folder, name, inode(ino, { mode: FOLDER, nlink: 2, parent: folder }), false)
  }

  /** Writes a whole file of up to 1 MiB and closes it. */
  write(row: InodeRecord, bytes: Uint8Array, more: (journal: JournalWriter) => void = () => {}): void {
    this.frame((j) => {
      const lsn = j.write(row.ino, 0, bytes, row.mtimeSec, row.mtimeNsec)
      j.inode({ ...row, size: bytes.length, content: { kind: 'journal', lsn, size: bytes.length } }, true)
      more(j)
    })
  }

  flush(): Promise<void> {
    return this.committer.flush()
  }

  revision(document: Uint8Array): Revision | undefined {
    this.reader.refresh()
    const row = this.reader.document(document)
    return row && decodeRevision(this.reader.revision(row.head)!)
  }

  decode(rid: Uint8Array): Revision {
    return decodeRevision(this.reader.revision(rid)!)
  }

  read(content: Content): Uint8Array {
    return readContent(content, this.packs.source)
  }

  /** Bytes of a document's head. */
  content(document: Uint8Array): Buffer {
    return Buffer.from(this.read(this.revision(document)!.parts.get('content')!))
  }

  /** Revisions from the head along the first parents. */
  history(document: Uint8Array): Revision[] {
    const found: Revision[] = []
    for (let next = this.revision(document); next; ) {
      found.push(next)
      const [parent] = next.parents
      next = parent && decodeRevision(this.reader.revision(parent)!)
    }
    return found
  }

  names(folder: Uint8Array): string[] {
    const entries = decodeFolder(this.revision(folder)!.parts.get('entries')!, this.packs.source)
    return entries.map(({ name }) => Buffer.from(name).toString())
  }

  /** Every folder's head names just its live entries. */
  checkSealed(): void {
    this.reader.refresh()
    for (const row of this.reader.inodes()) {
      if ((row.mode & 0o170000) !== 0o040000 || row.nlink === 0) continue
      const entries = this.reader.entries(row.ino).map(({ name, entry }): FolderEntry => {
        const document = this.reader.inode(entry.ino)!.document
        return { name, document, type: entry.type, stamp: entry.stamp }
      })
      assert.deepEqual(
        this.revision(row.document)?.parts.get('entries'),
        encodeFolder(entries).content,
        `ino ${row.ino}`,
      )
    }
    assert.deepEqual(this.reader.unsealed(), [])
  }

  /** Everything in memory is lost; files are as they are. */
  async crash(): Promise<void> {
    await this.#drop()
    this.open()
  }

  async #drop(): Promise<void> {
    await this.committer.close()
    // What a crash leaves behind: the journal's file with its preallocated space, whatever was deferred is lost.
    this.packs.close()
    await this.reader.close()
    this.#lock?.free()
  }

  /** Closes it but leaves its files; `open()` opens it again. */
  async leave(): Promise<void> {
    await this.#drop()
    this.journal.close()
  }

  async close(): Promise<void> {
    await this.#drop()
    this.journal.close()
    removeDirectory(this.directory)
  }
}

export const chunkIdOf = hashOf
