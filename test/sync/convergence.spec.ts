import assert from 'node:assert/strict'
import { noise } from '../model/support.js'
import { Network } from './network.js'

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
