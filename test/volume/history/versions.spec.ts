import assert from 'node:assert/strict'
import { EEXIST, ENOENT, ENOTDIR, EOPNOTSUPP, EPERM, EROFS, ESTALE } from '../../../lib/fuse/errno.js'
import { HISTORY_BASE } from '../../../lib/volume/history/nodes.js'
import { MOMENT } from '../../../lib/volume/history/stays.js'
import { Replica } from '../engine/replica.js'
import { AUTHOR, name, O_RDWR, O_TRUNC, ok, ROOT, Shell, TestVolume } from '../engine/support.js'
import { momentOf, settle, Walk } from './support.js'

describe('history: .versions', () => {
  let volume: TestVolume
  let sh: Shell
  let walk: Walk
  beforeEach(async () => {
    volume = await TestVolume.create()
    sh = new Shell(volume)
    walk = new Walk(volume)
    volume.engine.devices.set([{ author: AUTHOR, name: 'laptop' }])
  })
  afterEach(() => volume.remove())

  const versions = (path: string) => walk.list(path).sort()

  it('has every version of a file, as it was then, named in their order', () => {
    const large = Buffer.alloc(300_000, 'large ')
    const contents = ['first', Buffer.alloc(5000, 'second '), large, '']
    for (const [i, content] of contents.entries()) {
      sh.write('letter.txt', content)
      const { ino } = sh.stat('letter.txt')
      ok(volume.fs.setattr(ROOT, ino, { mode: 0o640 + i, uid: 10 + i, mtime: { sec: 1000 - i, nsec: i } }))
      ok(volume.fs.setxattr(ROOT, ino, name('user.n'), Buffer.from(`${i}`), 0))
      settle(volume)
    }
    const listed = versions('.versions/letter.txt')
    assert.equal(listed.length, contents.length)
    for (const [i, version] of listed.entries()) {
      const path = `.versions/letter.txt/${version}`
      assert.match(version, /^\d{4}-\d\d-\d\d \d\d\.\d\d\.\d\d\.\d{3}Z(\+\d{5})? laptop\.txt$/)
      assert.deepEqual(walk.read(path), Buffer.from(contents[i]))
      const { ino, mode, uid, mtimeSec, mtimeNsec, size, nlink } = walk.stat(path)
      assert.deepEqual([mode, uid, nlink], [0o100000 | ((0o640 + i) & ~0o222), 10 + i, 1])
      assert.deepEqual([mtimeSec, mtimeNsec, size], [1000 - i, i, contents[i].length])
      assert.ok(ino >= HISTORY_BASE)
      assert.equal(ok(volume.fs.getxattr(ROOT, ino, name('user.n'))).toString(), `${i}`)
    }
  })

  it('keeps versions apart that were made in one go', () => {
    for (let i = 0; i < 5; i++) sh.write('f', `${i}`)
    settle(volume)
    assert.deepEqual(
      versions('.versions/f').map((version) => walk.read(`.versions/f/${version}`).toString()),
      ['0', '1', '2', '3', '4'],
    )
  })

  it('lists what was deleted and renamed, and what is too new to be sealed', () => {
    sh.mkdir('d')
    sh.write('d/gone', 'gone')
    sh.write('d/old', 'moved')
    volume.fold(true)
    volume.ahead += MOMENT
    sh.write('d/brief', 'a temporary')
    volume.fold(true)
    assert.equal(sh.unlink('d/brief'), 0)
    assert.equal(sh.unlink('d/gone'), 0)
    assert.equal(sh.rename('d/old', 'd/new'), 0)
    volume.fold(true)
    sh.write('d/latest', 'x')
    assert.deepEqual(versions('d/.versions'), ['gone', 'latest', 'new', 'old'])
    assert.deepEqual(versions('d/.versions/latest'), [])
    assert.equal(versions('d/.versions/brief').length, 1, 'not listed, but there')
    const gone = versions('d/.versions/gone')
    assert.equal(gone.length, 1, 'its removal is no version')
    assert.equal(walk.read(`d/.versions/gone/${gone[0]}`).toString(), 'gone')
    for (const one of ['old', 'new']) {
      const [version] = versions(`d/.versions/${one}`)
      assert.equal(walk.read(`d/.versions/${one}/${version}`).toString(), 'moved')
    }
    assert.equal(walk.find('d/.versions/never'), ENOENT)
    assert.equal(walk.find('d/new/.versions'), ENOENT, 'of a file')
  })

  it('goes on when there is more, without being looked up anew', () => {
    sh.write('f', 'one')
    settle(volume)
    const top = walk.stat('.versions').ino
    assert.deepEqual(versions('.versions'), ['f'])
    assert.equal(versions('.versions/f').length, 1)
    sh.write('f', 'two')
    sh.write('g', 'x')
    settle(volume)
    assert.equal(walk.stat('.versions').ino, top)
    assert.deepEqual(versions('.versions'), ['f', 'g'])
    assert.equal(versions('.versions/f').length, 2)
  })

  it('shows revisions of folders as trees of their time', () => {
    sh.mkdir('d')
    sh.mkdir('d/e')
    sh.write('d/e/f', 'one')
    volume.fold(true)
    const before = walk.tree('d')
    sh.write('d/e/f', 'two')
    sh.write('d/e/g', 'more')
    assert.equal(sh.unlink('d/e/f'), 0)
    sh.mkdir('d/h')
    volume.fold(true)
    const after = walk.tree('d')
    const [first, ...rest] = versions('.versions/d')
    assert.deepEqual(walk.tree(`.versions/d/${first}`), before)
    assert.deepEqual(walk.tree(`.versions/d/${rest.at(-1)}`), after)
  })

  it('has all that had the name, files and folders', () => {
    sh.write('f', 'file')
    volume.fold(true)
    assert.equal(sh.unlink('f'), 0)
    sh.mkdir('f')
    sh.write('f/inside', 'x')
    volume.fold(true)
    const all = versions('.versions/f').map((version) => walk.stat(`.versions/f/${version}`).mode >> 12)
    assert.deepEqual([...new Set(all)].sort(), [4, 8])
  })

  it('is the same on another device', async () => {
    const other = await TestVolume.create({}, volume.root)
    try {
      sh.write('f', 'here')
      new Replica(volume, other).sync()
      other.fold(true)
      const there = new Walk(other)
      assert.deepEqual(there.list('.versions'), ['f'])
      assert.deepEqual(
        there.list('.versions/f').map((version) => there.read(`.versions/f/${version}`).toString()),
        ['here'],
      )
      const at = momentOf(volume)
      assert.deepEqual(there.tree(`.peerdrive/at/${at}`), walk.tree(`.peerdrive/at/${at}`))
    } finally {
      other.remove()
    }
  })

  it('is in no listing, not in itself, and nowhere else', () => {
    sh.mkdir('d')
    sh.write('d/f', 'x')
    volume.fold(true)
    assert.deepEqual(walk.list(''), ['d'])
    assert.deepEqual(walk.list('d'), ['f'])
    assert.deepEqual(walk.list('.versions'), ['d'])
    assert.equal(walk.find('.versions/.versions'), ENOENT)
    assert.equal(walk.find('d/.peerdrive'), ENOENT)
    const [version] = versions('.versions/d')
    assert.equal(walk.find(`.versions/d/${version}/.versions`), ENOENT)
    assert.deepEqual(walk.list(`.versions/d/${version}`), ['f'])
    assert.deepEqual(walk.list('.peerdrive'), ['at'])
    assert.deepEqual(walk.list('.peerdrive/at'), [])
    for (const none of ['now', '2026-13-01', '1999-12-31', '']) {
      if (none) assert.equal(walk.find(`.peerdrive/at/${none}`), ENOENT, none)
    }
    assert.equal(walk.find('.versions/d/f'), ENOENT)
    const { ino } = walk.stat('d/.versions/f')
    const file = walk.stat(`d/.versions/f/${versions('d/.versions/f')[0]}`)
    assert.equal(volume.fs.lookup(ROOT, file.ino, name('x')), ENOTDIR)
    assert.equal(walk.stat('d/.versions/f').ino, ino)
  })

  it('can be read only', () => {
    sh.write('f', 'x')
    sh.mkdir('d')
    volume.fold(true)
    const top = walk.stat('.versions').ino
    const past = walk.stat(`.peerdrive/at/${momentOf(volume)}`).ino
    const file = walk.stat(`.versions/f/${versions('.versions/f')[0]}`).ino
    const live = sh.stat('f').ino
    const { fs } = volume
    for (const folder of [top, past, walk.stat('.peerdrive').ino, walk.stat('.versions/f').ino]) {
      assert.equal(fs.mkdir(ROOT, folder, name('n'), 0o755), EROFS)
      assert.equal(fs.mknod(ROOT, folder, name('n'), 0o100644, 0), EROFS)
      assert.equal(fs.create(ROOT, folder, name('n'), 0o644, O_RDWR), EROFS)
      assert.equal(fs.symlink(ROOT, folder, name('n'), name('t')), EROFS)
      assert.equal(fs.tmpfile(ROOT, folder, 0o600, O_RDWR), EROFS)
      assert.equal(fs.link(ROOT, live, folder, name('n')), EROFS)
      assert.equal(fs.unlink(ROOT, folder, name('f')), EROFS)
      assert.equal(fs.rmdir(ROOT, folder, name('f')), EROFS)
      assert.equal(fs.rename(ROOT, folder, name('f'), 1, name('n'), 0), EROFS)
      assert.equal(fs.rename(ROOT, 1, name('f'), folder, name('n'), 0), EROFS)
    }
    for (const ino of [file, past]) {
      assert.equal(fs.setattr(ROOT, ino, { mode: 0o777 }), EROFS)
      assert.equal(fs.setxattr(ROOT, ino, name('user.a'), name('b'), 0), EROFS)
      assert.equal(fs.removexattr(ROOT, ino, name('user.a')), EROFS)
      assert.equal(fs.link(ROOT, ino, 1, name('n')), EROFS)
    }
    assert.equal(fs.open(ROOT, file, O_RDWR), EROFS)
    assert.equal(fs.open(ROOT, file, O_TRUNC), EROFS)
    assert.equal(fs.write(ROOT, file, 1, 0, name('x'), false), EROFS)
    assert.equal(fs.fallocate(ROOT, file, 1, 0, 0, 10), EROFS)
    assert.equal(fs.rmdir(ROOT, 1, name('.versions')), EROFS)
    assert.equal(fs.rename(ROOT, 1, name('.peerdrive'), 1, name('n'), 0), EROFS)
    const from = ok<{ handle: number }>(fs.open(ROOT, file, 0)).handle
    const to = sh.open('f')
    assert.equal(fs.copyFileRange(ROOT, file, from, 0, to.ino, to.handle, 0, 1), EOPNOTSUPP)
    assert.equal(fs.copyFileRange(ROOT, to.ino, to.handle, 0, file, from, 0, 1), EROFS)
    fs.release(to.ino, to.handle)
    fs.release(file, from)
    assert.deepEqual(walk.list(''), ['d', 'f'])
  })

  it('refuses new entries of the reserved names', () => {
    sh.mkdir('d')
    sh.write('f', 'x')
    const { fs } = volume
    const { ino } = sh.stat('f')
    for (const [folder, reserved] of [
      [1, '.versions'],
      [1, '.peerdrive'],
      [sh.stat('d').ino, '.versions'],
    ] as const) {
      assert.equal(fs.mkdir(ROOT, folder, name(reserved), 0o755), EEXIST)
      assert.equal(fs.mknod(ROOT, folder, name(reserved), 0o100644, 0), EEXIST)
      assert.equal(fs.create(ROOT, folder, name(reserved), 0o644, O_RDWR), EEXIST)
      assert.equal(fs.symlink(ROOT, folder, name(reserved), name('t')), EEXIST)
      assert.equal(fs.link(ROOT, ino, folder, name(reserved)), EEXIST)
      assert.equal(fs.rename(ROOT, 1, name('f'), folder, name(reserved), 0), EPERM)
    }
    sh.mkdir('d/.peerdrive')
    sh.mkdir('.versionsX')
    assert.equal(fs.unlink(ROOT, 1, name('.other')), ENOENT)
  })

  it('gives way to a real entry of its name', () => {
    const { live } = volume.engine
    const made = ok(live.mkdir(ROOT, 1, name('.versions'), 0o755)) as { ino: number }
    ok(live.mkdir(ROOT, made.ino, name('inside'), 0o755))
    sh.write('f', 'x')
    volume.fold(true)
    assert.deepEqual(walk.list(''), ['.versions', 'f'])
    assert.deepEqual(walk.list('.versions'), ['inside'])
    sh.mkdir('.versions/more')
    assert.equal(sh.rename('f', '.versions'), -21, 'a file over the folder that it is')
    const { fs } = volume
    assert.equal(fs.mkdir(ROOT, 1, name('.versions'), 0o755), EEXIST)
    assert.equal(sh.rename('.versions', 'elsewhere'), 0)
    assert.deepEqual(walk.list('elsewhere'), ['inside', 'more'])
    volume.fold(true)
    assert.ok(walk.list('.versions').includes('elsewhere'))
    assert.equal(sh.rename('elsewhere', '.versions'), EPERM, 'not back again')
  })

  it('keeps nothing of what the kernel has forgotten', () => {
    sh.mkdir('d')
    for (let i = 0; i < 50; i++) sh.write(`d/f${i}`, `${i}`)
    volume.fold(true)
    walk.tree(`.peerdrive/at/${momentOf(volume)}`)
    for (const one of walk.list('d/.versions'))
      for (const v of walk.list(`d/.versions/${one}`)) walk.read(`d/.versions/${one}/${v}`)
    const { history } = volume.engine
    assert.ok(history.nodes.size > 100)
    assert.ok(history.kept > 100)
    walk.letGo()
    assert.deepEqual([history.nodes.size, history.kept], [0, 0])
  })

  it('holds an open file, and a bounded number of nodes: the others are found again, as they were', async () => {
    volume.remove()
    volume = await TestVolume.create({ nodesMax: 20 })
    sh = new Shell(volume)
    walk = new Walk(volume)
    sh.mkdir('d')
    for (let i = 0; i < 100; i++) sh.write(`d/f${i}`, `${i}`)
    volume.fold(true)
    const at = `.peerdrive/at/${momentOf(volume)}/d`
    const first = walk.stat(`${at}/f0`)
    const { handle } = ok<{ handle: number }>(volume.fs.open(ROOT, first.ino, 0))
    const second = walk.stat(`${at}/f1`)
    for (let i = 2; i < 100; i++) assert.equal(walk.read(`${at}/f${i}`).toString(), `${i}`)
    assert.ok(volume.engine.history.nodes.size <= 21)
    assert.equal(volume.fs.getattr(ROOT, second.ino), ESTALE)
    assert.equal(walk.stat(`${at}/f1`).ino, second.ino)
    const into = Buffer.alloc(10)
    assert.equal(volume.fs.read(ROOT, first.ino, handle, 0, into), 1)
    volume.fs.release(first.ino, handle)
    walk.letGo()
    assert.equal(volume.engine.history.nodes.size, 0)
  })

  it('is found again by a new thread, under the same numbers', () => {
    sh.write('f', 'x')
    volume.fold(true)
    const at = `.peerdrive/at/${momentOf(volume)}`
    const { ino } = walk.stat(`${at}/f`)
    volume.crashThread()
    assert.equal(volume.fs.getattr(ROOT, ino), ESTALE)
    assert.equal(walk.stat(`${at}/f`).ino, ino)
  })

  it('works for a folder of many revisions and more entries than a chunk has', () => {
    sh.mkdir('d')
    for (let i = 0; i < 1500; i++) sh.write(`d/file ${i}`, `${i}`)
    volume.fold(true)
    const at = momentOf(volume)
    volume.ahead += MOMENT
    for (let i = 0; i < 300; i++) {
      assert.equal(sh.unlink(`d/file ${i}`), 0)
      if (i % 3 === 0) volume.fold(true)
    }
    volume.fold(true)
    assert.equal(walk.list('d/.versions').length, 1500)
    assert.equal(walk.list(`.peerdrive/at/${at}/d`).length, 1500)
    assert.equal(walk.read(`.peerdrive/at/${at}/d/file 7`).toString(), '7')
    const [version] = versions('d/.versions/file 7')
    assert.equal(walk.read(`d/.versions/file 7/${version}`).toString(), '7')
  })

  it('says EIO where chunks are missing, and goes on', () => {
    sh.write('f', Buffer.alloc(5000, 'x'))
    sh.write('g', 'fine')
    volume.fold(true)
    const path = `.versions/f/${versions('.versions/f')[0]}`
    const { ino } = walk.stat(path)
    volume.reader.tables.root.transactionSync(() => {
      for (const key of [...volume.reader.tables.chunks.getKeys()]) volume.reader.tables.chunks.remove(key)
    })
    assert.equal(volume.fs.read(ROOT, ino, 1, 0, Buffer.alloc(10)), -5)
    assert.equal(walk.read(`.versions/g/${versions('.versions/g')[0]}`).toString(), 'fine')
  })
})
