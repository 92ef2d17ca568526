// Two places that something keeps alike: what the scenarios need to know of PeerDrive, Syncthing and rsync. And PeerDrive's.

import path from 'node:path'
import type { ActorNode } from '../../lib/actors/index.js'
import { NodeProcess } from '../node-process.js'
import { pause } from '../processes.js'

export interface Pair {
  readonly name: string
  /** Files are written here, and appear there. */
  readonly from: string
  readonly to: string
  /** The processes of both devices. */
  pids(): number[]
  /** Bytes that the devices sent to each other since they began. */
  sent(): Promise<number>
  /** For what does not run by itself: brings `to` up to date. */
  push?(): void
  /** Says yes to a removal of very much, as soon as it is asked for. */
  allow?(): Promise<void>
  stop(): Promise<void>
}

export interface Reconnection {
  /** From the new link to both at rest, ms. */
  ms: number
  /** Sent by both on the new link until then. */
  bytes: number
}

const PROFILED = (directory: string) => [
  'sh',
  '-c',
  `exec "$0" --cpu-prof --cpu-prof-interval=500 --cpu-prof-dir='${directory}' "$@"`,
]

/** Two nodes with one volume. With `profiles` each of their threads leaves a profile of its processor time there. */
export class PeerDrivePair implements Pair {
  readonly name = 'peerdrive'
  readonly #a: NodeProcess
  readonly #b: NodeProcess

  private constructor(a: NodeProcess, b: NodeProcess) {
    this.#a = a
    this.#b = b
  }

  static async start(scratch: string, profiles?: string): Promise<PeerDrivePair> {
    const node = async (name: string) => {
      const prefix = profiles ? PROFILED(path.join(profiles, name)) : undefined
      const started = new NodeProcess({ home: path.join(scratch, name), prefix, args: ['--no-discovery'] })
      await started.start()
      return started
    }
    const a = await node('a')
    const b = await node('b')
    const { token } = await a.with((api) => api.invite(10))
    await b.with((api) => api.pair(token))
    b.volumeMounted((await b.with((api) => api.join({ volume: 'home' }))).mountPoint)
    return new PeerDrivePair(a, b)
  }

  get from(): string {
    return this.#a.mountPoint
  }

  get to(): string {
    return this.#b.mountPoint
  }

  pids(): number[] {
    return [this.#a.pid, this.#b.pid]
  }

  async sent(): Promise<number> {
    return (await this.#link(this.#a)).bytesOut + (await this.#link(this.#b)).bytesOut
  }

  async allow(): Promise<void> {
    const halted = async () => (await this.#b.with((api) => api.info())).sync.some(({ state }) => state === 'halted')
    while (!(await halted())) await pause(20)
    await this.#b.with((api) => api.steer('', '', 'allow'))
  }

  async stop(): Promise<void> {
    await this.#b.stop()
    await this.#a.stop()
  }

  /** Cuts the link, with `meanwhile` done while nothing is told to the other device, and waits for both to be at rest again. */
  async reconnect(meanwhile?: () => void): Promise<Reconnection> {
    const before = await this.#link(this.#a)
    if (meanwhile) await this.#a.with((api) => api.steer('', '', 'pause'))
    meanwhile?.()
    await this.#a.with(async (api) => {
      // Everything is committed before the devices meet.
      await api.log(Buffer.from(this.from), 1)
      const actor = find(await api.actors(), before.id)
      if (!actor) throw new Error('There is no actor of the connection.')
      await api.kill(actor.path)
    })
    for (;;) {
      const [a, b] = await Promise.all([this.#link(this.#a), this.#link(this.#b)])
      const since = Math.max(a.since ?? 0, b.since ?? 0)
      const isNew = a.connected && b.connected && a.since !== before.since
      if (isNew && (await this.#atRest())) return { ms: Date.now() - since, bytes: a.bytesOut + b.bytesOut }
      await pause(2)
    }
  }

  async #atRest(): Promise<boolean> {
    const infos = await Promise.all([this.#a, this.#b].map((node) => node.with((api) => api.info())))
    return infos.every(
      ({ sync }) =>
        sync.length > 0 &&
        sync.every((pair) => pair.state === 'idle' && pair.sent >= pair.sentOf && pair.received >= pair.receivedOf),
    )
  }

  async #link(node: NodeProcess) {
    const [peer] = (await node.with((api) => api.info())).peers
    return peer
  }
}

function find(node: ActorNode, id: string): ActorNode | undefined {
  if (node.kind === 'worker' && node.id.includes(id) && node.path.includes('connections')) return node
  for (const child of node.children) {
    const found = find(child, id)
    if (found) return found
  }
  return undefined
}
