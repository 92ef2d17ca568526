// What crosses between the main thread and a volume thread. Values that can be posted; owns nothing.
// main → thread: `EngineRequest` envelopes (then ring the doorbell, if the volume is mounted). thread → main: `EngineMessage`.

import type { Invalidation } from '../../fuse/file-system.js'
import type { ServeOptions } from '../../fuse/options.js'
import type { KernelSession } from '../../fuse/session.js'
import type { ChunkId, Content } from '../../model/types.js'
import type { Lsn } from '../../store/records.js'
import type { ApplyRequest, LiveRevision, WalkResult } from '../contract.js'
import type { NamedDevice } from '../history/devices.js'
import type { MissingContent } from './engine.js'
import type { ReviveRequest } from './revive.js'

/** What a volume thread begins with. */
export interface EngineData {
  /** Directory of the volume. */
  directory: string
  /** Where the journal ends: what recovery says, or the committer once it has folded everything of the thread before. */
  end: Lsn
  /** PROGRESS_SLOTS BigInt64 slots. */
  progress: SharedArrayBuffer
  /** The mount to serve; absent: the volume is not mounted. */
  session?: KernelSession
  /** How many threads served this mount before: handle numbers do not repeat. */
  generation?: number
  options?: Partial<ServeOptions>
  /** What devices are called in names of versions. */
  devices?: NamedDevice[]
  /** Contents may be elsewhere only (lib/model/holding.ts). */
  partial?: boolean
  /** Size at which the journal goes on in a new segment; default 64 MiB. */
  rotateAt?: number
}

export interface EngineRequests {
  apply: { request: ApplyRequest; answer: ApplyAnswer }
  /** Makes it the new content of a file, as a version; times are now. */
  restore: { request: { ino: number; live: LiveRevision }; answer: RestoreAnswer }
  /** A file where there is none. Fails with `code` of an errno: EEXIST, ENOTDIR. */
  revive: { request: ReviveRequest; answer: Invalidation[] }
  /** Names from the root. Fails with `code` of an errno. */
  walk: { request: { names: Uint8Array[] }; answer: WalkResult }
  list: { request: { ino: number }; answer: { name: Uint8Array; ino: number; type: number }[] }
  path: { request: { ino: number }; answer: Uint8Array[] | undefined }
  /** The content of a closed spool is durable in packs. */
  spoolCommitted: { request: { spool: number; content: Content }; answer: undefined }
  /** Deferred frames are written; answers where the journal ends. */
  flush: { request: Record<never, never>; answer: Lsn }
  /** An operation of the file system, for drivers that call it from elsewhere (async-file-system.ts). */
  call: { request: { method: string; args: unknown[] }; answer: unknown }
  /** What devices are called from now on. */
  devices: { request: { devices: NamedDevice[] }; answer: undefined }
  status: { request: Record<never, never>; answer: EngineStatus }
  /** Contents may be elsewhere only from now on, or not any more. Once it is answered, no working copy in memory rests on one. */
  partial: { request: { partial: boolean }; answer: undefined }
  /** A `missing` request: what it waited for is here (`errno` 0), or it fails. */
  again: { request: { unique: bigint; errno: number }; answer: undefined }
  /** Contents that were read lately and how many milliseconds ago, the one read longest ago first. */
  lately: { request: Record<never, never>; answer: { content: Content; ago: number }[] }
  /** These pack files are not used any more. */
  packsGone: { request: { packs: number[] }; answer: undefined }
  /** A mount to serve from now on, in a thread that serves none. */
  mount: { request: { session: KernelSession; options?: Partial<ServeOptions> }; answer: undefined }
  /** Stops serving, writes what is deferred, closes. The thread ends. */
  stop: { request: Record<never, never>; answer: undefined }
}

export type EngineRequestType = keyof EngineRequests

/** A request as it is posted: its fields and its type side by side. */
export type EngineRequest = {
  [T in EngineRequestType]: { type: T } & EngineRequests[T]['request']
}[EngineRequestType]

export interface EngineEnvelope {
  id: number
  request: EngineRequest
}

/** First message to a volume thread. It is started before it can begin: loading its code takes longer than most recoveries. */
export interface EngineBegin {
  begin: EngineData
}

/** To any thread of a volume: end, now, with nothing written or closed. */
export interface Leave {
  leave: true
}

export interface ApplyAnswer {
  /** One for each change. */
  results: ('applied' | 'busy' | 'stale')[]
  /** For the kernel to forget. */
  invalidations: Invalidation[]
}

/** `busy`: the file is open for writing, or has changes that are not committed. */
export interface RestoreAnswer {
  result: 'done' | 'busy'
  invalidations: Invalidation[]
}

/** A handle that is open for writing and lives longer than a moment, or is spooled. */
export interface OpenHandle {
  handle: number
  ino: number
  spool?: number
  size: number
  /** There are bytes that were not closed yet. */
  dirty: boolean
  /** Names from the root; absent: it has none. */
  path?: Uint8Array[]
}

export interface EngineStatus {
  inodes: number
  entries: number
  handles: number
  cachedBytes: number
  /** Journal positions: end, and how far it is folded. */
  end: Lsn
  committed: Lsn
  open: OpenHandle[]
}

export type EngineEvent =
  | { type: 'ready' }
  /** All handles that count as `OpenHandle`, when that changed. At most every 50 ms. */
  | { type: 'handles'; handles: OpenHandle[] }
  /** A large spool was closed and wants hashing, once the journal is folded beyond `lsn`. */
  | { type: 'sealed'; ino: number; spool: number; size: number; lsn: Lsn }
  /**
   * Complete the request `unique` when these descriptors (of this process) are synced (fdatasync) and, if named, the
   * directory is.
   */
  | { type: 'fsync'; unique: bigint; fds: number[]; directories: string[] }
  /** The committer should be told `wake`. */
  | { type: 'wake' }
  | { type: 'unmounted' }
  | { type: 'damaged'; id: ChunkId }
  /** The request `unique` waits for bytes that are not here: `again` when they are. */
  | ({ type: 'missing'; unique: bigint } & MissingContent)
  /** A content is read up to `offset`, and perhaps on. */
  | { type: 'readOn'; content: Content; offset: number }
  | { type: 'report'; text: string }

export type EngineMessage =
  | { id: number; answer: unknown }
  | { id: number; error: { name: string; code: string; message: string } }
  | { event: EngineEvent }
