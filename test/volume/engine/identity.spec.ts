import assert from 'node:assert/strict'
import { hex } from '../../../lib/model/bytes.js'
import { FLAG_REMOVED } from '../../../lib/model/types.js'
import { checkVolume } from '../../../lib/store/check.js'
import { name, O_RDWR, ok, ROOT, Shell, TestVolume } from './support.js'

describe('engine: identity survives the way programs save', () => {
  let volume: TestVolume
  let sh: Shell
  let now = 0
  beforeEach(async () => {
    now = 0
    const time = { date: () => Date.now(), monotonic: () => performance.now() + now }
    volume = await TestVolume.create({ components: { time } })
    sh = new Shell(volume)
    sh.write('f', 'one')
    volume.fold()
  })
  afterEach(() => volume.remove())

  const documentOf = (file: string) => hex(volume.engine.state.inode(sh.stat(file).ino)!.document)
  const history = (file: string) => {
    volume.fold()
    const { document } = volume.engine.state.inode(sh.stat(file).ino)!
    const contents: string[] = []
    let head = volume.batch.view.document(document)?.head
    while (head) {
      const revision = volume.batch.reviser.revision(head)
      const isRemoval = (revision.flags & FLAG_REMOVED) !== 0
      if (!isRemoval) contents.push(Buffer.from(revision.parts.get('content')!.inline!).toString())
      head = revision.parents[0]
    }
    return contents.reverse()
  }

  it('a temporary file renamed over it', () => {
    const document = documentOf('f')
    const ino = sh.write('f.tmp', 'two')
    ok(sh.rename('f.tmp', 'f'))
    assert.equal(sh.stat('f').ino, ino)
    assert.equal(documentOf('f'), document)
    assert.deepEqual(history('f'), ['one', 'two'])
    volume.reader.refresh()
    assert.equal(volume.reader.meta('documents'), 2, 'the root and f: the temporary left nothing')
  })

  it('renamed over while it is open: the old inode gets the other document and stays readable', () => {
    const document = documentOf('f')
    const { ino, handle } = sh.open('f', 0)
    sh.write('f.tmp', 'two')
    ok(sh.rename('f.tmp', 'f'))
    const into = Buffer.alloc(3)
    assert.equal(volume.fs.read(ROOT, ino, handle, 0, into), 3)
    assert.equal(into.toString(), 'one')
    assert.notEqual(hex(volume.engine.state.inode(ino)!.document), document)
    volume.fs.release(ino, handle)
    assert.deepEqual(history('f'), ['one', 'two'])
  })

  it('renamed away as a backup, and written anew', () => {
    const document = documentOf('f')
    const old = sh.stat('f').ino
    ok(sh.rename('f', 'f~'))
    const ino = sh.write('f', 'two')
    assert.notEqual(ino, old)
    assert.equal(documentOf('f'), document)
    assert.notEqual(documentOf('f~'), document)
    assert.equal(sh.read('f~').toString(), 'one')
    assert.deepEqual(history('f'), ['one', 'two'])
    ok(sh.unlink('f~'))
    assert.deepEqual(history('f'), ['one', 'two'])
  })

  it('a temporary renamed over it, with a link of another name as a backup just before', () => {
    const document = documentOf('f')
    for (const [i, text] of ['two', 'three'].entries()) {
      if (i > 0) ok(sh.unlink('f~'))
      sh.link('f', 'f~')
      sh.write('tmp', text)
      ok(sh.rename('tmp', 'f'))
      assert.equal(documentOf('f'), document)
    }
    assert.equal(sh.read('f~').toString(), 'two')
    assert.notEqual(documentOf('f~'), document)
    assert.deepEqual(history('f'), ['one', 'two', 'three'])
  })

  it('a link of long ago, or the new name itself, is no backup: the document stays where it is', () => {
    const document = documentOf('f')
    sh.link('f', 'g')
    sh.write('tmp', 'two')
    ok(sh.rename('tmp', 'g'))
    assert.equal(documentOf('f'), document)
    sh.link('f', 'h')
    now += 6000
    sh.write('tmp', 'three')
    ok(sh.rename('tmp', 'f'))
    assert.equal(documentOf('h'), document)
    assert.deepEqual(history('h'), ['one'])
  })

  it('being written is no version, whatever else is told of the file meanwhile', () => {
    const { ino, handle } = sh.open('f', O_RDWR)
    now += 100
    const write = (text: string) => ok(volume.fs.write(ROOT, ino, handle, 0, Buffer.from(text), false))
    const { mode } = sh.stat('f')
    write('two')
    ok(volume.fs.setattr(ROOT, ino, { mode }))
    assert.deepEqual(history('f'), ['one'])
    ok(volume.fs.setattr(ROOT, ino, { mode: 0o600 }))
    assert.deepEqual(history('f'), ['one', 'one'], 'its mode is told')
    write('2')
    ok(volume.fs.setattr(ROOT, ino, { mode: 0o600 }))
    assert.deepEqual(history('f'), ['one', 'one'])
    write('x'.repeat(200_000))
    ok(volume.fs.setattr(ROOT, ino, { mode: 0o600 }))
    assert.deepEqual(history('f'), ['one', 'one'], 'nor through a spool')
    ok(volume.fs.setattr(ROOT, ino, { size: 1 }))
    volume.fs.release(ino, handle)
  })

  it('removed and made again', () => {
    const document = documentOf('f')
    ok(sh.unlink('f'))
    sh.write('f', 'two')
    assert.equal(documentOf('f'), document)
    assert.deepEqual(history('f'), ['one', 'two'])
  })

  it('every close is a version within one commit, too, however it is saved', () => {
    const saves: Record<string, (file: string, text: string) => void> = {
      'removed first': (file, text) => {
        if (typeof sh.find(file) !== 'number') ok(sh.unlink(file))
        sh.write(file, text)
      },
      'backup first': (file, text) => {
        if (typeof sh.find(file) !== 'number') ok(sh.rename(file, `${file}~`))
        sh.write(file, text)
        if (typeof sh.find(`${file}~`) !== 'number') ok(sh.unlink(`${file}~`))
      },
      'renamed over': (file, text) => {
        sh.write(`${file}.tmp`, text)
        ok(sh.rename(`${file}.tmp`, file))
      },
      'backup linked': (file, text) => {
        if (typeof sh.find(`${file}~`) !== 'number') ok(sh.unlink(`${file}~`))
        if (typeof sh.find(file) !== 'number') sh.link(file, `${file}~`)
        sh.write(`${file}.tmp`, text)
        ok(sh.rename(`${file}.tmp`, file))
      },
    }
    volume.reader.refresh()
    const before = volume.reader.meta('documents')
    const texts = ['1', '22', '333', '4444']
    for (const [name, save] of Object.entries(saves)) for (const text of texts) save(name, text)
    for (const name of Object.keys(saves)) assert.deepEqual(history(name), texts, name)
    volume.reader.refresh()
    assert.equal(volume.reader.meta('documents'), before + 5, 'one for each, and the linked backup')
    assert.deepEqual(checkVolume(volume, { folders: false }), [])
  })

  it('a temporary that was committed while it was empty adds no version', () => {
    sh.write('f.tmp', '')
    volume.fold()
    sh.write('f.tmp', 'two')
    volume.fold()
    ok(sh.rename('f.tmp', 'f'))
    assert.deepEqual(history('f'), ['one', 'two'])
    volume.reader.refresh()
    const { document } = volume.engine.state.inode(sh.stat('f').ino)!
    const { head } = volume.batch.view.document(document)!
    assert.equal(volume.batch.reviser.revision(head).parents.length, 1)
    // Nor one that was empty and nothing else, or had another mode.
    sh.write('f.new', '')
    volume.fold()
    const { ino, handle } = sh.open('f.new')
    ok(volume.fs.write(ROOT, ino, handle, 0, Buffer.from('three'), false))
    volume.fs.release(ino, handle)
    ok(sh.rename('f.new', 'f'))
    ok(volume.fs.setattr(ROOT, ino, { mode: 0o600 }))
    assert.deepEqual(history('f'), ['one', 'two', 'three'])
  })

  it('removed, committed, and made again', () => {
    const document = documentOf('f')
    ok(sh.unlink('f'))
    volume.fold()
    sh.write('f', 'two')
    assert.equal(documentOf('f'), document)
    assert.deepEqual(history('f'), ['one', 'two'])
  })

  it('made again too late is another document', () => {
    const document = documentOf('f')
    ok(sh.unlink('f'))
    now += 6000
    sh.write('f', 'two')
    assert.notEqual(documentOf('f'), document)
  })

  it('a file with another name keeps its document', () => {
    const document = documentOf('f')
    const { ino } = sh.stat('f')
    ok(volume.fs.link(ROOT, ino, 1, Buffer.from('g')))
    ok(sh.unlink('f'))
    sh.write('f', 'two')
    assert.equal(documentOf('g'), document)
    assert.notEqual(documentOf('f'), document)
  })

  it('no document is carried by two inodes, however names are juggled', () => {
    ok(sh.rename('f', 'g'))
    ok(sh.rename('g', 'h'))
    sh.write('f', 'two')
    ok(sh.unlink('h'))
    sh.write('g', 'three')
    sh.write('h', 'four')
    const documents = ['f', 'g', 'h'].map(documentOf)
    assert.equal(new Set(documents).size, 3)
    volume.fold(true)
    assert.deepEqual(documents, ['f', 'g', 'h'].map(documentOf))
  })

  it('every close of a changed file is a version, however fast they follow', () => {
    for (const text of ['two', 'three', 'four']) sh.write('f', text)
    const { ino, handle } = sh.open('f', O_RDWR)
    ok(volume.fs.write(ROOT, ino, handle, 0, Buffer.from('FIVE'), false))
    volume.fs.release(ino, handle)
    assert.deepEqual(history('f'), ['one', 'two', 'three', 'four', 'FIVE'])
  })

  it('opening for writing without writing makes none', () => {
    const { ino, handle } = sh.open('f', O_RDWR)
    volume.fs.release(ino, handle)
    assert.deepEqual(history('f'), ['one'])
  })

  it('a name made again whose old file lives on under a name elsewhere: the folder there says so', () => {
    sh.mkdir('d')
    ok(volume.fs.link(ROOT, sh.stat('f').ino, sh.stat('d').ino, name('g')))
    ok(sh.rename('f', 'f~'))
    ok(sh.unlink('f~'))
    volume.fold(true)
    const document = documentOf('d/g')
    sh.write('f', 'two')
    assert.equal(documentOf('f'), document)
    assert.notEqual(documentOf('d/g'), document)
    volume.fold(true)
    volume.reader.refresh()
    assert.deepEqual(checkVolume({ reader: volume.reader, layout: volume.layout }), [])
  })
})
