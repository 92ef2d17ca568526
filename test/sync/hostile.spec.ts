import assert from 'node:assert/strict'
import { hex } from '../../lib/model/bytes.js'
import { makeClock } from '../../lib/model/clock.js'
import { encodeRevision } from '../../lib/model/codec.js'
import { buildContent } from '../../lib/model/content-tree.js'
import { hashOf, ridOf } from '../../lib/model/hash.js'
import { rulesDocument } from '../../lib/model/rule.js'
import { type Content, PART_CONTENT, type Revision } from '../../lib/model/types.js'
import { MAX_WAITING_QUESTIONS, WINDOW } from '../../lib/sync/limits.js'
import { type Change, type Changes, decodeFrame, encodeFrame, type FrameBody } from '../../lib/sync/messages.js'
import { noise } from '../model/support.js'
import { type LinkEnd, MemoryLink } from './simulation/link.js'
import { type Device, Network, turn } from './simulation/network.js'
import { idOf } from './simulation/volume.js'

const sid = idOf('volume of a stranger')
const EMPTY = new Uint8Array(0)

/** A peer that says what a test makes it say. */
class Stranger {
  readonly heard: FrameBody[] = []

  constructor(
    private readonly end: LinkEnd,
    private readonly net: Network,
  ) {
    for (const channel of [end.channel.control, end.channel.bulk]) void this.#listen(channel)
  }

  async #listen(channel: LinkEnd['channel']['control']): Promise<void> {
    try {
      for (let frame = await channel.read(); frame; frame = await channel.read()) this.heard.push(decodeFrame(frame))
    } catch {
      // the link is over
    }
  }

  say(body: FrameBody | Uint8Array, channel: 'control' | 'bulk' = 'control'): void {
    this.end.channel[channel].send(body instanceof Uint8Array ? body : encodeFrame(body)).catch(() => {})
  }

  /** The next message that satisfies this; it is forgotten then. */
  async hear<T>(what: (message: FrameBody) => T | null | undefined): Promise<T> {
    let found: T | null | undefined
    await this.net.until(
      () => {
        const i = this.heard.findIndex((message) => what(message))
        if (i >= 0) found = what(this.heard.splice(i, 1)[0])
        return i >= 0
      },
      () => `the device said ${this.heard.map((m) => Object.keys(m)[0]).join()}\n${this.net.describe()}`,
    )
    return found!
  }
}

function fileOf(content: Content): { rid: Uint8Array; bytes: Uint8Array } {
  const revision: Revision = {
    ...{ parents: [], type: 'text/plain', flags: 0, created: { sec: 1, nsec: 0 }, modified: { sec: 1, nsec: 0 } },
    ...{ author: new Uint8Array(32).fill(7), clock: makeClock(1), comment: '', metadata: new Map() },
    attributes: { mode: 0o100644, uid: 0, gid: 0, rdev: 0, xattrs: [] },
    parts: new Map([[PART_CONTENT, content]]),
  }
  const bytes = encodeRevision(revision)
  return { rid: ridOf(bytes), bytes }
}

describe('Synchronization with a device that does not keep to the protocol', () => {
  let net: Network
  let device: Device
  let friend: Device
  let link: MemoryLink
  let stranger: Stranger

  beforeEach(async () => {
    net = new Network()
    device = await net.device('device')
    friend = await net.device('friend')
    net.connect(device, friend)
    link = new MemoryLink('device', 'stranger')
    device.links.add(link.ends[0])
    void link.closed.then(() => device.links.delete(link.ends[0]))
    device.look()
    stranger = new Stranger(link.ends[1], net)
  })

  afterEach(() => net.stop())

  /** The link is dropped, with this reason; the device goes on with others. */
  async function dropped(why: RegExp): Promise<void> {
    await net.until(
      () => link.over,
      () => `the link is still there\n${net.describe()}`,
    )
    assert.match(link.error!.message, why)
    device.volume.create(device.volume.root, 'after', 'all is well')
    await net.converge()
    net.assertEqual()
  }

  /** Offers the volume and waits to be followed. */
  async function followed(): Promise<number> {
    stranger.say({ offers: { offers: [{ sid, root: device.volume.root, label: 'home', lastSeq: 5 }] } })
    return (await stranger.hear((message) => message.follow)).number
  }

  const batch = (number: number, changes: Change[], more: Partial<Changes> = {}): FrameBody => ({
    changes: { root: device.volume.root, sid, seq: 5, lastSeq: 5, changes, chunks: [], number, ...more },
  })

  it('drops the link at a frame that is no message', async () => {
    stranger.say(noise(100))
    await dropped(/no message|malformed|not encoded/)
    assert.equal(device.reports.length, 1)
  })

  it('drops the link at such a frame on the bulk channel', async () => {
    stranger.say(noise(100, 5), 'bulk')
    await dropped(/no message|malformed|not encoded/)
  })

  it('believes no revision that is not what its id says', async () => {
    const number = await followed()
    const real = fileOf({ size: 1, inline: Uint8Array.of(1), levels: 0 })
    const other = fileOf({ size: 1, inline: Uint8Array.of(2), levels: 0 })
    stranger.say(batch(number, [{ document: idOf('x'), head: real.rid, revision: other.bytes }]))
    const get = await stranger.hear((message) => message.get)
    assert.deepEqual(get.revisions.map(hex), [hex(real.rid)])
    stranger.say({ answer: { id: get.id, done: true, revisions: [other.bytes], chunks: [], documents: [] } })
    await dropped(/nobody asked for/)
    assert.equal(device.volume.encoded(other.rid), undefined)
  })

  it('believes no rules that are not what their id says, and takes any that are', async () => {
    const number = await followed()
    const document = rulesDocument(device.volume.root)
    const nonsense = fileOf({ size: 1, inline: Uint8Array.of(1), levels: 0 })
    stranger.say(batch(number, [{ document, head: nonsense.rid, revision: nonsense.bytes }], { seq: 0 }))
    await net.until(
      () => device.volume.head(document) !== undefined,
      () => net.describe(),
    )
    const real = fileOf({ size: 1, inline: Uint8Array.of(2), levels: 0 })
    const other = fileOf({ size: 1, inline: Uint8Array.of(3), levels: 0 })
    stranger.say(batch(number, [{ document, head: real.rid, revision: other.bytes }], { seq: 0 }))
    const get = await stranger.hear((message) => message.get)
    stranger.say({ answer: { id: get.id, done: true, revisions: [other.bytes], chunks: [], documents: [] } })
    await dropped(/nobody asked for/)
    assert.equal(device.volume.encoded(other.rid), undefined)
  })

  it('believes no chunk that is not what its id says', async () => {
    const number = await followed()
    const bytes = noise(5000)
    const { rid, bytes: revision } = fileOf({ size: 5000, root: hashOf(bytes), levels: 0 })
    stranger.say(batch(number, [{ document: idOf('x'), head: rid, revision }], { chunks: [noise(5000, 9)] }))
    const get = await stranger.hear((message) => message.get)
    assert.deepEqual(get.chunks.map(hex), [hex(hashOf(bytes))])
    stranger.say({ answer: { id: get.id, done: true, revisions: [], chunks: [noise(5000, 3)], documents: [] } }, 'bulk')
    await dropped(/not those of a chunk that was asked for/)
    assert.equal(device.volume.encoded(rid), undefined)
  })

  it('lets a document wait whose tree contradicts itself', async () => {
    const number = await followed()
    const bytes = noise(5000)
    const { content, lists } = buildContent([
      { id: hashOf(bytes), size: 6000 },
      { id: hashOf(bytes), size: 600 },
    ])
    const { rid, bytes: revision } = fileOf(content)
    const chunks = [bytes, ...lists.map((list) => list.bytes)]
    const good = fileOf({ size: 1, inline: Uint8Array.of(1), levels: 0 })
    const changes = [
      { document: idOf('bad'), head: rid, revision },
      { document: idOf('good'), head: good.rid, revision: good.bytes },
    ]
    stranger.say(batch(number, changes, { chunks }))
    await stranger.hear((message) => message.ack)
    const worker = device.workers().find(({ args }) => args.peerName === 'stranger')!
    assert.deepEqual(
      worker.fetcher.pending.list().map(({ document }) => hex(document)),
      [hex(idOf('bad'))],
    )
    assert.match(worker.fetcher.pending.list()[0].reason, /chunk of 5000 bytes where/)
    assert.ok(device.volume.head(idOf('good')))
    assert.equal(link.over, false)
  })

  it('lets a document wait of which it is told a revision in another encoding', async () => {
    const number = await followed()
    const { bytes } = fileOf({ size: 1, inline: Uint8Array.of(1), levels: 0 })
    const odd = Uint8Array.from([...bytes, 0x78, 1])
    stranger.say(batch(number, [{ document: idOf('odd'), head: ridOf(odd), revision: odd }]))
    await stranger.hear((message) => message.ack)
    const worker = device.workers().find(({ args }) => args.peerName === 'stranger')!
    assert.match(worker.fetcher.pending.list()[0].reason, /canonical/)
  })

  it('drops the link at an answer that nobody asked for', async () => {
    await followed()
    stranger.say({ answer: { id: 77, done: true, revisions: [], chunks: [], documents: [] } })
    await dropped(/nobody asked for/)
  })

  it('drops the link at an answer that holds more than was asked for', async () => {
    const number = await followed()
    const { rid } = fileOf({ size: 1, inline: Uint8Array.of(1), levels: 0 })
    stranger.say(batch(number, [{ document: idOf('x'), head: rid, revision: EMPTY }]))
    const get = await stranger.hear((message) => message.get)
    stranger.say({ answer: { id: get.id, done: false, revisions: [], chunks: [noise(100)], documents: [] } })
    await dropped(/more than was asked for/)
  })

  it('drops the link at more batches than may be under way', async () => {
    const number = await followed()
    const { rid } = fileOf({ size: 1, inline: Uint8Array.of(1), levels: 0 })
    const change = { document: idOf('x'), head: rid, revision: EMPTY }
    for (let i = 0; i < WINDOW + 3; i++) stranger.say(batch(number, [change]))
    await dropped(/more batches/)
  })

  it('drops the link when change numbers go back', async () => {
    const number = await followed()
    stranger.say(batch(number, [], { seq: 5 }))
    stranger.say(batch(number, [], { seq: 4 }))
    await dropped(/went back/)
  })

  it('follows from the beginning where the position it has is not one of the peer', async () => {
    const number = await followed()
    stranger.say(batch(number, [], { seq: 2 ** 50, lastSeq: 2 ** 50 }))
    await stranger.hear((message) => message.ack)
    link.cut()
    await net.converge()
    const next = new MemoryLink('device', 'stranger')
    device.links.add(next.ends[0])
    device.look()
    link = next
    stranger = new Stranger(next.ends[1], net)
    stranger.say({ offers: { offers: [{ sid, root: device.volume.root, label: 'home', lastSeq: 5 }] } })
    const { number: again } = await stranger.hear((message) => message.follow)
    const good = fileOf({ size: 1, inline: Uint8Array.of(1), levels: 0 })
    stranger.say(batch(again, [{ document: idOf('good'), head: good.rid, revision: good.bytes }], { seq: 3 }))
    assert.equal((await stranger.hear((message) => message.ack)).seq, 3)
    assert.ok(device.volume.head(idOf('good')))
  })

  it('answers nothing about a volume that the peer may not see', async () => {
    device.permission = (peer) => (peer === 'stranger' ? undefined : 'write')
    device.volume.create(device.volume.root, 'secret', 'secret')
    device.volume.commit()
    const { root } = device.volume
    const { head } = device.volume.head(root)!
    stranger.say({ follow: { root, sid: device.volume.sid, after: 0, number: 1 } })
    stranger.say({
      get: { root, id: 1, revisions: [head], depth: 1, chunks: [], documents: [root], have: [] },
    })
    const answer = await stranger.hear((message) => message.answer)
    assert.deepEqual([answer.revisions, answer.documents, answer.done], [[], [], true])
    for (let i = 0; i < 100; i++) await turn()
    assert.ok(stranger.heard.every((message) => !message.changes))
  })

  it('drops the link at a flood of questions, and reads no faster than it answers', async () => {
    device.volume.onRead = () => new Promise(() => {})
    const file = device.volume.create(device.volume.root, 'file', noise(5000))
    device.volume.commit()
    const revision = device.volume.revision(device.volume.head(file)!.head)!
    const { root } = revision.parts.get(PART_CONTENT)!
    for (let id = 0; id < MAX_WAITING_QUESTIONS + 20; id++) {
      stranger.say({
        get: { root: device.volume.root, id, revisions: [], depth: 0, chunks: [root!], documents: [], have: [] },
      })
    }
    await net.until(
      () => link.over,
      () => 'the link is still there',
    )
    assert.match(link.error!.message, /More questions/)
  })
})
