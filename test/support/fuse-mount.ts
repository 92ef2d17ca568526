// Mounts a file system in memory for tests, served by a thread as in earnest. Owns the mount, the thread and the temporary directory.

import { once } from 'node:events'
import { mkdtempSync, rmdirSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { MessageChannel, Worker } from 'node:worker_threads'
import { toAsync } from '../../lib/fuse/async-file-system.js'
import type { Mounted } from '../../lib/fuse/driver.js'
import { kernelDriver } from '../../lib/fuse/kernel-driver.js'
import type { AttachOptions } from '../../lib/fuse/mount.js'
import type { ServeOptions } from '../../lib/fuse/options.js'
import { type KernelSession, ring, SessionMemory } from '../../lib/fuse/session.js'
import { MemoryFileSystem } from './memory-file-system.js'

/** Why nothing can be mounted here, or undefined. */
export function cannotMount(): string | undefined {
  if (process.platform !== 'linux') return 'not Linux'
  return undefined
}

export class ServingThread {
  private readonly worker: Worker
  private readonly channel = new MessageChannel()
  readonly ended: Promise<{ end?: string; failed?: string }>
  readonly hanging: Promise<void>
  private readonly exited: Promise<unknown>

  constructor(
    private readonly session: KernelSession,
    options: Partial<ServeOptions>,
    pendingFsync = false,
  ) {
    const { port1, port2 } = this.channel
    this.worker = new Worker(new URL('./fuse-worker.js', import.meta.url), {
      workerData: { session, options, port: port2, pendingFsync },
      transferList: [port2],
    })
    this.exited = once(this.worker, 'exit')
    this.ended = new Promise((resolve, reject) => {
      this.worker.on('message', (m) => {
        if ('end' in m || 'failed' in m) resolve(m)
      })
      this.worker.on('error', reject)
    })
    this.hanging = new Promise((resolve) => this.worker.on('message', (m) => m.hanging && resolve()))
    port1.unref()
  }

  /** Sends a message by the doorbell. */
  send(message: unknown): void {
    this.channel.port1.postMessage(message)
    ring(this.session)
  }

  /** Asks by the doorbell, and waits for the answer. */
  async ask(value: unknown = 1): Promise<{ ring: unknown; errors: string[]; nodes: number; handles: number }> {
    const { port1 } = this.channel
    port1.ref()
    const answer = once(port1, 'message')
    this.send({ ring: value })
    const [message] = await answer
    port1.unref()
    return message
  }

  /** Kills the thread wherever it is. */
  async kill(): Promise<void> {
    const done = this.worker.terminate()
    ring(this.session)
    await done
    await this.exited
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
    options: Partial<ServeOptions> & { attach?: AttachOptions; pendingFsync?: boolean } = {},
  ): Promise<MemoryMount> {
    const { attach, pendingFsync, ...serve } = options
    const directory = mkdtempSync(path.join(os.tmpdir(), 'fuse-test-'))
    let thread: ServingThread | undefined
    const mounted = await kernelDriver.mount({
      mountPoint: directory,
      fileSystem: toAsync(new MemoryFileSystem()),
      options: attach,
      serve(session) {
        thread = new ServingThread(session, serve, pendingFsync)
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

  restart(options: Partial<ServeOptions> = {}): void {
    this.thread = new ServingThread(this.session, options)
  }

  async unmount(): Promise<void> {
    await this.mounted.unmount()
    await this.thread.end()
    await this.mounted.close()
    rmdirSync(this.path)
  }
}
