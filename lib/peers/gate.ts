// Who may connect: libp2p's connection gater. Paired devices may. A stranger may only while an invitation is open, only a
// few at a time, for seconds and kilobytes, and finds nothing but the pairing protocol (every other handler asks trust
// first). Also counts what comes in on each connection, which tells the living from the dead. Decides; never dials.
import type { Connection, ConnectionGater, MultiaddrConnection, PeerId } from '@libp2p/interface'
import type { DeviceId } from './device-id.js'
import { NotPairedError } from './errors.js'
import type { Invitations } from './invitations.js'
import type { Trust } from './trust.js'

export interface GateInit {
  /** Strangers connected at the same time; 4. One more pushes out the oldest. */
  maxStrangers?: number
  /** How long a stranger may stay, ms; 30 s. */
  strangerTime?: number
  /** What a stranger may send in all, bytes; 16 KiB. */
  strangerBytes?: number
}

/** What came in on a connection, in raw bytes, whatever it was. */
export interface Traffic {
  bytes: number
  /** performance.now() */
  last: number
}

export class Gate {
  readonly #trust: Trust
  readonly #invitations: Invitations
  readonly #init: Required<GateInit>
  readonly #strangers = new Set<MultiaddrConnection>()
  readonly #hosts = new Map<DeviceId, number>()
  /** Keyed by the timeline object, the one thing that a connection and its transport share in public. */
  readonly #traffic = new WeakMap<object, Traffic>()

  constructor(components: { trust: Trust; invitations: Invitations }, init: GateInit = {}) {
    this.#trust = components.trust
    this.#invitations = components.invitations
    this.#init = { maxStrangers: 4, strangerTime: 30_000, strangerBytes: 16 << 10, ...init }
  }

  get gater(): ConnectionGater {
    return {
      denyDialPeer: (peer) => !this.#mayDial(peer),
      denyDialMultiaddr: () => false,
      denyOutboundEncryptedConnection: (peer) => !this.#mayDial(peer),
      denyOutboundUpgradedConnection: (_peer, raw) => this.#watch(raw),
      denyInboundEncryptedConnection: (peer) => !this.#mayEnter(peer),
      denyInboundUpgradedConnection: (peer, raw) => !this.#mayEnter(peer) || this.#welcome(peer, raw),
    }
  }

  /** Lets this device dial one that it does not trust, for pairing, while `work` runs. */
  async dialling<T>(host: DeviceId, work: () => Promise<T>): Promise<T> {
    this.#hosts.set(host, (this.#hosts.get(host) ?? 0) + 1)
    try {
      return await work()
    } finally {
      const left = this.#hosts.get(host)! - 1
      if (left > 0) this.#hosts.set(host, left)
      else this.#hosts.delete(host)
    }
  }

  traffic(connection: Connection): Traffic | undefined {
    return this.#traffic.get(connection.timeline)
  }

  /** Strangers connected now. */
  get strangers(): number {
    return this.#strangers.size
  }

  #mayDial(peer: PeerId): boolean {
    const id = peer.toString()
    return this.#trust.trusts(id) || this.#hosts.has(id)
  }

  #mayEnter(peer: PeerId): boolean {
    return this.#trust.trusts(peer.toString()) || this.#invitations.isOpen()
  }

  #welcome(peer: PeerId, raw: MultiaddrConnection): false {
    if (!this.#trust.trusts(peer.toString())) this.#limit(peer.toString(), raw)
    return this.#watch(raw)
  }

  /** Only from here on is it safe to listen in: encryption has its own listener by now and nothing gets lost. */
  #watch(raw: MultiaddrConnection): false {
    const traffic: Traffic = { bytes: 0, last: performance.now() }
    this.#traffic.set(raw.timeline, traffic)
    raw.addEventListener('message', (event) => {
      traffic.bytes += event.data.byteLength
      traffic.last = performance.now()
    })
    return false
  }

  #limit(id: DeviceId, raw: MultiaddrConnection): void {
    const [oldest] = this.#strangers
    if (this.#strangers.size >= this.#init.maxStrangers) oldest.abort(new NotPairedError('Too many strangers'))
    this.#strangers.add(raw)
    const timer = setTimeout(() => raw.abort(new NotPairedError('Not paired in time')), this.#init.strangerTime)
    let bytes = 0
    raw.addEventListener('message', (event) => {
      bytes += event.data.byteLength
      if (bytes > this.#init.strangerBytes && !this.#trust.trusts(id)) raw.abort(new NotPairedError('Too many bytes'))
    })
    raw.addEventListener('close', () => {
      clearTimeout(timer)
      this.#strangers.delete(raw)
    })
  }
}
