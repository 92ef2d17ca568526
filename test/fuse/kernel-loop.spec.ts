// The loop in a thread on a real mount: doorbell, death, errors, pending answers, what operations cost, pass-through.

import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import * as fs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { negotiate } from '../../lib/fuse/handshake.js'
import { SERVE_DEFAULTS } from '../../lib/fuse/options.js'
import { Wire } from '../../lib/fuse/protocol.js'
import { type Negotiated, SessionMemory } from '../../lib/fuse/session.js'
import { libc, PollSet } from '../../lib/fuse/syscalls.js'
import { fails, getxattr, setxattr } from '../compliance/context.js'
import { MemoryMount } from '../support/fuse-mount.js'

describe('kernel loop', () => {
  let mount: MemoryMount
  afterEach(() => mount.unmount())

  it('answers the doorbell when idle and while it serves', async () => {
    mount = await MemoryMount.create()
    for (let i = 0; i < 20; i++) assert.equal((await mount.thread.ask({ ask: i })).ask, i)
    let over = false
    const busy = (async () => {
      while (!over) await fs.stat(`${mount.path}/none${Math.random()}`).catch(() => {})
    })()
    for (let i = 0; i < 20; i++) assert.equal((await mount.thread.ask({ ask: i })).ask, i)
    over = true
    await busy
  })

  it('does not sleep on promises that the owner left when it was rung for just before', async () => {
    mount = await MemoryMount.create()
    for (let i = 0; i < 20; i++) assert.equal((await mount.thread.ask({ ask: i, late: true })).ask, i)
  })

  it('sleeps when there is nothing to do', async () => {
    mount = await MemoryMount.create()
    await fs.writeFile(`${mount.path}/f`, 'x')
    const before = (await mount.thread.ask()).idles
    await new Promise((resolve) => setTimeout(resolve, 300))
    const { idles } = await mount.thread.ask()
    assert.ok(idles - before <= 4, `went to sleep ${idles - before} times`)
  })

  it('stops when asked, and another loop goes on where it was', async () => {
    mount = await MemoryMount.create()
    await fs.stat(mount.path)
    mount.thread.send({ stop: true })
    assert.deepEqual(await mount.thread.ended, { end: 'stopped' })
    const waiting = fs.stat(`${mount.path}/later`).catch((error) => error.code)
    mount.restart()
    assert.equal(await waiting, 'ENOENT')
    assert.equal(mount.counts().INIT, 1)
  })

  it('ends when it is unmounted', async () => {
    mount = await MemoryMount.create()
    await fs.stat(mount.path)
    await mount.mounted.unmount()
    assert.deepEqual(await mount.thread.ended, { end: 'unmounted' })
  })

  it('an error of the file system is EIO to one caller, is reported, and nothing else', async () => {
    mount = await MemoryMount.create()
    await mount.thread.ask({ crash: true })
    await fails(fs.stat(`${mount.path}/a`), 'EIO')
    await fails(fs.stat(`${mount.path}/a`), 'ENOENT')
    assert.deepEqual((await mount.thread.ask()).errors, ['The file system broke'])
  })

  it('crashOnError ends the loop after EIO; the next one serves the same mount', async () => {
    mount = await MemoryMount.create({ crashOnError: true })
    await mount.thread.ask({ crash: true })
    await fails(fs.stat(`${mount.path}/a`), 'EIO')
    assert.deepEqual(await mount.thread.ended, { failed: 'The file system broke' })
    mount.restart()
    await fs.writeFile(`${mount.path}/a`, 'again')
    assert.equal(await fs.readFile(`${mount.path}/a`, 'utf8'), 'again')
  })

  it('a thread killed in the middle of a request: EIO for it, what waits is served by the next one', async () => {
    mount = await MemoryMount.create()
    await fs.stat(mount.path)
    await mount.thread.ask({ hang: true })
    const hanging = fs.stat(`${mount.path}/a`).catch((error) => error.code)
    await mount.thread.hanging
    const waiting = fs.stat(`${mount.path}/b`).catch((error) => error.code)
    await mount.thread.kill()
    mount.restart()
    assert.equal(await hanging, 'EIO')
    assert.equal(await waiting, 'ENOENT')
    await fs.writeFile(`${mount.path}/c`, 'works')
    assert.equal(await fs.readFile(`${mount.path}/c`, 'utf8'), 'works')
  })

  it('a thread killed in its sleep is noticed by nobody', async () => {
    mount = await MemoryMount.create()
    await fs.stat(mount.path)
    await mount.thread.ask()
    await mount.thread.kill()
    mount.restart()
    await fs.mkdir(`${mount.path}/d`)
    assert.deepEqual(await fs.readdir(mount.path), ['d'])
  })

  for (const agreed of [false, true])
    it(`a thread that dies over the first request of all does not end the mount (${agreed ? 'after' : 'before'} it agreed)`, async () => {
      mount = await MemoryMount.create({
        async before(session) {
          const memory = new SessionMemory(session.shared)
          const wire = new Wire(memory.headerBytes)
          new PollSet([session.fd]).wait(-1)
          assert.ok(libc().readv(session.fd, wire.iovAddress, 2) > 40)
          assert.equal(memory.header[1], 26, 'INIT')
          if (agreed) memory.negotiated = negotiate(wire.in, wire.words, 4, SERVE_DEFAULTS) as Negotiated
        },
      })
      await fs.writeFile(`${mount.path}/f`, 'served')
      assert.equal(await fs.readFile(`${mount.path}/f`, 'utf8'), 'served')
      assert.equal(await setxattr(`${mount.path}/f`, 'user.a', Buffer.from('value')), 0)
      assert.deepEqual(await getxattr(`${mount.path}/f`, 'user.a'), Buffer.from('value'))
      assert.equal(mount.counts().INIT, undefined, 'never seen by a living thread')
    })

  it('pending requests are completed later; the thread serves others and its timers run', async () => {
    mount = await MemoryMount.create({ fsync: 'later' })
    const files = await Promise.all([1, 2, 3].map((i) => fs.open(`${mount.path}/f${i}`, 'w')))
    await Promise.all(files.map((file) => file.sync()))
    await fs.writeFile(`${mount.path}/g`, 'meanwhile')
    await Promise.all(files.map((file) => file.close()))
    assert.equal(new SessionMemory(mount.session.shared).pending, 0)
  })

  it('pending requests of a dead thread get EIO', async () => {
    mount = await MemoryMount.create({ fsync: 'never' })
    const file = await fs.open(`${mount.path}/f`, 'w')
    const syncing = file.sync().catch((error) => error.code)
    await mount.thread.hanging
    await fs.stat(`${mount.path}/others-are-served`).catch(() => {})
    await mount.thread.kill()
    mount.restart()
    assert.equal(await syncing, 'EIO')
    await file.close().catch(() => {})
  })

  it('nothing is looked up that is not forgotten, nothing opened that is not released', async () => {
    mount = await MemoryMount.create()
    await fs.mkdir(`${mount.path}/d/e`, { recursive: true })
    for (let i = 0; i < 50; i++) await fs.writeFile(`${mount.path}/d/e/${i}`, 'x')
    await fs.readdir(`${mount.path}/d/e`)
    await fs.rm(`${mount.path}/d`, { recursive: true })
    // FORGET and RELEASE come after the answer to the caller.
    for (let tries = 0; tries < 100; tries++) {
      const { nodes, handles } = await mount.thread.ask()
      if (nodes === 1 && handles === 0) return
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    assert.fail('inodes or handles are left')
  })

  it('operations cost as many requests as docs/fuse.md says', async () => {
    mount = await MemoryMount.create({ atomicTruncate: true })
    const p = mount.path
    const asked = async (operation: () => Promise<unknown>) => {
      const before = mount.counts()
      await operation()
      const after = mount.counts()
      const made: Record<string, number> = {}
      for (const [name, n] of Object.entries(after))
        if (!['RELEASE', 'FORGET'].includes(name) && n > (before[name] ?? 0)) made[name] = n - (before[name] ?? 0)
      return made
    }
    await fs.mkdir(`${p}/d`)
    await fs.stat(`${p}/d`)
    const write = async (flags: string) => {
      const file = await fs.open(`${p}/d/f`, flags)
      await file.write(Buffer.alloc(4096))
      await file.close()
    }
    assert.deepEqual(await asked(() => write('w')), { LOOKUP: 1, CREATE: 1, WRITE: 1 })
    assert.deepEqual(await asked(() => fs.stat(`${p}/d`)), { GETATTR: 1 }, 'the directory has changed')
    assert.deepEqual(await asked(() => write('w')), { OPEN: 1, GETXATTR: 1, WRITE: 1 })
    assert.deepEqual(await asked(() => fs.stat(`${p}/d/f`)), { GETATTR: 1 }, 'the file was written')
    assert.deepEqual(await asked(() => fs.stat(`${p}/d/f`)), {})
    assert.deepEqual(await asked(() => fs.readFile(`${p}/d/f`)), { OPEN: 1, READ: 1 })
    assert.deepEqual(await asked(() => fs.readFile(`${p}/d/f`)), { OPEN: 1, GETATTR: 1 }, 'reading moved its atime')
    assert.deepEqual(await asked(() => fs.readFile(`${p}/d/f`)), { OPEN: 1 })
    assert.deepEqual(await asked(() => fs.chmod(`${p}/d/f`, 0o600)), { SETATTR: 1 })
    assert.deepEqual(await asked(() => fs.utimes(`${p}/d/f`, 1, 2)), { SETATTR: 1 })
    await fs.stat(`${p}/d/none`).catch(() => {})
    assert.deepEqual(await asked(() => fs.stat(`${p}/d/none`).catch(() => {})), {}, 'known to be missing')
    assert.deepEqual(await asked(() => fs.rename(`${p}/d/f`, `${p}/d/none`)), { LOOKUP: 1, RENAME: 1 })
    assert.deepEqual(await asked(() => fs.unlink(`${p}/d/none`)), { UNLINK: 1, GETATTR: 1 })
    const big = () => fs.writeFile(`${p}/d/big`, Buffer.alloc(1 << 20, 1))
    assert.equal((await asked(big)).WRITE, 2, 'Node writes 512 KiB at once')
  })

  it('pass-through: bytes go past the file system', async function () {
    const directory = mkdtempSync(path.join(os.tmpdir(), 'fuse-backing-'))
    const backing = path.join(directory, 'backing')
    writeFileSync(backing, 'from the backing file')
    mount = await MemoryMount.create({ passthrough: true, backing, attributeTimeout: 0 })
    try {
      await fs.stat(mount.path)
      const { flags2 } = new SessionMemory(mount.session.shared).negotiated!
      const file = await fs.open(`${mount.path}/f`, 'w+')
      await file.write(Buffer.from('THROUGH'), 0, 7, 0)
      await file.close()
      const { READ, WRITE } = mount.counts()
      if (!(flags2 & (1 << 5)) || WRITE > 0) {
        assert.ok(WRITE > 0, 'without pass-through the file system writes')
        this.test!.title += ' (the kernel or the rights do not allow it)'
        return this.skip()
      }
      assert.equal(READ, undefined)
      assert.equal(readFileSync(backing, 'latin1'), 'THROUGHe backing file')
      const two = await Promise.all([fs.open(`${mount.path}/f`, 'r+'), fs.open(`${mount.path}/f`, 'r+')])
      await two[0].write(Buffer.from('x'), 0, 1, 0)
      await Promise.all(two.map((f) => f.close()))
      assert.equal(readFileSync(backing, 'latin1')[0], 'x')
    } finally {
      rmSync(directory, { recursive: true })
    }
  })
})
