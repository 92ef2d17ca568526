import assert from 'node:assert/strict'
import { once } from 'node:events'
import { afterEach, describe, it } from 'mocha'
import { Heartbeat } from '../../lib/peers/heartbeat.js'
import {
  Channel,
  ChannelBrokenError,
  LinkDeadError,
  NotPairedError,
  UnsupportedFeatureError,
} from '../../lib/peers/index.js'
import type { Link } from '../../lib/peers/link.js'
import { CONTROL_PROTOCOL } from '../../lib/peers/link.js'
import { Child } from './child.js'
import { cleanAll, couple, device, directory, linked, paired, streams, until } from './support.js'

const QUICK = { link: { interval: 100, timeout: 300 }, connection: { firstPause: 20, maxPause: 100 } }

describe('peers: connections', () => {
  afterEach(cleanAll)

  it('links paired devices: one link, the same on both sides, with hello, channels and a heartbeat', async () => {
    const { a, b, ab, ba } = await couple({ link: { features: ['x'] } })
    assert.deepEqual([ab.hello.name, ba.hello.name], ['Bert', 'Anna'])
    assert.ok(ab.supports('x') && !ab.supports('y'))
    assert.equal(ab.dialled, !ba.dialled)
    await ab.channel.control.send(Buffer.from('to control'))
    await ab.channel.bulk.send(Buffer.from('to bulk'))
    assert.equal(Buffer.from((await ba.channel.control.read())!).toString(), 'to control')
    assert.equal(Buffer.from((await ba.channel.bulk.read())!).toString(), 'to bulk')
    await until(() => ab.rtt !== undefined && ba.rtt !== undefined, 'a heartbeat')
    const summary = a.links.summaries()[0]
    assert.equal(summary.state, 'up')
    assert.equal(summary.peer, b.node.id)
    assert.ok(summary.bytesOut > 10 && summary.bytesIn > 10)
  })

  it('links again after a restart of the peer', async () => {
    const { a, b, ab } = await couple()
    const down = once(a.links, 'down')
    const { port } = b.node
    await b.stop()
    const [link, error] = await down
    assert.equal(link, ab)
    assert.equal(error, undefined, 'a good-bye is no error')
    const again = await device({ directory: b.directory, port })
    await again.start()
    assert.notEqual(await linked(a, again), ab)
  })

  it('agrees on one link when both dial at the same moment, again and again', async () => {
    const { a, b } = await couple()
    for (let round = 0; round < 8; round++) {
      for (const [from, to] of [
        [a, b],
        [b, a],
      ])
        from.links.get(to.node.id)?.abort(new Error('round'))
      await until(() => !a.links.get(b.node.id) && !b.links.get(a.node.id), 'both down')
      for (const [from, to] of [
        [a, b],
        [b, a],
      ])
        from.connections.get(to.node.id)!.retry()
      await until(() => matching(a.links.get(b.node.id), b.links.get(a.node.id)), 'one link')
    }
    await new Promise((resolve) => setTimeout(resolve, 300))
    const [ab, ba] = [a.links.get(b.node.id)!, b.links.get(a.node.id)!]
    assert.ok(matching(ab, ba))
    await ab.channel.control.send(Buffer.from('same?'))
    assert.equal(Buffer.from((await ba.channel.control.read())!).toString(), 'same?')
  })

  it('hangs up at once when a device is revoked, and lets it in no more', async () => {
    const { a, b, ab, ba } = await couple()
    a.trust.revoke(b.node.id)
    assert.ok((await ab.closed) instanceof Error)
    assert.ok((await ba.closed) instanceof ChannelBrokenError)
    const failed = once(b.connections.get(a.node.id)!, 'failed')
    await failed
    assert.equal(a.links.list().length + b.links.list().length, 0)
    await assert.rejects(a.node.dial(b.node.id, b.node.addresses), NotPairedError)
    await paired(a, b)
    await Promise.all([linked(a, b), linked(b, a)])
  })

  it('refuses a peer that needs a feature we do not have, by name, on both sides', async () => {
    const [a, b] = [await device(), await device({ link: { features: ['future'], required: ['future'] } })]
    await paired(a, b)
    await Promise.all([a.start(), b.start()])
    const failures = await Promise.all([a, b].map((one, i) => once(one.connections.get([b, a][i].node.id)!, 'failed')))
    for (const [error] of failures)
      assert.ok(error instanceof UnsupportedFeatureError && /future/.test(error.message), String(error))
    assert.equal(a.links.summaries()[0].state, 'refused')
  })

  it('survives garbage in place of a hello from a paired device', async () => {
    const { a, b } = await couple()
    for (const bytes of ['', '00000000', '0000000401020304', 'ffffffff', '00000002ffff']) {
      const connection = await b.node.dial(a.node.id, a.node.addresses)
      const stream = await connection.newStream(CONTROL_PROTOCOL)
      const closed = connection.status === 'open' ? once(connection, 'close') : undefined
      if (bytes) stream.send(Buffer.from(bytes, 'hex'))
      else await stream.close()
      await closed
    }
    await Promise.all([linked(a, b), linked(b, a)])
  })

  it('confirms a guest by its hello when its last word in pairing got lost', async () => {
    const [a, b] = [await device(), await device()]
    a.trust.add({ id: b.node.id, name: 'b' }, Date.now() + 60_000)
    b.trust.add({ id: a.node.id, name: 'a', addresses: a.node.addresses })
    const confirmed = once(a.trust, 'paired')
    await Promise.all([a.start(), b.start()])
    await confirmed
    await linked(a, b)
  })

  it('notices a killed and a frozen process, and is back when it is', async function () {
    this.timeout(120_000)
    const a = await device(QUICK)
    const init = { directory: directory(), port: 0, listen: ['127.0.0.1'], discovery: { enabled: false }, ...QUICK }
    const child = new Child(init)
    const { id, port } = await child.next('ready')
    child.tell({ join: a.pairing.invite().token })
    await a.start()
    await child.next('up')
    await until(() => a.links.get(id) !== undefined, 'linked')
    const frozen = once(a.links, 'down')
    child.process.kill('SIGSTOP')
    const [, error] = await frozen
    assert.match(error.message, /silent/)
    child.process.kill('SIGCONT')
    await until(() => a.links.get(id) !== undefined, 'linked after the freeze')
    const killed = once(a.links, 'down')
    await child.kill()
    assert.ok((await killed)[1] instanceof Error)
    await new Child({ ...init, port }).next('up')
    await until(() => a.links.get(id) !== undefined, 'linked after the kill')
  })

  it('does not take silence for death while anything comes in', async () => {
    const { near, far } = await streams()
    const traffic = { bytes: 0, last: performance.now() }
    const dead = Promise.withResolvers<Error>()
    const busy = setInterval(() => (traffic.last = performance.now()), 5)
    const heart = new Heartbeat(
      { channel: new Channel(near), traffic, onDead: dead.resolve },
      { interval: 10, timeout: 100 },
    )
    assert.equal(
      await Promise.race([dead.promise, new Promise((resolve) => setTimeout(resolve, 500, 'alive'))]),
      'alive',
    )
    clearInterval(busy)
    assert.ok((await dead.promise) instanceof LinkDeadError)
    heart.stop()
    far.abort(new Error('done'))
  })

  it('does not take a link for dead that is busy with bulk data in one direction', async () => {
    const { ab, ba } = await couple({ link: { interval: 50, timeout: 1000 } })
    const sending = (async () => {
      for (let n = 0; n < 300; n++) await ab.channel.bulk.send(Buffer.alloc(64 << 10))
    })()
    for (let n = 0; n < 300; n++) await ba.channel.bulk.read()
    await sending
    assert.equal(await Promise.race([ab.closed, Promise.resolve('up')]), 'up')
  })
})

/** Each has a link, dialled by one of them. Two different links would not last: that is seen by talking over it later. */
function matching(ab: Link | undefined, ba: Link | undefined): boolean {
  return ab !== undefined && ba !== undefined && ab.dialled !== ba.dialled
}
