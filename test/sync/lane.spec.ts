import assert from 'node:assert/strict'
import { mock } from 'node:test'
import fc from 'fast-check'
import { LANE_TIMEOUT_MS } from '../../lib/sync/limits.js'
import { encodeFrame, type Get } from '../../lib/sync/messages.js'
import { Questions } from '../../lib/sync/questions.js'
import { noise } from '../model/support.js'
import { MemoryLane } from './simulation/link.js'
import { type Device, Network } from './simulation/network.js'

const SIZE = 12 << 20

describe('Synchronization over a link with a lane', () => {
  let net: Network
  let near: Device

  beforeEach(async () => {
    net = new Network()
    near = await net.device('near')
    near.volume.create(near.volume.root, 'large', noise(SIZE, 1))
    near.volume.commit()
  })

  afterEach(() => net.stop())

  it('brings bulk by the lane, and little else by the link', async () => {
    const link = net.connect(near, await net.device('far'))
    const lanes = link.giveLane()
    await net.converge()
    net.assertEqual()
    const byLane = lanes[0].bytesOut + lanes[1].bytesOut
    assert.ok(byLane > SIZE && byLane < 1.02 * SIZE, `${byLane} bytes by the lane`)
    assert.ok(link.bytes < 64 << 10, `${link.bytes} bytes by the link`)
  })

  it('loses nothing, and keeps the link, wherever the lane breaks, also with another one after it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 14 }), fc.boolean(), async (cutAt, another) => {
        const device = await net.device(`far ${cutAt} ${another} ${net.devices.length}`)
        const link = net.connect(near, device)
        const [lane] = link.giveLane({ cutAt })
        if (another)
          await net.until(
            () => lane.over,
            () => 'the lane did not break',
          )
        if (another) link.giveLane()
        await net.converge()
        net.assertEqual()
        assert.ok(!link.over && lane.over)
        assert.equal(device.workers()[0].fetcher.pending.size, 0)
        await device.stop()
        net.devices.splice(net.devices.indexOf(device), 1)
        link.cut()
      }),
      { numRuns: 6 },
    )
  })

  it('drops the link where something else than an answer comes by the lane', async () => {
    const link = net.connect(near, await net.device('far'))
    await net.converge()
    const [lane] = link.giveLane()
    await lane.send(encodeFrame({ ack: { root: near.volume.root, seq: 1, number: 1 } }))
    await net.until(
      () => link.over,
      () => 'the link is still there',
    )
    assert.match(link.error!.message, /Something else than an answer/)
  })

  it('gives up a lane that is silent, and asks again without it; late answers to the first question are not looked at', async () => {
    mock.timers.enable({ apis: ['setTimeout'] })
    try {
      const gets: Get[] = []
      const questions = new Questions({
        send: (get) => gets.push(get),
        late: () => assert.fail('the link is given up'),
      })
      const lane = new MemoryLane({})
      lane.other = lane
      const reading = lane.read().catch(() => questions.repeat(lane))
      const root = new Uint8Array(16)
      const asked = questions.ask(root, { chunks: [new Uint8Array(33)] }, lane)
      mock.timers.tick(LANE_TIMEOUT_MS)
      await reading
      assert.deepEqual(
        gets.map((get) => get.lane),
        [true, false],
      )
      const answer = { done: true, revisions: [], documents: [] }
      questions.take({ ...answer, id: gets[0].id, chunks: [Uint8Array.of(1)] })
      questions.take({ ...answer, id: gets[1].id, chunks: [Uint8Array.of(2)] })
      assert.deepEqual((await asked).chunks, [Uint8Array.of(2)])
    } finally {
      mock.timers.reset()
    }
  })
})
