// What of an open volume outlives the crash of any of its actors and threads: the directory's lock, readers, the links to the
// threads, shared memory, the mount with its descriptors, and what is known of handles. Held by whoever opened the volume.
// Owns all of it until `close`; never starts a thread or an actor.

import { hex } from '../model/bytes.js'
import type { ChunkId } from '../model/types.js'
import type { VolumeDescription, VolumeLayout, VolumeLock } from '../store/layout.js'
import { PackReader } from '../store/packs.js'
import { type Lsn, PROGRESS_COMMITTED, PROGRESS_JOURNAL_END, PROGRESS_SLOTS } from '../store/records.js'
import { StoreReader } from '../store/tables.js'
import { ChunkFiles } from './chunk-files.js'
import { CommitterClient } from './committer-client.js'
import { DamagedChunks } from './damaged-chunks.js'
import { Demand } from './demand.js'
import { EngineClient } from './engine-client.js'
import { HandleTable } from './handle-table.js'
import type { HasherPool } from './hashing/pool.js'
import { HeadFeed } from './head-feed.js'
import type { NamedDevice } from './history/devices.js'
import { VolumeHolding } from './holding.js'
import type { MountPoint } from './mount-point.js'
import { VolumeReads } from './volume-reads.js'
import { Wants } from './wants.js'

const REPORTS_MAX = 200

export interface ResourcesInit {
  layout: VolumeLayout
  description: VolumeDescription
  lock: VolumeLock
  /** This device, 32 bytes. */
  author: Uint8Array
  /** What devices are called in names of versions. */
  devices?: NamedDevice[]
  /** Hears of every report, e.g. to log it. */
  onReport?: (text: string) => void
}

export class VolumeResources {
  readonly layout: VolumeLayout
  readonly description: VolumeDescription
  readonly author: Uint8Array
  /** Text form of the volume's id; names in the registry begin with `volume/<key>/`. */
  readonly key: string
  readonly reader: StoreReader
  readonly packs: PackReader
  readonly chunkFiles: ChunkFiles
  readonly reads: VolumeReads
  readonly progress = new SharedArrayBuffer(PROGRESS_SLOTS * 8)
  readonly committer: CommitterClient
  readonly engine: EngineClient
  readonly handles = new HandleTable()
  readonly damaged = new DamagedChunks()
  readonly wants: Wants
  readonly holding: VolumeHolding
  readonly demand: Demand
  readonly heads: HeadFeed
  readonly hashers: HasherPool
  readonly reports: string[] = []
  #devices: NamedDevice[]
  readonly #lock: VolumeLock
  readonly #onReport: (text: string) => void
  #engineLives = false
  #recoveredEnd?: Lsn
  readonly #waiting: (() => void)[] = []
  readonly #opened: Promise<void>
  #settleOpened: (error?: Error) => void = () => {}
  readonly #slots = new BigInt64Array(this.progress)
  /** Resolves when the committer's thread that was started last is gone. */
  committerGone = Promise.resolve()
  /** Of a volume that may not have everything: bytes in packs, bytes given away since it was opened, pinned files that lack something. */
  held?: { bytes: number; givenAway: number; lacking: number }
  /** If it is to be mounted. */
  mountPoint?: MountPoint

  constructor({ hashers }: { hashers: HasherPool }, init: ResourcesInit) {
    this.layout = init.layout
    this.description = init.description
    this.author = init.author
    this.#devices = init.devices ?? []
    this.#lock = init.lock
    this.#onReport = init.onReport ?? (() => {})
    this.hashers = hashers
    this.key = hex(init.description.sid)
    this.reader = StoreReader.open(init.layout.db)
    this.packs = new PackReader({ reader: this.reader, layout: init.layout })
    this.chunkFiles = new ChunkFiles({ reader: this.reader, layout: init.layout, damaged: this.damaged })
    this.reads = new VolumeReads(this)
    this.heads = new HeadFeed({ reads: this.reads, reader: this.reader })
    this.committer = new CommitterClient({ progress: this.progress })
    this.engine = new EngineClient()
    const hasChunk = (id: ChunkId) => this.reads.hasChunk(id)
    this.wants = new Wants({ has: hasChunk })
    this.holding = new VolumeHolding({
      setting: (key) => this.reader.setting(key),
      setSetting: (key, value) => this.committer.setSetting(key, value),
      tellEngine: (partial) => this.engine.partial(partial),
    })
    this.demand = new Demand({
      ...{ engine: this.engine, wants: this.wants, reads: this.reads, report: this.report },
      keepers: () => this.holding.keepers,
    })
    this.#opened = new Promise((resolve, reject) => {
      this.#settleOpened = (error) => (error ? reject(error) : resolve())
    })
    this.#opened.catch(() => {})
  }

  /** Name in the registry of one of the volume's actors. */
  name(part: string): string {
    return `volume/${this.key}/${part}`
  }

  /** What devices are called in names of versions. */
  get devices(): NamedDevice[] {
    return this.#devices
  }

  nameDevices(devices: NamedDevice[]): void {
    this.#devices = devices
    this.engine.nameDevices(devices)
  }

  report = (text: string): void => {
    this.reports.push(text)
    if (this.reports.length > REPORTS_MAX) this.reports.shift()
    this.#onReport(text)
  }

  /** Journal bytes that are not folded yet. */
  get backlog(): number {
    const end = Atomics.load(this.#slots, PROGRESS_JOURNAL_END)
    return Math.max(0, Number(end - Atomics.load(this.#slots, PROGRESS_COMMITTED)))
  }

  /** A volume thread is running, or may be: what is open is its business. */
  get engineLives(): boolean {
    return this.#engineLives
  }

  /** Where the journal ends after a recovery that no volume thread has followed yet. */
  get recoveredEnd(): Lsn | undefined {
    return this.#recoveredEnd
  }

  /** What an earlier committer has recovered does not count any more: nobody may begin while this one does it again. */
  recoveryBegins(): void {
    this.#recoveredEnd = undefined
  }

  /** The committer has folded and settled everything; a volume thread may begin. */
  recovered(end: Lsn): void {
    this.#recoveredEnd = end
    this.#wake()
  }

  /** Resolves with the end of the journal when a volume thread may begin; it counts as running from then on. */
  async engineMayStart(signal: AbortSignal): Promise<Lsn | undefined> {
    while (this.#recoveredEnd === undefined && !signal.aborted)
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve)
        signal.addEventListener('abort', () => resolve(), { once: true })
      })
    if (signal.aborted) return undefined
    const end = this.#recoveredEnd
    this.#recoveredEnd = undefined
    this.#engineLives = true
    return end
  }

  /** The volume thread is surely gone. */
  engineEnded(): void {
    this.#engineLives = false
  }

  /** Resolves when the volume serves for the first time; rejects if its committer cannot start. */
  get opened(): Promise<void> {
    return this.#opened
  }

  started = (): void => this.#settleOpened()
  startFailed = (error: Error): void => this.#settleOpened(error)

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake()
  }

  /** Closed spools that no chunks were made of yet get an entry, and an actor by that. */
  findPendingSpools(): void {
    this.reader.refresh()
    for (const { id, spool } of this.reader.spools())
      if (spool.state === 'closed') this.handles.sealing(id, spool.ino, 0)
  }

  /** After the threads have ended and the mount is gone. */
  async close(): Promise<void> {
    this.committer.link.close(this.description.label)
    this.engine.link.close(this.description.label)
    this.handles.clear()
    await this.mountPoint?.close()
    await this.chunkFiles.close()
    this.packs.close()
    await this.reader.close()
    this.#lock.free()
  }
}
