import assert from 'node:assert/strict'
import { EBADF, ENOENT } from '../../../lib/fuse/errno.js'
import type { Attributes } from '../../../lib/fuse/file-system.js'
import { name, O_RDWR, ok, ROOT, Shell, TestVolume } from './support.js'

describe('engine: open files', () => {
  let volume: TestVolume
  let sh: Shell
  beforeEach(async () => {
    volume = await TestVolume.create()
    sh = new Shell(volume)
  })
  afterEach(() => volume.remove())

  const read = (ino: number, handle: number, size: number) => {
    const into = Buffer.alloc(size)
    return into.subarray(0, ok(volume.fs.read(ROOT, ino, handle, 0, into)) as number).toString()
  }

  it('removed while open, it lives until the last handle and reference are gone, then leaves nothing', () => {
    sh.write('f', 'hello')
    const found = ok<Attributes>(volume.fs.lookup(ROOT, 1, name('f')))
    const { ino, handle } = sh.open('f')
    ok(sh.unlink('f'))
    assert.equal(sh.find('f'), ENOENT)
    assert.equal(found.nlink, 0)
    assert.equal(read(ino, handle, 10), 'hello')
    ok(volume.fs.write(ROOT, ino, handle, 5, Buffer.alloc(100_000, '!'), false))
    assert.equal(ok<Attributes>(volume.fs.getattr(ROOT, ino)).size, 100_005)
    volume.fold()
    assert.equal(read(ino, handle, 5), 'hello')
    volume.fs.release(ino, handle)
    volume.fs.forget(ino, 1)
    volume.fold()
    volume.fold()
    volume.reader.refresh()
    assert.equal(volume.reader.inode(ino), undefined)
    assert.deepEqual(volume.reader.spools(), [])
    assert.equal(volume.fs.getattr(ROOT, ino), ENOENT)
  })

  it('handles of a dead thread go on: named, removed, written, large', () => {
    sh.write('named', 'one')
    sh.write('removed', 'two')
    const named = sh.open('named')
    const removed = sh.open('removed')
    const large = sh.create('large')
    ok(volume.fs.write(ROOT, named.ino, named.handle, 3, Buffer.from('!'), false))
    ok(volume.fs.write(ROOT, removed.ino, removed.handle, 3, Buffer.from('!'), false))
    ok(volume.fs.write(ROOT, large.ino, large.handle, 0, Buffer.alloc(100_000, 'x'), false))
    ok(sh.unlink('removed'))
    volume.engine.flush()
    volume.crashThread()
    assert.equal(read(named.ino, named.handle, 10), 'one!')
    assert.equal(read(removed.ino, removed.handle, 10), 'two!')
    ok(volume.fs.write(ROOT, named.ino, named.handle, 4, Buffer.from('?'), false))
    ok(volume.fs.write(ROOT, removed.ino, removed.handle, 4, Buffer.from('?'), false))
    ok(volume.fs.write(ROOT, large.ino, large.handle, 100_000, Buffer.from('?'), false))
    assert.equal(read(removed.ino, removed.handle, 10), 'two!?')
    for (const { ino, handle } of [named, removed, large]) volume.fs.release(ino, handle)
    assert.equal(sh.read('named').toString(), 'one!?')
    assert.equal(sh.stat('large').size, 100_001)
    assert.equal(volume.fs.getattr(ROOT, removed.ino), ENOENT)
    const again = sh.open('named')
    assert.notEqual(again.handle, named.handle)
    volume.fold()
    volume.crash()
    assert.equal(sh.read('named').toString(), 'one!?')
    assert.equal(sh.stat('large').size, 100_001)
  })

  it('a handle of an inode that does not exist is refused', () => {
    assert.equal(volume.fs.read(ROOT, 4711, 99, 0, Buffer.alloc(1)), EBADF)
  })

  it('two writers: the content is closed when both are gone', () => {
    const a = sh.create('f')
    const b = sh.open('f')
    ok(volume.fs.write(ROOT, a.ino, a.handle, 0, Buffer.from('aa'), false))
    volume.fs.release(a.ino, a.handle)
    assert.notEqual(volume.engine.state.inode(a.ino)!.working, undefined)
    ok(volume.fs.write(ROOT, b.ino, b.handle, 2, Buffer.from('bb'), false))
    volume.fs.release(b.ino, b.handle)
    assert.equal(volume.engine.state.inode(a.ino)!.working, undefined)
    assert.equal(sh.read('f').toString(), 'aabb')
  })

  it('set-id bits go on write and chown, in memory and in the store', () => {
    sh.write('f', 'x')
    const { ino, handle } = sh.open('f')
    ok(volume.fs.setattr(ROOT, ino, { mode: 0o6755 }))
    ok(volume.fs.write(ROOT, ino, handle, 0, Buffer.from('y'), true))
    assert.equal(sh.stat('f').mode & 0o7777, 0o755)
    ok(volume.fs.setattr(ROOT, ino, { mode: 0o6745 }))
    ok(volume.fs.setattr(ROOT, ino, { uid: 7 }))
    // Without group execution the set-group-id bit is mandatory locking's, and stays.
    assert.equal(sh.stat('f').mode & 0o7777, 0o2745)
    volume.fs.release(ino, handle)
    volume.crash()
    assert.equal(sh.stat('f').mode & 0o7777, 0o2745)
  })

  it('copying a whole file shares its content', () => {
    sh.write('f', Buffer.alloc(200_000, 'f'))
    volume.seal()
    const from = sh.open('f', 0)
    const to = sh.create('g')
    assert.equal(volume.fs.copyFileRange(ROOT, from.ino, from.handle, 0, to.ino, to.handle, 0, 2 ** 40), 200_000)
    volume.fs.release(from.ino, from.handle)
    volume.fs.release(to.ino, to.handle)
    const content = (file: string) => volume.engine.state.inode(sh.stat(file).ino)!.content
    assert.deepEqual(content('g'), content('f'))
    assert.ok(sh.read('g').equals(sh.read('f')))
    volume.crash()
    assert.ok(sh.read('g').equals(sh.read('f')))
  })

  it('a listing is a snapshot; rewinding makes a new one', () => {
    for (let i = 0; i < 10; i++) sh.write(`f${i}`, '')
    const { handle } = ok<{ handle: number }>(volume.fs.opendir(ROOT, 1))
    const page = (offset: number, limit: number) => {
      const names: string[] = []
      let last = offset
      ok(
        volume.fs.readdir(ROOT, 1, handle, offset, true, (entry) => {
          if (names.length >= limit) return false
          names.push(entry.name.toString())
          last = entry.offset
          return true
        }),
      )
      return { names, last }
    }
    const first = page(0, 5)
    ok(sh.unlink('f9'))
    sh.write('new', '')
    const rest = page(first.last, 100)
    const all = [...first.names, ...rest.names]
    assert.equal(all.length, 12)
    assert.equal(new Set(all).size, 12)
    assert.ok(!all.includes('new'))
    const again = page(0, 100).names
    assert.ok(again.includes('new') && !again.includes('f9'))
    volume.fs.releasedir(1, handle)
  })

  it('memory stays bounded however many files there are', () => {
    volume.init.inodesMax = 500
    volume.init.entriesMax = 1000
    volume.startEngine()
    for (let d = 0; d < 10; d++) {
      sh.mkdir(`d${d}`)
      const { ino: folder } = sh.stat(`d${d}`)
      for (let i = 0; i < 1000; i++) {
        const { attributes, handle } = ok(volume.fs.create(ROOT, folder, name(`f${i}`), 0o644, O_RDWR)) as {
          attributes: Attributes
          handle: number
        }
        ok(volume.fs.write(ROOT, attributes.ino, handle, 0, Buffer.from('x'), false))
        volume.fs.release(attributes.ino, handle)
        // The kernel keeps its reference.
      }
      volume.fold()
      volume.engine.tidy()
    }
    // Twice: what was used since the hand passed stays for one round.
    for (let i = 0; i < 2; i++) for (const { ino } of sh.list('d0')) ok(volume.fs.getattr(ROOT, ino))
    volume.engine.tidy()
    const { inodes, entries } = volume.engine.status()
    assert.ok(inodes < 2500, `${inodes} inodes`)
    assert.ok(entries < 4000, `${entries} entries`)
    assert.equal(sh.read('d3/f500').toString(), 'x')
    assert.equal(sh.list('d7').length, 1000)
  })
})
