// Takes the links that other devices open: puts the three channels of a connection together, and hands the link to whoever
// looks after that device (PeerConnection, in an actor of its own or not). Keeps nothing between links, so a crash of
// one connection's keeper concerns nobody else. Paired devices only: the node has seen to that.
import { randomBytes } from 'node:crypto'
import type { Connection, Stream } from '@libp2p/interface'
import type { Channel } from './channel.js'
import type { DeviceId } from './device-id.js'
import { asError, PeersError, ProtocolError, RevokedError, TimeOutError } from './errors.js'
import type { Gate, Traffic } from './gate.js'
import { LANE_FEATURE, type Lanes } from './lanes.js'
import {
  BEAT_PROTOCOL,
  BULK_PROTOCOL,
  CONTROL_PROTOCOL,
  checkHello,
  GREETING_TIMEOUT,
  hearHello,
  LINK_PROTOCOLS,
  Link,
  type LinkInit,
  linkChannel,
  openLink,
  refusalError,
} from './link.js'
import { encodeGreeting, type Hello, INSTANCE_BYTES, type Refusal, VERSION } from './messages.js'
import type { Node } from './node.js'
import type { Trust } from './trust.js'

/** Looks after one device. */
export interface LinkKeeper {
  /** A device wants a link. Refuse it, or take what comes. */
  offer(hello: Hello): Refusal | undefined
  /** The link that was offered is there. */
  adopt(link: Link): void
}

export interface SwitchboardInit extends LinkInit {
  /** What this device can do. */
  features?: string[]
  /** What the other must be able to do. */
  required?: string[]
  name: string
}

interface Arriving {
  hello?: Hello
  channels: Map<string, Channel>
  timer: NodeJS.Timeout
}

export class Switchboard {
  readonly node: Node
  readonly #gate: Gate
  readonly #trust: Trust
  readonly #lanes: Lanes | undefined
  readonly #init: SwitchboardInit
  readonly #instance = randomBytes(INSTANCE_BYTES)
  readonly #keepers = new Map<DeviceId, LinkKeeper>()
  readonly #arriving = new Map<Connection, Arriving>()

  constructor(components: { node: Node; gate: Gate; trust: Trust; lanes?: Lanes }, init: SwitchboardInit) {
    this.node = components.node
    this.#gate = components.gate
    this.#trust = components.trust
    this.#lanes = components.lanes
    this.#init = init
  }

  async start(): Promise<void> {
    for (const protocol of LINK_PROTOCOLS) {
      const handler = (stream: Stream, connection: Connection): void => void this.#accept(protocol, stream, connection)
      await this.node.handle(protocol, handler, { perConnection: 1 })
    }
  }

  async stop(): Promise<void> {
    for (const protocol of LINK_PROTOCOLS) await this.node.unhandle(protocol)
    for (const connection of this.#arriving.keys()) this.#drop(connection, new PeersError('Shutting down'))
  }

  get hello(): Hello {
    const { required = [], name } = this.#init
    const features = [...(this.#init.features ?? []), ...(this.#lanes ? [LANE_FEATURE] : [])]
    return { version: VERSION, features, required, name, instance: this.#instance, port: this.node.port }
  }

  /** From now on links of this device go to the keeper. @returns how to end that */
  register(id: DeviceId, keeper: LinkKeeper): () => void {
    this.#keepers.set(id, keeper)
    return () => {
      if (this.#keepers.get(id) === keeper) this.#keepers.delete(id)
    }
  }

  /**
   * Dials and greets. @throws those of Node.dial and openLink
   * @param mayGreet asked when the connection stands, before the device is told anything
   */
  async open(id: DeviceId, addresses: readonly string[], signal: AbortSignal, mayGreet: () => boolean): Promise<Link> {
    const connection = await this.node.dial(id, addresses, signal)
    const traffic = this.#gate.traffic(connection)
    if (signal.aborted || !traffic || !mayGreet()) {
      connection.abort(new PeersError('Not needed any more'))
      throw signal.reason ?? new PeersError('Not needed any more')
    }
    const onAbort = (): void => connection.abort(asError(signal.reason))
    signal.addEventListener('abort', onAbort)
    try {
      return this.#greeted(await openLink(connection, traffic, this.hello, this.#init), connection, traffic)
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  async #accept(protocol: string, stream: Stream, connection: Connection): Promise<void> {
    const channel = linkChannel(protocol, stream, this.#init)
    const arriving = this.#arriving.get(connection) ?? this.#arrive(connection)
    try {
      const hello = await hearHello(channel)
      if (protocol === CONTROL_PROTOCOL) await this.#answerFirst(connection, channel, hello)
      else if (!arriving.hello) throw new ProtocolError(`${protocol} was opened before ${CONTROL_PROTOCOL}`)
      if (arriving.channels.has(protocol)) throw new ProtocolError(`${protocol} was opened twice`)
      if (protocol === CONTROL_PROTOCOL) arriving.hello = hello
      arriving.channels.set(protocol, channel)
      await channel.send(encodeGreeting({ hello: this.hello }))
      this.#complete(connection, arriving)
    } catch (error) {
      this.#drop(connection, asError(error))
    }
  }

  #arrive(connection: Connection): Arriving {
    const late = (): void => this.#drop(connection, new TimeOutError('The device did not open all channels in time.'))
    const arriving: Arriving = { channels: new Map(), timer: setTimeout(late, GREETING_TIMEOUT) }
    this.#arriving.set(connection, arriving)
    return arriving
  }

  async #answerFirst(connection: Connection, channel: Channel, hello: Hello): Promise<void> {
    this.#trust.confirm(connection.remotePeer.toString())
    const keeper = this.#keepers.get(connection.remotePeer.toString())
    if (!keeper) throw new PeersError('Nobody looks after this device now')
    const refusal = checkHello(hello, this.hello) ?? keeper.offer(hello)
    if (!refusal) return
    await channel.send(encodeGreeting({ refusal }))
    await channel.close()
    throw refusalError(refusal)
  }

  #complete(connection: Connection, arriving: Arriving): void {
    const { hello, channels, timer } = arriving
    const [control, bulk, beat] = [CONTROL_PROTOCOL, BULK_PROTOCOL, BEAT_PROTOCOL].map((protocol) =>
      channels.get(protocol),
    )
    const traffic = this.#gate.traffic(connection)
    const keeper = this.#keepers.get(connection.remotePeer.toString())
    if (!hello || !control || !bulk || !beat || this.#arriving.get(connection) !== arriving) return
    if (!traffic || !keeper) throw new PeersError('Nobody looks after this device now')
    clearTimeout(timer)
    this.#arriving.delete(connection)
    const link = new Link({ connection, control, bulk, beat, hello, traffic, dialled: false }, this.#init)
    keeper.adopt(this.#greeted(link, connection, traffic))
  }

  /** What the hello told is kept: where the device can be dialled and what it is called now. */
  #greeted(link: Link, connection: Connection, traffic: Traffic): Link {
    if (!this.#trust.trusts(link.peer)) {
      link.abort(new RevokedError('The device is not trusted any more.'))
      throw new RevokedError('The device is not trusted any more.')
    }
    if (link.dialAddress) this.#trust.rememberAddress(link.peer, link.dialAddress)
    if (this.#trust.get(link.peer)?.name !== link.hello.name) this.#trust.rename(link.peer, link.hello.name)
    this.#lanes?.serve(link, connection, traffic)
    return link
  }

  #drop(connection: Connection, error: Error): void {
    const arriving = this.#arriving.get(connection)
    if (arriving) {
      clearTimeout(arriving.timer)
      this.#arriving.delete(connection)
    }
    connection.abort(error)
  }
}
