import assert from 'node:assert/strict'
import fs from 'node:fs'
import { compare, encodeContent, encodeRevision, hashOf, ridOf } from '../../lib/model/index.js'
import { FLAG_CONFLICT, FLAG_STICKY, type Revision, TYPE_LINK } from '../../lib/model/types.js'
import { checkVolume } from '../../lib/store/check.js'
import { ImportError, TooLargeError } from '../../lib/store/errors.js'
import { listSegments } from '../../lib/store/journal-segments.js'
import { PROGRESS_COMMITTED } from '../../lib/store/records.js'
import type { CommittedHead } from '../../lib/store/view.js'
import { AUTHOR, bytesContent, did, FOLDER, inode, stamp, TestVolume } from './support/volume.js'

const text = (content: string) => ({
  content: bytesContent(new Uint8Array(Buffer.from(content))),
  size: content.length,
})

describe('committer', () => {
  let volume: TestVolume

  beforeEach(async () => {
    volume = await TestVolume.create()
  })

  afterEach(async () => {
    const findings = checkVolume({ reader: volume.reader, layout: volume.layout })
    await volume.close()
    assert.deepEqual(findings, [])
  })

  const close = (ino: number, content: string, more = {}) => {
    volume.frame((j) => j.inode(inode(ino, { ...text(content), ...more }), true))
  }

  it('makes one revision of what happens to a file within a batch', async () => {
    volume.put(1, 'a', inode(2), false)
    close(2, 'hello')
    volume.frame((j) => j.inode(inode(2, { ...text('hello'), mode: 0o100600, mtimeSec: 5 }), false))
    await volume.flush()
    const history = volume.history(did(2))
    assert.equal(history.length, 1)
    const [{ attributes, modified, type, flags, author, created }] = history
    assert.deepEqual(attributes, { mode: 0o100600, uid: 1000, gid: 1000, rdev: 0, xattrs: [] })
    assert.deepEqual([modified, type, flags], [{ sec: 5, nsec: 5 }, 'text/plain', 0])
    assert.deepEqual(created, { sec: 1_700_000_000, nsec: 1 })
    assert.deepEqual(author, AUTHOR)
    assert.equal(volume.content(did(2)).toString(), 'hello')
    assert.deepEqual(volume.names(volume.root), ['a'])
    volume.checkSealed()
  })

  it('keeps every closed content as a revision, in order, with growing clocks', async () => {
    volume.put(1, 'a', inode(2, text('0')))
    for (let i = 1; i <= 5; i++) close(2, String(i))
    await volume.flush()
    close(2, '6')
    await volume.flush()
    const history = volume.history(did(2))
    const contents = history.map(({ parts }) => Buffer.from(volume.read(parts.get('content')!)).toString())
    assert.deepEqual(contents, ['6', '5', '4', '3', '2', '1', '0'])
    for (let i = 1; i < history.length; i++) assert.ok(compare(history[i - 1].clock, history[i].clock) > 0)
  })

  it('makes no revision where nothing changed, and one where an attribute did', async () => {
    volume.put(1, 'a', inode(2, text('same')))
    await volume.flush()
    const { lastSeq } = volume.reader
    close(2, 'same')
    volume.frame((j) => j.inode(inode(2, { ...text('same'), ctimeSec: 99 }), false))
    await volume.flush()
    assert.equal(volume.history(did(2)).length, 1)
    assert.equal(volume.reader.lastSeq, lastSeq)
    const xattrs = [{ name: new Uint8Array(Buffer.from('user.a')), value: new Uint8Array([1]) }]
    volume.frame((j) => j.inode(inode(2, { ...text('same'), xattrs }), false))
    await volume.flush()
    assert.deepEqual(volume.revision(did(2))?.attributes.xattrs, xattrs)
    assert.equal(volume.history(did(2)).length, 2)
  })

  it('leaves no trace of what comes and goes within a batch', async () => {
    volume.put(1, 'temporary', inode(2, text('x')))
    volume.frame((j) => {
      j.entryGone(1, Buffer.from('temporary'))
      j.inodeGone(2)
    })
    await volume.flush()
    assert.equal(volume.reader.document(did(2)), undefined)
    assert.equal(volume.reader.inode(2), undefined)
    assert.equal(volume.reader.lastSeq, 1)
    assert.equal(volume.reader.nextIno, 3)
  })

  it('keeps the last content of a file that is removed in the same batch', async () => {
    volume.put(1, 'a', inode(2, text('first')))
    await volume.flush()
    close(2, 'last')
    volume.frame((j) => {
      j.entryGone(1, Buffer.from('a'))
      j.inodeGone(2)
    })
    await volume.flush()
    assert.equal(volume.content(did(2)).toString(), 'last')
    assert.equal(volume.reader.document(did(2))?.ino, 0)
    assert.deepEqual(volume.names(volume.root), [])
  })

  it('goes on with the history of the document that a file is renamed over', async () => {
    volume.put(1, 'file', inode(2, text('old')))
    volume.put(1, 'tmp', inode(3, text('draft')))
    await volume.flush()
    const old = volume.reader.document(did(2))!.head
    const draft = volume.reader.document(did(3))!.head
    close(3, 'new')
    volume.frame((j) => {
      j.inode(inode(3, { ...text('new'), document: did(2) }), true)
      j.inodeGone(2)
      j.entryGone(1, Buffer.from('tmp'))
      j.entry(1, Buffer.from('file'), { ino: 3, type: 8, stamp: stamp() })
    })
    await volume.flush()
    assert.equal(volume.content(did(2)).toString(), 'new')
    const { parents } = volume.revision(did(2))!
    assert.equal(parents.length, 2)
    assert.ok(parents.some((parent) => compare(parent, old) === 0))
    assert.ok(!parents.some((parent) => compare(parent, draft) === 0), 'the head of the other document had moved on')
    assert.equal(volume.reader.document(did(2))?.ino, 3)
    assert.equal(volume.reader.document(did(3))?.ino, 0)
    volume.checkSealed()
  })

  it('gives the name its document back when a backup is made first', async () => {
    volume.put(1, 'file', inode(2, text('old')))
    await volume.flush()
    const old = volume.reader.document(did(2))!.head
    volume.frame((j) => {
      j.entryGone(1, Buffer.from('file'))
      j.entry(1, Buffer.from('file~'), { ino: 2, type: 8, stamp: stamp() })
    })
    await volume.flush()
    volume.frame((j) => {
      j.inode(inode(2, { ...text('old'), document: did(99) }), false)
      j.inode(inode(3, { ...text('new'), document: did(2) }), true)
      j.entry(1, Buffer.from('file'), { ino: 3, type: 8, stamp: stamp() })
    })
    await volume.flush()
    assert.deepEqual(volume.revision(did(2))?.parents, [old])
    assert.deepEqual(volume.revision(did(99))?.parents, [old])
    assert.equal(volume.content(did(2)).toString(), 'new')
    assert.equal(volume.content(did(99)).toString(), 'old')
    volume.checkSealed()
  })

  it('seals folders of hard links when the document of the file changes', async () => {
    volume.mkdir(1, 'd', 2)
    volume.put(1, 'a', inode(3, text('x')))
    volume.frame((j) => {
      j.inode(inode(3, { ...text('x'), nlink: 2 }), false)
      j.entry(2, Buffer.from('b'), { ino: 3, type: 8, stamp: stamp() })
    })
    await volume.flush()
    assert.equal(volume.history(did(3)).length, 1)
    volume.frame((j) => j.inode(inode(3, { ...text('x'), nlink: 2, document: did(50) }), false))
    await volume.flush()
    volume.checkSealed()
  })

  for (const where of ['in the same batch', 'in another batch', 'after a new start'])
    it(`makes a further name of a file its place when just that one is removed, ${where}`, async () => {
      const type = 8 | TYPE_LINK
      volume.mkdir(1, 'd', 2)
      volume.put(1, 'a', inode(3, text('x')))
      volume.frame((j) => {
        j.inode(inode(3, { ...text('x'), nlink: 2 }), false)
        j.entry(2, Buffer.from('b'), { ino: 3, type, stamp: stamp() })
      })
      await volume.flush()
      const lost = volume.reader.entry(1, Buffer.from('a'))!
      if (where === 'after a new start') await volume.crash()
      if (where === 'in the same batch') {
        volume.frame((j) => {
          j.inode(inode(3, { ...text('x'), nlink: 3 }), false)
          j.entry(1, Buffer.from('c'), { ino: 3, type, stamp: stamp() })
        })
      }
      volume.frame((j) => {
        j.inode(inode(3, { ...text('x'), nlink: where === 'in the same batch' ? 2 : 1 }), false)
        j.entryGone(1, Buffer.from('a'))
      })
      await volume.flush()
      volume.reader.refresh()
      const names = [...volume.reader.allEntries()].filter(({ entry }) => entry.ino === 3)
      const places = names.filter(({ entry }) => (entry.type & TYPE_LINK) === 0)
      assert.equal(places.length, 1)
      assert.ok(compare(places[0].entry.stamp, lost.stamp) > 0)
      assert.equal(volume.history(did(3)).length, 1)
      volume.checkSealed()
    })

  it('leaves further names as they are when the place is moved, or one of them is removed', async () => {
    const type = 8 | TYPE_LINK
    volume.put(1, 'a', inode(3, text('x')))
    volume.frame((j) => {
      j.inode(inode(3, { ...text('x'), nlink: 3 }), false)
      j.entry(1, Buffer.from('b'), { ino: 3, type, stamp: stamp() })
      j.entry(1, Buffer.from('c'), { ino: 3, type, stamp: stamp() })
    })
    await volume.flush()
    volume.frame((j) => {
      j.inode(inode(3, { ...text('x'), nlink: 2 }), false)
      j.entryGone(1, Buffer.from('c'))
    })
    const moved = { ino: 3, type: 8, stamp: stamp() }
    volume.frame((j) => {
      j.inode(inode(3, { ...text('x'), nlink: 2 }), false)
      j.entryGone(1, Buffer.from('a'))
      j.entry(1, Buffer.from('d'), moved)
    })
    await volume.flush()
    volume.reader.refresh()
    assert.deepEqual(volume.names(volume.root), ['b', 'd'])
    assert.equal(volume.reader.entry(1, Buffer.from('b'))?.type, type)
    assert.deepEqual(volume.reader.entry(1, Buffer.from('d')), moved)
    volume.checkSealed()
  })

  it('stores equal bytes once', async () => {
    const bytes = Buffer.alloc(300_000, 'some text that is repeated, not quite periodically ')
    for (let ino = 2; ino < 12; ino++) {
      volume.put(1, `file ${ino}`, inode(ino), false)
      volume.write(inode(ino), bytes)
    }
    await volume.flush()
    const end = volume.reader.meta('packEnd')
    assert.ok(end > 0 && end < 400_000, String(end))
    for (let ino = 2; ino < 12; ino++) assert.deepEqual(volume.content(did(ino)), bytes)
  })

  it('seals a folder that grows and shrinks just as if it were sealed at once', async () => {
    volume.mkdir(1, 'd', 2)
    volume.mkdir(2, 'inner', 3)
    for (let round = 0; round < 5; round++) {
      for (let i = 0; i < 200; i++) volume.put(3, `file ${round} ${i}`, inode(1000 * round + 10 + i, { parent: 3 }))
      for (let i = 0; i < 150; i += 1 + round) {
        volume.frame((j) => {
          j.entryGone(3, Buffer.from(`file ${round} ${i}`))
          j.inodeGone(1000 * round + 10 + i)
        })
      }
      await volume.flush()
      volume.checkSealed()
    }
    assert.deepEqual(volume.names(did(2)), ['inner'])
    assert.ok((volume.revision(did(3))!.flags & FLAG_STICKY) !== 0)
    assert.equal(volume.revision(did(3))!.type, 'inode/directory')
  })

  it('tells heads in the order of their numbers, each once, when they are durable', async () => {
    const told: CommittedHead[] = []
    volume.committer.onCommitted = ({ heads }) => told.push(...heads)
    for (let ino = 2; ino < 30; ino++) {
      volume.put(1, `f${ino}`, inode(ino, text('x')))
      if (ino % 7 === 0) await volume.flush()
    }
    await volume.flush()
    const seqs = told.map(({ seq }) => seq)
    assert.deepEqual(
      seqs,
      [...new Set(seqs)].sort((a, b) => a - b),
    )
    assert.equal(seqs.at(-1), volume.reader.lastSeq)
    for (const { document, head, ino } of told.slice(-1)) {
      assert.deepEqual(volume.reader.document(document)?.head, head)
      assert.equal(volume.reader.document(document)?.ino, ino)
    }
    const changes = volume.reader.changes(0, 1000)
    assert.equal(changes.length, volume.reader.meta('documents'))
    assert.deepEqual(volume.reader.changes(changes[3].seq, 2), changes.slice(4, 6))
    assert.equal(Number(volume.progress[PROGRESS_COMMITTED]), volume.journal.written)
  })

  it('knows text from bytes, and kinds of inodes', async () => {
    volume.put(1, 'text', inode(2, text('äöü €')))
    volume.put(1, 'bytes', inode(3, { content: bytesContent(new Uint8Array([0, 1, 2])) }))
    volume.put(1, 'link', inode(4, { ...text('target'), mode: 0o120777 }))
    volume.put(1, 'pipe', inode(5, { mode: 0o010644 }))
    volume.put(1, 'latin', inode(6, { content: bytesContent(new Uint8Array([0xe4, 0x20])) }))
    await volume.flush()
    const types = [2, 3, 4, 5, 6].map((n) => volume.revision(did(n))?.type)
    const bytes = 'application/octet-stream'
    assert.deepEqual(types, ['text/plain', bytes, 'inode/symlink', 'inode/fifo', bytes])
    assert.equal(volume.revision(did(5))?.parts.size, 0)
    close(2, 'still text')
    await volume.flush()
    assert.equal(volume.revision(did(2))?.type, 'text/plain')
  })

  it('takes a content that is closed again although the journal does not have it any more', async () => {
    volume.put(1, 'a', inode(2), false)
    let lsn = 0
    const bytes = Buffer.alloc(6000, 'abc')
    volume.frame((j) => {
      lsn = j.write(2, 0, bytes, 1, 1)
      j.inode(inode(2, { size: 6000, content: { kind: 'journal', lsn, size: 6000 } }), true)
    })
    await volume.flush()
    await volume.crash()
    const again = { size: 6000, content: { kind: 'journal' as const, lsn, size: 6000 } }
    volume.frame((j) => j.inode(inode(2, { ...again, document: did(40) }), true))
    volume.frame((j) => j.inode(inode(2, { ...again, document: did(40), uid: 3 }), false))
    await volume.flush()
    assert.deepEqual(volume.content(did(40)), bytes)
    assert.equal(volume.revision(did(40))?.attributes.uid, 3)
    assert.deepEqual(volume.reports, [])
  })

  describe('with what comes from elsewhere', () => {
    const foreign = (change: Partial<Revision> = {}) => {
      const { content } = encodeContent(Buffer.from('from elsewhere'))
      const revision: Revision = {
        parents: [],
        type: 'text/plain',
        flags: 0,
        created: { sec: 1, nsec: 0 },
        modified: { sec: 2, nsec: 0 },
        author: new Uint8Array(32).fill(9),
        clock: stamp(),
        comment: '',
        attributes: { mode: 0o100644, uid: 0, gid: 0, rdev: 0, xattrs: [] },
        metadata: new Map(),
        parts: new Map([['content', content]]),
        ...change,
      }
      const encoded = encodeRevision(revision)
      return { encoded, rid: ridOf(encoded), content }
    }

    it('sets heads as given, lists conflicts, and makes no revision of it', async () => {
      const { encoded, rid, content } = foreign({ flags: FLAG_CONFLICT })
      assert.deepEqual(await volume.committer.importRevisions([encoded]), [rid])
      volume.frame((j) => {
        j.inode(inode(2, { mtimeSec: 2, content: { kind: 'committed', content } }), false)
        j.entry(1, Buffer.from('a'), { ino: 2, type: 8, stamp: stamp() })
        j.head(did(2), rid)
        j.head(did(3), rid)
      })
      await volume.flush()
      assert.deepEqual(volume.reader.document(did(2))?.head, rid)
      assert.equal(volume.reader.document(did(2))?.ino, 2)
      assert.equal(volume.reader.document(did(3))?.ino, 0)
      assert.equal(volume.history(did(2)).length, 1)
      assert.deepEqual(volume.reader.conflicts(10), [did(2), did(3)])
      volume.frame((j) => j.inode(inode(2, { ...text('from elsewhere'), mtimeSec: 2 }), true))
      await volume.flush()
      assert.deepEqual(volume.reader.conflicts(10), [did(3)], 'closing it settles the conflict')
      assert.equal(volume.history(did(2)).length, 2)
      volume.checkSealed()
    })

    it('refuses revisions and chunks that are not what they should be, as a whole', async () => {
      const { encoded, rid } = foreign()
      const { rid: other, encoded: second } = foreign()
      await assert.rejects(
        volume.committer.importRevisions([encoded, Buffer.concat([second, Buffer.of(0)])]),
        ImportError,
      )
      volume.reader.refresh()
      assert.equal(volume.reader.hasRevision(rid), false)
      assert.equal(volume.reader.hasRevision(other), false)
      const good = { id: hashOf(Buffer.from('good')), bytes: Buffer.from('good') }
      const bad = { id: hashOf(Buffer.from('good!')), bytes: Buffer.from('bad') }
      await assert.rejects(volume.committer.importChunks([good, bad]), ImportError)
      const large = Buffer.alloc(300_000)
      await assert.rejects(volume.committer.importChunks([{ id: hashOf(large), bytes: large }]), ImportError)
      volume.reader.refresh()
      assert.equal(volume.reader.chunk(good.id), undefined)
      await volume.committer.importChunks([good, good])
      volume.reader.refresh()
      assert.equal(Buffer.from(volume.packs.chunk(good.id)).toString(), 'good')
      assert.equal(volume.reader.meta('packEnd'), 4)
    })

    it('parks a head whose revision is not there', async () => {
      volume.put(1, 'a', inode(2, text('x')))
      volume.frame((j) => j.head(did(7), hashOf(Buffer.from('nothing'))))
      volume.put(1, 'b', inode(3, text('y')))
      await volume.flush()
      assert.equal(volume.reader.document(did(7)), undefined)
      assert.equal(volume.reports.length, 1)
      assert.deepEqual(volume.names(volume.root), ['a', 'b'])
    })
  })

  it('keeps settings, within bounds', async () => {
    const value = new Uint8Array([1, 2, 3])
    await volume.committer.setSetting('anchor', value)
    await volume.crash()
    assert.deepEqual(volume.reader.setting('anchor'), value)
    await volume.committer.setSetting('anchor')
    volume.reader.refresh()
    assert.equal(volume.reader.setting('anchor'), undefined)
    await assert.rejects(volume.committer.setSetting('', value), TooLargeError)
    await assert.rejects(volume.committer.setSetting('x'.repeat(201), value), TooLargeError)
    await assert.rejects(volume.committer.setSetting('x', new Uint8Array(70_000)), TooLargeError)
  })

  it('puts a frame that nobody understands aside and goes on', async () => {
    volume.put(1, 'a', inode(2, text('x')))
    volume.frame((j) => {
      j.inode(inode(3, { content: { kind: 'journal', lsn: 2 ** 40, size: 10 } }), true)
    })
    volume.put(1, 'b', inode(4, { ...text('y'), xattrs: [{ name: new Uint8Array(0), value: new Uint8Array(0) }] }))
    volume.put(1, 'c', inode(5, text('z')))
    await volume.flush()
    assert.equal(volume.reports.length, 2)
    assert.deepEqual(volume.names(volume.root), ['a', 'c'])
    assert.deepEqual(volume.reader.unsealed(), [1])
    assert.equal(volume.reader.inode(3), undefined)
  })
})

describe('a journal that cannot be read back', () => {
  it('is told; what came before is committed, and requests are served', async () => {
    const volume = await TestVolume.create()
    try {
      volume.put(1, 'a', inode(2, text('x')))
      const at = volume.journal.written
      volume.put(1, 'b', inode(3, text('y')))
      const [{ file, start }] = listSegments(volume.layout.journal)
      const fd = fs.openSync(file, 'r+')
      fs.writeSync(fd, Buffer.of(0xff), 0, 1, 32 + at - start + 20)
      fs.closeSync(fd)
      await assert.rejects(volume.flush(), /JOURNAL_DAMAGED|damaged/)
      assert.equal(volume.reports.length, 1)
      await volume.committer.setSetting('still', new Uint8Array([1]))
      assert.equal(volume.reports.length, 1)
      await volume.crash()
      assert.deepEqual(volume.names(volume.root), ['a'])
      assert.deepEqual(volume.reader.setting('still'), new Uint8Array([1]))
    } finally {
      await volume.close()
    }
  })
})

describe('while the volume thread is busy', () => {
  it('the committer waits, unless it is asked or falls behind', async () => {
    const volume = await TestVolume.create({ lazyMs: 60_000 })
    try {
      const start = performance.now()
      for (let ino = 100; performance.now() - start < 50; ino++) {
        volume.put(1, `a${ino}`, inode(ino, text('x')))
        if (ino === 100) volume.committer.wake()
        await new Promise((resolve) => setImmediate(resolve))
        assert.equal(volume.committer.batch.committed, 0)
      }
      await volume.flush()
      assert.equal(volume.committer.batch.committed, volume.journal.written)
      const committed = new Promise<void>((resolve) => {
        volume.committer.onCommitted = ({ committed }) => committed > 9 << 20 && resolve()
      })
      for (let ino = 3; ino < 13; ino++) {
        volume.put(1, `f${ino}`, inode(ino), false)
        volume.write(inode(ino), Buffer.alloc(1 << 20, ino))
      }
      volume.committer.wake()
      await committed
    } finally {
      await volume.close()
    }
  })
})

describe('root of a volume that joins another', () => {
  it('is not sealed before its head arrives, unless something is put into it', async () => {
    const [empty, used] = [await TestVolume.create({ join: did(500) }), await TestVolume.create({ join: did(500) })]
    try {
      await empty.flush()
      assert.equal(empty.revision(did(500)), undefined)
      const other = await TestVolume.create()
      const root = other.reader.revision(other.reader.document(other.root)!.head)!
      await other.close()
      await empty.crash()
      const [rid] = await empty.committer.importRevisions([root])
      empty.frame((j) => j.head(did(500), rid))
      empty.put(1, 'mine', inode(2, text('x')))
      await empty.flush()
      assert.deepEqual(empty.names(did(500)), ['mine'])
      assert.deepEqual(empty.revision(did(500))?.parents, [rid])
      empty.checkSealed()

      used.put(1, 'mine', inode(2, text('x')))
      await used.flush()
      assert.deepEqual(used.names(did(500)), ['mine'])
      assert.deepEqual(used.revision(did(500))?.parents, [])
    } finally {
      await empty.close()
      await used.close()
    }
  })
})

describe('folders', () => {
  it('in a folder are sealed first, however deep', async () => {
    const volume = await TestVolume.create()
    try {
      for (let ino = 2; ino < 60; ino++) {
        volume.put(ino - 1, 'd', inode(ino, { mode: FOLDER, nlink: 2, parent: ino - 1 }), false)
      }
      const seen = new Set<string>()
      volume.committer.onCommitted = ({ heads }) => {
        for (const { document } of heads) {
          const inner = volume.revision(document)?.parts.get('entries')
          if (inner && inner.size > 0) {
            const child = volume.reader.inode(
              volume.reader.entries(volume.reader.document(document)!.ino)[0].entry.ino,
            )!
            assert.ok(seen.has(Buffer.from(child.document).toString('hex')))
          }
          seen.add(Buffer.from(document).toString('hex'))
        }
      }
      await volume.flush()
      assert.equal(seen.size, 59)
      volume.checkSealed()
    } finally {
      await volume.close()
    }
  })
})
