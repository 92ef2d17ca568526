import assert from 'node:assert/strict'
import { once } from 'node:events'
import * as fs from 'node:fs'
import path from 'node:path'
import { type Link, Peers } from '../../lib/peers/index.js'
import { encodeFrame } from '../../lib/sync/messages.js'
import { Fuzz } from '../sync/simulation/fuzz.js'
import { eventually, hasFuse, info, NodeProcess, scratch } from './support.js'

const MESSAGES = Math.ceil(Number(process.env.PEERDRIVE_FUZZ ?? 10_000) / 50)
const SEED = Number(process.env.PEERDRIVE_SEED ?? Math.floor(Math.random() * 2 ** 31))
/** Sent before the link is looked at. */
const TOGETHER = 10

describe(`A node whose paired device tells it nonsense (${MESSAGES} messages, PEERDRIVE_SEED=${SEED})`, function () {
  this.timeout(120_000 + MESSAGES * 100)
  let directory: string
  let node: NodeProcess
  let peers: Peers

  before(async function () {
    if (!hasFuse) {
      console.log('skipped: a node needs /dev/fuse')
      return this.skip()
    }
    directory = scratch()
    node = new NodeProcess({ home: path.join(directory, 'node'), args: ['--no-discovery'] })
    await node.start()
    peers = await Peers.open({
      ...{ directory: path.join(directory, 'peer'), port: 0, listen: ['127.0.0.1'] },
      discovery: { enabled: false },
      connection: { firstPause: 20, maxPause: 100 },
    })
    await peers.pairing.join((await node.with((api) => api.invite(10))).token)
    await peers.start()
  })

  after(async () => {
    await peers?.stop()
    await node?.stop()
    if (directory) fs.rmSync(directory, { recursive: true, force: true })
  })

  async function linked(): Promise<Link> {
    const [link] = peers.links.list()
    return link ?? ((await once(peers.links, 'up')) as unknown as [Link])[0]
  }

  it('goes on and works, and keeps no memory of it', async () => {
    const { volumes } = await info(node)
    const root = Buffer.from(volumes[0].root, 'hex')
    const fuzz = new Fuzz(corpus(root), SEED)
    const memory: number[] = []
    let links = 0
    for (let sent = 0; sent < MESSAGES; ) {
      const link = await linked()
      links++
      let over = false
      void link.closed.then(() => {
        over = true
      })
      for (const channel of Object.values(link.channel)) void drain(channel)
      while (!over && sent < MESSAGES) {
        for (let i = 0; i < TOGETHER; i++) {
          const way = link.lane && fuzz.below(4) === 0 ? link.lane : fuzz.pick(Object.values(link.channel))
          const bytes = fuzz.next()
          if (bytes.length) await way.send(bytes).catch(() => {})
          sent++
        }
        await new Promise((resolve) => setImmediate(resolve))
      }
      if (links % 50 === 1) memory.push((await info(node)).memory.rss / 2 ** 20)
      link.abort(new Error('The next one.'))
      await link.closed
    }
    memory.push((await info(node)).memory.rss / 2 ** 20)
    console.log(`      ${links} links; memory ${memory.map(Math.round)} MiB`)
    assert.ok(memory[memory.length - 1] < 500 && links > 1)
    // The node works: what is written is a version, and the device may link again.
    const file = path.join(node.mountPoint, 'all is well')
    fs.writeFileSync(file, 'all is well')
    const versions = await node.with((api) => api.log(Buffer.from(file), 10))
    assert.equal(versions.length, 1)
    await linked()
    await eventually(async () => assert.ok((await info(node)).peers[0].connected))
  })
})

/** Messages about a volume that is there. */
function corpus(root: Uint8Array): Uint8Array[] {
  const id = (fill: number) => new Uint8Array(16).fill(fill)
  const hash = (fill: number) => Uint8Array.from([0x12, ...new Uint8Array(32).fill(fill)])
  const change = { document: id(3), head: hash(4), revision: Uint8Array.of(5, 6, 7) }
  const get = { root, id: 2, revisions: [hash(3)], depth: 64, chunks: [hash(4)], documents: [root], have: [hash(6)] }
  const changes = { root, sid: id(2), seq: 8, lastSeq: 9, changes: [change], chunks: [Uint8Array.of(6)], number: 1 }
  return [
    { offers: { offers: [{ sid: id(2), root, label: 'home', lastSeq: 300 }] } },
    { follow: { root, sid: id(2), after: 7, number: 3 } },
    { changes },
    { changes: { ...changes, changes: [{ ...change, document: root }] } },
    { ack: { root, seq: 8, number: 3 } },
    { get },
    { get: { ...get, chunks: [] } },
    { answer: { id: 1, done: true, revisions: [Uint8Array.of(1)], chunks: [Uint8Array.of(2)], documents: [change] } },
  ].map((body) => encodeFrame(body))
}

async function drain(channel: Link['channel']['control']): Promise<void> {
  try {
    while (await channel.read());
  } catch {
    // The link is over.
  }
}
