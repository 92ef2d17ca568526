// File handles of the kernel (name_to_handle_at(2)), as NFS servers use them: they outlive the mount, since inode numbers do.

import assert from 'node:assert/strict'
import { closeSync, existsSync } from 'node:fs'
import * as fs from 'node:fs/promises'
import { call, cString, isRoot } from '../compliance/context.js'
import { VolumeFixture } from './volume-fixture.js'

const AT_FDCWD = -100
const ESTALE = 116
const HANDLE_MAX = 128

async function handleOf(path: string): Promise<Buffer> {
  const handle = Buffer.alloc(8 + HANDLE_MAX)
  handle.writeUInt32LE(HANDLE_MAX, 0)
  const signature = 'int name_to_handle_at(int, const void *, void *, void *, int)'
  assert.equal(await call(signature, AT_FDCWD, cString(path), handle, Buffer.alloc(8), 0), 0)
  return handle
}

describe('file handles', () => {
  let fixture: VolumeFixture

  before(async function () {
    if (!isRoot || !existsSync('/dev/fuse')) {
      console.log('skipped: opening by handle needs root and /dev/fuse')
      return this.skip()
    }
    fixture = await new VolumeFixture().create()
    await fixture.open()
  })
  after(() => fixture?.destroy())

  it('open what they are of when the kernel knows nothing of it any more', async () => {
    await fs.mkdir(fixture.path('a/b'), { recursive: true })
    await fs.writeFile(fixture.path('a/b/file'), 'content')
    await fs.writeFile(fixture.path('a/removed'), 'gone')
    const handles = await Promise.all(['a/b/file', 'a/b', 'a/removed'].map((name) => handleOf(fixture.path(name))))
    await fs.unlink(fixture.path('a/removed'))
    await fixture.close()
    await fixture.open()
    const mount = await fs.open(fixture.mountPoint, 'r')
    try {
      const open = (handle: Buffer) => call('int open_by_handle_at(int, const void *, int)', mount.fd, handle, 0)
      const file = await open(handles[0])
      assert.ok(file >= 0, `errno ${-file}`)
      assert.equal(await fs.readFile(`/proc/self/fd/${file}`, 'utf8'), 'content')
      closeSync(file)
      const folder = await open(handles[1])
      assert.deepEqual(await fs.readdir(`/proc/self/fd/${folder}/..`), ['b'])
      closeSync(folder)
      assert.equal(await open(handles[2]), -ESTALE)
    } finally {
      await mount.close()
    }
  })
})
