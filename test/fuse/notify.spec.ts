// Changes underneath a mount whose caches are kept for an hour: the kernel sees them once it was told, and not before.

import assert from 'node:assert/strict'
import * as fs from 'node:fs/promises'
import { fails } from '../compliance/context.js'
import { MemoryMount } from '../support/fuse-mount.js'

describe('notifications', () => {
  let mount: MemoryMount
  beforeEach(async () => {
    mount = await MemoryMount.create()
  })
  afterEach(() => mount.unmount())

  const name = (text: string) => Buffer.from(text)

  it('content and size', async () => {
    await fs.writeFile(`${mount.path}/f`, 'old!')
    assert.equal(await fs.readFile(`${mount.path}/f`, 'utf8'), 'old!')
    const { ino } = await fs.stat(`${mount.path}/f`)
    const { result } = await mount.thread.ask({ call: ['open', ino, 2] })
    const { handle } = result as { handle: number }
    await mount.thread.ask({ call: ['write', ino, handle, 0, name('new, longer'), false] })
    assert.equal(await fs.readFile(`${mount.path}/f`, 'utf8'), 'old!', 'cached')
    await mount.mounted.invalidate([{ kind: 'inode', ino, data: true }])
    assert.equal(await fs.readFile(`${mount.path}/f`, 'utf8'), 'new, longer')
    assert.equal((await fs.stat(`${mount.path}/f`)).size, 11)
  })

  it('attributes', async () => {
    await fs.writeFile(`${mount.path}/f`, '')
    const { ino } = await fs.stat(`${mount.path}/f`)
    await mount.thread.ask({ call: ['setattr', ino, { mode: 0o400 }] })
    assert.equal((await fs.stat(`${mount.path}/f`)).mode & 0o777, 0o644, 'cached')
    await mount.mounted.invalidate([{ kind: 'inode', ino, data: false }])
    assert.equal((await fs.stat(`${mount.path}/f`)).mode & 0o777, 0o400)
  })

  it('a name that appears, also in a cached listing, and one that disappears', async () => {
    await fails(fs.stat(`${mount.path}/new`), 'ENOENT')
    assert.deepEqual(await fs.readdir(mount.path), [])
    await mount.thread.ask({ call: ['mkdir', 1, name('new'), 0o755] })
    await fails(fs.stat(`${mount.path}/new`), 'ENOENT')
    await mount.mounted.invalidate([
      { kind: 'entry', parent: 1, name: name('new') },
      { kind: 'inode', ino: 1, data: true },
    ])
    assert.ok((await fs.stat(`${mount.path}/new`)).isDirectory())
    assert.deepEqual(await fs.readdir(mount.path), ['new'])
    const { ino } = await fs.stat(`${mount.path}/new`)
    await mount.thread.ask({ call: ['rmdir', 1, name('new')] })
    await mount.mounted.invalidate([
      { kind: 'delete', parent: 1, child: ino, name: name('new') },
      { kind: 'inode', ino: 1, data: true },
    ])
    await fails(fs.stat(`${mount.path}/new`), 'ENOENT')
    assert.deepEqual(await fs.readdir(mount.path), [])
  })

  it('what the kernel does not know is no error, and many are told in order', async () => {
    await mount.mounted.invalidate([
      { kind: 'inode', ino: 4711, data: true },
      { kind: 'entry', parent: 4711, name: name('x') },
      { kind: 'entry', parent: 1, name: name('never seen') },
      { kind: 'delete', parent: 1, child: 4711, name: name('x') },
    ])
    await Promise.all(
      Array.from({ length: 200 }, (_, i) => mount.mounted.invalidate([{ kind: 'inode', ino: i, data: true }])),
    )
  })

  it('while the mount is busy with the same files, nothing waits for ever', async () => {
    let over = false
    const busy = Promise.all(
      [0, 1, 2].map(async (i) => {
        for (let n = 0; !over; n++) {
          await fs.writeFile(`${mount.path}/f${i}`, `${n}`)
          await fs.readdir(mount.path)
          await fs.rename(`${mount.path}/f${i}`, `${mount.path}/g${i}`)
          await fs.unlink(`${mount.path}/g${i}`)
        }
      }),
    )
    for (let n = 0; n < 100; n++)
      await mount.mounted.invalidate([
        { kind: 'inode', ino: 1, data: true },
        { kind: 'entry', parent: 1, name: name(`f${n % 3}`) },
      ])
    over = true
    await busy
  })
})
