// A volume thread as in earnest on a real mount: kernel, thread, committer (in this thread), hashers. Stands for the main thread.
// Not a spec.

import { closeSync, fdatasyncSync, mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { Worker } from 'node:worker_threads'
import { endThread } from '../../../lib/actors/index.js'
import type { Mounted } from '../../../lib/fuse/driver.js'
import { kernelDriver } from '../../../lib/fuse/kernel-driver.js'
import { complete, type KernelSession, ring } from '../../../lib/fuse/session.js'
import { Committer } from '../../../lib/store/committer.js'
import { VolumeLayout } from '../../../lib/store/layout.js'
import { PROGRESS_SLOTS } from '../../../lib/store/records.js'
import { recover } from '../../../lib/store/recovery.js'
import { StoreReader } from '../../../lib/store/tables.js'
import { createVolume } from '../../../lib/store/volume-store.js'
import type {
  EngineData,
  EngineEvent,
  EngineMessage,
  EngineRequests,
  EngineRequestType,
} from '../../../lib/volume/engine/messages.js'
import { HasherPool } from '../../../lib/volume/hashing/pool.js'
import { spoolWork } from '../../../lib/volume/spool-job.js'
import type { CrashingThreadData } from './crashing-thread.js'
import { AUTHOR } from './support.js'

export class MountedVolume {
  readonly progress = new SharedArrayBuffer(PROGRESS_SLOTS * 8)
  readonly events: EngineEvent[] = []
  readonly reports: string[] = []
  /** Whether large contents go into packs. */
  hashes = true
  onEvent: (event: EngineEvent) => void = () => {}
  /** Resolves when the thread that was started last is gone. */
  threadEnd: Promise<void> = Promise.resolve()
  mounted!: Mounted
  committer!: Committer
  reader!: StoreReader
  readonly layout: VolumeLayout
  readonly mountPoint = mkdtempSync(path.join(os.tmpdir(), 'peerdrive-mount-'))
  readonly #hashers = new HasherPool({}, { threads: 1 })
  #worker: Worker | undefined
  #lives = false
  #end = 0
  #generation = 0
  #lastId = 0
  #sealing: Promise<unknown> = Promise.resolve()
  readonly #waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>()

  private constructor(
    readonly directory: string,
    private readonly root: Uint8Array,
    private readonly data: Partial<EngineData>,
  ) {
    this.layout = new VolumeLayout(directory)
  }

  static async create(data: Partial<EngineData> = {}): Promise<MountedVolume> {
    const directory = mkdtempSync(path.join(os.tmpdir(), 'peerdrive-volume-'))
    const { root } = await createVolume({ directory, label: 'test', author: AUTHOR })
    const volume = new MountedVolume(directory, root, data)
    volume.#openCommitter()
    volume.mounted = await kernelDriver.mount({
      mountPoint: volume.mountPoint,
      fileSystem: undefined as never,
      serve: (session) => volume.startThread(session),
    })
    return volume
  }

  #openCommitter(open = false): void {
    const report = (text: string) => void this.reports.push(text)
    this.reader = StoreReader.open(this.layout.db)
    const monotonic = () => performance.now()
    const components = { layout: this.layout, reader: this.reader, now: Date.now, monotonic, report }
    const { batch, end } = recover(components, { author: AUTHOR, root: this.root, open })
    this.#end = end
    const progress = new BigInt64Array(this.progress)
    Atomics.store(progress, 0, BigInt(end))
    this.committer = new Committer({ ...components, progress, batch }, { author: AUTHOR, root: this.root, lazyMs: 20 })
    this.committer.wake()
  }

  get session(): KernelSession {
    return this.mounted.session!
  }

  /** Resolves when it serves (or has ended before). `crash`: it ends itself then. */
  startThread(session: KernelSession, end = this.#end, crash?: CrashingThreadData): Promise<void> {
    const begin: EngineData = {
      ...{ directory: this.directory, end, progress: this.progress, session, generation: this.#generation++ },
      ...this.data,
    }
    const url = crash ? './crashing-thread.js' : '../../../lib/volume/engine/thread.js'
    const worker = new Worker(new URL(url, import.meta.url), { workerData: crash })
    worker.postMessage({ begin })
    this.#worker = worker
    this.#lives = true
    this.threadEnd = new Promise((resolve) => worker.once('exit', () => resolve()))
    return new Promise((resolve, reject) => {
      worker.on('error', reject)
      worker.on('exit', () => {
        this.#lives = false
        for (const { reject } of this.#waiting.values()) reject(new Error('The volume thread ended.'))
        this.#waiting.clear()
        resolve()
      })
      worker.on('message', (message: EngineMessage) => {
        if ('event' in message) {
          if (message.event.type === 'ready') resolve()
          this.#event(session, message.event)
        } else this.#answered(message)
      })
    })
  }

  #answered(message: Exclude<EngineMessage, { event: EngineEvent }>): void {
    const waiting = this.#waiting.get(message.id)
    this.#waiting.delete(message.id)
    if ('error' in message) waiting?.reject(Object.assign(new Error(message.error.message), message.error))
    else waiting?.resolve(message.answer as never)
  }

  #event(session: KernelSession, event: EngineEvent): void {
    this.events.push(event)
    if (event.type === 'wake') this.committer.wake()
    else if (event.type === 'report') this.reports.push(event.text)
    else if (event.type === 'fsync') {
      for (const fd of event.fds) {
        fdatasyncSync(fd)
        closeSync(fd)
      }
      complete(session, event.unique, 0)
    } else if (event.type === 'sealed' && this.hashes) this.#sealSoon(event.spool)
    this.onEvent(event)
  }

  #sealSoon(spool: number): void {
    // A thread that ended meanwhile is followed by one that looks for what is left.
    this.#sealing = this.#sealing.then(() => this.#seal(spool)).catch(() => {})
  }

  async #seal(spool: number): Promise<void> {
    await this.request('flush', {})
    await this.committer.flush()
    const work = spoolWork(this, spool)
    if (work.kind !== 'hash') return
    const { content, chunks, lists } = await this.#hashers.hash(work.job)
    await this.committer.commitContent({ spool, content, chunks, lists })
    await this.request('spoolCommitted', { spool, content })
  }

  request<T extends EngineRequestType>(
    type: T,
    request: EngineRequests[T]['request'],
  ): Promise<EngineRequests[T]['answer']> {
    if (!this.#lives) return Promise.reject(new Error('The volume thread has ended.'))
    const id = ++this.#lastId
    const answer = new Promise<EngineRequests[T]['answer']>((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as (value: never) => void, reject })
    })
    this.#worker!.postMessage({ id, request: { type, ...request } })
    ring(this.session)
    return answer
  }

  /** Everything is committed, large contents too. */
  async flush(): Promise<void> {
    await this.request('flush', {})
    await this.#sealing
    await this.committer.flush()
  }

  /** The thread is killed where it is; another one goes on with the mount. */
  async killThread(crash?: CrashingThreadData): Promise<void> {
    await this.#leave()
    await this.followThread(crash)
  }

  /** Another one goes on after one that has ended between two requests. */
  async followThread(crash?: CrashingThreadData): Promise<void> {
    await this.committer.flush()
    await this.startThread(this.session, Number(Atomics.load(new BigInt64Array(this.progress), 0)), crash)
  }

  /** As after a crash in the middle of a request (lib/volume/engine-actor.ts): a committer recovers before another thread begins. */
  async recoverThread(): Promise<void> {
    const forgotten = this.mounted.forgetUnanswered!()
    await this.#sealing
    await this.committer.close()
    await this.reader.close()
    this.#openCommitter(true)
    await this.startThread(this.session)
    await forgotten
    for (const { id, spool } of this.reader.spools()) if (spool.state === 'closed' && this.hashes) this.#sealSoon(id)
  }

  /** As `killThread`, with a recovery. */
  async crashThread(): Promise<void> {
    await this.#leave()
    await this.recoverThread()
  }

  #leave(): Promise<void> {
    return endThread(this.#worker!, () => {
      this.#worker!.postMessage({ leave: true })
      ring(this.session)
    })
  }

  async remove(): Promise<void> {
    await this.#sealing
    const stopped = this.request('stop', {})
    await this.mounted.unmount()
    await stopped
    await this.#leave()
    await this.mounted.close()
    await this.committer.close()
    await this.#hashers.close()
    await this.reader.close()
    rmSync(this.directory, { recursive: true, force: true })
    rmSync(this.mountPoint, { recursive: true })
  }
}
