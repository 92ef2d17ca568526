// A link: what two paired devices have between them while they are connected. One libp2p connection with three long-lived
// channels: control (sync's requests and small pushes), bulk (chunks), beat (heartbeat). The device that dialled opens
// them; each begins with a hello in both directions. Over when any of them is over. A lane (lane.ts) may come and go beside them.
import { EventEmitter } from 'node:events'
import type { Connection, Stream } from '@libp2p/interface'
import { formatAddress, parseAddress } from './addresses.js'
import { Channel } from './channel.js'
import type { DeviceId } from './device-id.js'
import {
  asError,
  ChannelBrokenError,
  ChannelClosedError,
  DuplicateLinkError,
  type PeersError,
  ProtocolError,
  UnsupportedFeatureError,
  UnsupportedVersionError,
} from './errors.js'
import type { Traffic } from './gate.js'
import { Heartbeat, type HeartbeatInit } from './heartbeat.js'
import type { Lane } from './lane.js'
import {
  decodeGreeting,
  encodeGreeting,
  type Hello,
  MESSAGE_MAX,
  type Refusal,
  RefusalCode,
  VERSION,
} from './messages.js'
import { within } from './time-out.js'

export const CONTROL_PROTOCOL = '/peerdrive/sync/1'
export const BULK_PROTOCOL = '/peerdrive/bulk/1'
export const BEAT_PROTOCOL = '/peerdrive/beat/1'
export const LINK_PROTOCOLS = [CONTROL_PROTOCOL, BULK_PROTOCOL, BEAT_PROTOCOL]
export const GREETING_TIMEOUT = 10_000

export interface Channels {
  control: Channel
  bulk: Channel
}

export interface LinkParts {
  connection: Connection
  control: Channel
  bulk: Channel
  beat: Channel
  hello: Hello
  traffic: Traffic
  /** Did this device dial? */
  dialled: boolean
}

export interface LinkEvents {
  /** There is a lane from now on, until it is over. */
  lane: [Lane]
}

export class Link extends EventEmitter<LinkEvents> {
  readonly peer: DeviceId
  readonly hello: Hello
  readonly channel: Channels
  readonly dialled: boolean
  /** Milliseconds since the epoch. */
  readonly since = Date.now()
  /** Resolves when the link is over; with undefined if it was closed in good order. */
  readonly closed: Promise<Error | undefined>
  readonly #parts: LinkParts
  readonly #heartbeat: Heartbeat
  #reason: Error | undefined
  #lane: Lane | undefined
  #earlier = { bytesIn: 0, bytesOut: 0 }
  #over = false

  constructor(parts: LinkParts, init: HeartbeatInit = {}) {
    super()
    this.#parts = parts
    this.peer = parts.connection.remotePeer.toString()
    this.hello = parts.hello
    this.channel = { control: parts.control, bulk: parts.bulk }
    this.dialled = parts.dialled
    const { beat, traffic } = parts
    this.#heartbeat = new Heartbeat({ channel: beat, traffic, onDead: (error) => this.abort(error) }, init)
    this.closed = this.#watch()
  }

  get address(): string {
    const parsed = parseAddress(this.#parts.connection.remoteAddr.toString())
    return parsed ? formatAddress(parsed.ip, parsed.port) : ''
  }

  /** Where the device can be dialled, as far as this link tells. */
  get dialAddress(): string | undefined {
    const parsed = parseAddress(this.#parts.connection.remoteAddr.toString())
    const port = this.dialled ? parsed?.port : this.hello.port
    return parsed && port ? formatAddress(parsed.ip, port) : undefined
  }

  get bytesIn(): number {
    return this.#sum((channel) => channel.bytesIn) + this.#earlier.bytesIn + (this.#lane?.bytesIn ?? 0)
  }

  get bytesOut(): number {
    return this.#sum((channel) => channel.bytesOut) + this.#earlier.bytesOut + (this.#lane?.bytesOut ?? 0)
  }

  /** Round trip in ms, of the last heartbeat. */
  get rtt(): number | undefined {
    return this.#heartbeat.rtt
  }

  /** Has the device a feature? */
  supports(feature: string): boolean {
    return this.hello.features.includes(feature)
  }

  /** Asks for a sign of life now: a dead link is then dropped within the heartbeat's timeout. */
  probe(): void {
    this.#heartbeat.ping()
  }

  /** The quicker way for bulk, while there is one. */
  get lane(): Lane | undefined {
    return this.#lane?.over ? undefined : this.#lane
  }

  useLane(lane: Lane): void {
    if (this.#over) return lane.abort(new ChannelClosedError('The link is over.'))
    const before = this.#lane
    if (before) {
      before.abort(new ChannelClosedError('There is a newer lane.'))
      this.#earlier.bytesIn += before.bytesIn
      this.#earlier.bytesOut += before.bytesOut
    }
    this.#lane = lane
    this.emit('lane', lane)
  }

  /** Says good-bye on all channels. Resolves when the link is over. */
  async close(): Promise<void> {
    this.#heartbeat.stop()
    await Promise.all(this.#channels().map((channel) => channel.close()))
    await this.closed
  }

  /** Drops the connection at once. */
  abort(error: Error): void {
    this.#reason ??= error
    this.#heartbeat.stop()
    for (const channel of this.#channels()) channel.abort(error)
    this.#parts.connection.abort(error)
  }

  async #watch(): Promise<Error | undefined> {
    const first = await Promise.race(this.#channels().map((channel) => channel.closed))
    this.#heartbeat.stop()
    this.#over = true
    this.#lane?.abort(first ?? new ChannelClosedError('The link is over.'))
    if (first) this.abort(first)
    await Promise.all(this.#channels().map((channel) => channel.close()))
    this.#parts.connection.close().catch((error) => this.#parts.connection.abort(error))
    return this.#reason ?? first
  }

  #channels(): Channel[] {
    return [this.#parts.control, this.#parts.bulk, this.#parts.beat]
  }

  #sum(of: (channel: Channel) => number): number {
    return this.#channels().reduce((sum, channel) => sum + of(channel), 0)
  }
}

/** Options of the channels of a link; set once for both ends of all links. */
export interface LinkInit extends HeartbeatInit {
  maxFrame?: number
}

export function linkChannel(protocol: string, stream: Stream, init: LinkInit): Channel {
  return new Channel(stream, {
    maxFrame: protocol === BEAT_PROTOCOL ? MESSAGE_MAX : Math.max(init.maxFrame ?? 4 << 20, MESSAGE_MAX),
  })
}

/**
 * Opens a link on a fresh connection.
 * @throws UnsupportedVersionError, UnsupportedFeatureError, DuplicateLinkError, ChannelBrokenError (which is also
 *   what a device sees that is not trusted on the other side), TimeOutError, ProtocolError
 */
export async function openLink(connection: Connection, traffic: Traffic, hello: Hello, init: LinkInit): Promise<Link> {
  const open = async (protocol: string): Promise<[Channel, Hello]> => {
    const stream = await connection.newStream(protocol, { signal: AbortSignal.timeout(GREETING_TIMEOUT) })
    const channel = linkChannel(protocol, stream, init)
    await channel.send(encodeGreeting({ hello }))
    const theirs = await hearHello(channel)
    const refusal = checkHello(theirs, hello)
    if (refusal) throw refusalError(refusal)
    return [channel, theirs]
  }
  try {
    const [control, theirs] = await open(CONTROL_PROTOCOL)
    const [[bulk], [beat]] = await Promise.all([open(BULK_PROTOCOL), open(BEAT_PROTOCOL)])
    return new Link({ connection, control, bulk, beat, hello: theirs, traffic, dialled: true }, init)
  } catch (error) {
    connection.abort(asError(error))
    if (error instanceof Error && !('code' in error))
      throw new ChannelBrokenError(`The device hung up: ${error.message}`, { cause: error })
    throw error
  }
}

/** Reads the first frame of a channel. @throws see openLink */
export async function hearHello(channel: Channel): Promise<Hello> {
  const frame = await within(GREETING_TIMEOUT, 'The greeting', channel.read())
  if (!frame) throw new ChannelBrokenError('The device hung up before its hello.')
  if (frame.length > MESSAGE_MAX) throw new ProtocolError(`A hello of ${frame.length} bytes came in`)
  const greeting = decodeGreeting(frame)
  if ('refusal' in greeting) throw refusalError(greeting.refusal)
  return greeting.hello
}

/** Can we talk with a device that says this? */
export function checkHello(theirs: Hello, mine: Hello): Refusal | undefined {
  if (theirs.version !== VERSION) return { code: RefusalCode.VERSION, detail: `${theirs.version} and ${VERSION}` }
  const unknown = theirs.required.filter((feature) => !mine.features.includes(feature))
  const missing = mine.required.filter((feature) => !theirs.features.includes(feature))
  const detail = [...new Set([...unknown, ...missing])].join(', ')
  return detail ? { code: RefusalCode.FEATURE, detail } : undefined
}

export function refusalError({ code, detail }: Refusal): PeersError {
  switch (code) {
    case RefusalCode.VERSION:
      return new UnsupportedVersionError(`The devices speak different versions (${detail}). Update PeerDrive on both.`)
    case RefusalCode.FEATURE:
      return new UnsupportedFeatureError(`Only one of the devices has: ${detail}. Update PeerDrive on the other one.`)
    case RefusalCode.DUPLICATE:
      return new DuplicateLinkError('The devices were already connected.')
    default:
      return new ProtocolError(`The other device refused the connection (${code}): ${detail}`)
  }
}
