// What of an open volume outlives the crash of any of its actors and threads: the directory's lock, readers, the links to the
// threads, shared memory, the mount with its descriptors, and what is known of handles. Held by whoever opened the volume.
// Owns all of it until `close`; never starts a thread or an actor.

import { hex } from '../model/bytes.js'
import type { VolumeDescription, VolumeLayout, VolumeLock } from '../store/layout.js'
import { PackReader } from '../store/packs.js'
import { PROGRESS_COMMITTED, PROGRESS_JOURNAL_END, PROGRESS_SLOTS } from '../store/records.js'
import { StoreReader } from '../store/tables.js'
import { ChunkFiles } from './chunk-files.js'
import { CommitterClient } from './committer-client.js'
import { EngineClient } from './engine-client.js'
import { HandleTable } from './handle-table.js'
import type { HasherPool } from './hashing/pool.js'
import { HeadFeed } from './head-feed.js'
import type { MountPoint } from './mount-point.js'
import { VolumeReads } from './volume-reads.js'

const REPORTS_MAX = 200

export interface ResourcesInit {
  layout: VolumeLayout
  description: VolumeDescription
  lock: VolumeLock
  /** This device, 32 bytes. */
  author: Uint8Array
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
  readonly heads: HeadFeed
  readonly hashers: HasherPool
  readonly reports: string[] = []
  readonly #lock: VolumeLock
  readonly #onReport: (text: string) => void
  readonly #slots = new BigInt64Array(this.progress)
  /** If it is to be mounted. */
  mountPoint?: MountPoint

  constructor({ hashers }: { hashers: HasherPool }, init: ResourcesInit) {
    this.layout = init.layout
    this.description = init.description
    this.author = init.author
    this.#lock = init.lock
    this.#onReport = init.onReport ?? (() => {})
    this.hashers = hashers
    this.key = hex(init.description.sid)
    this.reader = StoreReader.open(init.layout.db)
    this.packs = new PackReader({ reader: this.reader, layout: init.layout })
    this.chunkFiles = new ChunkFiles({ reader: this.reader, layout: init.layout })
    this.reads = new VolumeReads(this)
    this.heads = new HeadFeed({ reads: this.reads, reader: this.reader })
    this.committer = new CommitterClient()
    this.engine = new EngineClient()
  }

  /** Name in the registry of one of the volume's actors. */
  name(part: string): string {
    return `volume/${this.key}/${part}`
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
