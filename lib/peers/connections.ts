// One PeerConnection per paired device, as the trust list says: paired → kept, revoked → hung up at once. For whoever does
// without actors; a supervisor with one connection actor per device (connection-actor.ts) does the same.
import type { DeviceId } from './device-id.js'
import type { Links } from './links.js'
import { PeerConnection, type PeerConnectionComponents, type PeerConnectionInit } from './peer-connection.js'
import type { Device } from './trust.js'

export interface ConnectionsComponents extends PeerConnectionComponents {
  links: Links
}

export class Connections {
  readonly #components: ConnectionsComponents
  readonly #init: Omit<PeerConnectionInit, 'id'>
  readonly #connections = new Map<DeviceId, PeerConnection>()

  constructor(components: ConnectionsComponents, init: Omit<PeerConnectionInit, 'id'> = {}) {
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
    for (const connection of this.#connections.values()) this.#components.links.unfollow(connection)
    this.#connections.clear()
  }

  get(id: DeviceId): PeerConnection | undefined {
    return this.#connections.get(id)
  }

  readonly #onPaired = ({ id }: Readonly<Device>): void => {
    if (this.#connections.has(id)) return
    const connection = new PeerConnection(this.#components, { ...this.#init, id })
    this.#connections.set(id, connection)
    this.#components.links.follow(connection)
    connection.start()
  }

  /** The connection itself hears of it too, and hangs up. */
  readonly #onRevoked = ({ id }: Readonly<Device>): void => {
    const connection = this.#connections.get(id)
    this.#connections.delete(id)
    if (connection) this.#components.links.unfollow(connection)
  }
}
