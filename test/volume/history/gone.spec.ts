import assert from 'node:assert/strict'
import { hex } from '../../../lib/model/bytes.js'
import { decodeRevision } from '../../../lib/model/codec.js'
import { PART_CONTENT, type RId } from '../../../lib/model/types.js'
import { PackReader } from '../../../lib/store/packs.js'
import { documentsNamed, lastAt } from '../../../lib/volume/history/gone.js'
import { newestFirst } from '../../../lib/volume/history/timeline.js'
import { name, ok, ROOT, Shell, TestVolume } from '../engine/support.js'

describe('history: what is gone', () => {
  let volume: TestVolume
  let sh: Shell
  let packs: PackReader
  beforeEach(async () => {
    volume = await TestVolume.create()
    sh = new Shell(volume)
    packs = new PackReader({ reader: volume.reader, layout: volume.layout })
  })
  afterEach(() => {
    packs.close()
    volume.remove()
  })

  const store = () => ({
    head: (document: Uint8Array) => volume.reader.document(document)?.head,
    encoded: (rid: Uint8Array) => volume.reader.revision(rid),
    source: packs.source,
  })
  const fold = () => {
    volume.fold(true)
    volume.reader.refresh()
  }
  const documentOf = (path: string) => volume.engine.state.inode(sh.stat(path).ino)!.document
  const found = (path: string) => {
    const document = lastAt(store(), volume.root, path.split('/').map(name))
    return document && hex(document)
  }
  const historyOf = (document: Uint8Array): RId[] =>
    [...newestFirst(store(), store().head(document))].map(({ rid }) => rid)

  it('is found by its path, the last that was there first', () => {
    sh.mkdir('d')
    sh.write('d/f', 'one')
    fold()
    const [folder, file] = [documentOf('d'), documentOf('d/f')]
    ok(sh.unlink('d/f'))
    fold()
    ok(sh.rmdir('d'))
    fold()
    assert.equal(found('d'), hex(folder))
    assert.equal(found('d/f'), hex(file))
    assert.equal(found('d/g'), undefined)
    assert.equal(found('d/f/x'), undefined)
    // Another folder of the name, where the file never was.
    sh.mkdir('d')
    fold()
    assert.equal(found('d'), hex(documentOf('d')))
    assert.equal(found('d/f'), hex(file))
    assert.equal([...documentsNamed(store(), volume.root, name('d'))].length, 2)
  })

  it('comes back with its history, owner and attributes, and folders on the way', () => {
    sh.mkdir('d')
    sh.mkdir('d/e')
    sh.write('d/e/f', Buffer.alloc(3000, 'x'))
    ok(volume.fs.setattr(ROOT, sh.stat('d/e/f').ino, { mode: 0o4751, uid: 7, gid: 8 }))
    ok(volume.fs.setxattr(ROOT, sh.stat('d/e/f').ino, name('user.a'), Buffer.from('b'), 0))
    fold()
    const document = documentOf('d/e/f')
    const [rid] = historyOf(document)
    const revision = decodeRevision(volume.reader.revision(rid)!)
    const { attributes, modified, created, parts } = revision
    const live = { head: rid, attributes, modified, created, content: parts.get(PART_CONTENT) }
    ok(sh.unlink('d/e/f'))
    ok(sh.rmdir('d/e'))
    ok(sh.rmdir('d'))
    fold()
    const names = ['d', 'e', 'f'].map(name)
    const invalidations = volume.engine.reviver.revive({ names, document, live })
    assert.deepEqual(
      invalidations.filter(({ kind }) => kind === 'entry').length,
      3,
      'the kernel is told of every name that is there again',
    )
    const check = () => {
      const { mode, uid, gid, size, ino } = sh.stat('d/e/f')
      assert.deepEqual([mode, uid, gid, size], [0o104751, 7, 8, 3000])
      assert.equal(ok<Buffer>(volume.fs.getxattr(ROOT, ino, name('user.a'))).toString(), 'b')
      assert.equal(sh.read('d/e/f').toString(), 'x'.repeat(3000))
      assert.equal(hex(documentOf('d/e/f')), hex(document))
    }
    check()
    fold()
    check()
    assert.equal(historyOf(document).length, 2)
    volume.crash()
    check()
    assert.throws(() => volume.engine.reviver.revive({ names, document, live }), { code: 'EEXIST' })
    assert.throws(() => volume.engine.reviver.revive({ names: [...names, name('g')], document, live }), {
      code: 'ENOTDIR',
    })
  })

  it('goes on with its document, however it was saved, and if somebody has it open', () => {
    for (const version of ['one', 'two']) {
      sh.write('f.tmp', version)
      ok(sh.rename('f.tmp', 'f'))
    }
    const open = sh.open('f')
    const document = documentOf('f')
    ok(sh.unlink('f'))
    fold()
    const [rid] = historyOf(document)
    const { attributes, modified, created, parts } = decodeRevision(volume.reader.revision(rid)!)
    const live = { head: rid, attributes, modified, created, content: parts.get(PART_CONTENT) }
    const before = historyOf(document).length
    volume.engine.reviver.revive({ names: [name('f')], document, live })
    assert.equal(hex(documentOf('f')), hex(document))
    assert.equal(volume.fs.write(ROOT, open.ino, open.handle, 0, Buffer.from('lost'), false), 4)
    volume.fs.release(open.ino, open.handle)
    fold()
    assert.equal(sh.read('f').toString(), 'two')
    assert.equal(historyOf(document).length, before + 1)
    assert.deepEqual(volume.reports, [])
  })

  it('that lives on elsewhere comes back as another document', () => {
    sh.write('f', 'one')
    fold()
    const document = documentOf('f')
    const [rid] = historyOf(document)
    const { attributes, modified, created, parts } = decodeRevision(volume.reader.revision(rid)!)
    const live = { head: rid, attributes, modified, created, content: parts.get(PART_CONTENT) }
    ok(sh.rename('f', 'moved'))
    fold()
    volume.engine.reviver.revive({ names: [name('f')], document, live })
    fold()
    assert.equal(hex(documentOf('moved')), hex(document))
    assert.notEqual(hex(documentOf('f')), hex(document))
    assert.equal(sh.read('f').toString(), 'one')
    assert.deepEqual(volume.reports, [])
  })
})
