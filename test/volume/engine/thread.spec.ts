import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import fs from 'node:fs/promises'
import { promisify } from 'node:util'
import type { EngineEvent, OpenHandle } from '../../../lib/volume/engine/messages.js'
import { MountedVolume } from './mounted.js'

const run = promisify(execFile)

describe('engine: the volume thread on a real mount', () => {
  if (process.platform !== 'linux') {
    it.skip('cannot mount here: not Linux')
    return
  }
  let volume: MountedVolume
  let root: string
  beforeEach(async () => {
    volume = await MountedVolume.create()
    root = volume.mountPoint
  })
  afterEach(() => volume.remove())

  function event<T extends EngineEvent['type']>(
    type: T,
    accept: (event: EngineEvent & { type: T }) => boolean = () => true,
  ): Promise<EngineEvent & { type: T }> {
    return new Promise((resolve) => {
      const before = volume.onEvent
      volume.onEvent = (event) => {
        before(event)
        if (event.type === type && accept(event as EngineEvent & { type: T }))
          resolve(event as EngineEvent & { type: T })
      }
    })
  }

  it('fsync is answered when the main thread has synced', async () => {
    const asked = event('fsync')
    const file = await fs.open(`${root}/f`, 'w+')
    await file.write('hello')
    await file.sync()
    const { fds } = await asked
    assert.ok(fds.length > 0)
    await file.close()
  })

  it('a large file is hashed after its close, and read from packs then', async () => {
    const bytes = Buffer.alloc(9 << 20)
    for (let i = 0; i < bytes.length; i += 4) bytes.writeUInt32LE((i * 2654435761) >>> 0, i)
    // close(2) does not wait for RELEASE.
    let sealed = event('sealed')
    await fs.writeFile(`${root}/large`, bytes)
    const { ino } = await sealed
    await volume.flush()
    volume.reader.refresh()
    assert.equal(volume.reader.inode(ino)!.content.kind, 'committed')
    await sameByCalls(ino, bytes)
    sealed = event('sealed')
    const file = await fs.open(`${root}/large`, 'r+')
    await file.write('in the middle', 5_000_000)
    await file.close()
    bytes.write('in the middle', 5_000_000)
    await sealed
    await volume.flush()
    await sameByCalls(ino, bytes)
    assert.ok((await fs.readFile(`${root}/large`)).equals(bytes))
  })

  /** Past the kernel's cache. */
  async function sameByCalls(ino: number, bytes: Buffer): Promise<void> {
    const caller = { uid: 0, gid: 0, pid: 0 }
    const call = (method: string, ...args: unknown[]) => volume.request('call', { method, args })
    const { handle } = (await call('open', caller, ino, 0)) as { handle: number }
    for (let at = 0; at < bytes.length; at += 1 << 20) {
      const part = (await call('read', caller, ino, handle, at, 1 << 20)) as Uint8Array
      assert.ok(bytes.subarray(at, at + (1 << 20)).equals(part), `at ${at}`)
    }
    await call('release', ino, handle)
  }

  it('tells of handles that stay open for writing, and when they are gone', async () => {
    const told = event('handles', ({ handles }) => handles.some(({ dirty }) => dirty))
    const file = await fs.open(`${root}/f`, 'w')
    await file.write('x')
    const { handles } = await told
    assert.equal(handles.length, 1)
    const [handle] = handles as [OpenHandle]
    assert.deepEqual(await volume.request('path', { ino: handle.ino }), [new Uint8Array(Buffer.from('f'))])
    const status = await volume.request('status', {})
    assert.equal(status.open.length, 1)
    const gone = event('handles', ({ handles }) => handles.length === 0)
    await file.close()
    await gone
  })

  it('walks, lists, and says why it cannot', async () => {
    await fs.mkdir(`${root}/d`)
    await fs.writeFile(`${root}/d/f`, 'hello')
    const names = (...parts: string[]) => parts.map((part) => Buffer.from(part))
    const found = await volume.request('walk', { names: names('d', 'f') })
    assert.equal(found.size, 5)
    const { ino } = await volume.request('walk', { names: names('d') })
    assert.deepEqual(
      (await volume.request('list', { ino })).map(({ name }) => Buffer.from(name).toString()),
      ['f'],
    )
    await assert.rejects(volume.request('walk', { names: names('x') }), { code: 'ENOENT' })
    await assert.rejects(volume.request('walk', { names: names('d', 'f', 'x') }), { code: 'ENOTDIR' })
  })

  it('operations can be called from the main thread', async () => {
    const caller = { uid: 0, gid: 0, pid: 0 }
    const call = (method: string, ...args: unknown[]) => volume.request('call', { method, args })
    const made = (await call('create', caller, 1, Buffer.from('f'), 0o644, 2)) as {
      attributes: { ino: number }
      handle: number
    }
    const { ino } = made.attributes
    assert.equal(await call('write', caller, ino, made.handle, 0, Buffer.from('hello'), false), 5)
    assert.equal(await call('fsync', caller, ino, made.handle, false), 0)
    assert.equal(Buffer.from((await call('read', caller, ino, made.handle, 0, 100)) as Uint8Array).toString(), 'hello')
    assert.equal(((await call('getattr', caller, ino)) as { blocks: number }).blocks, 8)
    assert.equal(await call('lookup', caller, 1, Buffer.from('nothing')), -2)
    await call('release', ino, made.handle)
  })

  it('changes by sync are seen at once through the mount', async () => {
    await fs.writeFile(`${root}/f`, 'one')
    await fs.stat(`${root}/f`)
    await assert.rejects(fs.stat(`${root}/g`), { code: 'ENOENT' })
    await volume.flush()
    volume.reader.refresh()
    const { ino, document } = await volume.request('walk', { names: [Buffer.from('f')] })
    const live = {
      head: volume.reader.document(document)!.head,
      attributes: { mode: 0o100600, uid: 0, gid: 0, rdev: 0, xattrs: [] },
      modified: { sec: 5, nsec: 0 },
      created: { sec: 1, nsec: 0 },
      content: { size: 9, inline: Buffer.from('two words'), levels: 0 },
    }
    const changes = [{ document, expected: live.head, live }]
    const answer = await volume.request('apply', { changes })
    assert.deepEqual(answer.results, ['applied'])
    await volume.mounted.invalidate(answer.invalidations)
    assert.equal(await fs.readFile(`${root}/f`, 'utf8'), 'two words')
    assert.equal((await fs.stat(`${root}/f`)).mode, 0o100600)
    const restored = await volume.request('restore', {
      ino,
      live: { ...live, content: { size: 3, inline: Buffer.from('one'), levels: 0 } },
    })
    assert.equal(restored.result, 'done')
    await volume.mounted.invalidate(restored.invalidations)
    assert.equal(await fs.readFile(`${root}/f`, 'utf8'), 'one')
  })

  for (const how of ['killThread', 'crashThread'] as const) {
    it(`a thread that is killed is followed by one on the same mount; handles go on (${how})`, async () => {
      await fs.mkdir(`${root}/d`)
      const file = await fs.open(`${root}/d/f`, 'w+')
      const removed = await fs.open(`${root}/removed`, 'w+')
      const large = await fs.open(`${root}/large`, 'w+')
      await removed.write('still here')
      await large.write(Buffer.alloc(300_000, 'large '))
      await fs.unlink(`${root}/removed`)
      await fs.unlink(`${root}/large`)
      await file.write('before ')
      await volume[how]()
      await file.write('after')
      await file.close()
      assert.equal(await fs.readFile(`${root}/d/f`, 'utf8'), 'before after')
      const into = Buffer.alloc(300_000)
      const { bytesRead } = await removed.read(into, 0, 100, 0)
      assert.equal(into.subarray(0, bytesRead).toString(), 'still here')
      await removed.close()
      await large.write('LARGE', 5)
      assert.equal((await large.read(into, 0, 300_000, 0)).bytesRead, 300_000)
      assert.equal(into.subarray(0, 18).toString(), 'largeLARGEe large ')
      await large.close()
      assert.deepEqual(await fs.readdir(root), ['d'])
    })
  }

  it('nothing that was answered is lost while threads are killed under load', async () => {
    const done: string[] = []
    let going = true
    let more = () => {}
    const load = (async () => {
      for (let i = 0; going; i++) {
        const path = `${root}/f${i}`
        try {
          await fs.writeFile(path, `content ${i}`)
          done.push(path)
        } catch (error) {
          // In flight when the thread died.
          assert.equal((error as NodeJS.ErrnoException).code, 'EIO')
        }
        more()
      }
    })()
    for (let i = 0; i < 3; i++) {
      const enough = done.length + 50
      await new Promise<void>((resolve) => {
        more = () => void (done.length >= enough && resolve())
      })
      await volume.killThread()
    }
    going = false
    await load
    assert.ok(done.length >= 150)
    for (const path of done) assert.equal(await fs.readFile(path, 'utf8'), `content ${path.slice(root.length + 2)}`)
  })

  it('programs work while the committer follows: git', async function () {
    const git = (...args: string[]) =>
      run('git', ['-C', `${root}/r`, '-c', 'user.name=a', '-c', 'user.email=a@b', ...args])
    await fs.mkdir(`${root}/r`)
    const there = await run('git', ['--version']).catch(() => undefined)
    if (!there) return this.skip()
    await git('init', '-q')
    for (let i = 0; i < 30; i++) await fs.writeFile(`${root}/r/file${i}`, `line ${i}\n`.repeat(i * 20))
    await git('add', '.')
    await git('commit', '-qm', 'one')
    await git('checkout', '-qb', 'branch')
    await fs.writeFile(`${root}/r/file3`, 'changed')
    await git('commit', '-qam', 'two')
    await git('checkout', '-q', 'HEAD~1')
    await git('fsck', '--strict')
    const { stdout } = await git('status', '--porcelain')
    assert.equal(stdout, '')
    await volume.flush()
    assert.deepEqual(volume.reports, [])
  })
})
