import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import type { ActorNode } from '../../lib/actors/index.js'
import { eventually, hasFuse, inSync, NodeProcess, pairAndJoin, scratch } from './support.js'

/** Everything about a tree but what changes by itself. */
const shape = (node: ActorNode): string[] => [
  ...(/^(session|h\d|s\d)/.test(node.id) ? [] : [`${node.path} ${node.status}`]),
  ...node.children.flatMap(shape),
]
const paths = (node: ActorNode): string[] => [node.path, ...node.children.flatMap(paths)]

describe('Killing actors while files are written and synchronized', function () {
  this.timeout(300_000)
  let directory: string
  let a: NodeProcess
  let b: NodeProcess
  /** Name → content of every file whose close was acknowledged. */
  const acknowledged = new Map<string, string>()
  let writing = true
  let writer: Promise<void> | undefined
  let slowest = 0

  before(async function () {
    if (!hasFuse) {
      console.log('skipped: killing actors under a mount needs /dev/fuse')
      return this.skip()
    }
    directory = scratch()
    const node = (name: string) => new NodeProcess({ home: path.join(directory, name), args: ['--name', name] })
    ;[a, b] = [node('a'), node('b')]
    await a.start()
    await b.start()
    await pairAndJoin(a, b)
    await inSync(a, b)
    writer = write()
  })

  after(async () => {
    writing = false
    await writer
    await b?.stop()
    await a?.stop()
    if (directory) fs.rmSync(directory, { recursive: true, force: true })
  })

  /**
   * Writes for as long as the test runs. A request in flight when the volume thread dies answers EIO, as promised: then nothing is
   * acknowledged, and the same file is written again.
   */
  async function write(): Promise<void> {
    for (let i = 0; writing; i++) {
      const name = `file ${i}`
      const content = `${i} `.repeat(1 + (i % 2000))
      const begun = Date.now()
      try {
        await fs.promises.writeFile(path.join(a.mountPoint, name), content)
        acknowledged.set(name, content)
      } catch (error) {
        assert.ok(['EIO', 'ENOENT', 'ENOTCONN'].includes((error as NodeJS.ErrnoException).code ?? ''), String(error))
      }
      slowest = Math.max(slowest, Date.now() - begun)
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  }

  const tree = (node: NodeProcess) => node.with((api) => api.actors())

  it('keeps the mount answering, comes back whole, and loses nothing', async () => {
    const before = shape(await tree(a)).sort()
    assert.ok(before.length >= 15, before.join('\n'))
    for (const actor of paths(await tree(a))) {
      if (/\/session /.test(actor) || /\/(h|s)\d+$/.test(actor)) continue
      await a
        .with((api) => api.kill(actor))
        .catch((error) => {
          // The API's own actors end the connection that asks for it; others may be gone by themselves meanwhile.
          assert.ok(['NODE_GONE', 'ACTOR_NAME'].includes(error.code), `${actor}: ${error.message}`)
        })
      const begun = Date.now()
      await eventually(async () => assert.deepEqual(shape(await tree(a)).sort(), before), 30_000, 10)
      const whole = Date.now() - begun
      const count = acknowledged.size
      await eventually(() => assert.ok(acknowledged.size > count, 'nothing can be written'), 10_000, 2)
      console.log(`      ${actor}: whole again after ${whole} ms, written again after ${Date.now() - begun} ms`)
    }
    writing = false
    await writer
    console.log(`      ${acknowledged.size} files were written; the slowest took ${slowest} ms`)
    for (const [name, content] of acknowledged)
      assert.ok(fs.readFileSync(path.join(a.mountPoint, name), 'utf8') === content, name)
    await inSync(a, b)
    for (const [name, content] of acknowledged)
      assert.ok(fs.readFileSync(path.join(b.mountPoint, name), 'utf8') === content, `${name} on the other node`)
  })

  it('keeps a file that is open for writing and large while its handle is killed', async () => {
    const fd = fs.openSync(path.join(a.mountPoint, 'large'), 'w')
    const piece = Buffer.alloc(1 << 20)
    for (let i = 0; i < 20; i++) fs.writeSync(fd, piece.fill(i))
    const handle = await eventually(async () => {
      const found = paths(await tree(a)).find((p) => /\/handles\/(h|s)\d+$/.test(p))
      assert.ok(found, 'no actor for the open handle')
      return found
    })
    await a.with((api) => api.kill(handle))
    for (let i = 20; i < 40; i++) fs.writeSync(fd, piece.fill(i))
    fs.closeSync(fd)
    const bytes = fs.readFileSync(path.join(a.mountPoint, 'large'))
    for (let i = 0; i < 40; i++) assert.equal(bytes[i << 20], i)
    await eventually(async () => {
      const versions = await a.with((api) => api.log(Buffer.from(path.join(a.mountPoint, 'large')), 10))
      assert.deepEqual(
        versions.map((v) => v.size),
        [40 << 20],
      )
    })
  })
})
