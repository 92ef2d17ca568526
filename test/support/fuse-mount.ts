// Mounts a file system in memory for tests, served by a thread as in earnest. Owns the mount, the thread and the temporary directory.

import { once } from 'node:events'
import { accessSync, constants, mkdtempSync, rmdirSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { MessageChannel, Worker } from 'node:worker_threads'
import { toAsync } from '../../lib/fuse/async-file-system.js'
import type { Mounted } from '../../lib/fuse/driver.js'
import { kernelDriver } from '../../lib/fuse/kernel-driver.js'
import type { AttachOptions } from '../../lib/fuse/mount.js'
import type { ServeOptions } from '../../lib/fuse/options.js'
import { type KernelSession, ring, SessionMemory } from '../../lib/fuse/session.js'
import type { ThreadData, ThreadMessage } from './fuse-worker.js'
import { MemoryFileSystem } from './memory-file-system.js'

/** Why nothing can be mounted here, or undefined. */
export function cannotMount(): string | undefined {
  if (process.platform !== 'linux') return 'not Linux'
  try {
    accessSync('/dev/fuse', constants.R_OK | constants.W_OK)
    return undefined
  } catch {
    return 'no access to /dev/fuse'
  }
}

export interface ThreadState {
  ask: unknown
  result: unknown
  errors: string[]
  idles: number
  nodes: number
  handles: number
}

type Extra = Pick<ThreadData, 'fsync' | 'backing'>

export class ServingThread {
  private readonly worker: Worker
  private readonly channel = new MessageChannel()
  /** What `run` came to. */
  readonly ended: Promise<{ end?: string; failed?: string }>
  /** An operation was begun that will not end. */
  readonly hanging: Promise<void>

  constructor(
    private readonly session: KernelSession,
    options: Partial<ServeOptions>,
    extra: Extra = {},
  ) {
    const { port1, port2 } = this.channel
    this.worker = new Worker(new URL('./fuse-worker.js', import.meta.url), {
      workerData: { session, options, port: port2, ...extra } satisfies ThreadData,
      transferList: [port2],
    })
    this.ended = new Promise((resolve, reject) => {
      this.worker.on('message', (m) => ('end' in m || 'failed' in m) && resolve(m))
      this.worker.on('error', reject)
    })
    this.ended.catch(() => {})
    this.hanging = new Promise((resolve) => this.worker.on('message', (m) => m.hanging && resolve()))
    port1.unref()
  }

  /** Sends a message by the doorbell. */
  send(message: ThreadMessage): void {
    this.channel.port1.postMessage(message)
    ring(this.session)
  }

  /** Asks by the doorbell, and waits for the answer. */
  async ask(message: ThreadMessage = {}): Promise<ThreadState> {
    const { port1 } = this.channel
    port1.ref()
    const answer = once(port1, 'message')
    this.send({ ask: 1, ...message })
    const [state] = await answer
    port1.unref()
    return state
  }

  /** Kills the thread wherever it is. A thread that sleeps in poll(2) only dies when it wakes: hence the bell. */
  async kill(): Promise<void> {
    const done = this.worker.terminate()
    ring(this.session)
    await done
    this.channel.port1.close()
  }

  async end(): Promise<void> {
    await this.ended
    this.channel.port1.close()
    await this.worker.terminate()
  }
}

export class MemoryMount {
  private constructor(
    readonly path: string,
    readonly mounted: Mounted,
    public thread: ServingThread,
  ) {}

  static async create(
    options: Partial<ServeOptions> &
      Extra & {
        attach?: AttachOptions
        path?: string
        /** Done with the session before a thread serves it. */
        before?(session: KernelSession): Promise<void>
      } = {},
  ): Promise<MemoryMount> {
    const { attach, fsync, backing, path: wanted, before, ...serve } = options
    const directory = wanted ?? mkdtempSync(path.join(os.tmpdir(), 'fuse-test-'))
    let thread: ServingThread | undefined
    const mounted = await kernelDriver.mount({
      mountPoint: directory,
      fileSystem: toAsync(new MemoryFileSystem()),
      options: attach,
      async serve(session) {
        await before?.(session)
        thread = new ServingThread(session, serve, { fsync, backing })
      },
    })
    return new MemoryMount(directory, mounted, thread!)
  }

  get session(): KernelSession {
    return this.mounted.session!
  }

  counts(): Record<string, number> {
    return new SessionMemory(this.session.shared).counts()
  }

  /** A new thread on the same session, with a new, empty file system. */
  restart(options: Partial<ServeOptions> = {}): void {
    this.thread = new ServingThread(this.session, options)
  }

  async unmount(): Promise<void> {
    await this.mounted.unmount()
    // Another mount namespace (a test of somebody else's in a container) may still hold the mount: then no end would come by itself.
    this.thread.send({ stop: true })
    await this.thread.end()
    await this.mounted.close()
    rmdirSync(this.path)
  }
}
