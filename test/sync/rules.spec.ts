// What rules do between two devices: each kind and strategy, pause, times, limit, skip; and that rules themselves always travel.
import assert from 'node:assert/strict'
import { equal, hex } from '../../lib/model/bytes.js'
import { isRemoved } from '../../lib/model/merge.js'
import { type Rule, withoutRule, withRule } from '../../lib/model/rule.js'
import { FLAG_CONFLICT } from '../../lib/model/types.js'
import { changeRules } from '../../lib/sync/change-rules.js'
import { rulesOf } from '../../lib/sync/pair-rules.js'
import { stateOf, waitsOf } from '../../lib/sync/worker-view.js'
import { noise } from '../model/support.js'
import { type Device, Network, turn } from './simulation/network.js'
import type { MemoryVolume } from './simulation/volume.js'

describe('Rules of a pair', () => {
  let net: Network
  let a: Device
  let b: Device

  beforeEach(async () => {
    net = new Network()
    a = await net.device('a')
    b = await net.device('b')
  })

  afterEach(() => net.stop())

  const root = (volume: MemoryVolume) => volume.root
  const ruleOf = (change: Partial<Rule>): Rule => ({
    ...{ id: '00000001', kind: 'two-way', strategy: 'merge', paused: false, schedule: [] },
    ...{ source: a.volume.sid, target: b.volume.sid },
    ...change,
  })
  const set = async (device: Device, change: Partial<Rule>, nowMs = 1_700_000_000_000) =>
    assert.ok(await changeRules(device.volume, (metadata) => withRule(metadata, ruleOf(change)), nowMs))
  const names = ({ volume }: Device) => volume.ls(root(volume)).map(([name]) => name)
  const text = ({ volume }: Device, name: string) => {
    const found = volume.ls(root(volume)).find(([known]) => known === name)
    return found && Buffer.from(volume.bytes(found[1])).toString()
  }
  const until = (done: () => boolean) => net.until(done, () => net.describe())
  /** Long enough for anything that wants to happen. */
  const quiet = async () => {
    for (let i = 0; i < 400; i++) {
      await turn()
      if (i % 20 === 19) net.clock.advance(250)
    }
  }
  const fileOf = ({ volume }: Device, name: string) => volume.ls(root(volume)).find(([known]) => known === name)![1]

  /** Both have `file`, and then change it apart. */
  async function parted(change: Partial<Rule>) {
    const file = a.volume.create(root(a.volume), 'file', 'first')
    net.connect(a, b)
    await net.converge()
    net.cutAll()
    await set(a, change)
    net.connect(a, b)
    await until(() => rulesOf(b.volume).length === 1)
    net.cutAll()
    await quiet()
    return file
  }

  it('travel like documents, and are merged', async () => {
    net.connect(a, b)
    await set(a, {})
    await until(() => rulesOf(b.volume).length === 1)
    net.cutAll()
    await quiet()
    await set(a, { limit: 100_000 }, 2e12)
    await set(b, { schedule: ['mon-sun'] }, 3e12)
    net.connect(a, b)
    await net.converge()
    assert.deepEqual(rulesOf(a.volume), [ruleOf({ limit: 100_000, schedule: ['mon-sun'] })])
    net.assertEqual()
  })

  describe('backup', () => {
    it('brings every version to the target, and nothing back', async () => {
      await set(a, { kind: 'backup' })
      net.connect(a, b)
      const file = a.volume.create(root(a.volume), 'file', 'one')
      await until(() => text(b, 'file') === 'one')
      a.volume.write(file, 'two')
      await until(() => text(b, 'file') === 'two')
      b.volume.create(root(b.volume), 'own', 'of the target')
      b.volume.write(file, 'changed at the target')
      await quiet()
      assert.deepEqual(names(a), ['file'])
      assert.equal(text(a, 'file'), 'two')
      a.volume.create(root(a.volume), 'more', 'of the source')
      await until(() => names(b).includes('more'))
      assert.deepEqual(names(b), ['file', 'more', 'own'])
      assert.deepEqual(names(a), ['file', 'more'])
      await until(() => a.workers()[0].feeder.acknowledged === a.volume.lastSeq())
      const versions = new Set(b.volume.versions())
      for (const version of a.volume.versions()) assert.ok(versions.has(version), 'every version of the source')
      net.assertNoCrash()
    })

    it('made at the target is known to the source before anything else happens', async () => {
      b.volume.create(root(b.volume), 'own', 'of the target')
      await set(b, { kind: 'backup' })
      net.connect(a, b)
      await until(() => rulesOf(a.volume).length === 1)
      a.volume.create(root(a.volume), 'file', 'one')
      await until(() => names(b).includes('file'))
      await quiet()
      assert.deepEqual(names(a), ['file'])
    })

    it('that becomes two-way sends what the target had for itself', async () => {
      await set(a, { kind: 'backup' })
      net.connect(a, b)
      a.volume.create(root(a.volume), 'file', 'one')
      await until(() => names(b).includes('file'))
      b.volume.create(root(b.volume), 'own', 'of the target')
      await quiet()
      // At the target: what it says of rules reaches the source all the same.
      await set(b, { kind: 'two-way' }, 2e12)
      await net.converge()
      assert.deepEqual(names(a), ['file', 'own'])
      net.assertEqual()
      net.assertNothingLost()
    })
  })

  describe('mirror', () => {
    const settled = () => until(() => a.volume.status().backlog + b.volume.status().backlog === 0 && same())
    const same = () => JSON.stringify([...a.volume.tree()]) === JSON.stringify([...b.volume.tree()])

    it('shows what the source shows; what is changed at the target gives way, and stays in the history', async () => {
      await set(a, { kind: 'mirror' })
      net.connect(a, b)
      const folder = a.volume.mkdir(root(a.volume), 'folder')
      const file = a.volume.create(folder, 'file', 'one')
      const gone = a.volume.create(folder, 'other', 'stays')
      await settled()
      b.volume.write(file, 'changed at the target')
      b.volume.unlink(folder, 'other')
      const own = b.volume.mkdir(root(b.volume), 'own')
      const below = b.volume.create(own, 'below', 'of the target')
      b.volume.rename(root(b.volume), 'folder', own, 'moved')
      b.volume.commit()
      await settled()
      await quiet()
      assert.ok(same())
      assert.deepEqual([...a.volume.tree().keys()].sort(), ['/folder/', '/folder/file', '/folder/other'])
      assert.equal(isRemoved(b.volume.revision(b.volume.head(gone)!.head)!), false)
      const kept = b.volume.revision(b.volume.head(below)!.head)!
      assert.ok(isRemoved(kept), 'what only the target had is removed there, and says so')
      assert.equal(Buffer.from(b.volume.bytes(below)).toString(), 'of the target')
      const made = new Set(b.volume.versions())
      assert.ok(b.volume.ledger.size > 0)
      for (const rid of b.volume.ledger) {
        const revision = b.volume.revision(Buffer.from(rid, 'hex'))!
        if (revision.author.length) assert.ok(made.has(rid), 'no version is lost')
      }
      assert.deepEqual(b.volume.treeFaults(), [])
      a.volume.write(file, 'two')
      await settled()
      b.volume.write(file, 'again')
      b.volume.commit()
      await settled()
      assert.equal(Buffer.from(b.volume.bytes(file)).toString(), 'two')
      net.assertNoCrash()
    })

    it('takes back what was changed while the source was away, and then rests', async () => {
      await set(a, { kind: 'mirror' })
      const file = a.volume.create(root(a.volume), 'file', 'one')
      net.connect(a, b)
      await settled()
      net.cutAll()
      await quiet()
      b.volume.write(file, 'changed at the target')
      b.volume.create(root(b.volume), 'own', 'of the target')
      b.volume.commit()
      await b.restart()
      net.connect(a, b)
      await settled()
      await quiet()
      const { applied } = b.volume.counts
      net.cutAll()
      await quiet()
      net.connect(a, b)
      await quiet()
      assert.ok(same())
      assert.equal(b.volume.counts.applied, applied, 'nothing is left to do')
    })
  })

  describe('strategy', () => {
    it('ff: versions that parted wait with a reason, others go on, and a change of the rule lets them go', async () => {
      const file = await parted({ strategy: 'ff' })
      a.volume.write(file, 'here')
      b.volume.write(file, 'there')
      a.volume.commit()
      b.volume.commit()
      const other = a.volume.mkdir(root(a.volume), 'folder')
      net.connect(a, b)
      await until(() => names(b).includes('folder'))
      a.volume.create(other, 'inside', 'goes on')
      await until(() => b.volume.ls(other).length === 1)
      assert.equal(text(b, 'file'), 'there')
      const [waiting] = b.workers()[0].fetcher.pending.list()
      assert.equal(hex(waiting.document), hex(file))
      assert.match(waiting.reason, /changed on both sides/)
      await set(b, { strategy: 'merge' }, 2e12)
      await net.converge()
      net.assertEqual()
      net.assertNothingLost()
    })

    it('latest: the later one is shown as a whole, without a conflict, both stay in the history', async () => {
      const file = await parted({ strategy: 'latest' })
      a.volume.write(file, 'first, and here')
      a.volume.commit()
      for (let i = 0; i < 5; i++) b.volume.write(file, `there ${i}`)
      b.volume.commit()
      net.connect(a, b)
      await net.converge()
      net.assertNothingLost()
      const head = a.volume.revision(a.volume.head(file)!.head)!
      assert.equal(head.flags & FLAG_CONFLICT, 0)
      assert.equal(head.parents.length, 2)
      assert.equal(text(a, 'file'), 'there 4')
    })
  })

  it('pause: nothing travels but the rules, and resuming loses nothing', async () => {
    await set(a, { paused: true })
    net.connect(a, b)
    a.volume.create(root(a.volume), 'one', 'of a')
    b.volume.create(root(b.volume), 'two', 'of b')
    await until(() => rulesOf(b.volume).length === 1)
    await quiet()
    assert.deepEqual([names(a), names(b)], [['one'], ['two']])
    assert.deepEqual(
      [a, b].map((device) => stateOf(device.workers()[0])),
      ['paused', 'paused'],
    )
    assert.match(waitsOf(b.workers()[0])!, /paused by rule 00000001/)
    await set(b, { paused: false }, 2e12)
    await net.converge()
    assert.deepEqual(
      [names(a), names(b)],
      [
        ['one', 'two'],
        ['one', 'two'],
      ],
    )
    net.assertNothingLost()
  })

  it('a pause on one device outlives its restart, until somebody resumes', async () => {
    net.connect(a, b)
    await net.converge()
    b.steer('pause')
    await quiet()
    await b.restart()
    net.connect(a, b)
    a.volume.create(root(a.volume), 'one', 'of a')
    await until(() => b.workers().length === 1)
    await quiet()
    assert.deepEqual(names(b), [])
    assert.equal(waitsOf(b.workers()[0]), 'paused on this device')
    b.steer('resume')
    await net.converge()
    assert.deepEqual(names(b), ['one'])
  })

  it('times: it works when it is time on the device, and waits with that reason', async () => {
    // Saturday noon, wherever this runs.
    let now = new Date(2026, 10, 28, 12, 0).getTime()
    for (const device of [a, b]) {
      device.now = () => now
      await device.restart()
    }
    await set(a, { schedule: ['sun 01:00-05:00'] })
    net.connect(a, b)
    a.volume.create(root(a.volume), 'one', 'of a')
    await until(() => rulesOf(b.volume).length === 1)
    await quiet()
    assert.deepEqual(names(b), [])
    assert.equal(stateOf(b.workers()[0]), 'waiting')
    assert.match(waitsOf(b.workers()[0])!, /waits for its time: sun 01:00-05:00/)
    now = new Date(2026, 10, 29, 1, 0).getTime()
    await until(() => names(b).includes('one'))
    now = new Date(2026, 10, 29, 5, 0).getTime()
    await quiet()
    a.volume.create(root(a.volume), 'two', 'too late')
    await quiet()
    assert.deepEqual(names(b), ['one'])
  })

  it('limit: contents are sent no faster than it says', async () => {
    for (const device of [a, b]) {
      device.now = () => net.clock.now()
      await device.restart()
    }
    const limit = 200_000
    await set(a, { limit })
    net.connect(a, b)
    await net.converge()
    const size = 6_000_000
    const begun = net.clock.now()
    const file = a.volume.create(root(a.volume), 'large', noise(size))
    for (let i = 0; i < 20; i++) a.volume.create(root(a.volume), `small ${i}`, noise(20_000, i + 2))
    let most = 0
    await until(() => {
      const seconds = (net.clock.now() - begun) / 1000
      most = Math.max(most, b.volume.counts.importedBytes - limit * (seconds + 1))
      return b.volume.head(file) !== undefined && names(b).length === 21
    })
    const seconds = (net.clock.now() - begun) / 1000
    assert.ok(most < 2 << 20, `${most} bytes more than the limit allows, besides one message`)
    assert.ok(seconds >= size / limit - 12, `${size} bytes in ${seconds} s`)
    assert.ok(seconds < (size / limit) * 2 + 10, `${seconds} s, too slow`)
    await net.converge()
    net.assertEqual()
  })

  it('limit: rules overtake what waits for it, and the position does not', async () => {
    for (const device of [a, b]) {
      device.now = () => net.clock.now()
      await device.restart()
    }
    await set(a, { limit: 8192 })
    net.connect(a, b)
    await net.converge()
    for (let i = 0; i < 40; i++) a.volume.create(root(a.volume), `small ${i}`, noise(60_000, i + 2))
    a.volume.commit()
    await until(() => a.workers()[0].feeder.sent > a.workers()[0].feeder.acknowledged)
    await set(a, { limit: 8192, paused: true }, 2e12)
    await until(() => rulesOf(b.volume)[0].paused)
    await quiet()
    const { anchor } = b.workers()[0].fetcher
    assert.ok(anchor < a.volume.lastSeq(), 'something waits')
    for (const { document, seq } of a.volume.changes(0, 1000))
      if (seq <= anchor) assert.ok(b.volume.head(document), `change ${seq} is not there, and the position is ${anchor}`)
    await set(b, { paused: false }, 3e12)
    await net.converge()
    net.assertEqual()
  })

  it('skip: a document waits until it is wanted again, both ways', async () => {
    const file = a.volume.create(root(a.volume), 'file', 'one')
    net.connect(a, b)
    await net.converge()
    b.steer('skip', file)
    await until(() => b.workers()[0].fetcher.pending.isSkipped(file))
    a.volume.write(file, 'two')
    a.volume.create(root(a.volume), 'other', 'goes on')
    await until(() => names(b).includes('other'))
    assert.equal(text(b, 'file'), 'one')
    b.steer('pause')
    await b.restart()
    b.steer('resume')
    net.connect(a, b)
    await until(() => b.workers().length === 1)
    const [waiting] = b.workers()[0].fetcher.pending.list()
    assert.match(waiting.reason, /skipped here/)
    b.steer('resume')
    b.steer('retry')
    await net.converge()
    assert.equal(text(b, 'file'), 'two')
    b.steer('skip', fileOf(b, 'file'))
    await until(() => b.workers()[0].fetcher.pending.isSkipped(file))
    b.volume.write(file, 'three, at b')
    b.volume.commit()
    await quiet()
    assert.equal(text(a, 'file'), 'two')
    b.steer('retry')
    await until(() => text(a, 'file') === 'three, at b')
    await net.converge()
    net.assertNothingLost()
  })

  it('that are removed leave things as they are without', async () => {
    await set(a, { kind: 'backup' })
    net.connect(a, b)
    b.volume.create(root(b.volume), 'own', 'of the target')
    await until(() => rulesOf(b.volume).length === 1)
    assert.ok(await changeRules(a.volume, (metadata) => withoutRule(metadata, '00000001'), 2e12))
    await net.converge()
    assert.deepEqual(names(a), ['own'])
    assert.ok(equal(a.volume.root, b.volume.root))
  })
})
