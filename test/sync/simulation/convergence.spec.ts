import assert from 'node:assert/strict'
import { noise } from '../../model/support.js'
import { Network, turn } from './network.js'
import { RandomUser, randomOf } from './user.js'

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

/** Some devices, some users, links that come and go, crashes: then all is healed. `seed` decides everything. */
async function run(seed: number, count: number): Promise<void> {
  const random = randomOf(seed)
  const net = new Network()
  try {
    for (let i = 0; i < count; i++) await net.device('abcd'[i], { turns: () => Math.ceil(random() * 30) })
    const users = net.devices.map((device) => new RandomUser(device, random, device.id))
    for (let step = 0; step < 40; step++) {
      const device = Math.floor(random() * count)
      const what = random()
      if (what < 0.7) users[device].act()
      else if (what < 0.8) {
        const other = (device + 1 + Math.floor(random() * (count - 1))) % count
        const cutAfter = random() < 0.6 ? Math.floor(random() * 60) + 1 : undefined
        net.connect(net.devices[device], net.devices[other], { delay: 3, random, cutAfter })
      } else if (what < 0.85) net.cutAll()
      else if (what < 0.88) await net.devices[device].restart(random() < 0.4)
      else if (what < 0.91) await net.devices[device].killSomething(random)
      else for (let turns = random() * 30; turns > 0; turns--) await turn()
    }
    net.cutAll()
    for (let turns = 0; turns < 5; turns++) await turn()
    net.mesh({ delay: 2, random })
    await net.converge()
    net.assertEqual()
    net.assertNothingLost()
    net.assertNoCrash()
    const applied = net.devices.map(({ volume }) => volume.counts.applied)
    net.cutAll()
    for (let turns = 0; turns < 5; turns++) await turn()
    net.mesh()
    await net.converge()
    assert.deepEqual(
      net.devices.map(({ volume }) => volume.counts.applied),
      applied,
      'nothing is left to do in the second run',
    )
  } catch (error) {
    throw new Error(`seed ${seed}, ${count} devices: ${(error as Error).message}`, { cause: error })
  } finally {
    await net.stop()
  }
}

describe('Synchronization of several devices that are used, cut off and restarted at random', () => {
  for (const count of [2, 3, 4])
    it(`${count} devices end with the same heads and trees, and no version is lost`, async () => {
      const first = Number(process.env.PEERDRIVE_SEED ?? 1)
      const runs = Number(process.env.PEERDRIVE_RUNS ?? 15)
      for (let seed = first; seed < first + runs; seed++) await run(seed * 10 + count, count)
    })
})
