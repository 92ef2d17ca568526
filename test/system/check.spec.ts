// `peerdrive check` of a running node's volume: while it is written to, and when a disk has changed what it had.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import path from 'node:path'
import { hasFuse, info, NodeProcess, scratch, volumeOf, writeNoise, writeZoo } from './support.js'

describe('Checking a volume', function () {
  this.timeout(60_000)
  let directory: string
  let node: NodeProcess

  beforeEach(async function () {
    if (!hasFuse) {
      console.log('skipped: checking a volume of a node needs /dev/fuse')
      return this.skip()
    }
    directory = scratch()
    node = new NodeProcess({ home: path.join(directory, 'node'), args: ['--no-discovery'] })
    await node.start()
    writeZoo(path.join(node.mountPoint, 'zoo'))
    writeNoise(path.join(node.mountPoint, 'noise'), 3)
  })
  afterEach(async () => {
    await node?.stop()
    if (directory) fs.rmSync(directory, { recursive: true, force: true })
  })

  async function check(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    const env = { ...process.env, PEERDRIVE_HOME: path.join(directory, 'node') }
    const main = path.resolve('dist/lib/cli/main.js')
    const child = spawn(process.execPath, [main, 'check', ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    const said = { stdout: '', stderr: '' }
    child.stdout.on('data', (data) => (said.stdout += data))
    child.stderr.on('data', (data) => (said.stderr += data))
    const [code] = await once(child, 'close')
    return { code, ...said }
  }

  it('finds nothing where nothing is wrong, also while files come and go', async () => {
    const quiet = await check()
    assert.deepEqual([quiet.code, quiet.stderr], [0, ''])
    assert.match(
      quiet.stdout,
      /^home: checked \d\d+ chunks \(\d+\.\d MiB\), \d\d documents, \d\d files and folders\. All is there and whole\.\n$/,
    )
    let busy = true
    const checking = check('home').finally(() => (busy = false))
    let rounds = 0
    while (busy) {
      const file = path.join(node.mountPoint, `busy ${rounds++ % 20}`)
      fs.writeFileSync(file, Buffer.alloc(rounds % 3 === 0 ? 200_000 : 3000, `${rounds}`))
      if (rounds % 2 === 0) fs.rmSync(file)
      await new Promise((resolve) => setImmediate(resolve))
    }
    const { code, stdout, stderr } = await checking
    assert.deepEqual([code, stderr], [0, ''], stdout)
    assert.ok(rounds > 10)
    assert.match((await check('other')).stderr, /There is no volume 'other' here/)
  })

  it('says in words what is damaged', async () => {
    const { directory: volume } = volumeOf(node, await info(node))
    await node.with((api) => api.log(Buffer.from(node.mountPoint), 1))
    const packs = path.join(volume, 'packs')
    const [largest] = fs
      .readdirSync(packs, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => path.join(entry.parentPath, entry.name))
      .sort((a, b) => fs.statSync(b).size - fs.statSync(a).size)
    const fd = fs.openSync(largest, 'r+')
    const byte = Buffer.alloc(1)
    fs.readSync(fd, byte, 0, 1, fs.fstatSync(fd).size >> 1)
    fs.writeSync(fd, Buffer.of(byte[0] ^ 1), 0, 1, fs.fstatSync(fd).size >> 1)
    fs.closeSync(fd)
    const { code, stdout } = await check()
    assert.equal(code, 1)
    assert.match(stdout, /Found:\n {2}Bytes of a file are damaged: chunk [0-9a-f]+\. .*\n/)
    assert.match(stdout, /fetched from a connected device/)
  })

  it('ends with the node', async () => {
    const asked = node.with((api) => api.check('', () => {})).catch((error) => error)
    assert.equal(await node.stop(), 0)
    const result = await asked
    assert.ok(Array.isArray(result) || ['NODE_GONE', 'CHECK_ENDED'].includes(result.code), `${result}`)
  })
})
