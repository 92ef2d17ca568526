import assert from 'node:assert/strict'
import { noise } from '../../model/support.js'
import { Network } from './network.js'
import { givenAway, simulate } from './run.js'

describe('Synchronization of two devices', () => {
  let net: Network

  beforeEach(() => {
    net = new Network()
  })

  afterEach(() => net.stop())

  it('brings a tree of files and folders over', async () => {
    const a = await net.device('a')
    const b = await net.device('b')
    a.volume.create(a.volume.root, 'one', 'small')
    const folder = a.volume.mkdir(a.volume.root, 'folder')
    a.volume.create(folder, 'two', noise(20_000))
    a.volume.create(folder, 'large', noise(1_500_000))
    a.volume.mkdir(folder, 'empty')
    net.connect(a, b)
    await net.converge()
    assert.equal(b.volume.tree().size, 5)
    net.assertEqual()
  })
})

describe('Synchronization of several devices that are used, cut off and restarted at random', () => {
  // PEERDRIVE_RUNS: how many histories of each kind (2,000 take about a quarter of an hour); PEERDRIVE_SEED: the first one.
  const first = Number(process.env.PEERDRIVE_SEED ?? 1)
  const runs = Number(process.env.PEERDRIVE_RUNS ?? 15)

  for (const count of [2, 3, 4])
    it(`${count} devices end with the same heads and trees, and no version is lost`, async function () {
      this.timeout(30_000 + runs * 10_000)
      for (let seed = first; seed < first + runs; seed++) await simulate(seed * 10 + count, count)
    })

  it('also where one of them holds contents on demand, and gives away what others keep', async function () {
    this.timeout(30_000 + runs * 10_000)
    for (let seed = first; seed < first + runs; seed++) await simulate(seed * 10 + 3, 3, { lean: true })
    assert.ok(givenAway >= runs, `${givenAway} chunks were given away`)
  })
})
