// The links there are now, whoever keeps them: what sync looks at. Outlives the actors that keep the connections; follows
// a connection as long as it is followed. Owns no link and closes none.
import { EventEmitter } from 'node:events'
import type { DeviceId } from './device-id.js'
import type { Link } from './link.js'
import type { ConnectionSummary, PeerConnection } from './peer-connection.js'

export interface LinksEvents {
  up: [Link]
  /** Before the 'up' of a link that replaces it. The error is undefined if it ended in good order. */
  down: [Link, Error | undefined]
}

export class Links extends EventEmitter<LinksEvents> {
  readonly #connections = new Map<DeviceId, PeerConnection>()

  constructor() {
    super()
    this.setMaxListeners(0)
  }

  /** Reports the links of this connection, in place of an earlier one of the same device. */
  follow(connection: PeerConnection): void {
    this.#connections.set(connection.id, connection)
    connection.on('up', (link) => this.emit('up', link))
    connection.on('down', (link, error) => this.emit('down', link, error))
  }

  /** Forgets the connection; the end of its link is still reported. */
  unfollow(connection: PeerConnection): void {
    if (this.#connections.get(connection.id) === connection) this.#connections.delete(connection.id)
  }

  get(id: DeviceId): Link | undefined {
    return this.#connections.get(id)?.link
  }

  list(): Link[] {
    return [...this.#connections.values()].map((connection) => connection.link).filter((link) => link !== undefined)
  }

  /** Of all devices that are looked after, linked or not. */
  summaries(): ConnectionSummary[] {
    return [...this.#connections.values()].map((connection) => connection.summary())
  }
}
