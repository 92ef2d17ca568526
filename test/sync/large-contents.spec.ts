import assert from 'node:assert/strict'
import { allChunks } from '../../lib/model/content-tree.js'
import { PART_CONTENT } from '../../lib/model/types.js'
import { large } from '../../lib/sync/large-contents.js'
import { noise } from '../model/support.js'
import { type Device, Network } from './simulation/network.js'

const SIZE = 12 << 20

describe('A large content on its way', () => {
  let net: Network
  let near: Device
  let far: Device

  beforeEach(async () => {
    net = new Network()
    near = await net.device('near')
    far = await net.device('far')
  })

  afterEach(() => net.stop())

  const pathsOf = ({ volume }: Device) => [...volume.tree()].map(([path]) => path)
  const fetcher = () => far.workers()[0].fetcher

  /** Answers stand still until the function is called. */
  function held(): { link: ReturnType<Network['connect']>; go(): void; isHeld(): boolean } {
    let go = () => {}
    let held = false
    const waiting = new Promise<void>((resolve) => {
      go = resolve
    })
    const onFrame = async (frame: Uint8Array, _from: string, channel: string) => {
      if (channel !== 'bulk') return frame
      held = true
      await waiting
      return frame
    }
    const link = net.connect(near, far, { onFrame: onFrame as never })
    return { link, go, isHeld: () => held }
  }

  it('does not hold up what comes after it in other folders; its own folder follows with it', async () => {
    const { volume } = near
    const folder = volume.mkdir(volume.root, 'large things')
    volume.commit()
    const { go, isHeld } = held()
    await net.converge()
    volume.create(folder, 'large', noise(SIZE, 1))
    volume.commit()
    await net.until(isHeld, () => net.describe())
    for (let i = 0; i < 20; i++) {
      volume.create(volume.root, `small ${i}`, `small ${i}`)
      volume.commit()
      await net.until(
        () => pathsOf(far).some((path) => path.includes(`small ${i}`)),
        () => net.describe(),
      )
    }
    assert.deepEqual(
      fetcher()
        .pending.list()
        .map(({ reason }) => reason)
        .sort(),
      ['its content is on its way', 'the folder names documents whose content is on its way'],
    )
    assert.ok(fetcher().anchor > 20, 'the position goes on')
    go()
    await net.converge()
    net.assertEqual()
    assert.equal(fetcher().pending.size, 0)
    net.assertNoCrash()
  })

  it('is not lost where the device ends, or the link, while it is on its way', async () => {
    const { volume } = near
    const { link, isHeld } = held()
    volume.create(volume.root, 'large', noise(SIZE, 1))
    volume.commit()
    await net.until(isHeld, () => net.describe())
    await net.until(
      () => fetcher().anchor >= volume.lastSeq(),
      () => net.describe(),
    )
    link.cut()
    await far.restart(true)
    net.connect(near, far)
    await net.converge()
    net.assertEqual()
    assert.equal(fetcher().pending.size, 0)
  })

  it('gives way to a later version that comes meanwhile', async () => {
    const { volume } = near
    const { go, isHeld } = held()
    const document = volume.create(volume.root, 'large', noise(SIZE, 1))
    volume.commit()
    await net.until(isHeld, () => net.describe())
    volume.write(document, noise(SIZE, 2))
    volume.commit()
    await net.until(
      () => fetcher().anchor >= volume.lastSeq(),
      () => net.describe(),
    )
    go()
    await net.converge()
    net.assertEqual()
    assert.equal(fetcher().pending.size, 0)
  })

  it('waits with the reason when the device does not have it', async () => {
    const before = large.bytes
    large.bytes = 1000
    try {
      const { volume } = near
      const document = volume.create(volume.root, 'gone', noise(100_000, 1))
      volume.commit()
      const content = volume.revision(volume.head(document)!.head)!.parts.get(PART_CONTENT)!
      volume.forgetChunk([...allChunks(content, volume.source)].filter(({ level }) => level === 0)[0].id)
      net.connect(near, far)
      await net.until(
        () =>
          far.workers().length > 0 &&
          fetcher()
            .pending.list()
            .some(({ reason }) => /does not have chunk/.test(reason)),
        () => net.describe(),
      )
    } finally {
      large.bytes = before
    }
  })
})
