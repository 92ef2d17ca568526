import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import fc from 'fast-check'
import { buildContent, cut, hashOf, inlineContent } from '../../lib/model/index.js'
import { type Content, INLINE_MAX } from '../../lib/model/types.js'
import { checkVolume } from '../../lib/store/check.js'
import { EMPTY_LIVE } from '../../lib/store/codec.js'
import { ImportError } from '../../lib/store/errors.js'
import type { LiveContent } from '../../lib/store/records.js'
import type { SpoolCommit } from '../../lib/store/spool-commit.js'
import { addRange, cutRanges, type Range } from '../../lib/store/spool-ranges.js'
import { bytesContent, did, inode, TestVolume } from './support/volume.js'

/** What the hashers answer for these bytes. */
function hashed(spool: number, bytes: Uint8Array): SpoolCommit {
  if (bytes.length <= INLINE_MAX) return { spool, content: inlineContent(bytes), chunks: [], lists: [] }
  const chunks: SpoolCommit['chunks'] = []
  let offset = 0
  for (const length of cut(bytes)) {
    chunks.push({ id: hashOf(bytes.subarray(offset, offset + length)), offset, length })
    offset += length
  }
  return { spool, ...buildContent(chunks.map(({ id, length }) => ({ id, size: length }))), chunks }
}

describe('spools', () => {
  let volume: TestVolume

  beforeEach(async () => {
    volume = await TestVolume.create()
  })

  afterEach(async () => {
    const findings = checkVolume({ reader: volume.reader, layout: volume.layout })
    await volume.close()
    assert.deepEqual(findings, [])
  })

  const begin = (spool: number, ino: number, bytes: Uint8Array, base: LiveContent = EMPTY_LIVE) => {
    fs.writeFileSync(volume.layout.spool(spool), bytes)
    volume.frame((j) => j.spool(spool, ino, base))
  }
  const closed = (spool: number, ino: number, size: number) => {
    const content: LiveContent = { kind: 'spool', spool, size }
    volume.frame((j) => j.inode(inode(ino, { content, size }), true))
  }
  const spooled = (spool: number, ino: number, bytes: Uint8Array) => {
    begin(spool, ino, bytes)
    closed(spool, ino, bytes.length)
  }

  it('are copied into packs when small, and leave nothing behind', async () => {
    const bytes = randomBytes(300_000)
    volume.put(1, 'a', inode(2), false)
    spooled(1, 2, bytes)
    volume.put(1, 'b', inode(3, { content: bytesContent(new Uint8Array([1])) }))
    await volume.flush()
    assert.equal(volume.revision(did(2)), undefined)
    assert.deepEqual(volume.names(volume.root), ['b'], 'an entry whose document has no head is left out')
    assert.equal(volume.reader.spool(1)?.state, 'closed')
    assert.equal(await volume.committer.commitContent(hashed(1, bytes)), 'copied')
    await volume.flush()
    assert.deepEqual(volume.content(did(2)), bytes)
    assert.deepEqual(volume.names(volume.root), ['a', 'b'])
    assert.equal(volume.reader.spool(1)?.state, 'committed')
    assert.equal(await volume.committer.commitContent(hashed(1, bytes)), 'known')
    volume.frame((j) => j.spoolGone(1))
    await volume.flush()
    assert.equal(volume.reader.spool(1), undefined)
    assert.equal(fs.existsSync(volume.layout.spool(1)), false)
    assert.equal(await volume.committer.commitContent(hashed(1, bytes)), 'gone')
    volume.checkSealed()
  })

  it('become packs when large and new, and stay readable when the spool goes', async () => {
    const bytes = randomBytes(9 << 20)
    volume.put(1, 'large', inode(2), false)
    spooled(1, 2, bytes)
    await volume.flush()
    const { ino } = fs.statSync(volume.layout.spool(1))
    assert.equal(await volume.committer.commitContent(hashed(1, bytes)), 'adopted')
    volume.frame((j) => j.spoolGone(1))
    await volume.flush()
    assert.equal(fs.statSync(volume.layout.pack(1)).ino, ino)
    assert.deepEqual(volume.content(did(2)), bytes)
    // The same bytes again: nothing is stored.
    volume.put(1, 'again', inode(3), false)
    spooled(2, 3, bytes)
    await volume.flush()
    assert.equal(await volume.committer.commitContent(hashed(2, bytes)), 'copied')
    assert.deepEqual(fs.readdirSync(volume.layout.packs).sort().at(-1), '00000001.pack')
    // Appending goes on in the pack before.
    volume.put(1, 'small', inode(4), false)
    volume.write(inode(4), randomBytes(5000))
    await volume.crash()
    assert.deepEqual(volume.content(did(2)), bytes)
    assert.equal(volume.content(did(4)).length, 5000)
    volume.checkSealed()
  })

  it('over a base are put together from both', async () => {
    const base = randomBytes(400_000)
    volume.put(1, 'a', inode(2), false)
    volume.write(inode(2), base)
    await volume.flush()
    const own = randomBytes(100)
    const content = volume.revision(did(2))!.parts.get('content')!
    begin(1, 2, Buffer.alloc(0), { kind: 'committed', content })
    const fd = fs.openSync(volume.layout.spool(1), 'r+')
    fs.writeSync(fd, own, 0, 100, 200_000)
    fs.writeSync(fd, own, 0, 100, 390_000)
    fs.ftruncateSync(fd, 450_000)
    fs.closeSync(fd)
    volume.frame((j) => {
      j.spoolRange(1, 200_000, 100)
      j.spoolRange(1, 390_000, 100)
      j.spoolSize(1, 350_000)
      j.spoolSize(1, 450_000)
    })
    closed(1, 2, 450_000)
    await volume.flush()
    const expected = Buffer.alloc(450_000)
    base.copy(expected, 0, 0, 350_000)
    own.copy(expected, 200_000)
    await volume.committer.commitContent(hashed(1, expected))
    assert.deepEqual(volume.content(did(2)), expected)
    assert.equal(volume.history(did(2)).length, 2)
  })

  it('that were closed before the inode moved on are kept in its history', async () => {
    const bytes = randomBytes(200_000)
    volume.put(1, 'a', inode(2), false)
    spooled(1, 2, bytes)
    volume.frame((j) => j.inode(inode(2, { content: bytesContent(new Uint8Array(Buffer.from('newer'))) }), true))
    volume.frame((j) => j.spoolGone(1))
    await volume.flush()
    assert.equal(volume.content(did(2)).toString(), 'newer')
    assert.ok(fs.existsSync(volume.layout.spool(1)), 'its content is not stored yet')
    await volume.committer.commitContent(hashed(1, bytes))
    assert.equal(volume.content(did(2)).toString(), 'newer')
    const sizes = volume.history(did(2)).map(({ parts }) => parts.get('content')!.size)
    assert.deepEqual(sizes, [5, 200_000, 5])
    assert.equal(volume.reader.spool(1), undefined)
    assert.equal(fs.existsSync(volume.layout.spool(1)), false)
    await volume.flush()
    volume.checkSealed()
  })

  it('on top of one another are settled one after the other', async () => {
    const first = randomBytes(200_000)
    volume.put(1, 'a', inode(2), false)
    spooled(1, 2, first)
    begin(2, 2, Buffer.from('changed'), { kind: 'spool', spool: 1, size: first.length })
    volume.frame((j) => j.spoolRange(2, 0, 7))
    closed(2, 2, first.length)
    await volume.flush()
    assert.equal(volume.reader.spool(2)?.base.kind, 'spool')
    await volume.committer.commitContent(hashed(1, first))
    volume.reader.refresh()
    assert.equal(volume.reader.spool(2)?.base.kind, 'committed')
    const second = Buffer.from(first)
    second.write('changed')
    await volume.committer.commitContent(hashed(2, second))
    assert.deepEqual(volume.content(did(2)), second)
    assert.deepEqual(
      volume.history(did(2)).map(({ parts }) => parts.get('content')!.root && parts.get('content')!.size),
      [200_000, 200_000],
    )
  })

  it('of files that are gone leave no trace, unless the document had a version', async () => {
    volume.put(1, 'a', inode(2), false)
    spooled(1, 2, randomBytes(100_000))
    volume.frame((j) => {
      j.entryGone(1, Buffer.from('a'))
      j.inodeGone(2)
      j.spoolGone(1)
    })
    await volume.flush()
    assert.deepEqual(volume.reader.spools(), [])
    assert.equal(fs.existsSync(volume.layout.spool(1)), false)
    volume.put(1, 'b', inode(3, { content: bytesContent(new Uint8Array([1])) }))
    const bytes = randomBytes(100_000)
    spooled(2, 3, bytes)
    await volume.flush()
    volume.frame((j) => {
      j.entryGone(1, Buffer.from('b'))
      j.inodeGone(3)
      j.spoolGone(2)
    })
    await volume.flush()
    await volume.committer.commitContent(hashed(2, bytes))
    assert.deepEqual(volume.content(did(3)), bytes)
    assert.deepEqual(volume.reader.spools(), [])
  })

  it('are refused a content that cannot be theirs', async () => {
    const bytes = randomBytes(100_000)
    volume.put(1, 'a', inode(2), false)
    begin(1, 2, bytes)
    await volume.flush()
    const request = hashed(1, bytes)
    await assert.rejects(volume.committer.commitContent(request), ImportError, 'it is open')
    closed(1, 2, bytes.length)
    await volume.flush()
    const content: Content = { ...request.content, size: 5 }
    await assert.rejects(volume.committer.commitContent({ ...request, content }), ImportError)
    const lists = [{ id: hashOf(bytes), bytes: Buffer.from('no') }]
    await assert.rejects(volume.committer.commitContent({ ...request, lists }), ImportError)
    const chunks = [{ id: hashOf(bytes), offset: 99_999, length: 100 }]
    await assert.rejects(volume.committer.commitContent({ ...request, chunks }), ImportError)
    assert.equal(await volume.committer.commitContent(request), 'copied')
    assert.deepEqual(volume.content(did(2)), bytes)
  })

  it('whose file is missing fail alone', async () => {
    const bytes = randomBytes(100_000)
    volume.put(1, 'a', inode(2), false)
    spooled(1, 2, bytes)
    await volume.flush()
    fs.renameSync(volume.layout.spool(1), `${volume.layout.spool(1)}.away`)
    await assert.rejects(volume.committer.commitContent(hashed(1, bytes)), /ENOENT/)
    volume.put(1, 'b', inode(3, { content: bytesContent(new Uint8Array([1])) }))
    await volume.flush()
    assert.equal(volume.content(did(3)).length, 1)
    fs.renameSync(`${volume.layout.spool(1)}.away`, volume.layout.spool(1))
    await volume.committer.commitContent(hashed(1, bytes))
    assert.deepEqual(volume.content(did(2)), bytes)
  })
})

describe('ranges of a spool', () => {
  it('are what a set of bytes is', () => {
    const step = fc.oneof(fc.record({ at: fc.nat(200), length: fc.nat(40) }), fc.record({ cut: fc.nat(250) }))
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const ranges: Range[] = []
        const model = new Set<number>()
        for (const one of steps) {
          if ('cut' in one) {
            cutRanges(ranges, one.cut)
            for (const byte of model) if (byte >= one.cut) model.delete(byte)
          } else {
            addRange(ranges, one.at, one.length)
            for (let i = 0; i < one.length; i++) model.add(one.at + i)
          }
        }
        const bytes = ranges.flatMap(([at, length]) => Array.from({ length }, (_, i) => at + i))
        assert.deepEqual(
          bytes,
          [...model].sort((a, b) => a - b),
        )
        for (let i = 1; i < ranges.length; i++) assert.ok(ranges[i - 1][0] + ranges[i - 1][1] < ranges[i][0])
      }),
    )
  })
})
