// Nodes for the tests of lib/peers: real libp2p over loopback, temporary directories, everything cleaned up afterwards.
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { Connection, Stream } from '@libp2p/interface'
import { Peers, type PeersInit } from '../../lib/peers/index.js'
import type { Link } from '../../lib/peers/link.js'

export function temporaryDirectory(): string {
  return mkdtempSync(path.join(os.tmpdir(), 'peerdrive-peers-'))
}

const cleanups: (() => Promise<void> | void)[] = []

/** Runs after the test that is running. */
export function cleanUp(work: () => Promise<void> | void): void {
  cleanups.push(work)
}

export async function cleanAll(): Promise<void> {
  for (const work of cleanups.splice(0).reverse()) await work()
}

export function directory(): string {
  const made = temporaryDirectory()
  cleanUp(() => rmSync(made, { recursive: true, force: true }))
  return made
}

/** A device on loopback without discovery; stopped after the test. */
export async function device(init: Partial<PeersInit> = {}): Promise<Peers> {
  const peers = await Peers.open({
    directory: init.directory ?? directory(),
    port: 0,
    listen: ['127.0.0.1'],
    discovery: { enabled: false },
    connection: { firstPause: 20, maxPause: 200 },
    connectionsPerSecond: 1000,
    ...init,
  })
  cleanUp(() => peers.stop())
  return peers
}

export async function paired(a: Peers, b: Peers): Promise<void> {
  const confirmed = a.trust.get(b.node.id) ? undefined : once(a.trust, 'paired')
  await b.pairing.join(a.pairing.invite().token)
  await confirmed
}

/** Resolves with the next link between the device and the peer, or the one there is. */
export async function linked(device: Peers, peer: Peers): Promise<Link> {
  for (;;) {
    const link = device.links.get(peer.node.id)
    if (link) return link
    await once(device.links, 'up')
  }
}

/** Two devices, paired and linked. */
export async function couple(init: Partial<PeersInit> = {}): Promise<{ a: Peers; b: Peers; ab: Link; ba: Link }> {
  const [a, b] = [await device({ name: 'Anna', ...init }), await device({ name: 'Bert', ...init })]
  await paired(a, b)
  await Promise.all([a.start(), b.start()])
  const [ab, ba] = await Promise.all([linked(a, b), linked(b, a)])
  return { a, b, ab, ba }
}

/** A bare stream of a protocol between two devices that trust each other; both ends. */
export async function streams(protocol = '/test/1'): Promise<{ near: Stream; far: Stream; connection: Connection }> {
  const [a, b] = [await device(), await device()]
  await paired(a, b)
  const arrived = Promise.withResolvers<Stream>()
  await a.node.handle(protocol, (stream) => arrived.resolve(stream))
  const connection = await b.node.dial(a.node.id, a.node.addresses)
  const near = await connection.newStream(protocol)
  return { near, far: await arrived.promise, connection }
}

export async function until(condition: () => boolean, what: string): Promise<void> {
  const end = performance.now() + 20_000
  while (!condition()) {
    if (performance.now() > end) throw new Error(`Never happened: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
