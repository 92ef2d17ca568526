// One PeerConnection per paired device, as the trust list says: paired → kept, revoked → hung up at once. For whoever does
// without actors; a supervisor that starts one connection actor per device does the same.
import { EventEmitter } from 'node:events'
import type { DeviceId } from './device-id.js'
import type { Link } from './link.js'
import {
  type ConnectionSummary,
  PeerConnection,
  type PeerConnectionComponents,
  type PeerConnectionInit,
} from './peer-connection.js'
import type { Device } from './trust.js'

export interface ConnectionsEvents {
  up: [Link]
  down: [Link, Error | undefined]
}

export class Connections extends EventEmitter<ConnectionsEvents> {
  readonly #components: PeerConnectionComponents
  readonly #init: Omit<PeerConnectionInit, 'id'>
  readonly #connections = new Map<DeviceId, PeerConnection>()

  constructor(components: PeerConnectionComponents, init: Omit<PeerConnectionInit, 'id'> = {}) {
    super()
    this.#components = components
    this.#init = init
  }

  start(): void {
    this.#components.trust.on('paired', this.#onPaired)
    this.#components.trust.on('revoked', this.#onRevoked)
    for (const device of this.#components.trust.list()) this.#onPaired(device)
  }

  /** Ends all links in good order. */
  async stop(): Promise<void> {
    this.#components.trust.off('paired', this.#onPaired)
    this.#components.trust.off('revoked', this.#onRevoked)
    await Promise.all([...this.#connections.values()].map((connection) => connection.stop()))
    this.#connections.clear()
  }

  get(id: DeviceId): PeerConnection | undefined {
    return this.#connections.get(id)
  }

  link(id: DeviceId): Link | undefined {
    return this.#connections.get(id)?.link
  }

  links(): Link[] {
    return [...this.#connections.values()].map((connection) => connection.link).filter((link) => link !== undefined)
  }

  summaries(): ConnectionSummary[] {
    return [...this.#connections.values()].map((connection) => connection.summary())
  }

  readonly #onPaired = ({ id }: Readonly<Device>): void => {
    if (this.#connections.has(id)) return
    const connection = new PeerConnection(this.#components, { ...this.#init, id })
    connection.on('up', (link) => this.emit('up', link))
    connection.on('down', (link, error) => this.emit('down', link, error))
    this.#connections.set(id, connection)
    connection.start()
  }

  /** The connection hears of it by itself. */
  readonly #onRevoked = ({ id }: Readonly<Device>): void => {
    this.#connections.delete(id)
  }
}
