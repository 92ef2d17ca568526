import assert from 'node:assert/strict'
import { EIO, ENOSPC } from '../../../lib/fuse/errno.js'
import { hex } from '../../../lib/model/bytes.js'
import { hashOf } from '../../../lib/model/hash.js'
import type { JournalWriter } from '../../../lib/store/journal.js'
import type { Journal } from '../../../lib/volume/engine/ports.js'
import { name, O_RDWR, O_TRUNC, ok, ROOT, Shell, TestVolume } from './support.js'

let failure: string | undefined

/** A journal whose frames are refused while `failure` is set. */
function failing(journal: JournalWriter): Journal {
  return new Proxy(journal as unknown as Journal, {
    get(target, property) {
      if (failure && (property === 'commitFrame' || property === 'defer')) {
        return () => {
          target.abandon()
          throw Object.assign(new Error('refused'), { code: failure })
        }
      }
      const value = Reflect.get(target, property, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

/** Everything that can be seen, bytes too. */
function everything(sh: Shell, path = '', found: Record<string, unknown> = {}): Record<string, unknown> {
  const { ino, mode, nlink, uid, gid, size, mtimeSec, mtimeNsec, ctimeSec, ctimeNsec } = sh.stat(path)
  const bytes = (mode & 0o170000) === 0o100000 ? hex(hashOf(sh.read(path))) : ''
  const xattrs = ok<Buffer>(sh.fs.listxattr(ROOT, ino)).toString()
  found[path] = { ino, mode, nlink, uid, gid, size, mtimeSec, mtimeNsec, ctimeSec, ctimeNsec, bytes, xattrs }
  if ((mode & 0o170000) === 0o040000) for (const e of sh.list(path)) everything(sh, `${path}/${e.name}`, found)
  return found
}

describe('engine: a disk that refuses leaves everything as it was', () => {
  let volume: TestVolume
  let sh: Shell
  beforeEach(async () => {
    failure = undefined
    volume = await TestVolume.create({ journal: failing })
    sh = new Shell(volume)
    sh.mkdir('d')
    sh.mkdir('e')
    sh.write('f', 'small')
    sh.write('d/g', Buffer.alloc(30_000, 'g'))
    sh.write('d/h', Buffer.alloc(300_000, 'h'))
    volume.fold(true)
    ok(volume.fs.setattr(ROOT, sh.stat('f').ino, { mode: 0o6755 }))
    ok(volume.fs.setxattr(ROOT, sh.stat('f').ino, name('user.x'), name('1'), 0))
    sh.write('d/i', Buffer.alloc(70_000, 'i'))
    volume.engine.flush()
  })
  afterEach(() => {
    failure = undefined
    volume.remove()
  })

  const operations: Record<string, () => unknown> = {
    mkdir: () => volume.fs.mkdir(ROOT, 1, name('n'), 0o755),
    mknod: () => volume.fs.mknod(ROOT, 1, name('n'), 0o100644, 0),
    symlink: () => volume.fs.symlink(ROOT, 1, name('n'), name('target')),
    create: () => volume.fs.create(ROOT, 1, name('n'), 0o644, O_RDWR),
    link: () => volume.fs.link(ROOT, sh.stat('f').ino, 1, name('n')),
    unlink: () => sh.unlink('f'),
    rmdir: () => sh.rmdir('e'),
    'rename to a new name': () => sh.rename('f', 'd/n'),
    'rename of a folder': () => sh.rename('e', 'd/n'),
    'rename over a file': () => sh.rename('f', 'd/g'),
    'rename with exchange': () => sh.rename('f', 'd', 2),
    chmod: () => volume.fs.setattr(ROOT, sh.stat('f').ino, { mode: 0o600 }),
    'chown and times': () => volume.fs.setattr(ROOT, sh.stat('f').ino, { uid: 5, mtime: { sec: 1, nsec: 2 } }),
    'truncate a small file': () => volume.fs.setattr(ROOT, sh.stat('f').ino, { size: 2 }),
    'truncate a large file': () => volume.fs.setattr(ROOT, sh.stat('d/h').ino, { size: 200_000 }),
    'truncate a large file to little': () => volume.fs.setattr(ROOT, sh.stat('d/h').ino, { size: 20 }),
    'extend a small file to a large one': () => volume.fs.setattr(ROOT, sh.stat('f').ino, { size: 100_000 }),
    'open with O_TRUNC': () => volume.fs.open(ROOT, sh.stat('f').ino, O_RDWR | O_TRUNC),
    setxattr: () => volume.fs.setxattr(ROOT, sh.stat('f').ino, name('user.y'), name('2'), 0),
    removexattr: () => volume.fs.removexattr(ROOT, sh.stat('f').ino, name('user.x')),
  }

  for (const [what, operation] of Object.entries(operations)) {
    for (const [code, errno] of [
      ['ENOSPC', ENOSPC],
      ['EIO', EIO],
    ] as const) {
      it(`${what}: ${code}`, () => {
        const before = everything(sh)
        failure = code
        assert.equal(operation(), errno)
        failure = undefined
        assert.deepEqual(everything(sh), before)
        volume.crash()
        assert.deepEqual(everything(sh), before, 'in the store')
        // And it works once the disk does.
        const done = operation()
        assert.ok(typeof done === 'object' || done === 0, String(done))
      })
    }
  }

  for (const file of ['f', 'd/g', 'd/h', 'd/i']) {
    it(`writing to ${file}, and growing it into a spool`, () => {
      const { ino, handle } = sh.open(file)
      const before = everything(sh)
      failure = 'ENOSPC'
      const { size } = sh.stat(file)
      for (const at of [0, size >> 1, size, 100_000, 400_000]) {
        const done = volume.fs.write(ROOT, ino, handle, at, Buffer.alloc(1000, '!'), false)
        // A spool without a base needs no journal.
        if (done !== 1000 || volume.engine.state.inode(ino)!.working?.kind !== 'spool') assert.equal(done, ENOSPC)
      }
      assert.equal(volume.fs.fallocate(ROOT, ino, handle, 3, 1, 2), ENOSPC)
      failure = undefined
      assert.deepEqual(everything(sh), before)
      ok(volume.fs.write(ROOT, ino, handle, 1, Buffer.from('yes'), false))
      volume.fs.release(ino, handle)
      assert.equal(sh.read(file).subarray(1, 4).toString(), 'yes')
    })
  }

  it('closing while the disk is full: the version is made later', () => {
    const { ino, handle } = sh.open('f')
    ok(volume.fs.write(ROOT, ino, handle, 0, Buffer.from('SMALL'), false))
    failure = 'ENOSPC'
    volume.fs.release(ino, handle)
    assert.equal(sh.read('f').toString(), 'SMALL')
    failure = undefined
    volume.engine.idle()
    assert.equal(volume.engine.state.inode(ino)!.working, undefined)
    volume.crash()
    assert.equal(sh.read('f').toString(), 'SMALL')
  })
})
