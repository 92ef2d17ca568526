// Contents on demand on real nodes: a desk that keeps everything, a laptop that joins with the tree alone.

import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { differences, manifest } from './manifest.js'
import { Namespaces, namespacesAllowed } from './namespaces.js'
import {
  eventually,
  hasFuse,
  info,
  inSync,
  isRoot,
  NodeProcess,
  scratch,
  volumeOf,
  writeNoise,
  writeZoo,
} from './support.js'

const MAIN = fileURLToPath(new URL('../../lib/cli/main.js', import.meta.url))
const MIB = 1 << 20

describe('Contents on demand on real nodes', function () {
  this.timeout(300_000)
  let directory: string
  let network: Namespaces
  let desk: NodeProcess
  let laptop: NodeProcess
  let packs: string

  before(async function () {
    if (!isRoot || !hasFuse || !namespacesAllowed()) {
      console.log('skipped: contents on demand need root, /dev/fuse and network namespaces (ip netns)')
      return this.skip()
    }
    directory = scratch()
    network = new Namespaces(2)
    desk = new NodeProcess({ home: path.join(directory, 'a'), prefix: network.prefix(0), args: ['--name', 'desk'] })
    laptop = new NodeProcess({ home: path.join(directory, 'b'), prefix: network.prefix(1), args: ['--name', 'laptop'] })
    await Promise.all([desk.start(), laptop.start()])
  })

  after(async () => {
    await Promise.all([desk?.stop(), laptop?.stop()])
    network?.destroy()
    if (directory) fs.rmSync(directory, { recursive: true, force: true })
  })

  const cli = (node: NodeProcess, ...args: string[]) => {
    const env = { ...process.env, PEERDRIVE_HOME: path.join(directory, node === desk ? 'a' : 'b') }
    return spawnSync(process.execPath, [MAIN, ...args], { env, encoding: 'utf8' })
  }
  const at = (node: NodeProcess, ...names: string[]) => path.join(node.mountPoint, ...names)
  const packBytes = () => {
    const names = fs.readdirSync(packs)
    return names.reduce((sum, name) => sum + fs.statSync(path.join(packs, name)).blocks * 512, 0)
  }

  it('joins with the tree alone: names, sizes, times and links are there, no bytes', async () => {
    writeZoo(at(desk, 'zoo'))
    writeNoise(at(desk, 'film'), 64)
    writeNoise(at(desk, 'unread'), 2, 99)
    fs.mkdirSync(at(desk, 'music'))
    for (let i = 0; i < 4; i++) writeNoise(at(desk, 'music', `song${i}`), 2, i + 5)
    const { token } = await desk.with((api) => api.invite(10))
    await laptop.with((api) => api.pair(token))
    const joined = await eventually(() => laptop.with((api) => api.join({ volume: 'home', onDemand: true })))
    laptop.volumeMounted(joined.mountPoint)
    packs = path.join(joined.directory, 'packs')
    await inSync(desk, laptop)
    assert.ok(packBytes() < MIB, `${packBytes()} bytes`)
    for (const name of ['film', 'music/song3', 'zoo/sparse', 'zoo/private']) {
      const [one, other] = [fs.statSync(at(desk, name)), fs.statSync(at(laptop, name))]
      assert.deepEqual([other.size, other.mode, other.mtimeMs], [one.size, one.mode, one.mtimeMs], name)
    }
    assert.equal(fs.readlinkSync(at(laptop, 'zoo/link')), 'small')
    assert.match(cli(laptop, 'status').stdout, /holds contents on demand, within 10 GiB/)
  })

  it('fetches what programs read, and only that', () => {
    execFileSync('cmp', [at(desk, 'zoo/medium'), at(laptop, 'zoo/medium')])
    assert.ok(packBytes() < 3 * MIB, `${packBytes()} bytes`)
    execFileSync('cmp', [at(desk, 'film'), at(laptop, 'film')])
    assert.ok(packBytes() >= 64 * MIB)
    assert.deepEqual(differences(manifest(at(desk, 'zoo')), manifest(at(laptop, 'zoo'))), [])
  })

  it('pins a folder by the command line', async () => {
    const done = cli(laptop, 'pin', at(laptop, 'music'))
    assert.equal(done.status, 0, done.stderr)
    await eventually(() => assert.ok(packBytes() >= 72 * MIB, `${packBytes()} bytes`))
    assert.match(cli(laptop, 'status').stdout, /pinned: \/music/)
  })

  it('keeps within a budget that is set', async () => {
    const done = cli(laptop, 'hold', 'on-demand', '--budget', '20MB')
    assert.equal(done.status, 0, done.stderr)
    await eventually(
      async () => assert.ok(packBytes() <= 20 * MIB, `${packBytes()} bytes, ${cli(laptop, 'status').stdout}`),
      100_000,
      500,
    )
  })

  it('has what is pinned and says what it has not when the desk is gone', async () => {
    await desk.stop()
    await eventually(async () => assert.equal((await info(laptop)).peers[0].connected, false))
    assert.equal(fs.readFileSync(at(laptop, 'music/song2')).length, 2 * MIB)
    // Of what was read before, the kernel may have pages still.
    const failed = spawnSync('cat', [at(laptop, 'unread')], { encoding: 'utf8' })
    assert.match(failed.stderr, /No route to host/)
    assert.match(volumeOf(laptop, await info(laptop)).reports.join('\n'), /unread: .*no connected device has it.*desk/)
    fs.writeFileSync(at(laptop, 'written'), 'while away')
    assert.equal(fs.readFileSync(at(laptop, 'written'), 'utf8'), 'while away')
  })

  it('goes on when the desk is back, after its own death too', async () => {
    await laptop.stop('SIGKILL')
    const { mountPoint } = laptop
    await Promise.all([desk.start(), laptop.start()])
    laptop.volumeMounted(mountPoint)
    await inSync(desk, laptop)
    assert.equal(fs.readFileSync(at(desk, 'written'), 'utf8'), 'while away')
    execFileSync('cmp', [at(desk, 'film'), at(laptop, 'film')])
    assert.deepEqual(differences(manifest(desk.mountPoint), manifest(laptop.mountPoint)), [])
  })

  it('holds everything again, and is whole then', async () => {
    assert.equal(cli(laptop, 'hold', 'everything').status, 0)
    await eventually(async () => assert.ok(packBytes() >= 72 * MIB, `${packBytes()} bytes`), 100_000, 500)
    await inSync(desk, laptop)
    await desk.stop()
    const checked = cli(laptop, 'check')
    assert.equal(checked.status, 0, checked.stdout + checked.stderr)
    assert.equal(fs.readFileSync(at(laptop, 'film')).length, 64 * MIB)
  })
})
