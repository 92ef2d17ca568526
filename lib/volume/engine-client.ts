// Requests to the volume thread, as calls. Owns the link; the thread behind it may be another one tomorrow.

import type { AsyncFileSystem } from '../fuse/async-file-system.js'
import { EIO } from '../fuse/errno.js'
import type { Invalidation } from '../fuse/file-system.js'
import type { KernelSession } from '../fuse/session.js'
import type { Content } from '../model/types.js'
import type { Lsn } from '../store/records.js'
import type { ApplyRequest, LiveRevision, WalkResult } from './contract.js'
import type { ApplyAnswer, EngineRequest, EngineStatus, RestoreAnswer } from './engine/messages.js'
import type { ReviveRequest } from './engine/revive.js'
import type { NamedDevice } from './history/devices.js'
import { ThreadLink } from './thread-link.js'

/** What may be asked twice without harm, should the thread die in between. */
const AGAIN = { repeatable: true }

/** Operations without an answer. */
const FORGETTING = ['forget', 'release', 'releasedir']

export class EngineClient {
  readonly link = new ThreadLink<EngineRequest>({ name: 'volume thread' })
  /** The mount that the thread serves, and the next one will. */
  session?: KernelSession
  /** Threads that there were before this one. */
  generation = 0

  /** Deferred frames are written; answers where the journal ends. */
  flush(): Promise<Lsn> {
    return this.link.request({ type: 'flush' }, AGAIN)
  }

  /** Compare-and-set. Rejects with ThreadLostError if the thread dies meanwhile: it may be done or not. */
  apply(request: ApplyRequest): Promise<ApplyAnswer> {
    return this.link.request({ type: 'apply', ...request })
  }

  /** Rejects with ThreadLostError if the thread dies meanwhile: it may be done or not. */
  restore(ino: number, live: LiveRevision): Promise<RestoreAnswer> {
    return this.link.request({ type: 'restore', ino, live })
  }

  /** Rejects with PathError, and ThreadLostError if the thread dies meanwhile: it may be done or not. */
  revive(request: ReviveRequest): Promise<Invalidation[]> {
    return this.link.request({ type: 'revive', ...request })
  }

  /** Rejects with PathError. */
  walk(names: Uint8Array[]): Promise<WalkResult> {
    return this.link.request({ type: 'walk', names }, AGAIN)
  }

  /** Rejects with PathError. */
  list(ino: number): Promise<{ name: Uint8Array; ino: number; type: number }[]> {
    return this.link.request({ type: 'list', ino }, AGAIN)
  }

  path(ino: number): Promise<Uint8Array[] | undefined> {
    return this.link.request({ type: 'path', ino }, AGAIN)
  }

  spoolCommitted(spool: number, content: Content): Promise<void> {
    return this.link.request({ type: 'spoolCommitted', spool, content }, AGAIN)
  }

  /** In names of versions. A thread that is not there yet is told when it starts. */
  nameDevices(devices: NamedDevice[]): void {
    if (!this.link.attached) return
    this.link.request({ type: 'devices', devices }).catch(() => {
      // The next thread is told when it starts.
    })
  }

  /** Once it resolves, no working copy in memory rests on a content that may be given away. A thread that is not there yet is told when it starts. */
  partial(partial: boolean): Promise<void> {
    if (!this.link.attached) return Promise.resolve()
    return this.link.request({ type: 'partial', partial }, AGAIN)
  }

  /** What a request waited for is here (`errno` 0), or it fails. Of no use to the next thread. */
  again(unique: bigint, errno: number): void {
    this.link.request({ type: 'again', unique, errno }).catch(() => {
      // The thread died: the request was answered when it did.
    })
  }

  /** Contents that were read lately and how many milliseconds ago, the one read longest ago first. */
  lately(): Promise<{ content: Content; ago: number }[]> {
    return this.link.request({ type: 'lately' }, AGAIN)
  }

  packsGone(packs: number[]): Promise<void> {
    return this.link.request({ type: 'packsGone', packs }, AGAIN)
  }

  status(): Promise<EngineStatus> {
    return this.link.request({ type: 'status' }, AGAIN)
  }

  /** The volume's file system for a driver that has no session to hand on. Fails with EIO while there is no thread. */
  readonly fileSystem = new Proxy({} as AsyncFileSystem, {
    get: (_target, method) => {
      if (typeof method !== 'string' || method === 'then') return undefined
      return (...args: unknown[]) => {
        const answer = this.link.request<unknown>({ type: 'call', method, args }).catch(() => EIO)
        return FORGETTING.includes(method) ? undefined : answer
      }
    },
  })

  /** The thread serves this mount from now on, and so does every later one. */
  serve(session: KernelSession | undefined): void {
    this.session = session
    if (!session || !this.link.attached) return
    this.link.request({ type: 'mount', session }).catch(() => {
      // The next thread gets it when it is started.
    })
  }
}
