import assert from 'node:assert/strict'
import { once } from 'node:events'
import { afterEach, describe, it } from 'mocha'
import { cleanAll, couple, device, linked, until } from './support.js'

describe('peers: connections', () => {
  afterEach(cleanAll)

  it('links paired devices: one link, the same on both sides, with hello, channels and a heartbeat', async () => {
    const { a, b, ab, ba } = await couple({ link: { features: ['x'] } })
    assert.deepEqual([ab.hello.name, ba.hello.name], ['Bert', 'Anna'])
    assert.deepEqual(ab.hello.features, ['x'])
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
    const [link] = await down
    assert.equal(link, ab)
    const again = await device({ directory: b.directory, port })
    await again.start()
    const link2 = await linked(a, again)
    assert.notEqual(link2, ab)
  })
})
