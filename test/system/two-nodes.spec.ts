import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import path from 'node:path'
import { differences, manifest } from './manifest.js'
import { Namespaces, namespacesAllowed } from './namespaces.js'
import { eventually, hasFuse, info, inSync, isRoot, NodeProcess, scratch, writeNoise, writeZoo } from './support.js'

const NODE_MODULES = path.resolve('node_modules')
const LARGE_MIB = 512

describe('Two nodes on one network', function () {
  this.timeout(600_000)
  let directory: string
  let network: Namespaces
  let a: NodeProcess
  let b: NodeProcess

  before(async function () {
    if (!isRoot || !hasFuse || !namespacesAllowed()) {
      console.log('skipped: two nodes need root, /dev/fuse and network namespaces (ip netns)')
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

  const same = () => assert.deepEqual(differences(manifest(a.mountPoint), manifest(b.mountPoint)), [])

  it('see each other nearby, without configuration', async () => {
    for (const [one, other] of [
      [a, b],
      [b, a],
    ])
      await eventually(async () => {
        const { device } = await info(other)
        assert.ok((await info(one)).nearby.some((n) => n.id === device.id))
      })
  })

  it('tell each other nothing before they are paired', async () => {
    assert.deepEqual((await info(a)).peers, [])
    await assert.rejects(
      b.with((api) => api.join({ volume: 'home' })),
      { code: 'NO_SUCH_VOLUME' },
    )
  })

  it('pair by an invitation, which works once', async () => {
    const { token } = await a.with((api) => api.invite(10))
    const device = await b.with((api) => api.pair(token))
    assert.equal(device.name, 'laptop')
    await eventually(async () => assert.equal((await info(a)).peers[0]?.connected, true))
    const stranger = new NodeProcess({ home: path.join(directory, 'c'), prefix: network.prefix(1) })
    await stranger.start()
    try {
      await assert.rejects(
        stranger.with((api) => api.pair(token)),
        /used/,
      )
      await assert.rejects(stranger.with((api) => api.pair('pd1nonsense')))
    } finally {
      await stranger.stop()
    }
    assert.equal((await info(a)).peers.length, 1)
  })

  it('join the home volume, and carry every kind of file', async () => {
    writeZoo(path.join(a.mountPoint, 'zoo'))
    const joined = await eventually(() => b.with((api) => api.join({ volume: 'home' })))
    b.volumeMounted(joined.mountPoint)
    await inSync(a, b)
    same()
  })

  it('make a closed file readable on the other side, both ways', async () => {
    for (const [from, to] of [
      [a, b],
      [b, a],
    ]) {
      const name = `from-${from === a ? 'a' : 'b'}`
      fs.writeFileSync(path.join(from.mountPoint, name), `hello of ${name}`)
      await eventually(
        () => assert.equal(fs.readFileSync(path.join(to.mountPoint, name), 'utf8'), `hello of ${name}`),
        10_000,
        2,
      )
    }
  })

  it('copy large trees both ways at once, through a cut link and a killed node', async () => {
    const copy = spawn('cp', ['-a', NODE_MODULES, path.join(a.mountPoint, 'modules')], { stdio: 'inherit' })
    const copied = once(copy, 'exit')
    writeNoise(path.join(b.mountPoint, 'large'), LARGE_MIB)
    network.link(0, false)
    await new Promise((resolve) => setTimeout(resolve, 2000))
    network.link(0, true)
    const [code] = await copied
    assert.equal(code, 0)
    await eventually(async () => assert.ok((await info(b)).sync.some((s) => s.received > 0)))
    await b.stop('SIGKILL')
    const mount = b.mountPoint
    await b.start()
    b.volumeMounted(mount)
    await inSync(a, b, 300_000)
    same()
    assert.ok(fs.statSync(path.join(a.mountPoint, 'large')).size === LARGE_MIB << 20)
    const original = manifest(NODE_MODULES)
    const copyOnB = manifest(path.join(b.mountPoint, 'modules'))
    assert.deepEqual(differences(original, copyOnB), [])
  })

  it('show the same versions on both, none lost', async () => {
    const file = (node: NodeProcess, name: string) => path.join(node.mountPoint, name)
    for (let i = 0; i < 10; i++) {
      fs.writeFileSync(file(i % 2 ? a : b, 'edited'), `version ${i}`.repeat(i + 1))
      // The version exists a moment after close(2) returned; both have to have it before the other side writes.
      for (const node of [a, b])
        await eventually(async () => {
          const listed = await node.with((api) => api.log(Buffer.from(file(node, 'edited')), 100))
          assert.equal(listed.length, i + 1)
        })
    }
    const logs = await Promise.all(
      [a, b].map((node) => node.with((api) => api.log(Buffer.from(file(node, 'edited')), 100))),
    )
    assert.deepEqual(
      logs[0].map((v) => v.rid),
      logs[1].map((v) => v.rid),
    )
    assert.equal(logs[0].length, 10)
    const pieces: Uint8Array[] = []
    await b.with((api) =>
      api.cat(Buffer.from(file(b, 'edited')), logs[0][7].version, async (bytes) => void pieces.push(bytes)),
    )
    assert.equal(Buffer.concat(pieces).toString(), 'version 2'.repeat(3))
  })

  it('merge what was edited on both while they were apart', async () => {
    const at = (node: NodeProcess, name: string) => path.join(node.mountPoint, name)
    fs.writeFileSync(at(a, 'text'), 'one\ntwo\nthree\n')
    fs.writeFileSync(at(a, 'binary'), Buffer.from([0, 1, 2]))
    await inSync(a, b)
    network.link(0, false)
    fs.writeFileSync(at(a, 'text'), 'ONE\ntwo\nthree\n')
    fs.writeFileSync(at(b, 'text'), 'one\ntwo\nTHREE\n')
    fs.writeFileSync(at(a, 'binary'), Buffer.from([0, 1, 2, 3]))
    fs.writeFileSync(at(b, 'binary'), Buffer.from([0, 9]))
    fs.writeFileSync(at(a, 'new'), 'of a')
    fs.writeFileSync(at(b, 'new'), 'of b')
    network.link(0, true)
    await inSync(a, b)
    same()
    assert.equal(fs.readFileSync(at(a, 'text'), 'utf8'), 'ONE\ntwo\nTHREE\n')
    const names = fs.readdirSync(a.mountPoint).filter((name) => name.startsWith('new'))
    assert.equal(names.length, 2)
    assert.deepEqual(names.map((name) => fs.readFileSync(at(b, name), 'utf8')).sort(), ['of a', 'of b'])
    const conflicts = await a.with((api) => api.conflicts())
    assert.deepEqual(
      conflicts.map((c) => path.basename(c.path)),
      ['binary'],
    )
    await b.with((api) => api.resolve(Buffer.from(at(b, 'binary'))))
    await inSync(a, b)
    assert.deepEqual(await a.with((api) => api.conflicts()), [])
  })

  it('go on by themselves after both were restarted', async () => {
    const mount = b.mountPoint
    await Promise.all([a.stop(), b.stop()])
    assert.equal(spawnSync('grep', ['-c', directory, '/proc/mounts'], { encoding: 'utf8' }).stdout.trim(), '0')
    await Promise.all([a.start(), b.start()])
    b.volumeMounted(mount)
    fs.writeFileSync(path.join(a.mountPoint, 'after'), 'the restart')
    await eventually(() => assert.equal(fs.readFileSync(path.join(b.mountPoint, 'after'), 'utf8'), 'the restart'))
    await inSync(a, b)
    same()
  })
})
