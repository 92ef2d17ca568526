// A volume in a temporary directory with the engine and the committer's batches in this thread, so that a test decides when what
// is folded. Real store, real files. Not a spec.

import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { Attributes, Caller, DirectoryEntry, FileSystem } from '../../../lib/fuse/file-system.js'
import type { DId } from '../../../lib/model/types.js'
import type { Batch } from '../../../lib/store/batch.js'
import { JournalWriter } from '../../../lib/store/journal.js'
import { VolumeLayout } from '../../../lib/store/layout.js'
import { PackReader } from '../../../lib/store/packs.js'
import { recover } from '../../../lib/store/recovery.js'
import { commitSpool } from '../../../lib/store/spool-commit.js'
import { StoreReader } from '../../../lib/store/tables.js'
import { createVolume } from '../../../lib/store/volume-store.js'
import { Engine, type EngineComponents, type EngineInit } from '../../../lib/volume/engine/engine.js'
import type { Journal, Progress } from '../../../lib/volume/engine/ports.js'
import type { Sealed } from '../../../lib/volume/engine/working-copies.js'
import { hashSpool } from '../../../lib/volume/hashing/hash-spool.js'
import { spoolWork } from '../../../lib/volume/spool-job.js'

export const ROOT: Caller = { uid: 0, gid: 0, pid: 1 }
export const AUTHOR = new Uint8Array(32).fill(7)
export const O_RDWR = 2
export const O_TRUNC = 0o1000

export interface TestVolumeInit extends Partial<EngineInit> {
  /** Wraps the journal, e.g. to make it fail. */
  journal?: (journal: JournalWriter) => Journal
  components?: Partial<EngineComponents>
  rotateAt?: number
}

export class TestVolume implements Progress {
  readonly layout: VolumeLayout
  engine!: Engine
  journal!: JournalWriter
  batch!: Batch
  reader!: StoreReader
  readonly sealed: Sealed[] = []
  readonly reports: string[] = []
  /** Milliseconds that the committer's clock is ahead of the machine's. */
  ahead = 0
  #committer: StoreReader | undefined
  #end = 0
  #generation = 0

  constructor(
    readonly directory: string,
    readonly root: Uint8Array,
    readonly init: TestVolumeInit,
  ) {
    this.layout = new VolumeLayout(directory)
  }

  static async create(init: TestVolumeInit = {}, join?: DId): Promise<TestVolume> {
    const directory = mkdtempSync(path.join(os.tmpdir(), 'peerdrive-engine-'))
    const { root } = await createVolume({ directory, label: 'test', author: AUTHOR, uid: 0, gid: 0, root: join })
    const volume = new TestVolume(directory, root, init)
    volume.open()
    return volume
  }

  get fs(): FileSystem {
    return this.engine.fileSystem
  }

  committed(): number {
    return this.batch.committed
  }

  journalEnd(lsn: number): void {
    this.#end = lsn
  }

  open(): void {
    this.#committer ??= StoreReader.open(this.layout.db)
    this.#committer.refresh()
    const report = (text: string) => void this.reports.push(text)
    const components = { layout: this.layout, reader: this.#committer, now: () => Date.now() + this.ahead, report }
    const monotonic = () => performance.now()
    const { batch, end } = recover({ ...components, monotonic }, { author: AUTHOR, root: this.root })
    this.batch = batch
    this.#end = end
    this.startEngine(end)
  }

  startEngine(end = this.#end): void {
    const { layout, init } = this
    this.reader ??= StoreReader.open(layout.db)
    this.reader.refresh()
    this.journal = new JournalWriter({ directory: layout.journal, end, rotateAt: init.rotateAt })
    this.engine = new Engine(
      {
        durable: this.reader,
        journal: init.journal ? init.journal(this.journal) : this.journal,
        progress: this,
        packPath: (pack) => layout.pack(pack),
        spoolPath: (spool) => layout.spool(spool),
        onSealed: (sealed) => void this.sealed.push(sealed),
        report: (text) => void this.reports.push(text),
        ...init.components,
      },
      { directory: this.directory, generation: this.#generation++, ...init },
    )
    this.engine.resume({ journal: layout.journal, from: this.reader.meta('replayFrom'), end })
  }

  /** Everything in the journal's file so far becomes durable. */
  fold(seal = false): void {
    this.engine.flush()
    const bounds = { frames: 1e9, bytes: 1e12, until: Number.POSITIVE_INFINITY }
    while (this.batch.foldFrames(this.#end, bounds)) this.batch.commit(false)
    this.batch.commit(seal)
  }

  /** The hashers are done with every spool that was closed, by whatever engine. */
  seal(): void {
    this.fold()
    const packs = new PackReader({ reader: this.reader, layout: this.layout })
    this.sealed.length = 0
    this.reader.refresh()
    for (const { id: spool } of this.reader.spools()) {
      const work = spoolWork(this, spool)
      if (work.kind !== 'hash') continue
      const { content, chunks, lists } = hashSpool(work.job, packs.source)
      commitSpool({ ...this.#batchParts(), layout: this.layout }, { spool, content, chunks, lists })
      this.batch.commit(false)
      this.engine.spoolCommitted(spool, content)
    }
    packs.close()
  }

  #batchParts() {
    const { view, writer, packs, reviser, fold } = this.batch
    return { view, writer, packs, reviser, fold }
  }

  /** The process ends without a word, and the volume is opened again. */
  crash(): void {
    this.batch.close()
    this.open()
  }

  /** The volume thread dies; the committer folds what it wrote, and another one starts. */
  crashThread(): void {
    const bounds = { frames: 1e9, bytes: 1e12, until: Number.POSITIVE_INFINITY }
    while (this.batch.foldFrames(this.#end, bounds)) this.batch.commit(false)
    this.batch.commit(false)
    this.startEngine()
  }

  /** Nothing is open any more; the directory stays as it is. */
  async leave(): Promise<void> {
    try {
      this.engine?.close()
    } catch {
      // A test made its disk fail.
    }
    this.batch?.close()
    const { reader } = this
    this.reader = undefined as never
    await reader?.close()
    await this.#committer?.close()
    this.#committer = undefined
  }

  remove(): void {
    void this.leave()
    rmSync(this.directory, { recursive: true, force: true })
  }
}

/** The result of an operation that has to succeed. */
export function ok<T>(result: T | number): T {
  if (typeof result === 'number' && result < 0) throw new Error(`errno ${result}`)
  return result as T
}

export const name = (text: string) => Buffer.from(text, 'latin1')

/** Short ways to use a file system. */
export class Shell {
  constructor(readonly volume: { fs: FileSystem }) {}

  get fs(): FileSystem {
    return this.volume.fs
  }

  stat(file: string): Attributes {
    return ok<Attributes>(this.find(file))
  }

  find(file: string): Attributes | number {
    let at: Attributes | number = ok<Attributes>(this.fs.getattr(ROOT, 1))
    for (const part of file.split('/').filter((p) => p)) {
      if (typeof at === 'number') return at
      const parent: number = at.ino
      at = this.fs.lookup(ROOT, parent, name(part))
      if (typeof at !== 'number') this.fs.forget(at.ino, 1)
    }
    return at
  }

  split(file: string): [parent: number, name: Buffer] {
    const parts = file.split('/').filter((p) => p)
    const last = parts.pop()!
    return [this.stat(parts.join('/')).ino, name(last)]
  }

  mkdir(file: string): number {
    const made = ok<Attributes>(this.fs.mkdir(ROOT, ...this.split(file), 0o755))
    this.fs.forget(made.ino, 1)
    return made.ino
  }

  /** Opens for writing, made if it is not there. */
  create(file: string, flags = O_RDWR): { ino: number; handle: number } {
    const [parent, last] = this.split(file)
    const { attributes, handle } = ok(this.fs.create(ROOT, parent, last, 0o644, flags)) as {
      attributes: Attributes
      handle: number
    }
    this.fs.forget(attributes.ino, 1)
    return { ino: attributes.ino, handle }
  }

  open(file: string, flags = O_RDWR): { ino: number; handle: number } {
    const { ino } = this.stat(file)
    return { ino, handle: ok<{ handle: number }>(this.fs.open(ROOT, ino, flags)).handle }
  }

  write(file: string, data: string | Buffer): number {
    const { ino, handle } = this.create(file, O_RDWR | O_TRUNC)
    const bytes = Buffer.from(data as string)
    for (let at = 0; at < bytes.length; at += 1 << 20) {
      ok(this.fs.write(ROOT, ino, handle, at, bytes.subarray(at, at + (1 << 20)), false))
    }
    this.fs.release(ino, handle)
    return ino
  }

  read(file: string): Buffer {
    return this.readInode(this.stat(file).ino)
  }

  readInode(ino: number): Buffer {
    const { handle } = ok<{ handle: number }>(this.fs.open(ROOT, ino, 0))
    const { size } = ok<Attributes>(this.fs.getattr(ROOT, ino))
    const into = Buffer.alloc(size + 10, 0xee)
    const n = ok(this.fs.read(ROOT, ino, handle, 0, into)) as number
    this.fs.release(ino, handle)
    return into.subarray(0, n)
  }

  rename(from: string, to: string, flags = 0): number {
    return this.fs.rename(ROOT, ...this.split(from), ...this.split(to), flags)
  }

  link(from: string, to: string): void {
    const made = ok<Attributes>(this.fs.link(ROOT, this.stat(from).ino, ...this.split(to)))
    this.fs.forget(made.ino, 1)
  }

  unlink(file: string): number {
    return this.fs.unlink(ROOT, ...this.split(file))
  }

  rmdir(file: string): number {
    return this.fs.rmdir(ROOT, ...this.split(file))
  }

  list(file: string): { name: string; ino: number; type: number }[] {
    const { ino } = this.stat(file)
    const { handle } = ok<{ handle: number }>(this.fs.opendir(ROOT, ino))
    const found: { name: string; ino: number; type: number }[] = []
    const emit = (entry: DirectoryEntry) => {
      found.push({ name: entry.name.toString('latin1'), ino: entry.ino, type: entry.type })
      return true
    }
    ok(this.fs.readdir(ROOT, ino, handle, 0, false, emit))
    this.fs.releasedir(ino, handle)
    return found.filter(({ name }) => name !== '.' && name !== '..').sort((a, b) => (a.name < b.name ? -1 : 1))
  }
}
