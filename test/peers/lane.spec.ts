import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { afterEach, describe, it } from 'mocha'
import { LaneBrokenError } from '../../lib/peers/errors.js'
import { Channel } from '../../lib/peers/index.js'
import { Lane } from '../../lib/peers/lane.js'
import { laneKeys, RecordOpener, RecordSealer } from '../../lib/peers/lane-records.js'
import { LANE_PROTOCOL } from '../../lib/peers/lanes.js'
import type { Link } from '../../lib/peers/link.js'
import { decodeLaneTicket, encodeLaneTicket } from '../../lib/peers/messages.js'
import { cleanAll, cleanUp, couple, device, linked, paired } from './support.js'

const ticket = { id: new Uint8Array(16).fill(1), secret: new Uint8Array(32).fill(2) }
const hexOf = (parts: Uint8Array[]) => Buffer.concat(parts).toString('hex')

/** Bytes that must never change: devices of other versions read them. */
const GOLDEN = {
  keys: [
    'dfcabbbdbc3ab1e60df536c7023bb7cdc251f6735aaccb20b123f116a24635ce',
    'd6eab35fbced8b4e80a2f5ce',
    'c3871d650a6756ac14317b5533b0280e32d83bf11ff090854405bcaeeaad3730',
    'b6ed89cffc40881b345047bd',
  ],
  records: [
    '00000000bfdfe0b9563bd90e33e2c107eff084e3',
    '000000035b6f9bb7b0b8d7d62732a6c5876522baf6d164',
    '00000003f8c323a2643ac2897c2daf8b279c0faa116a59',
  ],
  ticket: `08a21f1210${'01'.repeat(16)}1a20${'02'.repeat(32)}`,
}

const flipped = (record: Buffer, at: number): Buffer => {
  const bytes = Buffer.from(record)
  bytes[at] ^= 1
  return bytes
}

const HARMS: [string, (records: Buffer[]) => Buffer[]][] = [
  ['changed', ([first, second]) => [first, flipped(second, 5)]],
  ['changed in its tag', ([first]) => [flipped(first, first.length - 1)]],
  ['shorter by its header', ([first, second, third]) => [first, flipped(second, 3), third]],
  ['repeated', ([first]) => [first, first]],
  ['left out', ([first, , third]) => [first, third]],
  ['moved', ([first, second, third]) => [second, first, third]],
  ['too long', ([first]) => [first, Buffer.from([0xff, 0xff, 0xff, 0xff])]],
  ['empty', ([first]) => [first, Buffer.alloc(20)]],
]

describe('peers: lane', () => {
  afterEach(cleanAll)

  it('has the keys, records and tickets of docs/peers.md', () => {
    const keys = laneKeys(ticket)
    assert.deepEqual(
      [keys.dialler.key, keys.dialler.iv, keys.listener.key, keys.listener.iv].map((bytes) => hexOf([bytes])),
      GOLDEN.keys,
    )
    const sealer = new RecordSealer(keys.dialler)
    const records = [new Uint8Array(0), Buffer.from('abc'), Buffer.from('abc')].map((frame) => sealer.seal(frame))
    assert.deepEqual(records.map(hexOf), GOLDEN.records)
    const opener = new RecordOpener(keys.dialler)
    const opened = records.map(([header, sealed, tag]) => Buffer.from(opener.open(header, sealed, tag)).toString())
    assert.deepEqual(opened, ['', 'abc', 'abc'])
    const message = encodeLaneTicket({ ...ticket, port: 4002 })
    assert.equal(hexOf([message]), GOLDEN.ticket)
    assert.equal(decodeLaneTicket(message).port, 4002)
  })

  for (const [what, harm] of HARMS) {
    it(`breaks, and gives nothing of it, when a record is ${what}`, async () => {
      const { lane, records, write } = await fedByHand()
      for (const bytes of harm(records)) write(bytes)
      const read = (async () => {
        const got: string[] = []
        try {
          for (;;) got.push(Buffer.from(await lane.read()).toString())
        } catch {
          return got
        }
      })()
      assert.ok((await lane.closed) instanceof LaneBrokenError)
      const got = await read
      assert.deepEqual(got, ['first', 'second', 'third'].slice(0, got.length), 'only a beginning of what was sent')
      assert.ok(got.length < 3)
    })
  }

  it('comes up beside every link of devices that have it, and carries frames of all sizes in order, both ways', async () => {
    const { ab, ba } = await couple()
    const lanes = await Promise.all([laneOf(ab), laneOf(ba)])
    const frames = [1, 4096, 70_000, 1 << 20, 4 << 20, 5].map((size, i) => Buffer.alloc(size, i + 1))
    for (const [here, there] of [lanes, [...lanes].reverse()]) {
      const sending = (async () => {
        for (const frame of frames) await here.send(frame)
      })()
      for (const frame of frames) assert.ok(frame.equals(await there.read()))
      await sending
    }
    assert.ok(ab.bytesOut > 5 << 20 && ba.bytesIn > 5 << 20, 'counted as bytes of the link')
  })

  it('stops the sender while nobody reads', async () => {
    const { ab, ba } = await couple()
    const [here, there] = await Promise.all([laneOf(ab), laneOf(ba)])
    const total = 64 << 20
    let sent = 0
    const sending = (async () => {
      for (; sent < total; sent += 1 << 20) await here.send(Buffer.alloc(1 << 20))
    })()
    let before = -1
    while (before < sent) {
      before = sent
      for (let i = 0; i < 200; i++) await new Promise((resolve) => setImmediate(resolve))
    }
    assert.ok(sent < 32 << 20, `nobody reads, yet ${sent} bytes were taken`)
    for (let got = 0; got < total; ) got += (await there.read()).length
    await sending
  })

  it('is not there with a device that does not make lanes, and the link works', async () => {
    const [a, b] = [await device(), await device({ lanes: false })]
    await paired(a, b)
    await Promise.all([a.start(), b.start()])
    const [ab, ba] = await Promise.all([linked(a, b), linked(b, a)])
    await ab.channel.bulk.send(Buffer.from('by the link'))
    assert.equal(Buffer.from((await ba.channel.bulk.read())!).toString(), 'by the link')
    assert.equal(ab.lane, undefined)
    assert.ok(!ab.supports('lane') && ba.supports('lane'))
  })

  it('comes back after it broke; the link stays', async () => {
    const { a, b, ab, ba } = await couple()
    const [first] = await Promise.all([laneOf(ab), laneOf(ba)])
    const again = [once(ab, 'lane'), once(ba, 'lane')]
    first.abort(new LaneBrokenError('cut by the test'))
    const [[here], [there]] = (await Promise.all(again)) as [[Lane], [Lane]]
    await here.send(Buffer.from('again'))
    assert.equal(Buffer.from(await there.read()).toString(), 'again')
    assert.equal(a.links.get(b.node.id), ab)
  })

  it('ends with its link', async () => {
    const { a, b, ab, ba } = await couple()
    const lanes = await Promise.all([laneOf(ab), laneOf(ba)])
    a.trust.revoke(b.node.id)
    await Promise.all(lanes.map((lane) => lane.closed))
  })

  it('tells strangers nothing, keeps few of them, and takes a ticket once', async () => {
    const { a, b, ab, ba } = await couple()
    await Promise.all([laneOf(ab), laneOf(ba)])
    const [dialler, connection] = ab.dialled ? [a, ab] : [b, ba]
    const theirs = ab.dialled ? ba : ab
    // A ticket of its own for the test, asked for as the device would.
    const raw = dialler.node.libp2p.getConnections().find((one) => one.remotePeer.toString() === connection.peer)!
    const channel = new Channel(await raw.newStream(LANE_PROTOCOL))
    const given = decodeLaneTicket((await channel.read())!)
    const lane = theirs.lane
    const said = async (...bytes: Uint8Array[]): Promise<number> => {
      const socket = connect({ host: '127.0.0.1', port: given.port })
      let heard = 0
      socket.on('data', (data) => {
        heard += data.length
      })
      socket.on('error', () => {})
      for (const part of bytes) socket.write(part)
      await once(socket, 'close')
      return heard
    }
    assert.equal(await said(Buffer.alloc(16, 9)), 0, 'a ticket that is none')
    const wrong = new RecordSealer(laneKeys({ ...given, secret: Buffer.alloc(32) }).dialler)
    assert.equal(await said(given.id, ...wrong.seal(new Uint8Array(0))), 0, 'the id without the secret')
    const right = new RecordSealer(laneKeys(given).dialler)
    assert.equal(await said(given.id, ...right.seal(new Uint8Array(0))), 0, 'it was used already')
    assert.equal(theirs.lane, lane)
    const sockets = Array.from({ length: 40 }, () => connect({ host: '127.0.0.1', port: given.port }))
    cleanUp(() => sockets.forEach((socket) => void socket.destroy()))
    let left = sockets.length
    await new Promise<void>((resolve) => {
      for (const socket of sockets) {
        socket.on('error', () => {})
        socket.on('close', () => {
          if (--left === 16) resolve()
        })
      }
    })
  })
})

async function laneOf(link: Link): Promise<Lane> {
  if (!link.lane) await once(link, 'lane')
  return link.lane!
}

/** A lane, three records that the other device sealed for it, and a way to write whatever one likes to it. */
async function fedByHand(): Promise<{ lane: Lane; records: Buffer[]; write(bytes: Uint8Array): void }> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const arrived = once(server, 'connection') as Promise<[Socket]>
  const socket = connect({ host: '127.0.0.1', port: (server.address() as { port: number }).port })
  const [near] = await arrived
  near.on('error', () => {})
  cleanUp(() => {
    socket.destroy()
    near.destroy()
    server.close()
  })
  const keys = laneKeys(ticket)
  const [own, opener] = [new RecordSealer(keys.dialler), new RecordOpener(keys.listener)]
  const lane = new Lane({ socket, sealer: own, opener, dialled: true }, { maxFrame: 1 << 20 })
  const sealer = new RecordSealer(keys.listener)
  near.write(Buffer.concat(sealer.seal(new Uint8Array(0))))
  await lane.proven
  const records = ['first', 'second', 'third'].map((text) => Buffer.concat(sealer.seal(Buffer.from(text))))
  return { lane, records, write: (bytes) => void near.write(bytes) }
}
