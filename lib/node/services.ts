// NodeServices on the parts of a running node: what the client API and both consoles may ask and do. Hands on to what knows
// (documents, offers, report, the parts themselves) and tells subscribers of changes. Owns nothing but the list of them.

import type { ActorNode, ActorSystem } from '../actors/index.js'
import {
  type CheckCountsInfo,
  type CheckInfo,
  type ConflictInfo,
  type DeviceInfo,
  type InvitationInfo,
  type NodeEvent,
  type NodeInfo,
  type NodeServices,
  type RestoredInfo,
  ServiceError,
  type SteerAction,
  type VersionInfo,
  type VolumeInfo,
} from '../api/services.js'
import type { Peers } from '../peers/index.js'
import type { Session } from '../sync/session.js'
import { livingWorkers } from '../sync/worker.js'
import { Checks } from './checks.js'
import { findPeer } from './devices.js'
import { Documents } from './documents.js'
import { Offers } from './offers.js'
import { nodeInfo, volumeInfo } from './report.js'
import type { VolumeList } from './volume-list.js'

export interface ServicesComponents {
  system: ActorSystem
  peers: Peers
  volumes: VolumeList
  sessions: Map<string, Session>
  steer(volume: string, peer: string, action: SteerAction): void
}

export class Services implements NodeServices {
  readonly #parts: ServicesComponents
  readonly #startedAt = Date.now()
  readonly #listeners = new Set<(event: NodeEvent) => void>()
  readonly #documents: Documents
  readonly #offers: Offers
  readonly #checks: Checks

  constructor(components: ServicesComponents) {
    const { peers, sessions, volumes } = components
    this.#parts = components
    this.#documents = new Documents(volumes, peers)
    this.#checks = new Checks(volumes)
    this.#offers = new Offers({ peers, sessions, subscribe: (listener) => this.subscribe(listener) })
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
    this.#parts.peers.trust.revoke(findPeer(this.#parts.peers, peer).id)
    this.tell({ kind: 'peers' })
  }

  async join(options: { volume: string; peer?: string; label?: string; mountPoint?: string }): Promise<VolumeInfo> {
    const { peers, volumes } = this.#parts
    const peer = options.peer ? findPeer(peers, options.peer).id : undefined
    const open = await volumes.join(await this.#offers.find(options.volume, peer), options)
    this.tell({ kind: 'volumes' })
    return volumeInfo(open)
  }

  async steer(volume: string, peer: string, action: SteerAction): Promise<void> {
    const id = peer && findPeer(this.#parts.peers, peer).id
    const open = this.#parts.volumes.list().filter((one) => !volume || one.volume.label === volume)
    if (!open.length)
      throw new ServiceError('NO_SUCH_VOLUME', `There is no volume '${volume}' here; \`peerdrive status\` lists them.`)
    const workers = open.flatMap((one) => livingWorkers(one.volume)).filter((w) => !id || w.args.session.peer === id)
    if (action === 'allow' && !workers.some(({ fetcher }) => fetcher.halted))
      throw new ServiceError(
        'NOTHING_STOPPED',
        'Nothing was stopped that could be allowed; `peerdrive status` shows why sync waits.',
      )
    this.#parts.steer(volume, id, action)
  }

  check(volume: string, progress: (counts: CheckCountsInfo) => void): Promise<CheckInfo[]> {
    return this.#checks.check(volume, progress)
  }

  /** What runs for somebody who asked is ended. Before the volumes are closed. */
  end(): Promise<void> {
    return this.#checks.end()
  }

  actors(): ActorNode {
    return this.#parts.system.inspect()
  }

  kill(actorPath: string): Promise<void> {
    return this.#parts.system.kill(actorPath)
  }
}
