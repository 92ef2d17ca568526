import assert from 'node:assert/strict'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { SyncProtocolError } from '../../lib/sync/errors.js'
import { decodeFrame } from '../../lib/sync/messages.js'
import { noise } from '../model/support.js'
import { Fuzz } from './simulation/fuzz.js'
import { MemoryLink } from './simulation/link.js'
import { type Device, Network, turn } from './simulation/network.js'

/** `npm run fuzz` asks for a million. */
const MESSAGES = Number(process.env.PEERDRIVE_FUZZ ?? 10_000)
const SEED = Number(process.env.PEERDRIVE_SEED ?? Math.floor(Math.random() * 2 ** 31))
/** Of the messages that are refused at once, one in so many is sent to a device all the same, which costs a link. */
const REFUSED_SENT = 200
const TOGETHER = 50

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void
const heap = () => {
  collect()
  return process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers
}

/** What devices say to each other when they work. */
async function corpusOf(net: Network): Promise<Uint8Array[]> {
  const corpus: Uint8Array[] = []
  const [a, b] = [await net.device('first'), await net.device('second')]
  const onFrame = (frame: Uint8Array) => {
    if (frame.length < 20_000) corpus.push(frame)
    return frame
  }
  net.connect(a, b, { onFrame })
  for (let round = 0; round < 4; round++) {
    const folder = a.volume.mkdir(a.volume.root, `folder ${round}`)
    for (let i = 0; i < 5; i++) a.volume.create(folder, `file ${i}`, noise(10 ** (i % 4), round * 10 + i))
    a.volume.commit()
    await net.converge()
    b.volume.create(b.volume.root, `from b ${round}`, noise(200_000, 90 + round))
    b.volume.commit()
    await net.converge()
  }
  net.cutAll()
  return corpus
}

describe(`A device that is told nonsense (${MESSAGES} messages, PEERDRIVE_SEED=${SEED})`, function () {
  this.timeout(60_000 + MESSAGES * 5)
  let net: Network

  beforeEach(() => {
    net = new Network()
  })

  afterEach(() => net.stop())

  it('refuses it or makes nothing of it: errors of the protocol only, no crash, no memory', async () => {
    const fuzz = new Fuzz(await corpusOf(net), SEED)
    const [device] = net.devices
    let link = strangerOf(device)
    const counts = { refused: 0, sent: 0, links: 0 }
    const before: number[] = []
    for (let i = 0; i < MESSAGES; i++) {
      if (i % Math.ceil(MESSAGES / 8) === 0) before.push(heap())
      const bytes = fuzz.next()
      const refused = isRefused(bytes)
      if (refused) counts.refused++
      if (refused && fuzz.below(REFUSED_SENT) > 0) continue
      counts.sent++
      const channel = fuzz.pick(['control', 'bulk'] as const)
      link.ends[1].channel[channel].send(bytes).catch(() => {})
      if (counts.sent % TOGETHER === 0) {
        for (let turns = 0; turns < 5; turns++) await turn()
        net.clock.advance(100)
      }
      if (link.over) {
        assert.ok(
          ['SYNC_PROTOCOL', 'SYNC_INTERRUPTED'].includes((link.error as { code?: string }).code ?? ''),
          String(link.error),
        )
        link = strangerOf(device)
        counts.links++
        await turn()
      }
    }
    link.cut()
    for (let turns = 0; turns < 50; turns++) await turn()
    console.log(`      ${JSON.stringify(counts)}`)
    assert.ok(counts.refused > MESSAGES / 5 && counts.sent > MESSAGES / 20 && counts.links > 0, JSON.stringify(counts))
    const grown = (heap() - before[2]) / 2 ** 20
    assert.ok(grown < 24, `${grown.toFixed(1)} MiB more than after a quarter: ${before.map((n) => n >> 20)}`)
    net.assertNoCrash()
    // And it works with others as before.
    const friend = await net.device('friend')
    net.devices.splice(1, 1)
    net.connect(device, friend)
    device.volume.create(device.volume.root, 'all is well', 'with me')
    device.volume.commit()
    await net.until(
      () => [...friend.volume.tree()].some(([path]) => path.includes('all is well')),
      () => net.describe(),
    )
  })

  /** A link to somebody who may do everything. */
  function strangerOf(device: Device): MemoryLink {
    const link = new MemoryLink(device.id, 'stranger')
    device.links.add(link.ends[0])
    void link.closed.then(() => device.links.delete(link.ends[0]))
    for (const channel of Object.values(link.ends[1].channel)) void drain(channel)
    device.look()
    return link
  }
})

async function drain(channel: MemoryLink['ends'][0]['channel']['control']): Promise<void> {
  try {
    while (await channel.read());
  } catch {
    // The link is over.
  }
}

function isRefused(bytes: Uint8Array): boolean {
  try {
    decodeFrame(bytes)
    return false
  } catch (error) {
    assert.ok(error instanceof SyncProtocolError, `${error} at ${Buffer.from(bytes).toString('hex')}`)
    return true
  }
}
