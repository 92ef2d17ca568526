// What versions cost on the disk.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import path from 'node:path'
import { eventually, hasFuse, info, NodeProcess, scratch, volumeOf } from './support.js'

const MIB = 1 << 20
const SIZE = 100
const VERSIONS = 100

/** Bytes that do not compress and do not repeat; the same for the same seed. */
function noise(length: number, seed: number): Buffer {
  const words = new Uint32Array(length / 4)
  let x = Math.imul(seed, 0x9e3779b1) | 1
  for (let i = 0; i < words.length; i++) {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    words[i] = x
  }
  return Buffer.from(words.buffer)
}

describe('Versions on the disk', function () {
  this.timeout(300_000)
  let home: string
  let node: NodeProcess
  let name: string

  before(async function () {
    if (!hasFuse) {
      console.log('skipped: the cost of versions needs /dev/fuse')
      return this.skip()
    }
    home = scratch()
    node = new NodeProcess({ home, args: ['--no-discovery'] })
    await node.start()
    name = path.join(node.mountPoint, 'disk.image')
  })

  after(async () => {
    await node?.stop()
    if (home) fs.rmSync(home, { recursive: true, force: true })
  })

  /** Bytes that the node takes on the disk, all of it committed. The journal, whose last segment stays a while, does not count. */
  async function used(): Promise<number> {
    return eventually(async () => {
      await node.with((api) => api.log(Buffer.from(node.mountPoint), 1))
      const volume = volumeOf(node, await info(node))
      assert.deepEqual([volume.backlog, volume.openHandles], [0, []])
      assert.deepEqual(fs.readdirSync(spools()), [])
      return Number(
        execFileSync('du', ['-s', '-x', '--block-size=1', '--exclude=journal', home], { encoding: 'utf8' }).split(
          '\t',
        )[0],
      )
    })
  }

  /** Where what is closed and not hashed yet is. */
  const spools = () => {
    const volumes = path.join(home, 'data', 'volumes')
    return path.join(volumes, fs.readdirSync(volumes)[0], 'spool')
  }

  it('of a file of 100 MiB with a mebibyte changed a hundred times are the bytes that are new', async () => {
    // With the first change come room for the database and a first pack.
    fs.writeFileSync(`${name}.first`, noise(MIB, 1000))
    const empty = await used()
    const image = noise(SIZE * MIB, 1)
    fs.writeFileSync(name, image)
    for (let version = 1; version < VERSIONS; version++) {
      const change = noise(MIB, version + 1)
      // Anywhere, not where chunks begin.
      const at = (Math.imul(version, 2654435761) >>> 0) % ((SIZE - 1) * MIB)
      const fd = fs.openSync(name, 'r+')
      fs.writeSync(fd, change, 0, MIB, at)
      fs.closeSync(fd)
      change.copy(image, at)
    }
    const bytes = (await used()) - empty
    const unique = (SIZE + VERSIONS - 1) * MIB
    const versions = await node.with((api) => api.log(Buffer.from(name), 1000))
    assert.equal(versions.length, VERSIONS)
    assert.ok(bytes < 1.05 * unique, `${bytes} bytes for ${unique} that are not alike: ${bytes / unique}`)
    assert.ok(fs.readFileSync(name).equals(image))
  })

  it('of a file with a byte put in front of it are less than half a percent of it', async () => {
    const image = fs.readFileSync(name)
    const before = await used()
    fs.writeFileSync(name, Buffer.concat([Buffer.from('x'), image]))
    const bytes = (await used()) - before
    assert.ok(bytes < 0.005 * image.length, `${bytes} bytes anew of ${image.length}: ${bytes / image.length}`)
  })
})
