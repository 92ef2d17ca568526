// Conflicts: found alike on all devices, ended by any of them, and by several at once.

import assert from 'node:assert/strict'
import { hex } from '../../lib/model/bytes.js'
import { conflictSides } from '../../lib/model/conflict.js'
import type { DId } from '../../lib/model/types.js'
import { resolveConflict } from '../../lib/sync/resolve.js'
import { type Device, Network, turn } from './simulation/network.js'

describe('A conflict', () => {
  let net: Network
  let a: Device
  let b: Device
  let document: DId

  beforeEach(async () => {
    net = new Network()
    a = await net.device('a')
    b = await net.device('b', { now: 1_700_000_100_000 })
    document = a.volume.create(a.volume.root, 'file.bin', '\0first')
    net.connect(a, b)
    await net.converge()
    await apart(async () => {
      a.volume.write(document, '\0of a')
      b.volume.write(document, '\0of b')
    })
  })

  afterEach(() => net.stop())

  async function apart(work: () => Promise<void>): Promise<void> {
    net.cutAll()
    for (let turns = 0; turns < 10; turns++) await turn()
    await work()
    for (let turns = 0; turns < 10; turns++) await turn()
    net.connect(a, b)
    await net.converge()
    net.assertEqual()
    net.assertNothingLost()
  }

  const names = () => a.volume.ls(a.volume.root).map(([name]) => name)
  const contents = () =>
    a.volume
      .ls(a.volume.root)
      .map(([, id]) => Buffer.from(a.volume.bytes(id)).toString())
      .sort()
  const conflicts = () => [a, b].map(({ volume }) => volume.conflicts(10).length)

  it('is between the same versions everywhere, the later one is shown', () => {
    assert.deepEqual(conflicts(), [1, 1])
    const sides = [a, b].map(({ volume }) =>
      conflictSides(volume.head(document)!.head, (rid) => volume.revision(rid)).map(hex),
    )
    assert.deepEqual(sides[0], sides[1])
    const authors = sides[0].map((rid) => hex(a.volume.revision(Buffer.from(rid, 'hex'))!.author))
    assert.deepEqual(authors, [hex(b.volume.author), hex(a.volume.author)])
    assert.deepEqual(contents(), ['\0of b'])
  })

  for (const [what, choose, both, expected] of [
    ['what is shown', 0, false, ['\0of b']],
    ['the other one', 1, false, ['\0of a']],
    ['both', 0, true, ['\0of a', '\0of b']],
    ['both, the other one shown', 1, true, ['\0of a', '\0of b']],
  ] as const)
    it(`resolved alike on two devices makes the same revisions: ${what}`, async () => {
      const merges = () => [a, b].map((device) => device.workers()[0]?.fetcher.merges ?? 0)
      await apart(async () => {
        for (const { volume } of [a, b]) {
          const sides = conflictSides(volume.head(document)!.head, (rid) => volume.revision(rid))
          assert.equal(await resolveConflict(volume, { document, keep: sides[choose], both }), 'resolved')
        }
        for (let turns = 0; turns < 10; turns++) await turn()
        assert.deepEqual([...a.volume.heads()], [...b.volume.heads()], 'before they have talked')
      })
      assert.deepEqual(merges(), [0, 0])
      assert.deepEqual(contents(), expected)
      assert.deepEqual(conflicts(), [0, 0])
      assert.equal(names().length, both ? 2 : 1)
      if (both) assert.match(names()[1], /^file~[0-9a-f]{8}\.bin$/)
      assert.equal(await resolveConflict(a.volume, { document }), 'none')
    })

  it('resolved differently on two devices is resolved', async () => {
    await apart(async () => {
      const [, other] = conflictSides(a.volume.head(document)!.head, (rid) => a.volume.revision(rid))
      assert.equal(await resolveConflict(a.volume, { document }), 'resolved')
      assert.equal(await resolveConflict(b.volume, { document, keep: other }), 'resolved')
    })
    assert.deepEqual(conflicts(), [0, 0])
    assert.deepEqual(contents(), ['\0of a'])
  })

  it('among three is between three versions', async () => {
    const c = await net.device('c')
    net.connect(b, c)
    await net.converge()
    net.cutAll()
    for (let turns = 0; turns < 10; turns++) await turn()
    await resolveConflict(a.volume, { document })
    for (const [i, device] of net.devices.entries()) device.volume.write(document, `\0again ${i}`)
    for (let turns = 0; turns < 10; turns++) await turn()
    net.mesh()
    await net.converge()
    net.assertEqual()
    for (const { volume } of net.devices)
      assert.equal(conflictSides(volume.head(document)!.head, (rid) => volume.revision(rid)).length, 3)
  })
})
