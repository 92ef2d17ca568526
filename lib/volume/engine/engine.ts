// A volume's live state and everything that works on it, put together: the FileSystem for the driver, what sync and the API ask,
// and the housekeeping between operations. Owns the parts; runs in the volume thread, never waits for another one.

import fs from 'node:fs'
import path from 'node:path'
import type { FileSystem } from '../../fuse/file-system.js'
import { NotYet, PENDING } from '../../fuse/file-system.js'
import type { ChunkId, Content } from '../../model/types.js'
import { ChunkDamagedError, ChunkMissingError, type WantedRange } from '../../store/errors.js'
import type { Lsn } from '../../store/records.js'
import { DeviceNames } from '../history/devices.js'
import type { History } from '../history/history.js'
import { Applier } from './apply.js'
import { AttributeChanges } from './attributes.js'
import { Complaints } from './complaints.js'
import { Contents } from './contents.js'
import { Directories } from './directories.js'
import { FileData } from './file-data.js'
import { FileOperations } from './file-operations.js'
import { VolumeFileSystem } from './file-system.js'
import { AppliedHeads } from './heads.js'
import { Identity } from './identity.js'
import type { Inode } from './inode.js'
import { ChunkFinder } from './leaf-cache.js'
import { LiveState, type LiveStateInit } from './live-state.js'
import type { EngineStatus, OpenHandle } from './messages.js'
import { Namespace } from './namespace.js'
import { OpenFiles } from './open-files.js'
import { PackFiles } from './pack-files.js'
import { withHistory } from './past.js'
import type { DurableState, Journal, Progress } from './ports.js'
import { Renames } from './renames.js'
import { type ResumeInit, resume } from './resume.js'
import { Reviver } from './revive.js'
import { type Spool, SpoolFiles } from './spools.js'
import { Transaction } from './transaction.js'
import { TreeReads } from './tree-reads.js'
import { type TimeSource, WallClock } from './wall-clock.js'
import type { Sealed } from './working-copies.js'

/** A handle counts as open for longer than a moment after this. Milliseconds. */
export const MOMENT = 50
/** Handles reported at most. */
const REPORTED_MAX = 1000

/** What has to be synced: descriptors of this process, and directories with names that are new. */
export interface SyncWork {
  fds: number[]
  directories: string[]
}

export interface EngineComponents {
  durable: DurableState
  journal: Journal
  progress: Progress
  time?: TimeSource
  packPath: (pack: number) => string
  spoolPath: (spool: number) => string
  onSealed?: (sealed: Sealed) => void
  /** Syncs elsewhere and answers the request then; false: it cannot, and is done in place. */
  onSync?: (work: SyncWork) => boolean
  /** After some dozens of operations, e.g. to see how long the journal is. */
  onTidy?: () => void
  /** A chunk was read that is not what it should be. */
  onDamaged?: (id: ChunkId) => void
  /** Bytes that are not here keep the operation at hand from being served. True: it is served again when they are. */
  onMissing?: (missing: MissingContent) => boolean
  /** A content is read on, beyond `offset` for the first time, in a volume that may not have all of it. */
  onReadOn?: (content: Content, offset: number) => void
  report?: (text: string) => void
}

export interface MissingContent {
  /** The first chunk that was missed, and where in which content that was. */
  id: ChunkId
  wanted?: WantedRange
  /** Of which file, if that is known. */
  ino?: number
  damaged: boolean
}

export interface EngineInit extends LiveStateInit {
  /** The volume's directory. */
  directory: string
  generation?: number
  cacheBytes?: number
  /** Nodes of history known at the same time. */
  nodesMax?: number
}

export class Engine {
  /** For the driver: the live tree with history in it. */
  readonly fileSystem: FileSystem
  /** The live tree alone. */
  readonly live: FileSystem
  readonly history: History
  readonly applier: Applier
  readonly reviver: Reviver
  readonly reads: TreeReads
  readonly state: LiveState
  /** What devices are called in names of versions. */
  readonly devices = new DeviceNames()
  readonly #c: EngineComponents
  readonly #open: OpenFiles
  readonly #spools: SpoolFiles
  readonly #packs: PackFiles
  readonly #contents: Contents
  readonly #data: FileData
  readonly #transaction: Transaction
  readonly #clock: WallClock
  readonly #complaints: Complaints
  /** Not before the journal is this long. */
  #rotateAt: Lsn = 0

  constructor(components: EngineComponents, init: EngineInit) {
    this.#c = components
    const { durable, journal, progress, report = () => {} } = components
    const clock = new WallClock(components.time)
    const state = new LiveState({ durable, progress, onEvict: (inode) => this.#contents.forget(inode) }, init)
    const transaction = new Transaction({ state, journal, progress })
    const packs = new PackFiles({ pathOf: components.packPath })
    const spools = new SpoolFiles({ durable, pathOf: components.spoolPath })
    const finder = new ChunkFinder({ durable, packs })
    const contents = new Contents({ durable, progress, journal, packs, finder, spools }, init)
    const onSealed = components.onSealed ?? (() => {})
    const data = new FileData({ state, journal, progress, transaction, clock, contents, spools, onSealed })
    const identity = new Identity({ state, durable })
    const names = { state, transaction, clock, identity, data, spools }
    const namespace = new Namespace(names)
    const attributes = new AttributeChanges({ state, transaction, clock, data })
    const open = new OpenFiles(init)
    const files = new FileOperations({ state, open, data, namespace, attributes, transaction, clock })
    const heads = new AppliedHeads({ state, durable })
    this.state = state
    this.reviver = new Reviver({ state, namespace, identity, transaction, clock })
    this.#open = open
    this.#spools = spools
    this.#packs = packs
    this.#contents = contents
    this.#data = data
    this.#transaction = transaction
    this.#clock = clock
    this.reads = new TreeReads({ state })
    this.#complaints = new Complaints({ report, monotonic: () => clock.monotonic() })
    this.applier = new Applier({ state, durable, identity, heads, contents, transaction, journal, clock, data, report })
    this.live = new VolumeFileSystem({
      ...{ directory: init.directory, state, namespace, files, attributes, contents, open, transaction, clock },
      renames: new Renames(names),
      directories: new Directories({ state }),
      sync: (inode) => this.#sync(inode),
      tidy: () => this.tidy(),
      notYet: (error, ino) => this.#notYet(error, ino),
      onError: (error, ino) => this.#onError(error, ino),
    })
    const onError = (error: unknown) => this.#onError(error)
    const notYet = (error: unknown) => this.#notYet(error)
    const past = { live: this.live, state, durable, finder, contents, devices: this.devices, notYet, onError }
    const { fileSystem, history } = withHistory(past, init)
    this.fileSystem = fileSystem
    this.history = history
  }

  /** Throws NotYet if the bytes that were missed are fetched, and the operation is served again then. */
  #notYet(error: unknown, ino?: number): void {
    const damaged = error instanceof ChunkDamagedError
    if (!damaged && !(error instanceof ChunkMissingError)) return
    // On the list first: what comes is stored in its place.
    if (damaged) this.#onError(error, ino)
    const { id, wanted } = error
    if (this.#c.onMissing?.({ id, wanted, ino, damaged })) throw new NotYet(error.message)
  }

  /** Whether contents may be given away while they are somebody's base: what is changed is journaled as a whole then. */
  set partial(partial: boolean) {
    if (partial && !this.#data.partial) this.#data.journalAgain()
    this.#data.partial = partial
    this.#contents.onReadOn = partial ? this.#c.onReadOn : undefined
  }

  /** Contents that were read lately and how many milliseconds ago, the one read longest ago first. */
  get lately(): { content: Content; ago: number }[] {
    const now = performance.now()
    return [...this.#contents.lately.values()].map(({ content, at }) => ({ content, ago: now - at }))
  }

  /** Packs that nothing refers to any more: their files are closed. */
  packsGone(packs: number[]): void {
    this.state.refresh()
    this.#packs.forget(packs)
  }

  /** `ino`: of the file that it was about. */
  #onError(error: unknown, ino?: number): void {
    if (error instanceof ChunkDamagedError) this.#c.onDamaged?.(error.id)
    this.#complaints.failed(error, ino === undefined ? undefined : this.#pathOf(ino))
  }

  #pathOf(ino: number): string {
    try {
      const names = this.reads.path(ino)
      if (names) return names.map((name) => Buffer.from(name).toString()).join('/')
    } catch {
      // What failed the operation fails this as well.
    }
    return `inode ${ino}`
  }

  #sync(inode: Inode | undefined): number | typeof PENDING {
    const { fds, directory } = this.#c.journal.sync()
    this.#c.progress.journalEnd(this.#c.journal.written)
    const directories = directory ? [directory] : []
    for (const { id, fd } of this.#spoolsOf(inode)) {
      fds.push(fd)
      const above = path.dirname(this.#c.spoolPath(id))
      if (!directories.includes(above)) directories.push(above)
    }
    if (this.#c.onSync?.({ fds, directories })) return PENDING
    for (const fd of fds) fs.fdatasyncSync(fd)
    for (const path of directories) syncDirectory(path)
    return 0
  }

  /** Spools that hold bytes of it: its own, and those below that are not in packs yet. */
  #spoolsOf(inode: Inode | undefined): Spool[] {
    let at: Spool | undefined
    if (inode?.working?.kind === 'spool') at = inode.working.spool
    else if (inode?.content.kind === 'spool') at = this.#spools.get(inode.content.spool)
    const found: Spool[] = []
    for (; at; at = this.#spools.below(at)) if (at.state !== 'committed' && at.fd >= 0) found.push(at)
    return found
  }

  /** At the start: what the thread before left half done goes on. */
  resume(init: ResumeInit): void {
    const { durable, journal, report = () => {} } = this.#c
    const components = { state: this.state, data: this.#data, contents: this.#contents, spools: this.#spools }
    try {
      resume({ ...components, durable, journal, transaction: this.#transaction, report }, init)
    } catch (error) {
      this.#transaction.rollback()
      throw error
    }
  }

  /** Housekeeping between operations: memory within bounds, the journal in segments. */
  tidy(): void {
    this.state.tidy()
    if (this.#c.journal.needsRotation && this.#c.journal.end >= this.#rotateAt) this.#rotate()
    this.#c.onTidy?.()
  }

  #rotate(): void {
    const { journal, progress } = this.#c
    try {
      journal.rotate()
      const begin = journal.end
      this.#data.journalAgain()
      // What is written again each time must not become most of what is written.
      this.#rotateAt = journal.end + 4 * (journal.end - begin)
      journal.release(progress.committed())
    } catch (error) {
      // It goes on in the old segment; tried again later.
      this.#onError(error)
    }
  }

  /** Nobody asks for anything now: what may wait is written. */
  idle(): void {
    const { journal, progress } = this.#c
    try {
      this.#data.closeAgain()
      journal.flushDeferred()
    } catch (error) {
      this.#transaction.rollback()
      this.#onError(error)
    }
    progress.journalEnd(journal.written)
    this.state.refresh()
    this.state.tidy()
  }

  /**
   * The mount has ended, and with it whoever had something open: the kernel does not tell of each (what it had not sent by then is
   * lost with the connection). What was written is closed, and nothing is referred to any more.
   */
  mountGone(): void {
    for (const { id, inode } of [...this.#open.all()]) this.live.release(inode.ino, id)
    for (const inode of [...this.state.open()]) if (inode.lookups > 0) this.live.forget(inode.ino, inode.lookups)
    this.state.forgetEvicted()
  }

  /** Everything acknowledged is in the journal's file; answers where it ends. */
  flush(): Lsn {
    this.#c.journal.flushDeferred()
    this.#c.progress.journalEnd(this.#c.journal.written)
    return this.#c.journal.written
  }

  /** The content of a closed spool is in packs now. */
  spoolCommitted(id: number, content: Content): void {
    this.state.refresh()
    const spool = this.#spools.peek(id)
    if (!spool) return this.#goneUnknown(id, content)
    spool.state = 'committed'
    spool.content = content
    const inode = this.state.peek(spool.ino)
    if (inode?.content.kind === 'spool' && inode.content.spool === id) inode.content = { kind: 'committed', content }
    this.#dropIfUnused(spool)
  }

  /** A spool that this thread never used: nothing here refers to it but an inode that was looked at and not read. */
  #goneUnknown(id: number, content: Content): void {
    const row = this.#c.durable.spool(id)
    if (!row) return
    const inode = this.state.peek(row.ino)
    if (inode?.content.kind === 'spool' && inode.content.spool === id) inode.content = { kind: 'committed', content }
    this.#transaction.record(() => this.#c.journal.spoolGone(id))
    this.#transaction.commit({ defer: true })
  }

  #dropIfUnused(spool: Spool): void {
    let at: Spool | undefined = spool
    while (at && at.state === 'committed' && at.dependents === 0) {
      const { id } = at
      this.#transaction.record(() => this.#c.journal.spoolGone(id))
      this.#transaction.commit({ defer: true })
      at = this.#spools.drop(at)
    }
  }

  /** Handles that are open for writing for more than a moment, or spooled. */
  handles(): OpenHandle[] {
    const now = this.#clock.monotonic()
    const found: OpenHandle[] = []
    for (const { id, inode, writable, since } of this.#open.all()) {
      if (!writable || found.length >= REPORTED_MAX) continue
      const spool = inode.working?.kind === 'spool' ? inode.working.spool.id : undefined
      if (now - since < MOMENT && spool === undefined) continue
      const { ino, size, working } = inode
      found.push({
        ...{ handle: id, ino, size, dirty: working !== undefined, path: this.reads.path(ino) },
        ...(spool === undefined ? {} : { spool }),
      })
    }
    return found
  }

  /** Grows with every change of what is open for writing. */
  get changes(): number {
    return this.#open.changes
  }

  status(): EngineStatus {
    const { journal, progress } = this.#c
    return {
      inodes: this.state.inodesInMemory,
      entries: this.state.folders.count,
      handles: this.#open.size,
      cachedBytes: this.#contents.cachedBytes,
      end: journal.end,
      committed: progress.committed(),
      open: this.handles(),
    }
  }

  close(): void {
    this.#c.journal.close()
    this.#c.progress.journalEnd(this.#c.journal.written)
    this.#spools.close()
    this.#packs.close()
  }
}

function syncDirectory(directory: string): void {
  const fd = fs.openSync(directory, 'r')
  try {
    fs.fsyncSync(fd)
  } finally {
    fs.closeSync(fd)
  }
}
