// Rules on real nodes: a backup to another device, and one on a disk of this device that is taken out and put back.

import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import type { RuleInfo } from '../../lib/api/services.js'
import { Namespaces, namespacesAllowed } from './namespaces.js'
import { eventually, hasFuse, info, inSync, isRoot, NodeProcess, pairAndJoin, scratch, writeNoise } from './support.js'

const RULE: RuleInfo = {
  ...{ id: '', volume: '', kind: 'backup', strategy: '', source: '', target: '' },
  ...{ paused: false, schedule: [], limit: 0 },
}

const pathOf = (node: NodeProcess, name: string) => Buffer.from(path.join(node.mountPoint, name))
const why = async (node: NodeProcess, name: string) =>
  (await node.with((api) => api.why(pathOf(node, name)))).map(({ peerName, state }) => `${peerName}: ${state}`)
const cat = async (node: NodeProcess, file: string, version: string) => {
  const pieces: Uint8Array[] = []
  await node.with((api) => api.cat(Buffer.from(file), version, async (bytes) => void pieces.push(bytes)))
  return Buffer.concat(pieces).toString()
}

describe('Rules on real nodes', function () {
  this.timeout(300_000)
  let directory: string
  let network: Namespaces
  let a: NodeProcess
  let b: NodeProcess

  before(async function () {
    if (!isRoot || !hasFuse || !namespacesAllowed()) {
      console.log('skipped: rules on real nodes need root, /dev/fuse and network namespaces (ip netns)')
      return this.skip()
    }
    directory = scratch()
    network = new Namespaces(2)
    a = new NodeProcess({ home: path.join(directory, 'a'), prefix: network.prefix(0), args: ['--name', 'laptop'] })
    b = new NodeProcess({ home: path.join(directory, 'b'), prefix: network.prefix(1), args: ['--name', 'desk'] })
    await Promise.all([a.start(), b.start()])
  })

  after(async () => {
    await Promise.all([a?.stop(), b?.stop()])
    network?.destroy()
    if (directory) fs.rmSync(directory, { recursive: true, force: true })
  })

  it('back a volume up on a disk, which may be away, ejected, and come back', async () => {
    const file = (name: string) => path.join(a.mountPoint, name)
    const disk = path.join(directory, 'disk')
    const drawer = path.join(directory, 'drawer')
    fs.mkdirSync(file('folder'))
    fs.writeFileSync(file('folder/letter'), 'first')
    writeNoise(file('large'), 3)
    assert.deepEqual(await why(a, 'folder/letter'), [])
    const added = await a.with((api) => api.addBackup({ directory: path.join(disk, 'photos-backup') }))
    assert.equal(added.label, 'photos-backup')
    await eventually(async () => assert.deepEqual(await why(a, 'folder/letter'), ['photos-backup: in sync']))
    await eventually(async () => assert.deepEqual(await why(a, 'large'), ['photos-backup: in sync']))
    const [rule] = await a.with((api) => api.rules())
    assert.deepEqual([rule.kind, rule.source, rule.target], ['backup', 'laptop', 'photos-backup'])
    const stored = path.join(disk, 'photos-backup', 'folder/letter')
    const [version] = await a.with((api) => api.log(Buffer.from(stored), 10))
    assert.equal(await cat(a, stored, version.version), 'first')

    // Pulled out without a word.
    fs.renameSync(disk, drawer)
    await eventually(async () => assert.equal((await a.with((api) => api.backups()))[0].state, 'not there'))
    fs.writeFileSync(file('folder/letter'), 'second')
    fs.rmSync(file('large'))
    const [away] = await eventually(async () => {
      const found = await a.with((api) => api.why(pathOf(a, 'folder/letter')))
      assert.equal(found[0].state, 'not reachable')
      return found
    })
    assert.ok(away.since > 0)
    await a.with((api) => api.steer('home', 'photos-backup', 'pause'))
    assert.match((await a.with((api) => api.why(pathOf(a, 'folder/letter'))))[0].reason, /paused on this device/)
    await a.with((api) => api.steer('home', 'photos-backup', 'resume'))
    // The node is restarted meanwhile, and does not mind.
    await a.stop()
    await a.start()
    fs.renameSync(drawer, disk)
    await eventually(async () => assert.deepEqual(await why(a, 'folder/letter'), ['photos-backup: in sync']))
    const versions = await a.with((api) => api.log(Buffer.from(stored), 10))
    assert.equal(versions.length, 2)
    assert.deepEqual(
      await Promise.all(versions.map(({ version }) => cat(a, stored, version))),
      ['second', 'first'],
      'every version is kept',
    )
    const gone = await a.with((api) => api.log(Buffer.from(path.join(disk, 'photos-backup', 'large')), 10))
    assert.ok(gone.length >= 1 && !gone.some(({ current }) => current), 'what was removed is in the history')

    await a.with((api) => api.endBackup('photos-backup', 'eject'))
    assert.equal((await a.with((api) => api.backups()))[0].state, 'ejected')
    fs.renameSync(disk, drawer)
    await eventually(async () => assert.equal((await a.with((api) => api.backups()))[0].state, 'not there'))
    fs.renameSync(drawer, disk)
    fs.writeFileSync(file('after'), 'the disk was out')
    await eventually(async () => assert.deepEqual(await why(a, 'after'), ['photos-backup: in sync']))

    await a.with((api) => api.endBackup('photos-backup', 'remove'))
    assert.deepEqual(await a.with((api) => api.backups()), [])
    assert.deepEqual(await a.with((api) => api.rules()), [])
    const again = await a.with((api) => api.addBackup({ directory: path.join(disk, 'photos-backup') }))
    assert.equal(again.sid, added.sid, 'the same one')
    await eventually(async () => assert.deepEqual(await why(a, 'after'), ['photos-backup: in sync']))
    await assert.rejects(
      b.with((api) => api.addBackup({ directory: path.join(disk, 'photos-backup') })),
      { code: 'ANOTHER_VOLUME' },
    )
    await a.with((api) => api.endBackup('photos-backup', 'remove'))
  })

  it('back up some folders alone: of the others the disk has the names', async () => {
    const disk = path.join(directory, 'some')
    writeNoise(path.join(a.mountPoint, 'outside'), 2, 11)
    fs.writeFileSync(path.join(a.mountPoint, 'folder/before'), Buffer.alloc(100_000, 'before'))
    await a.with((api) => api.addBackup({ directory: disk, only: [pathOf(a, 'folder')] }))
    fs.writeFileSync(path.join(a.mountPoint, 'folder/after'), Buffer.alloc(300_000, 'after'))
    const held = async () => (await info(a)).volumes.find(({ label }) => label === 'some')!.holding
    await eventually(async () => assert.ok((await held()).bytes > 0 && (await held()).lacking === 0))
    await eventually(async () => assert.deepEqual(await why(a, 'folder/after'), ['some: in sync']))
    await eventually(async () => {
      const { bytes, lacking, pins } = await held()
      assert.deepEqual([pins, lacking], [['/folder'], 0])
      assert.ok(bytes < 1 << 20, `${bytes} bytes are on the disk`)
    })
    const [after] = await a.with((api) => api.log(Buffer.from(path.join(disk, 'folder/after')), 1))
    assert.equal((await cat(a, path.join(disk, 'folder/after'), after.version)).length, 300_000)
    await a.with((api) => api.endBackup('some', 'remove'))
  })

  it('give contents away that a disk keeps, and fetch them again from it', async () => {
    const disk = path.join(directory, 'keeper')
    const file = path.join(a.mountPoint, 'archive')
    writeNoise(file, 6, 7)
    const bytes = fs.readFileSync(file)
    await a.with((api) => api.addBackup({ directory: disk }))
    await eventually(async () => assert.deepEqual(await why(a, 'archive'), ['keeper: in sync']))
    await a.with((api) => api.hold('home', { hold: 'on-demand', budget: 1 << 20 }))
    await eventually(async () => {
      const { volumes } = await info(a)
      const { bytes } = volumes.find(({ label }) => label === 'home')!.holding
      assert.ok(bytes <= 2 << 20, `${bytes} bytes are held`)
    }, 60_000)
    assert.ok(fs.readFileSync(file).equals(bytes))
    assert.deepEqual(await why(a, 'archive'), ['keeper: in sync'])
    await assert.rejects(
      a.with((api) => api.endBackup('keeper', 'remove')),
      /'home' does not have all contents itself, and no device but 'keeper' is known to keep them/,
    )
    await a.with((api) => api.hold('home', { hold: 'everything' }))
    await eventually(() => a.with((api) => api.endBackup('keeper', 'remove')), 60_000)
    assert.ok(fs.readFileSync(file).equals(bytes))
  })

  it('back a volume up to another device, and nothing comes back', async () => {
    await pairAndJoin(a, b)
    await inSync(a, b)
    const rule = await a.with((api) => api.addRule({ ...RULE, source: 'laptop', target: 'desk' }))
    await eventually(async () => {
      const known = (await b.with((api) => api.rules())).find(({ id }) => id === rule.id)
      assert.deepEqual([known?.source, known?.target], ['laptop', 'desk'])
    })
    fs.writeFileSync(path.join(b.mountPoint, 'own'), 'of the backup')
    fs.writeFileSync(path.join(a.mountPoint, 'more'), 'of the source')
    await eventually(() => assert.equal(fs.readFileSync(path.join(b.mountPoint, 'more'), 'utf8'), 'of the source'))
    await eventually(async () => assert.ok((await why(a, 'more')).includes('desk: in sync')))
    assert.deepEqual(await why(b, 'own'), ['laptop: not sent'])
    assert.equal(fs.existsSync(path.join(a.mountPoint, 'own')), false)
  })

  it('pause on the source, by a rule that the other device lifts', async () => {
    const rule = (await a.with((api) => api.rules())).find(({ target }) => target === 'desk')!
    await a.with((api) => api.setRule({ ...rule, paused: true }, ['paused']))
    await eventually(async () => assert.equal((await info(b)).sync[0].state, 'paused'))
    fs.writeFileSync(path.join(a.mountPoint, 'later'), 'waits')
    await eventually(async () => assert.ok((await why(a, 'later')).includes('desk: paused')))
    await b.with((api) => api.setRule({ ...rule, paused: false }, ['paused']))
    await eventually(() => assert.equal(fs.readFileSync(path.join(b.mountPoint, 'later'), 'utf8'), 'waits'))
    await a.with((api) => api.steer('home', 'desk', 'pause'))
    network.link(0, false)
    await eventually(async () => assert.ok((await why(a, 'later')).some((said) => said === 'desk: not reachable')))
    network.link(0, true)
    await eventually(async () => assert.equal((await info(a)).sync.find((s) => s.peerName === 'desk')?.state, 'paused'))
    await a.with((api) => api.steer('home', 'desk', 'resume'))
    await a.with((api) => api.removeRule(rule.id))
    await eventually(() => assert.equal(fs.readFileSync(path.join(a.mountPoint, 'own'), 'utf8'), 'of the backup'))
    await inSync(a, b)
  })

  it('say in a sentence what is wrong with a rule', async () => {
    const wrong: [Partial<RuleInfo>, RegExp][] = [
      [{ kind: 'backwards', target: 'desk' }, /its kind is none of two-way, backup, mirror/],
      [{}, /needs a source or a target/],
      [{ target: 'nobody' }, /No paired device is called 'nobody'/],
      [{ target: 'desk', limit: 5 }, /at least 8192 bytes a second/],
      [{ target: 'desk', schedule: ['sometimes'] }, /'sometimes' is no time/],
    ]
    for (const [change, message] of wrong)
      await assert.rejects(
        a.with((api) => api.addRule({ ...RULE, ...change })),
        { message },
      )
  })
})
