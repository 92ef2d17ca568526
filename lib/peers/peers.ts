// Everything this area has, put together for one device: what must outlive actors (key, trust, invitations, node) and, if
// wanted, the parts that an actor can look after instead (discovery, connections). Decides nothing itself.
import './promise-polyfill.js'
import path from 'node:path'
import { DEFAULT_MAX_FRAME } from './channel.js'
import { Connections } from './connections.js'
import { cleanName } from './device-id.js'
import { type DeviceKey, defaultDeviceName, loadDeviceKey } from './device-key.js'
import { Discovery, type DiscoveryInit } from './discovery.js'
import { Gate, type GateInit } from './gate.js'
import { Invitations } from './invitations.js'
import { Lanes } from './lanes.js'
import { Links } from './links.js'
import { LISTEN_EVERYWHERE, Node, type NodeInit } from './node.js'
import { Pairing } from './pairing.js'
import type { PeerConnectionInit } from './peer-connection.js'
import { Switchboard, type SwitchboardInit } from './switchboard.js'
import { Trust } from './trust.js'

export interface PeersInit extends NodeInit {
  /** Directory of device.key, trust.json, invitations.json. */
  directory: string
  /** Device name; the host name if not given. */
  name?: string
  discovery?: DiscoveryInit
  gate?: GateInit
  link?: Omit<SwitchboardInit, 'name'>
  connection?: Omit<PeerConnectionInit, 'id'>
  /** False: links do without lanes. */
  lanes?: boolean
}

export class Peers {
  readonly links = new Links()
  readonly connections: Connections

  private constructor(
    readonly directory: string,
    readonly name: string,
    readonly key: DeviceKey,
    readonly trust: Trust,
    readonly invitations: Invitations,
    readonly gate: Gate,
    readonly node: Node,
    readonly pairing: Pairing,
    readonly discovery: Discovery,
    readonly switchboard: Switchboard,
    readonly lanes: Lanes | undefined,
    init: PeersInit,
  ) {
    this.connections = new Connections({ switchboard, trust, discovery, links: this.links }, init.connection)
  }

  /** Loads the files, listens, accepts pairing and links. Discovery and connections are started apart. */
  static async open(init: PeersInit): Promise<Peers> {
    const file = (name: string): string => path.join(init.directory, name)
    const name = cleanName(init.name ?? defaultDeviceName())
    const key = await loadDeviceKey(file('device.key'))
    const trust = new Trust({}, { file: file('trust.json') })
    const invitations = new Invitations({}, { file: file('invitations.json') })
    const gate = new Gate({ trust, invitations }, init.gate)
    const node = await Node.start({ key, trust, gate }, init)
    const pairing = new Pairing({ node, gate, trust, invitations }, { name })
    const discovery = new Discovery({ node, trust }, init.discovery)
    const { listen = LISTEN_EVERYWHERE, link = {} } = init
    const lanes =
      init.lanes === false ? undefined : new Lanes({ node }, { listen, maxFrame: link.maxFrame ?? DEFAULT_MAX_FRAME })
    const switchboard = new Switchboard({ node, gate, trust, lanes }, { ...link, name })
    await pairing.start()
    await lanes?.start()
    await switchboard.start()
    const files = [init.directory, name, key, trust, invitations] as const
    return new Peers(...files, gate, node, pairing, discovery, switchboard, lanes, init)
  }

  /** Starts what an actor system would start as actors. */
  async start(): Promise<void> {
    this.connections.start()
    await this.discovery.start()
  }

  async stop(): Promise<void> {
    await this.discovery.stop()
    await this.connections.stop()
    await this.pairing.stop()
    await this.switchboard.stop()
    await this.lanes?.stop()
    await this.node.stop()
  }
}
