// Which devices are near, by multicast DNS with our own service tag, and where paired ones can be dialled. mDNS proves
// nothing: what is found here is a hint, identity comes from noise. Announced are device id and addresses, nothing else
// (no name: strangers get nothing); people see a fingerprint until the device is paired. Dials nobody.
import './promise-polyfill.js'
import { EventEmitter } from 'node:events'
import type { PeerInfo } from '@libp2p/interface'
import { mdns } from '@libp2p/mdns'
import { multiaddr } from '@multiformats/multiaddr'
import type { QueryPacket } from 'multicast-dns'
import { announcedAddresses } from './addresses.js'
import { type DeviceId, fingerprint } from './device-id.js'
import { diagnose, type Problem, socketProblem } from './discovery-problems.js'
import type { Node } from './node.js'
import type { Trust } from './trust.js'

export const SERVICE_TAG = '_peerdrive._udp.local'
const MAX_NEARBY = 256
const MISSED_ANNOUNCEMENTS = 3

export interface Nearby {
  id: DeviceId
  /** For people; the same as the other device shows for itself. */
  fingerprint: string
  /** Known only of paired devices. */
  name: string | undefined
  paired: boolean
  /** As announced last, without device id. */
  addresses: string[]
  /** ms since the epoch */
  firstSeen: number
  lastSeen: number
}

export interface DiscoveryEvents {
  /** A device announced itself: for the first time or again, perhaps with other addresses. */
  seen: [Nearby]
  /** A device was silent for three intervals. */
  gone: [Nearby]
  /** What is in the way of discovery has changed. */
  problems: [Problem[]]
}

export interface DiscoveryInit {
  /** ms between queries; 5 s. */
  interval?: number
  serviceTag?: string
  /** UDP port; 5353. */
  port?: number
  /** false: only static addresses; finds nobody and tells nobody. */
  enabled?: boolean
}

export interface DiscoveryComponents {
  node: Node
  trust: Trust
  clock?: () => number
}

/** What we use of @libp2p/mdns, and of multicast-dns inside it. */
interface Service extends EventTarget {
  start(): Promise<void>
  stop(): Promise<void>
  mdns?: EventEmitter
}

export class Discovery extends EventEmitter<DiscoveryEvents> {
  readonly #components: DiscoveryComponents
  readonly #init: Required<DiscoveryInit>
  readonly #clock: () => number
  readonly #nearby = new Map<DeviceId, Nearby>()
  #service: Service | undefined
  #timer: NodeJS.Timeout | undefined
  #problems: Problem[] = []
  #socketError: Error | undefined
  #started = 0
  #heardSelf = 0

  constructor(components: DiscoveryComponents, init: DiscoveryInit = {}) {
    super()
    this.setMaxListeners(0)
    this.#components = components
    this.#init = { interval: 5000, serviceTag: SERVICE_TAG, port: 5353, enabled: true, ...init }
    this.#clock = components.clock ?? Date.now
  }

  /** Never fails: what is in the way is told by `problems`. */
  async start(): Promise<void> {
    if (this.#service || !this.#init.enabled) return
    this.#started = this.#clock()
    this.#heardSelf = 0
    this.#timer = setInterval(() => void this.#tick(), this.#init.interval)
    await this.#open()
    await this.#tick()
  }

  async #open(): Promise<void> {
    const { serviceTag, interval, port } = this.#init
    const addressManager = { getAddresses: () => this.#announced() }
    const logger = this.#components.node.libp2p.logger
    const components = { addressManager, logger } as unknown as Parameters<ReturnType<typeof mdns>>[0]
    const service = mdns({ serviceTag, interval, port })(components) as unknown as Service
    this.#service = service
    this.#socketError = undefined
    service.addEventListener('peer', (event) => this.#onPeer((event as CustomEvent<PeerInfo>).detail))
    await service.start()
    service.mdns?.on('query', (query: QueryPacket) => this.#onQuery(query))
    service.mdns?.on('error', (error: Error) => this.#onSocketError(error))
  }

  async stop(): Promise<void> {
    const service = this.#service
    this.#service = undefined
    clearInterval(this.#timer)
    this.#nearby.clear()
    await service?.stop()
  }

  /** Devices seen lately, paired or not, the longest known first. */
  nearby(): Nearby[] {
    return [...this.#nearby.values()].map((one) => this.#named(one))
  }

  /** Why devices may not find each other; empty: nothing is known to be wrong. */
  problems(): Problem[] {
    return this.#problems
  }

  /** Where a device may be dialled: the address that worked last, what it announces, what was entered or worked before. */
  addresses(id: DeviceId): string[] {
    const [last, ...older] = this.#components.trust.get(id)?.addresses ?? []
    return [...new Set([...(last ? [last] : []), ...(this.#nearby.get(id)?.addresses ?? []), ...older])]
  }

  #announced(): ReturnType<typeof multiaddr>[] {
    const { node } = this.#components
    return node.addresses.map((address) => multiaddr(`${address}/p2p/${node.id}`))
  }

  #onPeer(info: PeerInfo): void {
    const id = info.id.toString()
    const addresses = announcedAddresses(info.multiaddrs.map(String))
    if (id === this.#components.node.id || addresses.length === 0 || info.id.type !== 'Ed25519') return
    const before = this.#nearby.get(id)
    if (!before && this.#nearby.size >= MAX_NEARBY && !this.#makeRoom(id)) return
    const now = this.#clock()
    const one = {
      id,
      fingerprint: fingerprint(id),
      name: undefined,
      paired: false,
      addresses,
      firstSeen: before?.firstSeen ?? now,
      lastSeen: now,
    }
    this.#nearby.set(id, one)
    this.emit('seen', this.#named(one))
  }

  /** A flood of strangers must not hide a paired device. */
  #makeRoom(id: DeviceId): boolean {
    const { trust } = this.#components
    const stranger = trust.trusts(id) && [...this.#nearby.keys()].find((other) => !trust.trusts(other))
    return stranger ? this.#nearby.delete(stranger) : false
  }

  #named(one: Nearby): Nearby {
    const device = this.#components.trust.get(one.id)
    return { ...one, name: device?.name, paired: device !== undefined }
  }

  #onQuery(query: QueryPacket): void {
    if (query.questions?.[0]?.name === this.#init.serviceTag) this.#heardSelf = this.#clock()
  }

  #onSocketError(error: Error): void {
    this.#socketError = error
    this.#report([socketProblem(error, this.#init.port)])
  }

  async #tick(): Promise<void> {
    this.#expire()
    const { interval, port } = this.#init
    if (this.#socketError) {
      const service = this.#service
      await service?.stop()
      if (service && this.#service === service) await this.#open()
      return
    }
    const now = this.#clock()
    const patient = now - this.#started > MISSED_ANNOUNCEMENTS * interval
    const deaf = patient && now - this.#heardSelf > MISSED_ANNOUNCEMENTS * interval
    const problems = await diagnose({ port, deaf, alone: patient && this.#nearby.size === 0 })
    if (!this.#socketError) this.#report(problems)
  }

  #report(problems: Problem[]): void {
    if (!this.#service || JSON.stringify(problems) === JSON.stringify(this.#problems)) return
    this.#problems = problems
    this.emit('problems', problems)
  }

  #expire(): void {
    const oldest = this.#clock() - (MISSED_ANNOUNCEMENTS + 0.5) * this.#init.interval
    for (const one of this.#nearby.values()) {
      if (one.lastSeen >= oldest) continue
      this.#nearby.delete(one.id)
      this.emit('gone', this.#named(one))
    }
  }
}
