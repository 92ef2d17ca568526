// NodeServices on the parts of a running node: what the client API and both consoles may ask and do. Hands on to what knows
// (documents, offers, report, the parts themselves) and tells subscribers of changes. Owns nothing but the list of them.

import type { ActorNode, ActorSystem } from '../actors/index.js'
import {
  type BackupInfo,
  type CheckCountsInfo,
  type CheckInfo,
  type ConflictInfo,
  type DeviceInfo,
  type HoldOptions,
  type InvitationInfo,
  type JoinOptions,
  type NodeEvent,
  type NodeInfo,
  type NodeServices,
  type RestoredInfo,
  type RuleField,
  type RuleInfo,
  ServiceError,
  type SteerAction,
  type VersionInfo,
  type VolumeInfo,
  type WhyInfo,
} from '../api/services.js'
import { equal, hex, unhex } from '../model/bytes.js'
import type { DId } from '../model/types.js'
import type { Peers } from '../peers/index.js'
import { forgetPairs, type KnownPair, knownPairs, notePair } from '../sync/known-pairs.js'
import { isLocal, localPeer } from '../sync/manager.js'
import type { Session } from '../sync/session.js'
import { livingWorkers } from '../sync/worker-view.js'
import type { Volume } from '../volume/contract.js'
import { Checks } from './checks.js'
import { findPeer } from './devices.js'
import { Documents } from './documents.js'
import { pinPath, setHolding } from './holding.js'
import { Offers } from './offers.js'
import { nodeInfo, volumeInfo } from './report.js'
import { Rules } from './rules.js'
import type { OpenVolume, VolumeList } from './volume-list.js'
import { whyOf } from './why.js'

export interface ServicesComponents {
  system: ActorSystem
  peers: Peers
  volumes: VolumeList
  sessions: Map<string, Session>
  /** Empty names mean all. */
  steer(volume: string, peer: string, action: SteerAction, document?: DId): void
}

export class Services implements NodeServices {
  readonly #parts: ServicesComponents
  readonly #startedAt = Date.now()
  readonly #listeners = new Set<(event: NodeEvent) => void>()
  readonly #documents: Documents
  readonly #offers: Offers
  readonly #checks: Checks
  readonly #rules: Rules

  constructor(components: ServicesComponents) {
    const { peers, sessions, volumes } = components
    this.#parts = components
    this.#documents = new Documents(volumes, peers)
    this.#checks = new Checks(volumes)
    this.#offers = new Offers({ peers, sessions, subscribe: (listener) => this.subscribe(listener) })
    this.#rules = new Rules({ peers, sessions, volumes })
    components.system.onChange(() => this.tell({ kind: 'actors' }))
  }

  /** Lets every subscriber know. */
  tell(event: NodeEvent): void {
    for (const listener of this.#listeners) listener(event)
  }

  subscribe(listener: (event: NodeEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  info(): Promise<NodeInfo> {
    return nodeInfo(this.#parts, this.#startedAt)
  }

  log(path: Uint8Array, limit: number): Promise<VersionInfo[]> {
    return this.#documents.log(path, limit)
  }

  cat(path: Uint8Array, version: string, sink: (bytes: Uint8Array) => Promise<void>): Promise<void> {
    return this.#documents.cat(path, version, sink)
  }

  restore(path: Uint8Array, version: string): Promise<RestoredInfo> {
    return this.#documents.restore(path, version)
  }

  conflicts(): Promise<ConflictInfo[]> {
    return this.#documents.conflicts()
  }

  resolve(path: Uint8Array, version?: string, both?: boolean): Promise<VersionInfo> {
    return this.#documents.resolve(path, version, both)
  }

  async invite(minutes: number): Promise<InvitationInfo> {
    const { token, invitation } = this.#parts.peers.pairing.invite(Math.min(Math.max(minutes, 1), 1440) * 60_000)
    return { token, expiresAt: invitation.expires }
  }

  async pair(token: string): Promise<DeviceInfo> {
    const device = await this.#parts.peers.pairing.join(token.trim())
    return { id: device.id, name: device.name }
  }

  async unpair(peer: string): Promise<void> {
    const { id } = findPeer(this.#parts.peers, peer)
    this.#parts.peers.trust.revoke(id)
    await this.#forget((pair) => pair.peer === id)
    this.tell({ kind: 'peers' })
  }

  async hold(volume: string, options: HoldOptions): Promise<VolumeInfo> {
    const open = this.#parts.volumes.find(volume)
    await setHolding(open.volume, options)
    this.tell({ kind: 'volumes' })
    return volumeInfo(open)
  }

  async pin(path: Uint8Array, pinned: boolean): Promise<void> {
    const { volume, names } = this.#parts.volumes.locate(path)
    await pinPath(volume, names, pinned)
    this.tell({ kind: 'volumes' })
  }

  async join(options: JoinOptions): Promise<VolumeInfo> {
    const { peers, volumes } = this.#parts
    const peer = options.peer ? findPeer(peers, options.peer).id : undefined
    const open = await volumes.join(await this.#offers.find(options.volume, peer), options)
    this.tell({ kind: 'volumes' })
    return volumeInfo(open)
  }

  async steer(volume: string, peer: string, action: SteerAction, path?: Uint8Array): Promise<void> {
    if (action === 'skip') return this.#skip(peer, path)
    const id = peer && this.#peer(peer)
    const open = this.#parts.volumes.list().filter((one) => !volume || one.volume.label === volume)
    if (!open.length)
      throw new ServiceError('NO_SUCH_VOLUME', `There is no volume '${volume}' here; \`peerdrive status\` lists them.`)
    const workers = open.flatMap((one) => livingWorkers(one.volume)).filter((w) => !id || w.args.session.peer === id)
    if (action === 'allow' && !workers.some(({ fetcher }) => fetcher.halted))
      throw new ServiceError(
        'NOTHING_STOPPED',
        'Nothing was stopped that could be allowed; `peerdrive status` shows why sync waits.',
      )
    if (action === 'pause' || action === 'resume') await this.#note(open, id, action === 'pause')
    this.#parts.steer(volume, id, action)
  }

  check(volume: string, progress: (counts: CheckCountsInfo) => void): Promise<CheckInfo[]> {
    return this.#checks.check(volume, progress)
  }

  /** What runs for somebody who asked is ended. Before the volumes are closed. */
  end(): Promise<void> {
    return this.#checks.end()
  }

  /** Pairs whose other side is away are paused, too. */
  async #note(open: OpenVolume[], peer: string, paused: boolean): Promise<void> {
    for (const { volume } of open)
      for (const pair of knownPairs(volume))
        if (!peer || pair.peer === peer) await notePair(volume, unhex(pair.peerVolume), { paused })
  }

  async #skip(peer: string, path?: Uint8Array): Promise<void> {
    if (!path) throw new ServiceError('BAD_REQUEST', 'Say which file or folder is to be skipped.')
    const { volume, head } = await this.#documents.find(path)
    const id = peer && this.#peer(peer)
    if (!livingWorkers(volume).some(({ args }) => !id || args.session.peer === id))
      throw new ServiceError('NOT_CONNECTED', 'Nothing is connected that it could be skipped for.')
    this.#parts.steer(volume.label, id, 'skip', head.document)
  }

  /** What stands for a device, or for a volume of this one, in links. Throws ServiceError. */
  #peer(said: string): string {
    const here = this.#parts.volumes
      .list()
      .find(({ attached, volume }) => localPeer(volume) === said || (attached && volume.label === said))
    if (here) return localPeer(here.volume)
    // Its disk may be away.
    const away = this.#parts.volumes.list().flatMap(({ volume }) => knownPairs(volume).filter(isLocal))
    return away.find(({ name }) => name === said)?.peer ?? findPeer(this.#parts.peers, said).id
  }

  async #forget(which: (pair: KnownPair) => boolean): Promise<void> {
    for (const { volume } of this.#parts.volumes.list()) await forgetPairs(volume, which)
  }

  async rules(): Promise<RuleInfo[]> {
    return this.#rules.list()
  }

  async addRule(rule: RuleInfo): Promise<RuleInfo> {
    const added = await this.#rules.add(rule)
    this.tell({ kind: 'sync' })
    return added
  }

  async setRule(rule: RuleInfo, fields: RuleField[]): Promise<RuleInfo> {
    const changed = await this.#rules.set(rule, fields)
    this.tell({ kind: 'sync' })
    return changed
  }

  async removeRule(id: string): Promise<void> {
    await this.#rules.remove(id)
    this.tell({ kind: 'sync' })
  }

  async why(path: Uint8Array): Promise<WhyInfo[]> {
    const { volume, head } = await this.#documents.find(path)
    return whyOf(volume, head)
  }

  async backups(): Promise<BackupInfo[]> {
    return this.#parts.volumes.attachments.list()
  }

  async addBackup(options: {
    directory: string
    volume?: string
    label?: string
    mountPoint?: string
    only?: Uint8Array[]
  }): Promise<VolumeInfo> {
    const { volumes } = this.#parts
    const { volume } = this.#rules.find(options.volume ?? '')
    const only = await Promise.all((options.only ?? []).map((path) => this.#documentIn(volume, path)))
    const entry = await volumes.attachments.add(options.directory, volume, { ...options, only }, async (target) => {
      await this.#rules.backUp(volume, target)
    })
    return volumeInfo(volumes.list().find(({ directory }) => directory === entry.directory)!)
  }

  async #documentIn(volume: Volume, path: Uint8Array): Promise<DId> {
    const found = await this.#documents.find(path)
    if (found.volume === volume) return found.head.document
    throw new ServiceError('ANOTHER_VOLUME', `${Buffer.from(path).toString()} is not in '${volume.label}'.`)
  }

  async endBackup(label: string, how: 'eject' | 'remove'): Promise<void> {
    const { attachments } = this.#parts.volumes
    if (how === 'eject') return attachments.eject(label)
    this.#needsNot(label)
    const target = await attachments.remove(label)
    for (const { volume } of this.#parts.volumes.list()) await volume.holding.keeperSeen(label, false)
    if (!target) return
    await this.#rules.backUpNoMore(target)
    await this.#forget(({ peerVolume }) => peerVolume === hex(target))
  }

  /** Throws ServiceError if the backup is the only keeper known of contents that are not here. One whose disk is away may always go. */
  #needsNot(label: string): void {
    const open = this.#parts.volumes.list()
    const backup = open.find(({ attached, volume }) => attached && volume.label === label)?.volume
    const needing = open.find(({ attached, volume }) => !attached && backup && equal(volume.root, backup.root))?.volume
    if (!backup?.holding.keeps || !needing?.holding.partial) return
    if (needing.holding.keepers.some((name) => name !== label)) return
    throw new ServiceError(
      'STILL_NEEDED',
      `'${needing.label}' does not have all contents itself, and no device but '${label}' is known to keep them. \`peerdrive hold everything\` fetches them; \`peerdrive status\` shows when it is done.`,
    )
  }

  actors(): ActorNode {
    return this.#parts.system.inspect()
  }

  kill(actorPath: string): Promise<void> {
    return this.#parts.system.kill(actorPath)
  }
}
