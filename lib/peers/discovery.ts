// Which devices are near, by multicast DNS with our own service tag, and where paired ones can be dialled. mDNS proves
// nothing: what is found here is a hint, identity comes from noise. Announced are device id and addresses, nothing else
// (no name: strangers get nothing); people see a fingerprint until the device is paired. Dials nobody.
//
// Asks every few seconds at first and after every change, then ever more rarely: each question costs every device an answer. Whoever is
// new asks at once, and hears of all; the others hear the question, and ask for it in turn.
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
/** Questions without an answer after which a device is gone, and after which it is strange to have heard nobody. */
const MISSED = 3
/** The longest pause between questions, in first ones. */
const LONGEST = 6
/** Milliseconds that no timer is longer than: the library is to ask once only, at the start. */
const NEVER = 2 ** 31 - 1

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
  /** A device was silent over three questions. */
  gone: [Nearby]
  /** What is in the way of discovery has changed. */
  problems: [Problem[]]
}

export interface DiscoveryInit {
  /** ms between questions at first; 5 s. Where nothing changes the pauses grow to six times that. */
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
  mdns?: EventEmitter & { query(question: Pick<QueryPacket, 'questions'>): void }
}

/** What is known of a device near by, and how many questions ago it was heard. */
type Heard = Nearby & { missed: number }

export class Discovery extends EventEmitter<DiscoveryEvents> {
  readonly #components: DiscoveryComponents
  readonly #init: Required<DiscoveryInit>
  readonly #clock: () => number
  readonly #nearby = new Map<DeviceId, Heard>()
  #service: Service | undefined
  #timer: NodeJS.Timeout | undefined
  #problems: Problem[] = []
  #socketError: Error | undefined
  /** ms until the next question after the one that is due. */
  #pause = 0
  /** When was asked last, and when is asked next. */
  #asked = 0
  #due = 0
  #questions = 0
  /** Our own questions since one of anybody was heard, which should be each of them. */
  #unheard = 0

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
    this.#questions = 0
    this.#unheard = 0
    this.#pause = this.#init.interval
    await this.#open()
    await this.#diagnose()
    if (this.#service) this.#schedule()
  }

  async #open(): Promise<void> {
    const { serviceTag, port } = this.#init
    const addressManager = { getAddresses: () => this.#announced() }
    const logger = this.#components.node.libp2p.logger
    const components = { addressManager, logger } as unknown as Parameters<ReturnType<typeof mdns>>[0]
    const service = mdns({ serviceTag, interval: NEVER, port })(components) as unknown as Service
    this.#service = service
    this.#socketError = undefined
    service.addEventListener('peer', (event) => this.#onPeer((event as CustomEvent<PeerInfo>).detail))
    this.#noteAsked()
    await service.start()
    service.mdns?.on('query', (query: QueryPacket) => this.#onQuery(query))
    service.mdns?.on('error', (error: Error) => this.#onSocketError(error))
  }

  async stop(): Promise<void> {
    const service = this.#service
    this.#service = undefined
    clearTimeout(this.#timer)
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
      missed: 0,
    }
    this.#nearby.set(id, one)
    if (before?.addresses.join() !== addresses.join()) this.#changed()
    this.emit('seen', this.#named(one))
  }

  /** A flood of strangers must not hide a paired device. */
  #makeRoom(id: DeviceId): boolean {
    const { trust } = this.#components
    const stranger = trust.trusts(id) && [...this.#nearby.keys()].find((other) => !trust.trusts(other))
    return stranger ? this.#nearby.delete(stranger) : false
  }

  #named({ missed: _, ...one }: Heard): Nearby {
    const device = this.#components.trust.get(one.id)
    return { ...one, name: device?.name, paired: device !== undefined }
  }

  /** Of anybody, ourselves as well. */
  #onQuery(query: QueryPacket): void {
    if (query.questions?.[0]?.name !== this.#init.serviceTag) return
    this.#unheard = 0
    // Somebody may be new.
    if (this.#clock() - this.#asked >= this.#init.interval) this.#ask()
  }

  #ask(): void {
    this.#noteAsked()
    this.#service?.mdns?.query({ questions: [{ name: this.#init.serviceTag, type: 'PTR' }] })
  }

  #noteAsked(): void {
    this.#asked = this.#clock()
    this.#questions++
    this.#unheard++
    for (const one of this.#nearby.values()) one.missed++
  }

  #schedule(): void {
    clearTimeout(this.#timer)
    this.#due = this.#clock() + this.#pause
    this.#timer = setTimeout(() => void this.#tick(), this.#pause)
  }

  /** Something is not as it was: more may follow. */
  #changed(): void {
    this.#pause = this.#init.interval
    if (this.#due - this.#clock() > this.#pause) this.#schedule()
  }

  #onSocketError(error: Error): void {
    this.#socketError = error
    this.#report([socketProblem(error, this.#init.port)])
  }

  async #tick(): Promise<void> {
    const service = this.#service
    this.#pause = Math.min(2 * this.#pause, LONGEST * this.#init.interval)
    this.#expire()
    if (this.#socketError) {
      this.#pause = this.#init.interval
      await service?.stop()
      if (service && this.#service === service) await this.#open()
    } else {
      this.#ask()
      await this.#diagnose()
    }
    if (this.#service) this.#schedule()
  }

  async #diagnose(): Promise<void> {
    const patient = this.#questions > MISSED
    const deaf = patient && this.#unheard > MISSED
    const problems = await diagnose({ port: this.#init.port, deaf, alone: patient && this.#nearby.size === 0 })
    if (!this.#socketError) this.#report(problems)
  }

  #report(problems: Problem[]): void {
    if (!this.#service || JSON.stringify(problems) === JSON.stringify(this.#problems)) return
    this.#problems = problems
    this.#changed()
    this.emit('problems', problems)
  }

  #expire(): void {
    for (const one of this.#nearby.values()) {
      if (one.missed <= MISSED) continue
      this.#nearby.delete(one.id)
      this.#changed()
      this.emit('gone', this.#named(one))
    }
  }
}
