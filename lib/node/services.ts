// NodeServices on the parts of a running node: what the client API and both consoles may ask and do. Owns nothing; turns
// what the parts say into what people read, and errors into sentences.

import type { ActorNode, ActorSystem } from '../actors/index.js'
import {
  type ConflictInfo,
  type DeviceInfo,
  type InvitationInfo,
  type NodeEvent,
  type NodeInfo,
  type NodeServices,
  type PeerInfo,
  ServiceError,
  type SteerAction,
  type SyncInfo,
  type VersionInfo,
  type VolumeInfo,
} from '../api/services.js'
import { hex } from '../model/bytes.js'
import { conflictSides } from '../model/conflict.js'
import { PART_CONTENT, type RId, TYPE_FOLDER } from '../model/types.js'
import { deviceIdOf, type Peers } from '../peers/index.js'
import type { Offer } from '../sync/messages.js'
import { resolveConflict } from '../sync/resolve.js'
import type { Session } from '../sync/session.js'
import { livingWorkers, stateOf, type WorkerView } from '../sync/worker.js'
import type { Head, Volume } from '../volume/contract.js'
import { findVersion, history, versionInfos, wasAt } from './versions.js'
import type { OpenVolume, VolumeList } from './volume-list.js'

export const VERSION = '0.1.0'
const PIECE = 1 << 20
const MAX_CONFLICTS = 1000
/** Milliseconds that a device that was paired just now may take to connect and to say what it offers. */
const OFFER_WAIT = 10_000

export interface ServicesComponents {
  system: ActorSystem
  peers: Peers
  volumes: VolumeList
  sessions: Map<string, Session>
  steer(volume: string, peer: string, action: SteerAction): void
}

/** A folder that was just changed is sealed before the next one. */
const RESOLVE_ATTEMPTS = 3

export class Services implements NodeServices {
  readonly #parts: ServicesComponents
  readonly #startedAt = Date.now()
  readonly #listeners = new Set<(event: NodeEvent) => void>()

  constructor(components: ServicesComponents) {
    this.#parts = components
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

  async info(): Promise<NodeInfo> {
    const { peers, volumes } = this.#parts
    const { user, system } = process.cpuUsage()
    const memory = process.memoryUsage()
    return {
      version: VERSION,
      device: { id: peers.key.id, name: peers.name },
      pid: process.pid,
      startedAt: this.#startedAt,
      volumes: await Promise.all(volumes.list().map(volumeInfo)),
      peers: this.#peers(),
      nearby: peers.discovery.nearby().map((one) => ({
        id: one.id,
        name: one.name ?? one.fingerprint,
        addresses: one.addresses,
        paired: one.paired,
      })),
      discoveryProblems: peers.discovery.problems().map((problem) => problem.message),
      sync: (await Promise.all(volumes.list().map((open) => this.#sync(open)))).flat(),
      memory: { rss: memory.rss, heap: memory.heapUsed },
      cpuSeconds: (user + system) / 1e6,
    }
  }

  async log(path: Uint8Array, limit: number): Promise<VersionInfo[]> {
    const { volume, head } = await this.#document(path)
    return versionInfos(history(volume, head.head, limit), head.ino > 0 ? head.head : undefined, this.#deviceName)
  }

  async cat(path: Uint8Array, version: string, sink: (bytes: Uint8Array) => Promise<void>): Promise<void> {
    const { volume, head } = await this.#document(path)
    const { revision } = findVersion(volume, head.head, version)
    const content = revision.parts.get(PART_CONTENT)
    if (revision.type === TYPE_FOLDER) {
      for (const entry of volume.entries(revision)) await sink(Buffer.concat([entry.name, Buffer.from('\n')]))
      return
    }
    for (let at = 0; content && at < content.size; at += PIECE) await sink(await volume.read(content, at, PIECE))
  }

  async restore(path: Uint8Array, version: string): Promise<VersionInfo> {
    const { volume, head, ino, names } = await this.#document(path)
    const { rid, revision } = findVersion(volume, head.head, version)
    if (revision.type === TYPE_FOLDER)
      throw new ServiceError('IS_A_FOLDER', 'Folders cannot be restored as a whole yet; restore the files in it.')
    if (ino > 0) {
      await volume.restore(ino, rid)
      return this.#current(volume, head.document)
    }
    await volume.revive(names, head.document, rid)
    return this.#current(volume, (await volume.walk(names)).document)
  }

  async conflicts(): Promise<ConflictInfo[]> {
    const found: ConflictInfo[] = []
    for (const open of this.#parts.volumes.list()) {
      for (const head of open.volume.conflicts(MAX_CONFLICTS)) {
        const look = (rid: RId) => open.volume.revision(rid)
        const shown = [head.head, ...conflictSides(head.head, look)].flatMap((rid) => {
          const revision = look(rid)
          return revision ? [{ rid, revision }] : []
        })
        found.push({
          path: await this.#path(open, head.ino),
          volume: open.volume.label,
          document: hex(head.document),
          versions: versionInfos(shown, head.head, this.#deviceName),
        })
      }
    }
    return found
  }

  async resolve(path: Uint8Array, version?: string, both = false): Promise<VersionInfo> {
    const { volume, head } = await this.#document(path)
    const keep = version ? findVersion(volume, head.head, version).rid : undefined
    for (let attempt = 0; ; attempt++) {
      const result = await resolveConflict(volume, { document: head.document, keep, both })
      if (result === 'resolved') return this.#current(volume, head.document)
      if (result === 'none')
        throw new ServiceError('NO_CONFLICT', 'There is no conflict here; `peerdrive conflicts` lists those there are.')
      if (attempt === RESOLVE_ATTEMPTS)
        throw new ServiceError(
          'BUSY',
          'The file was changed at this moment, or is open for writing. Look at it and try again.',
        )
      await volume.flush()
    }
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
    this.#parts.peers.trust.revoke(this.#findPeer(peer).id)
    this.tell({ kind: 'peers' })
  }

  async join(options: { volume: string; peer?: string; label?: string; mountPoint?: string }): Promise<VolumeInfo> {
    const peer = options.peer ? this.#findPeer(options.peer).id : undefined
    const isWanted = (offer: Offer) =>
      offer.label === options.volume || hex(offer.root).startsWith(options.volume.toLowerCase())
    await this.#until(() => this.#offers(peer).some(isWanted) || this.#allHaveOffered(peer))
    const wanted = this.#offers(peer).filter(isWanted)
    const roots = new Set(wanted.map(({ root }) => hex(root)))
    if (roots.size === 0)
      throw noOffer(
        options.volume,
        this.#offers(peer).map(({ label }) => label),
      )
    if (roots.size > 1)
      throw new ServiceError(
        'AMBIGUOUS_VOLUME',
        `Several devices offer a volume '${options.volume}': say --from DEVICE.`,
      )
    const open = await this.#parts.volumes.join(wanted[0], options)
    this.tell({ kind: 'volumes' })
    return volumeInfo(open)
  }

  /** What a paired device offers, or all of them do. */
  #offers(peer?: string): Offer[] {
    return [...this.#parts.sessions.values()]
      .filter((session) => !peer || session.peer === peer)
      .flatMap((session) => session.offers)
  }

  #allHaveOffered(peer?: string): boolean {
    const { trust } = this.#parts.peers
    const asked = trust.list().filter(({ id }) => !peer || id === peer)
    return asked.every(({ id }) => this.#offers(id).length > 0)
  }

  /** Resolves when it holds, at the latest after `OFFER_WAIT`. */
  async #until(holds: () => boolean): Promise<void> {
    if (holds()) return
    await new Promise<void>((resolve) => {
      const done = () => {
        stop()
        clearTimeout(timer)
        resolve()
      }
      const stop = this.subscribe(() => holds() && done())
      const timer = setTimeout(done, OFFER_WAIT)
    })
  }

  async steer(volume: string, peer: string, action: SteerAction): Promise<void> {
    const id = peer && this.#findPeer(peer).id
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

  actors(): ActorNode {
    return this.#parts.system.inspect()
  }

  kill(actorPath: string): Promise<void> {
    return this.#parts.system.kill(actorPath)
  }

  readonly #deviceName = (author: Uint8Array): string => {
    const { peers } = this.#parts
    const id = deviceIdOf(author)
    return id === peers.key.id ? peers.name : (peers.trust.get(id)?.name ?? `${id.slice(-8)}`)
  }

  #peers(): PeerInfo[] {
    const { peers, sessions, volumes } = this.#parts
    const summaries = new Map(peers.links.summaries().map((summary) => [summary.peer, summary]))
    const joined = new Set(volumes.list().map(({ volume }) => hex(volume.root)))
    return peers.trust.list().map((device): PeerInfo => {
      const summary = summaries.get(device.id)
      const link = peers.links.get(device.id)
      return {
        id: device.id,
        name: device.name,
        connected: link !== undefined,
        state: summary?.state ?? 'waiting',
        address: link?.address,
        since: link?.since,
        bytesIn: link?.bytesIn ?? 0,
        bytesOut: link?.bytesOut ?? 0,
        rttMs: link?.rtt,
        offers: (sessions.get(device.id)?.offers ?? []).map((offer) => ({
          sid: hex(offer.sid),
          root: hex(offer.root),
          label: offer.label,
          joined: joined.has(hex(offer.root)),
        })),
      }
    })
  }

  async #sync(open: OpenVolume): Promise<SyncInfo[]> {
    return Promise.all(livingWorkers(open.volume).map((worker) => this.#worker(open, worker)))
  }

  async #worker(open: OpenVolume, worker: WorkerView): Promise<SyncInfo> {
    const { args, feeder, fetcher } = worker
    const pending = fetcher.pending.list().slice(0, 100)
    return {
      volume: open.volume.label,
      peer: args.session.peer,
      peerName: args.peerName,
      state: stateOf(worker),
      sent: feeder.acknowledged,
      sentOf: feeder.following ? open.volume.lastSeq() : feeder.acknowledged,
      received: fetcher.anchor,
      receivedOf: Math.max(fetcher.lastSeq, fetcher.anchor),
      pending: await Promise.all(
        pending.map(async (waiting) => ({
          document: hex(waiting.document),
          path: (await this.#path(open, open.volume.head(waiting.document)?.ino ?? 0)) || undefined,
          reason: waiting.reason,
          since: waiting.since,
          attempts: waiting.attempts,
        })),
      ),
      bytesIn: args.session.bytesIn,
      bytesOut: args.session.bytesOut,
      lastError: worker.lastError,
    }
  }

  async #path({ volume, mountPoint }: OpenVolume, ino: number): Promise<string> {
    const names = ino > 0 ? await volume.path(ino).catch(() => undefined) : undefined
    return names ? [mountPoint ?? '', ...names.map((name) => Buffer.from(name).toString())].join('/') : ''
  }

  #findPeer(peer: string): DeviceInfo {
    const found = this.#parts.peers.trust.list().filter((device) => device.id === peer || device.name === peer)
    if (found.length === 1) return found[0]
    if (found.length > 1)
      throw new ServiceError('AMBIGUOUS_DEVICE', `Several devices are called '${peer}': give the id.`)
    throw new ServiceError('NO_SUCH_DEVICE', `No paired device is called '${peer}'; \`peerdrive status\` lists them.`)
  }

  /** What lives at this path, once everything acknowledged is committed; if nothing does (`ino` 0), what was there last. */
  async #document(path: Uint8Array): Promise<{ volume: Volume; head: Head; ino: number; names: Uint8Array[] }> {
    const { volume, names } = this.#parts.volumes.locate(path)
    // On a full disk the versions that there are can be seen nevertheless.
    const failure = await volume.flush().then(noError, noSpace)
    const { ino, document } = await volume.walk(names).catch((error) => wasAt(volume, names, error))
    const head = volume.head(document)
    if (!head && failure) throw failure
    if (!head) throw new ServiceError('NO_VERSION_YET', 'It has no version yet: it is still being written or hashed.')
    return { volume, head, ino, names }
  }

  async #current(volume: Volume, document: Uint8Array): Promise<VersionInfo> {
    await volume.flush()
    const head = volume.head(document)
    if (!head) throw new ServiceError('NO_VERSION_YET', 'The document is gone.')
    return versionInfos(history(volume, head.head, 1), head.head, this.#deviceName)[0]
  }
}

const noError = () => undefined

/** The error if it tells of a full disk; throws any other. */
function noSpace(error: Error & { code?: string }): Error {
  if (error.code === 'ENOSPC' || error.code === 'EDQUOT') return error
  throw error
}

function noOffer(name: string, offered: string[]): ServiceError {
  if (!offered.length)
    return new ServiceError(
      'NO_SUCH_VOLUME',
      'No connected device offers a volume: is one paired (`peerdrive pair`) and connected (`peerdrive status`)?',
    )
  const labels = [...new Set(offered)].join(', ')
  return new ServiceError('NO_SUCH_VOLUME', `No connected device offers a volume '${name}'. Offered are: ${labels}.`)
}

async function volumeInfo(open: OpenVolume): Promise<VolumeInfo> {
  const status = open.volume.status()
  return {
    sid: hex(status.sid),
    root: hex(status.root),
    label: status.label,
    directory: open.directory,
    mountPoint: open.mountPoint,
    mounted: open.mounted(),
    documents: status.documents,
    seq: status.seq,
    backlog: status.backlog,
    conflicts: open.volume.conflicts(MAX_CONFLICTS).length,
    openHandles: await open.handles(),
    reports: status.reports.slice(-10),
  }
}
