// What a node offers to whoever looks at it or steers it: the client API, the web console and the terminal console all
// speak to this one interface, so that they can do the same things. Implemented by lib/node.

import type { ActorNode } from '../actors/index.js'

export interface NodeInfo {
  version: string
  device: DeviceInfo
  pid: number
  startedAt: number
  volumes: VolumeInfo[]
  peers: PeerInfo[]
  nearby: NearbyInfo[]
  /** Why devices may not be found, in words for the user; empty when discovery works. */
  discoveryProblems: string[]
  sync: SyncInfo[]
  memory: { rss: number; heap: number }
  /** Seconds of processor time used so far. */
  cpuSeconds: number
}

export interface DeviceInfo {
  /** libp2p peer id. */
  id: string
  name: string
}

export interface VolumeInfo {
  sid: string
  root: string
  label: string
  directory: string
  mountPoint?: string
  mounted: boolean
  documents: number
  seq: number
  /** Journal bytes not committed yet. */
  backlog: number
  conflicts: number
  openHandles: HandleInfo[]
  reports: string[]
  holding: HoldingInfo
}

/** What a volume holds on this device. */
export interface HoldingInfo {
  hold: 'everything' | 'on-demand'
  /** On demand: bytes that contents may take here. */
  budget: number
  /** Milliseconds after which old versions may be given away; 0: never. */
  retainMs: number
  /** Paths from the root of what stays here. */
  pins: string[]
  /** Bytes that contents take here; 0 where they are not counted. */
  bytes: number
  /** Files that should be here and are not yet. */
  lacking: number
}

/** What is said of it; absent: as it is. */
export interface HoldOptions {
  hold?: 'everything' | 'on-demand'
  budget?: number
  /** 0: for ever. */
  retainMs?: number
}

export interface HandleInfo {
  handle: number
  path: string
  dirty: boolean
  size: number
  state: string
}

export interface PeerInfo extends DeviceInfo {
  connected: boolean
  state: string
  address?: string
  since?: number
  bytesIn: number
  bytesOut: number
  rttMs?: number
  /** Volumes that it offers us. */
  offers: OfferInfo[]
}

export interface OfferInfo {
  sid: string
  root: string
  label: string
  /** True if a local volume has the same root. */
  joined: boolean
}

export interface NearbyInfo extends DeviceInfo {
  addresses: string[]
  paired: boolean
}

export const RULE_FIELDS = ['strategy', 'paused', 'schedule', 'limit'] as const
export type RuleField = (typeof RULE_FIELDS)[number]

/** A rule (docs/rules.md), with names as people know them. */
export interface RuleInfo {
  id: string
  /** Name of a volume of this device that it holds for. */
  volume: string
  kind: string
  strategy: string
  /** Volumes: a name of this device's, a device, or the start of an id; empty: any. */
  source: string
  target: string
  paused: boolean
  schedule: string[]
  /** Bytes per second; 0: none. */
  limit: number
}

/** Why a document is, or is not, the same elsewhere. */
export interface WhyInfo {
  volume: string
  /** The other device, or the volume of this one. */
  peerName: string
  /** `in sync`, `conflict`, `on its way`, `pending`, `skipped`, `paused`, `waiting`, `halted`, `not sent`, `not reachable`. */
  state: string
  /** In words, where there is something to say. */
  reason: string
  /** Milliseconds since the epoch; 0: not known. */
  since: number
}

export interface BackupOptions {
  directory: string
  /** Empty: the only one, or the home volume. */
  volume?: string
  label?: string
  mountPoint?: string
  /** Paths of files and folders: contents of these alone, and of what is in them; none: everything. */
  only?: Uint8Array[]
}

/** A replica on a disk of this device. */
export interface BackupInfo {
  label: string
  directory: string
  state: 'open' | 'ejected' | 'not there'
  problem?: string
}

export interface SyncInfo {
  volume: string
  peer: string
  peerName: string
  state: string
  /** Our seq that the peer has confirmed, and ours; the peer's seq that we have, and the peer's. */
  sent: number
  sentOf: number
  received: number
  receivedOf: number
  /** The rule that holds, and its kind; empty: none. */
  rule: string
  kind: string
  /** Why nothing travels now; empty: it does. */
  waits: string
  pending: PendingInfo[]
  bytesIn: number
  bytesOut: number
  lastError?: string
}

export interface PendingInfo {
  document: string
  path?: string
  reason: string
  since: number
  attempts: number
}

export interface VersionInfo {
  rid: string
  /** Short form for people, unique in the list it came with. */
  version: string
  /** Milliseconds since the epoch: modification time of the content and the clock of the commit. */
  modified: number
  committed: number
  size: number
  device: string
  type: string
  mode: number
  comment: string
  current: boolean
  merge: boolean
  conflict: boolean
}

/** What came of restoring a file, or a folder with what was in it. */
export interface RestoredInfo {
  /** Now current. */
  version: VersionInfo
  files: number
  /** Files that were as they had been. */
  same: number
  /** Entries of folders that came later, and were left. */
  later: number
  /** What could not be restored and why, a sentence each. */
  problems: string[]
}

export interface ConflictInfo {
  path: string
  volume: string
  document: string
  versions: VersionInfo[]
}

/** What of a volume was checked so far. */
export interface CheckCountsInfo {
  volume: string
  chunks: number
  bytes: number
  documents: number
  inodes: number
}

export interface CheckInfo {
  counts: CheckCountsInfo
  /** What is wrong, a sentence each; none: all is well. */
  findings: string[]
}

export interface JoinOptions {
  volume: string
  peer?: string
  label?: string
  mountPoint?: string
  /** Contents come when they are read. */
  onDemand?: boolean
}

export interface InvitationInfo {
  token: string
  expiresAt: number
}

export type NodeEvent =
  | { kind: 'actors' | 'volumes' | 'peers' | 'sync' | 'nearby' }
  | { kind: 'report'; text: string; at: number }

/**
 * Errors are `ServiceError`s: a code for programs, a sentence for people. `path` arguments are absolute paths below a
 * mount point (bytes as they are); `version` is a short or full revision id from `log`, or a time as in `.peerdrive/at`.
 */
export interface NodeServices {
  info(): Promise<NodeInfo>
  log(path: Uint8Array, limit: number): Promise<VersionInfo[]>
  /** Hands the bytes to `sink` piece by piece (≤ 1 MiB each) and waits for it. */
  cat(path: Uint8Array, version: string, sink: (bytes: Uint8Array) => Promise<void>): Promise<void>
  restore(path: Uint8Array, version: string): Promise<RestoredInfo>
  conflicts(): Promise<ConflictInfo[]>
  /** Ends a conflict, keeping the current content or that of `version`; with `both` the others become files beside it. */
  resolve(path: Uint8Array, version?: string, both?: boolean): Promise<VersionInfo>
  invite(minutes: number): Promise<InvitationInfo>
  pair(token: string): Promise<DeviceInfo>
  unpair(peer: string): Promise<void>
  join(options: JoinOptions): Promise<VolumeInfo>
  /** Says what a volume holds on this device. Empty name: the only one there is. */
  hold(volume: string, options: HoldOptions): Promise<VolumeInfo>
  /** What is at the path, and everything in it, stays on this device; or need not any more. */
  pin(path: Uint8Array, pinned: boolean): Promise<void>
  /** Reads whole volumes of this name (empty: all) in the background; `progress` hears of it a few times in a second. */
  check(volume: string, progress: (counts: CheckCountsInfo) => void): Promise<CheckInfo[]>
  /** Pauses or goes on with the sync of a volume with a peer (or an attached volume), or lets go on what was stopped; empty names mean all. */
  steer(volume: string, peer: string, action: SteerAction, path?: Uint8Array): Promise<void>
  rules(): Promise<RuleInfo[]>
  /** `id` is not looked at. `volume`: empty for the only one, or the home volume. */
  addRule(rule: RuleInfo): Promise<RuleInfo>
  /** Changes these fields of the rule with this id. */
  setRule(rule: RuleInfo, fields: RuleField[]): Promise<RuleInfo>
  removeRule(id: string): Promise<void>
  why(path: Uint8Array): Promise<WhyInfo[]>
  backups(): Promise<BackupInfo[]>
  /** A backup of a volume of this device in a directory: a replica, and the rule. */
  addBackup(options: BackupOptions): Promise<VolumeInfo>
  /** `eject`: its disk may be taken out. `remove`: it is no backup any more; its files stay. */
  endBackup(label: string, how: 'eject' | 'remove'): Promise<void>
  actors(): ActorNode
  kill(actorPath: string): Promise<void>
  /** Returns the function that ends the subscription. */
  subscribe(listener: (event: NodeEvent) => void): () => void
}

/** `skip`: one document (`path`) waits until `retry`. `allow`: what a peer's changes would remove may be removed, although it is most of what is here. */
export const STEER_ACTIONS = ['pause', 'resume', 'skip', 'retry', 'allow'] as const
export type SteerAction = (typeof STEER_ACTIONS)[number]

/** Checks what a caller said. Throws ServiceError BAD_REQUEST. */
export function steerAction(said: unknown): SteerAction {
  const action = STEER_ACTIONS.find((known) => known === said)
  if (!action) throw new ServiceError('BAD_REQUEST', `There is no action '${said}': ${STEER_ACTIONS.join(', ')}.`)
  return action
}

/** A call failed in a way that the caller should know of. */
export class ServiceError extends Error {
  override name = 'ServiceError'
  constructor(
    readonly code: string,
    message: string,
    readonly data: Record<string, string> = {},
  ) {
    super(message)
  }
}
