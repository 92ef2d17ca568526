// The libp2p node: TCP, noise, yamux, one stable port, and the gate. Deliberately without identify and ping: they tell
// strangers (and need not tell friends) what runs here. Opens and accepts streams for paired devices only, except for
// the one protocol that is registered as open to strangers. Holds no state that matters: it can be stopped and made anew.
import './promise-polyfill.js'
import type { Connection, Libp2p, Stream } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { peerIdFromString } from '@libp2p/peer-id'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { announcedAddresses } from './addresses.js'
import type { DeviceId } from './device-id.js'
import type { DeviceKey } from './device-key.js'
import { asError, DeviceUnreachableError, ListenError, NotPairedError, WrongDeviceError } from './errors.js'
import type { Gate } from './gate.js'
import type { Trust } from './trust.js'

export interface NodeInit {
  /** TCP port, 0 for any free one. The caller keeps `port` for the next start: a stable port makes reconnecting quick. */
  port: number
  /** IP addresses to listen on; all of IPv4 and IPv6 if not given. */
  listen?: string[]
  /** New connections per second and address of the other side; 50. */
  connectionsPerSecond?: number
}

export type StreamHandler = (stream: Stream, connection: Connection, from: DeviceId) => void

/** Generous: a busy device takes seconds for a handshake. */
const DIAL_TIMEOUT = 20_000
export const LISTEN_EVERYWHERE = ['0.0.0.0', '::']
const ADDRESS_TIMEOUT = 4000

export class Node {
  readonly id: DeviceId
  readonly libp2p: Libp2p
  readonly #trust: Trust
  readonly #gate: Gate
  readonly #dialling = new Map<DeviceId, Promise<unknown>>()

  private constructor(libp2p: Libp2p, components: NodeComponents) {
    this.libp2p = libp2p
    this.id = components.key.id
    this.#trust = components.trust
    this.#gate = components.gate
    components.trust.on('revoked', ({ id }) => this.hangUp(id))
  }

  /** @throws ListenError if the port is taken or no address can be listened on */
  static async start(components: NodeComponents, init: NodeInit): Promise<Node> {
    const port = init.port || (await freePort())
    const listen = (init.listen ?? LISTEN_EVERYWHERE).map(
      (ip) => `/${ip.includes(':') ? 'ip6' : 'ip4'}/${ip}/tcp/${port}`,
    )
    try {
      return new Node(await createNode(components, init, listen), components)
    } catch (error) {
      const taken = /EADDRINUSE/.test(asError(error).message)
      const why = taken ? `TCP port ${port} is taken by another program.` : asError(error).message
      throw new ListenError(`Other devices cannot reach this one: ${why} Free the port or choose another.`, {
        cause: error,
      })
    }
  }

  /** The TCP port it listens on. */
  get port(): number {
    const tcp = this.libp2p
      .getMultiaddrs()[0]
      ?.getComponents()
      .find((component) => component.name === 'tcp')
    return Number(tcp?.value ?? 0)
  }

  /** Addresses worth telling others, without device id, best first, at most 8. */
  get addresses(): string[] {
    return announcedAddresses(this.libp2p.getMultiaddrs().map(String))
  }

  /** Calls `handler` for each stream that a paired device opens; others are reset without a word. */
  async handle(
    protocol: string,
    handler: StreamHandler,
    options: { strangers?: boolean; perConnection?: number } = {},
  ): Promise<void> {
    const guarded = (stream: Stream, connection: Connection): void => {
      const from = connection.remotePeer.toString()
      if (!options.strangers && !this.#trust.trusts(from)) return stream.abort(new NotPairedError('Not paired'))
      handler(stream, connection, from)
    }
    await this.libp2p.handle(protocol, guarded, {
      maxInboundStreams: options.perConnection ?? 4,
      maxOutboundStreams: 4,
    })
  }

  async unhandle(protocol: string): Promise<void> {
    await this.libp2p.unhandle(protocol)
  }

  /**
   * Makes a new connection, even if there is one. That it resolves means little: the other side may be about to drop it.
   * @throws DeviceUnreachableError, WrongDeviceError, NotPairedError
   */
  async dial(id: DeviceId, addresses: readonly string[], signal?: AbortSignal): Promise<Connection> {
    if (!this.#mayDial(id)) throw new NotPairedError(`${id} is not a paired device.`)
    const targets = addresses.map((address) => multiaddr(`${address}/p2p/${id}`))
    if (targets.length === 0) throw new DeviceUnreachableError(`No address of device ${id} is known.`)
    try {
      return await this.#inTurn(id, () => this.#dialNow(targets, signal))
    } catch (error) {
      throw dialError(id, addresses, asError(error))
    }
  }

  #dialNow(targets: Multiaddr[], signal?: AbortSignal): Promise<Connection> {
    const timeout = AbortSignal.timeout(DIAL_TIMEOUT)
    return this.libp2p.dial(targets, { force: true, signal: signal ? AbortSignal.any([signal, timeout]) : timeout })
  }

  /** libp2p gives one connection to all who dial a device at the same time; each of them thinks it is theirs to close. */
  async #inTurn<T>(id: DeviceId, dial: () => Promise<T>): Promise<T> {
    const before = this.#dialling.get(id) ?? Promise.resolve()
    const mine = before.then(dial, dial)
    this.#dialling.set(id, mine)
    try {
      return await mine
    } finally {
      if (this.#dialling.get(id) === mine) this.#dialling.delete(id)
    }
  }

  #mayDial(id: DeviceId): boolean {
    return this.#gate.gater.denyDialPeer?.(peerIdFromString(id)) === false
  }

  /** Drops all connections with the device at once. */
  hangUp(id: DeviceId): void {
    for (const connection of this.libp2p.getConnections(peerIdFromString(id))) {
      connection.abort(new NotPairedError('Hung up'))
    }
  }

  async stop(): Promise<void> {
    await this.libp2p.stop()
  }
}

export interface NodeComponents {
  key: DeviceKey
  trust: Trust
  gate: Gate
}

function createNode(components: NodeComponents, init: NodeInit, listen: string[]): Promise<Libp2p> {
  const perSecond = init.connectionsPerSecond ?? 50
  return createLibp2p({
    privateKey: components.key.privateKey,
    addresses: { listen },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    // The read buffer must hold twice the window, or pausing a reader resets the stream. Keep-alive stays on: its first
    // ping is what tells yamux the round trip, and without that windows never grow beyond 256 KiB.
    streamMuxers: [
      yamux({
        maxInboundStreams: 64,
        maxOutboundStreams: 64,
        streamOptions: { maxStreamWindowSize: 4 << 20, maxReadBufferLength: 8 << 20 },
      }),
    ],
    connectionGater: components.gate.gater,
    connectionManager: {
      inboundConnectionThreshold: perSecond,
      maxIncomingPendingConnections: perSecond,
      maxConnections: 512,
      addressDialTimeout: ADDRESS_TIMEOUT,
      reconnectRetries: 0,
    },
    connectionMonitor: { enabled: false },
  })
}

async function freePort(): Promise<number> {
  const { createServer } = await import('node:net')
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject)
    server.listen(0, () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}

function dialError(id: DeviceId, addresses: readonly string[], error: Error): Error {
  const errors = error instanceof AggregateError ? error.errors : [error]
  const at = addresses.join(', ')
  if (errors.every((one) => /does not match expected remote identity/.test(asError(one).message))) {
    return new WrongDeviceError(`Another device than ${id} answers at ${at}. Its address has probably changed.`, {
      cause: error,
    })
  }
  const why = [...new Set(errors.map((one) => asError(one).message))].join('; ')
  return new DeviceUnreachableError(`Device ${id} cannot be reached at ${at}: ${why}`, { cause: error })
}
