// Lanes beside links. The device that dialled a link asks for a ticket over it and dials again, plain TCP; the other one listens, on
// the addresses where it listens for links and another port. A connection that does not show a ticket at once gets nothing and is
// dropped; there are few of them at a time. A lane that cannot be made, or breaks, is tried again later, and the link does without.
import { randomBytes } from 'node:crypto'
import { connect, createServer, type Server, type Socket } from 'node:net'
import type { Connection, Stream } from '@libp2p/interface'
import { parseAddress } from './addresses.js'
import { Channel } from './channel.js'
import { asError, LaneBrokenError } from './errors.js'
import type { Traffic } from './gate.js'
import { Lane } from './lane.js'
import {
  laneKeys,
  RecordOpener,
  RecordSealer,
  TICKET_ID_BYTES,
  TICKET_SECRET_BYTES,
  type Ticket,
} from './lane-records.js'
import type { Link } from './link.js'
import { decodeLaneTicket, encodeLaneTicket, MESSAGE_MAX } from './messages.js'
import type { Node } from './node.js'
import { within } from './time-out.js'

export const LANE_PROTOCOL = '/peerdrive/lane/1'
/** Of a device that makes lanes. */
export const LANE_FEATURE = 'lane'

/** From the ticket to the lane, ms; also how long a stranger may stay. */
const LANE_TIMEOUT = 5000
/** Connections that have not shown a ticket yet. */
const MAX_STRANGERS = 16
const MAX_TICKETS = 64
const FIRST_PAUSE = 1000
const LAST_PAUSE = 60_000

interface Expected extends Ticket {
  link: Link
  traffic: Traffic
}

export interface LanesInit {
  /** IP addresses to listen on. */
  listen: string[]
  maxFrame: number
}

export class Lanes {
  readonly #node: Node
  readonly #init: LanesInit
  readonly #links = new Map<Connection, { link: Link; traffic: Traffic }>()
  /** By their ids in hex; each is good for one try. */
  readonly #tickets = new Map<string, Expected>()
  readonly #strangers = new Set<Socket>()
  #servers: Promise<Server[]> | undefined
  #stopped = false

  constructor(components: { node: Node }, init: LanesInit) {
    this.#node = components.node
    this.#init = init
  }

  async start(): Promise<void> {
    await this.#node.handle(LANE_PROTOCOL, (stream, connection) => void this.#giveTicket(stream, connection), {
      perConnection: 2,
    })
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#node.unhandle(LANE_PROTOCOL)
    for (const socket of this.#strangers) socket.destroy()
    for (const server of (await this.#servers?.catch(() => [])) ?? []) server.close()
  }

  /** From now until the link ends it has a lane, if that can be. */
  serve(link: Link, connection: Connection, traffic: Traffic): void {
    if (this.#stopped || !link.supports(LANE_FEATURE)) return
    this.#links.set(connection, { link, traffic })
    const over = new AbortController()
    void link.closed.then(() => {
      over.abort()
      this.#links.delete(connection)
    })
    if (link.dialled) void this.#keep(link, connection, traffic, over.signal)
  }

  // The device that dials

  async #keep(link: Link, connection: Connection, traffic: Traffic, over: AbortSignal): Promise<void> {
    for (let pause = FIRST_PAUSE; !over.aborted && !this.#stopped; pause = Math.min(pause * 2, LAST_PAUSE)) {
      try {
        const lane = await this.#dial(connection)
        this.#hand(lane, link, traffic)
        pause = FIRST_PAUSE / 2
        await lane.closed
      } catch {
        // The link does without.
      }
      await later(pause, over)
    }
  }

  async #dial(connection: Connection): Promise<Lane> {
    const ticket = await this.#askTicket(connection)
    const there = parseAddress(connection.remoteAddr.toString())
    if (!there) throw new LaneBrokenError('The address of the device cannot be dialled.')
    const socket = connect({ host: there.ip, port: ticket.port })
    const keys = laneKeys(ticket)
    try {
      await within(LANE_TIMEOUT, 'The lane', connected(socket))
      socket.write(ticket.id)
      const [sealer, opener] = [new RecordSealer(keys.dialler), new RecordOpener(keys.listener)]
      return await proven(new Lane({ socket, sealer, opener, dialled: true }, this.#init))
    } catch (error) {
      socket.destroy()
      throw error
    }
  }

  async #askTicket(connection: Connection): Promise<Ticket & { port: number }> {
    const stream = await connection.newStream(LANE_PROTOCOL, { signal: AbortSignal.timeout(LANE_TIMEOUT) })
    const channel = new Channel(stream, { maxFrame: MESSAGE_MAX })
    try {
      const frame = await within(LANE_TIMEOUT, 'The ticket', channel.read())
      if (!frame) throw new LaneBrokenError('The device gave no ticket.')
      return decodeLaneTicket(frame)
    } finally {
      void channel.close()
    }
  }

  // The device that listens

  async #giveTicket(stream: Stream, connection: Connection): Promise<void> {
    const channel = new Channel(stream, { maxFrame: MESSAGE_MAX })
    try {
      const known = this.#links.get(connection)
      if (!known) throw new LaneBrokenError('There is no link on this connection.')
      // The device asks because it has none (any more).
      known.link.lane?.abort(new LaneBrokenError('The device asked for another lane.'))
      const port = portOf(await this.#listen())
      const ticket = { id: randomBytes(TICKET_ID_BYTES), secret: randomBytes(TICKET_SECRET_BYTES) }
      this.#expect({ ...ticket, ...known })
      await channel.send(encodeLaneTicket({ ...ticket, port }))
      await channel.close()
    } catch (error) {
      channel.abort(asError(error))
    }
  }

  #expect(ticket: Expected): void {
    const key = keyOf(ticket.id)
    for (const oldest of this.#tickets.keys()) {
      if (this.#tickets.size < MAX_TICKETS) break
      this.#tickets.delete(oldest)
    }
    this.#tickets.set(key, ticket)
    setTimeout(() => this.#tickets.delete(key), LANE_TIMEOUT).unref()
  }

  /** Where links come in, too; the same port everywhere. */
  #listen(): Promise<Server[]> {
    const open = async (): Promise<Server[]> => {
      const servers: Server[] = []
      for (const host of this.#init.listen) {
        const server = createServer((socket) => this.#welcome(socket))
        const port = servers.length ? portOf(servers) : 0
        await listening(server, { host, port, ipv6Only: true }).then(
          () => servers.push(server),
          () => server.close(),
        )
      }
      if (!servers.length) throw new LaneBrokenError('There is no address to listen on.')
      return servers
    }
    this.#servers ??= open()
    this.#servers.catch(() => {
      this.#servers = undefined
    })
    return this.#servers
  }

  /** Somebody who may be anybody: it has to begin with the id of a ticket. */
  #welcome(socket: Socket): void {
    const [oldest] = this.#strangers
    if (this.#strangers.size >= MAX_STRANGERS) oldest.destroy()
    this.#strangers.add(socket)
    const timer = setTimeout(() => socket.destroy(), LANE_TIMEOUT)
    const leave = (): void => {
      clearTimeout(timer)
      this.#strangers.delete(socket)
    }
    socket.once('close', leave)
    socket.on('error', () => socket.destroy())
    let got: Buffer = Buffer.alloc(0)
    const onData = (bytes: Buffer): void => {
      got = Buffer.concat([got, bytes])
      if (got.length < TICKET_ID_BYTES) return
      socket.off('data', onData)
      const key = keyOf(got.subarray(0, TICKET_ID_BYTES))
      const ticket = this.#tickets.get(key)
      this.#tickets.delete(key)
      if (!ticket) return void socket.destroy()
      const keys = laneKeys(ticket)
      const [sealer, opener] = [new RecordSealer(keys.listener), new RecordOpener(keys.dialler)]
      const parts = { socket, sealer, opener, dialled: false }
      const lane = new Lane({ ...parts, head: got.subarray(TICKET_ID_BYTES) }, this.#init)
      proven(lane).then(
        () => {
          leave()
          this.#hand(lane, ticket.link, ticket.traffic)
        },
        () => {},
      )
    }
    socket.on('data', onData)
  }

  #hand(lane: Lane, link: Link, traffic: Traffic): void {
    lane.traffic = traffic
    link.useLane(lane)
  }
}

const keyOf = (id: Uint8Array): string => Buffer.from(id).toString('hex')

function portOf([server]: Server[]): number {
  return (server.address() as { port: number }).port
}

function listening(server: Server, options: { host: string; port: number; ipv6Only: boolean }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(options, () => {
      server.off('error', reject)
      server.on('error', () => {})
      server.unref()
      resolve()
    })
  })
}

function connected(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('error', reject)
  })
}

/** The lane, once the other device has shown that it has the ticket. @throws what ended the lane, TimeOutError */
async function proven(lane: Lane): Promise<Lane> {
  const over = lane.closed.then((error) => Promise.reject(error))
  over.catch(() => {})
  try {
    await within(LANE_TIMEOUT, 'The proof of the lane', Promise.race([lane.proven, over]))
    return lane
  } catch (error) {
    lane.abort(asError(error))
    throw error
  }
}

function later(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
  })
}
