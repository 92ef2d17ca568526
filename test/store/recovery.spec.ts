import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { checkVolume } from '../../lib/store/check.js'
import { EMPTY_LIVE } from '../../lib/store/codec.js'
import { ChunkDamagedError, NoSpaceError } from '../../lib/store/errors.js'
import { listSegments } from '../../lib/store/journal-segments.js'
import { type LiveContent, PROGRESS_JOURNAL_END } from '../../lib/store/records.js'
import { bytesContent, did, inode, removeDirectory, TestVolume, temporaryDirectory } from './support/volume.js'

describe('recovery', () => {
  let volume: TestVolume

  beforeEach(async () => {
    volume = await TestVolume.create()
  })

  afterEach(() => volume.close())

  const small = (content: string) => bytesContent(new Uint8Array(Buffer.from(content)))

  it('folds what was not folded, whatever was lost in memory', async () => {
    for (let ino = 2; ino < 50; ino++) volume.put(1, `file ${ino}`, inode(ino, { content: small(`content ${ino}`) }))
    const { written } = volume.journal
    await volume.crash()
    assert.equal(volume.names(volume.root).length, 48)
    assert.equal(volume.content(did(30)).toString(), 'content 30')
    assert.equal(volume.journal.end, written)
    assert.equal(volume.reader.nextIno, 50)
    assert.equal(listSegments(volume.layout.journal).length, 1, 'folded segments are gone')
    volume.checkSealed()
    await volume.crash()
    assert.equal(volume.names(volume.root).length, 48)
  })

  it('makes versions of small files that were open', async () => {
    volume.put(1, 'a', inode(2, { content: small('0123456789') }))
    volume.put(1, 'b', inode(3), false)
    volume.put(1, 'c', inode(4, { content: small('untouched') }))
    await volume.flush()
    volume.frame((j) => j.write(2, 5, Buffer.from('AB'), 1_800_000_000, 7))
    volume.frame((j) => j.truncate(2, 8, 1_800_000_000, 8))
    volume.frame((j) => j.write(3, 3, Buffer.from('xyz'), 1_800_000_001, 9))
    volume.put(1, 'd', inode(5, { content: small('later') }))
    await volume.flush()
    assert.equal(volume.content(did(2)).toString(), '0123456789')
    await volume.crash()
    assert.equal(volume.content(did(2)).toString(), '01234AB7')
    assert.deepEqual(volume.revision(did(2))?.modified, { sec: 1_800_000_000, nsec: 8 })
    assert.equal(volume.content(did(3)).toString(), '\0\0\0xyz')
    assert.equal(volume.history(did(4)).length, 1)
    assert.equal(volume.reports.length, 2)
    await volume.crash()
    assert.equal(volume.history(did(2)).length, 2)
  })

  it('forgets writes that were settled, or made pointless', async () => {
    volume.put(1, 'a', inode(2, { content: small('first') }))
    volume.frame((j) => j.write(2, 0, Buffer.from('FIRST!'), 9, 9))
    volume.frame((j) => j.inode(inode(2, { content: small('second'), size: 6 }), true))
    volume.frame((j) => j.write(2, 0, Buffer.from('gone'), 9, 9))
    volume.frame((j) => j.truncate(2, 0, 9, 9))
    volume.frame((j) => j.write(2, 1, Buffer.from('third'), 9, 9))
    await volume.crash()
    assert.equal(volume.content(did(2)).toString(), '\0third')
    assert.equal(volume.history(did(2)).length, 3)
  })

  it('closes large files that were open', async () => {
    const bytes = randomBytes(100_000)
    volume.put(1, 'a', inode(2), false)
    fs.writeFileSync(volume.layout.spool(1), bytes)
    volume.frame((j) => j.spool(1, 2, EMPTY_LIVE))
    fs.writeFileSync(volume.layout.spool(77), 'of nobody')
    await volume.crash()
    const spool = volume.reader.spool(1)!
    assert.equal(spool.state, 'closed')
    assert.equal(spool.closed?.size, bytes.length)
    assert.deepEqual(volume.reader.inode(2)?.content, { kind: 'spool', spool: 1, size: bytes.length })
    assert.equal(fs.existsSync(volume.layout.spool(77)), false)
    assert.equal(volume.reader.nextSpool, 2)
    await volume.crash()
    assert.equal(volume.reader.spool(1)?.state, 'closed')
  })

  describe('closed large files whose bytes a power cut took', () => {
    const bytes = randomBytes(100_000)
    const spooled = (spool: number, ino: number, length: number | undefined, base: LiveContent = EMPTY_LIVE) => {
      if (length !== undefined) fs.writeFileSync(volume.layout.spool(spool), bytes.subarray(0, length))
      volume.frame((j) => {
        j.spool(spool, ino, base)
        if (base !== EMPTY_LIVE) j.spoolRange(spool, 0, bytes.length)
      })
      const content: LiveContent = { kind: 'spool', spool, size: bytes.length }
      volume.frame((j) => j.inode(inode(ino, { content, size: bytes.length, mtimeSec: 1_800_000_000 }), true))
    }
    const checked = () => {
      assert.deepEqual(checkVolume({ reader: volume.reader, layout: volume.layout }), [])
    }

    for (const length of [undefined, 0, 70_000]) {
      it(`show the version before (${length ?? 'no file'})`, async () => {
        volume.put(1, 'a', inode(2, { content: small('before') }))
        await volume.flush()
        spooled(1, 2, length)
        await volume.crash()
        assert.equal(volume.content(did(2)).toString(), 'before')
        assert.equal(volume.history(did(2)).length, 1, 'and nothing else')
        const row = volume.reader.inode(2)!
        assert.equal(row.content.kind, 'committed')
        assert.deepEqual([row.size, row.mtimeSec], [6, 1_700_000_000])
        assert.match(volume.reports.join('\n'), /inode 2 .* not synced .* the version before is shown/)
        assert.equal(fs.existsSync(volume.layout.spool(1)), false)
        checked()
      })
    }

    it('show the version before although it was made just then', async () => {
      volume.put(1, 'a', inode(2, { content: small('long ago') }))
      await volume.flush()
      volume.frame((j) => j.inode(inode(2, { content: small('before'), mtimeSec: 1_750_000_000 }), true))
      spooled(1, 2, undefined)
      await volume.crash()
      assert.equal(volume.content(did(2)).toString(), 'before')
      assert.equal(volume.reader.inode(2)?.mtimeSec, 1_750_000_000)
      checked()
    })

    it('show the version before although it is large and was not hashed yet', async () => {
      volume.put(1, 'a', inode(2, { content: small('long ago') }))
      await volume.flush()
      spooled(1, 2, bytes.length)
      spooled(2, 2, undefined)
      await volume.crash()
      assert.deepEqual(volume.reader.inode(2)?.content, { kind: 'spool', spool: 1, size: bytes.length })
      checked()
    })

    it('show as much as there is when they are new', async () => {
      volume.put(1, 'a', inode(2), false)
      spooled(1, 2, 70_000)
      volume.put(1, 'b', inode(3), false)
      spooled(2, 3, undefined)
      await volume.crash()
      assert.deepEqual(volume.reader.inode(2)?.content, { kind: 'spool', spool: 1, size: 70_000 })
      assert.equal(volume.reader.spool(1)?.closed?.size, 70_000)
      assert.equal(volume.content(did(3)).length, 0)
      checked()
      await volume.crash()
      assert.equal(volume.reader.inode(2)?.size, 70_000)
    })

    it('lie on each other: the last that is whole is shown', async () => {
      volume.put(1, 'a', inode(2), false)
      spooled(1, 2, bytes.length)
      spooled(2, 2, undefined, { kind: 'spool', spool: 1, size: bytes.length })
      spooled(3, 2, 1000, { kind: 'spool', spool: 2, size: bytes.length })
      await volume.crash()
      assert.deepEqual(volume.reader.inode(2)?.content, { kind: 'spool', spool: 1, size: bytes.length })
      assert.deepEqual(
        volume.reader.spools().map(({ id }) => id),
        [1],
      )
      checked()
    })
  })

  it('removes what was unlinked while open', async () => {
    volume.put(1, 'a', inode(2, { content: small('x') }))
    volume.put(1, 'b', inode(3, { content: small('y') }))
    await volume.flush()
    const unlink = (ino: number, name: string) => {
      volume.frame((j) => {
        j.inode(inode(ino, { content: small('x'), nlink: 0, parent: 0 }), false)
        j.entryGone(1, Buffer.from(name))
      })
    }
    unlink(2, 'a')
    await volume.flush()
    assert.equal(volume.reader.inode(2)?.nlink, 0)
    unlink(3, 'b')
    await volume.crash()
    assert.equal(volume.reader.inode(2), undefined)
    assert.equal(volume.reader.inode(3), undefined)
    assert.equal(volume.reader.document(did(2))?.ino, 0)
    assert.deepEqual(volume.reader.orphans(), [])
  })

  it('keeps everything before a torn frame, and goes on behind it', async () => {
    volume.put(1, 'a', inode(2, { content: small('whole') }))
    const { written } = volume.journal
    volume.put(1, 'b', inode(3, { content: small('torn') }))
    const [{ file, start }] = listSegments(volume.layout.journal)
    fs.truncateSync(file, 32 + written - start + 20)
    await volume.crash()
    assert.deepEqual(volume.names(volume.root), ['a'])
    assert.equal(volume.journal.end, written)
    assert.match(volume.reports.join('\n'), /Cut 20 bytes off the journal/)
    volume.put(1, 'c', inode(4, { content: small('next') }))
    await volume.crash()
    assert.deepEqual(volume.names(volume.root), ['a', 'c'])
    assert.deepEqual(checkVolume({ reader: volume.reader, layout: volume.layout }), [])
  })

  it('lives with a journal that lost its end in a power cut', async () => {
    volume.put(1, 'a', inode(2, { content: small('x') }))
    await volume.flush()
    const { written } = volume.journal
    const [{ file }] = listSegments(volume.layout.journal)
    fs.truncateSync(file, 40)
    await volume.crash()
    assert.equal(volume.journal.end, written)
    volume.put(1, 'b', inode(3, { content: small('y') }))
    await volume.crash()
    assert.deepEqual(volume.names(volume.root), ['a', 'b'])
  })

  it('reads what is left when a pack is damaged, and does not make it worse', async () => {
    for (const ino of [2, 3]) {
      volume.put(1, `f${ino}`, inode(ino), false)
      volume.write(inode(ino), randomBytes(5000))
    }
    await volume.flush()
    const good = volume.content(did(3))
    const fd = fs.openSync(volume.layout.pack(0), 'r+')
    fs.writeSync(fd, 'damage', 10)
    fs.closeSync(fd)
    assert.throws(() => volume.content(did(2)), ChunkDamagedError)
    assert.deepEqual(volume.content(did(3)), good)
    const findings = checkVolume({ reader: volume.reader, layout: volume.layout })
    assert.ok(findings.length > 0 && findings.every(({ kind }) => kind === 'chunk-damaged'))
    fs.truncateSync(volume.layout.pack(0), 100)
    await volume.crash()
    volume.put(1, 'new', inode(4), false)
    volume.write(inode(4), good)
    volume.write(inode(4), randomBytes(6000))
    await volume.flush()
    assert.equal(volume.content(did(4)).length, 6000)
    assert.equal(fs.statSync(volume.layout.pack(0)).size, 100)
  })
})

describe('committing on a full disk', () => {
  let directory: string
  let mounted = false

  beforeEach(function () {
    if (process.platform !== 'linux' || process.getuid?.() !== 0) this.skip()
    directory = temporaryDirectory()
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', directory], { stdio: 'ignore' })
      mounted = true
    } catch {
      this.skip()
    }
  })

  afterEach(() => {
    if (mounted) execFileSync('umount', [directory])
    mounted = false
    removeDirectory(directory)
  })

  it('is tried again until there is space, and loses nothing', async () => {
    const volume = await TestVolume.create({ directory: path.join(directory, 'volume') })
    const ballast = path.join(directory, 'ballast')
    try {
      let ino = 2
      const contents = new Map<number, Buffer>()
      const write = () => {
        const bytes = randomBytes(50_000)
        volume.put(1, `file ${ino}`, inode(ino), false)
        volume.write(inode(ino), bytes)
        contents.set(ino++, bytes)
      }
      for (let i = 0; i < 20; i++) write()
      await volume.flush()
      for (let i = 0; i < 40; i++) write()
      const fd = fs.openSync(ballast, 'w')
      try {
        for (;;) fs.writeSync(fd, Buffer.alloc(4096))
      } catch {
        fs.closeSync(fd)
      }
      // Told so only if it takes longer than it does here.
      const flushed = volume.flush().catch((error) => assert.ok(error instanceof NoSpaceError))
      while (volume.reports.length === 0) await new Promise((resolve) => setTimeout(resolve, 10))
      assert.match(volume.reports[0], /No space left/)
      // The journal has room for what frees space.
      volume.journal.begin()
      volume.journal.entryGone(1, Buffer.from('file 2'))
      volume.journal.inodeGone(2)
      volume.journal.commitFrame(true)
      Atomics.store(volume.progress, PROGRESS_JOURNAL_END, BigInt(volume.journal.written))
      contents.delete(2)
      fs.rmSync(ballast)
      await flushed
      await volume.flush()
      for (const [number, bytes] of contents) assert.deepEqual(volume.content(did(number)), bytes)
      assert.equal(volume.names(volume.root).length, contents.size)
      assert.deepEqual(checkVolume({ reader: volume.reader, layout: volume.layout }), [])
      volume.checkSealed()
    } finally {
      fs.rmSync(ballast, { force: true })
      await volume.close()
    }
  })

  it('is told to who waits, and not more often than once', async () => {
    const volume = await TestVolume.create({ directory: path.join(directory, 'volume') })
    const ballast = path.join(directory, 'ballast')
    try {
      volume.put(1, 'file', inode(2), false)
      volume.write(inode(2), randomBytes(50_000))
      const fd = fs.openSync(ballast, 'w')
      try {
        for (;;) fs.writeSync(fd, Buffer.alloc(4096))
      } catch {
        fs.closeSync(fd)
      }
      await assert.rejects(volume.flush(), NoSpaceError)
      await assert.rejects(volume.committer.setSetting('key', new Uint8Array(1)), NoSpaceError)
      assert.equal(volume.reports.length, 1, volume.reports.join())
      fs.rmSync(ballast)
      await volume.flush()
      assert.match(volume.reports[1], /works again/)
      assert.deepEqual(checkVolume({ reader: volume.reader, layout: volume.layout }), [])
    } finally {
      fs.rmSync(ballast, { force: true })
      await volume.close()
    }
  })

  it('has room for what is removed, and is opened again', async () => {
    const volume = await TestVolume.create({ directory: path.join(directory, 'volume') })
    const ballast = path.join(directory, 'ballast')
    try {
      for (let ino = 2; ino < 8; ino++) volume.put(1, `${ino}`, inode(ino, { content: bytesContent(randomBytes(200)) }))
      await volume.flush()
      const fd = fs.openSync(ballast, 'w')
      try {
        for (;;) fs.writeSync(fd, Buffer.alloc(4096))
      } catch {
        fs.closeSync(fd)
      }
      for (let ino = 2; ino < 7; ino++) {
        volume.journal.begin()
        volume.journal.entryGone(1, Buffer.from(`${ino}`))
        volume.journal.inodeGone(ino)
        volume.journal.commitFrame(true)
        Atomics.store(volume.progress, PROGRESS_JOURNAL_END, BigInt(volume.journal.written))
        if (ino % 2 === 0) await volume.flush()
      }
      assert.deepEqual(volume.reports, [])
      await volume.leave()
      volume.open()
      assert.deepEqual(volume.names(volume.root), ['7'])
      assert.deepEqual(checkVolume({ reader: volume.reader, layout: volume.layout }), [])
    } finally {
      fs.rmSync(ballast, { force: true })
      await volume.close()
    }
  })

  it('is told when a volume is created', async () => {
    const fd = fs.openSync(path.join(directory, 'ballast'), 'w')
    try {
      for (;;) fs.writeSync(fd, Buffer.alloc(4096))
    } catch {
      fs.closeSync(fd)
    }
    await assert.rejects(TestVolume.create({ directory: path.join(directory, 'volume') }), NoSpaceError)
  })
})
