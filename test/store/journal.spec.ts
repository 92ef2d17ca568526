import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import fc from 'fast-check'
import { EMPTY_LIVE, unpackRecord } from '../../lib/store/codec.js'
import { NoSpaceError, StoreError, TooLargeError } from '../../lib/store/errors.js'
import { JournalWriter } from '../../lib/store/journal.js'
import { JournalReader } from '../../lib/store/journal-reader.js'
import { cutJournal, listSegments, removeSegmentsBelow, SEGMENT_HEADER } from '../../lib/store/journal-segments.js'
import type { JournalRecord } from '../../lib/store/records.js'
import { arbitraryInode, arbitraryLive, bytes, ino48 } from './support/arbitrary.js'
import { removeDirectory, temporaryDirectory } from './support/volume.js'

function append(journal: JournalWriter, record: JournalRecord): void {
  switch (record.type) {
    case 'inode':
      return journal.inode(record.inode, record.closed)
    case 'inode-gone':
      return journal.inodeGone(record.ino)
    case 'entry':
      return journal.entry(record.folder, record.name, record.entry)
    case 'entry-gone':
      return journal.entryGone(record.folder, record.name)
    case 'write':
      journal.write(record.ino, record.offset, record.data, record.sec, record.nsec)
      return
    case 'truncate':
      return journal.truncate(record.ino, record.size, record.sec, record.nsec)
    case 'spool':
      return journal.spool(record.spool, record.ino, record.base)
    case 'spool-range':
      return journal.spoolRange(record.spool, record.offset, record.length)
    case 'spool-size':
      return journal.spoolSize(record.spool, record.size)
    case 'spool-gone':
      return journal.spoolGone(record.spool)
    case 'head':
      return journal.head(record.document, record.head)
  }
}

function readAll(directory: string, from = 0): { frames: JournalRecord[][]; reader: JournalReader } {
  const reader = new JournalReader({ directory, from })
  const frames: JournalRecord[][] = []
  for (let frame = reader.next(); frame; frame = reader.next()) {
    const records: JournalRecord[] = []
    while (frame.records.pos < frame.records.end) {
      const record = unpackRecord(frame.records)
      records.push(record.type === 'write' ? { ...record, data: new Uint8Array(record.data) } : record)
    }
    frames.push(records)
  }
  reader.close()
  return { frames, reader }
}

const name = bytes(1, 255)
const times = { sec: fc.maxSafeInteger(), nsec: fc.nat(999_999_999) }
const plain = { noNullPrototype: true }
const record: fc.Arbitrary<JournalRecord> = fc.oneof(
  fc.record({ type: fc.constant('inode' as const), inode: arbitraryInode, closed: fc.boolean() }, plain),
  fc.record({ type: fc.constant('inode-gone' as const), ino: ino48 }, plain),
  fc.record(
    {
      type: fc.constant('entry' as const),
      folder: ino48,
      name,
      entry: fc.record({ ino: ino48, type: fc.nat(15), stamp: bytes(8) }, plain),
    },
    plain,
  ),
  fc.record({ type: fc.constant('entry-gone' as const), folder: ino48, name }, plain),
  fc.record(
    { type: fc.constant('write' as const), ino: ino48, offset: fc.maxSafeNat(), data: bytes(0, 5000), ...times },
    plain,
  ),
  fc.record({ type: fc.constant('truncate' as const), ino: ino48, size: fc.maxSafeNat(), ...times }, plain),
  fc.record({ type: fc.constant('spool' as const), spool: ino48, ino: ino48, base: arbitraryLive }, plain),
  fc.record(
    { type: fc.constant('spool-range' as const), spool: ino48, offset: fc.maxSafeNat(), length: fc.maxSafeNat() },
    plain,
  ),
  fc.record({ type: fc.constant('spool-size' as const), spool: ino48, size: fc.maxSafeNat() }, plain),
  fc.record({ type: fc.constant('spool-gone' as const), spool: ino48 }, plain),
  fc.record({ type: fc.constant('head' as const), document: bytes(16), head: bytes(33) }, plain),
)

describe('journal', () => {
  let directory: string
  let open: JournalWriter[]
  const writer = (end = 0, more = {}) => {
    const journal = new JournalWriter({ directory, end, ...more })
    open.push(journal)
    return journal
  }
  const remove = (journal: JournalWriter, ino: number) => {
    journal.begin()
    journal.inodeGone(ino)
    return journal.commitFrame()
  }

  beforeEach(() => {
    directory = temporaryDirectory()
    open = []
  })

  afterEach(() => {
    for (const journal of open) journal.close()
    removeDirectory(directory)
  })

  it('gives back every record of every frame, over segments, deferred or not', () => {
    const frame = fc.tuple(
      fc.array(record, { minLength: 1, maxLength: 6 }),
      fc.constantFrom('commit', 'defer', 'rotate'),
    )
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 12 }), (frames) => {
        removeDirectory(directory)
        fs.mkdirSync(directory)
        const journal = new JournalWriter({ directory, end: 1000 })
        for (const [records, how] of frames) {
          journal.begin()
          for (const one of records) append(journal, one)
          const lsn = journal.end
          assert.equal(how === 'defer' ? journal.defer() : journal.commitFrame(), lsn)
          if (how === 'rotate') journal.rotate()
        }
        journal.close()
        const { frames: found, reader } = readAll(directory, 0)
        assert.deepEqual(
          found,
          frames.map(([records]) => records),
        )
        assert.equal(reader.cut, undefined)
        assert.equal(reader.position, journal.written)
      }),
      { numRuns: 60 },
    )
  })

  it('has the bytes it always had', () => {
    const journal = writer(0x123456789)
    remove(journal, 7)
    journal.close()
    const file = path.join(directory, '0000000123456789.log')
    assert.equal(
      fs.readFileSync(file).toString('hex'),
      '50444a4f55524e4c01000000896745230100000000000000000000007c99041f' + '07000000c5b91d3d02070000000000',
    )
  })

  it('ends where a frame is torn, at whatever byte', () => {
    const journal = writer()
    const ends = [0]
    for (let ino = 1; ino <= 4; ino++) {
      journal.begin()
      journal.inodeGone(ino)
      journal.entryGone(1, Buffer.from(`name ${ino}`))
      journal.commitFrame()
      ends.push(journal.written)
    }
    journal.close()
    const [{ file }] = listSegments(directory)
    const whole = fs.readFileSync(file)
    for (let length = SEGMENT_HEADER; length < whole.length; length++) {
      fs.writeFileSync(file, whole.subarray(0, length))
      const { frames, reader } = readAll(directory)
      const complete = ends.filter((end) => SEGMENT_HEADER + end <= length).length - 1
      assert.equal(frames.length, complete)
      assert.equal(reader.position, ends[complete])
      const torn = length - SEGMENT_HEADER - ends[complete]
      assert.equal(reader.cut?.bytes ?? 0, torn)
    }
    for (let length = 0; length < SEGMENT_HEADER; length++) {
      fs.writeFileSync(file, whole.subarray(0, length))
      assert.equal(readAll(directory).frames.length, 0)
    }
  })

  it('ends at a frame of which any bit changed', () => {
    const journal = writer()
    for (let ino = 1; ino <= 3; ino++) remove(journal, ino)
    journal.close()
    const [{ file }] = listSegments(directory)
    const whole = fs.readFileSync(file)
    const frame = (whole.length - SEGMENT_HEADER) / 3
    for (let bit = 0; bit < frame * 8; bit++) {
      const bad = Buffer.from(whole)
      bad[SEGMENT_HEADER + frame + (bit >> 3)] ^= 1 << (bit & 7)
      fs.writeFileSync(file, bad)
      const { frames, reader } = readAll(directory)
      assert.equal(frames.length, 1)
      assert.equal(reader.cut?.lsn, frame)
    }
  })

  it('does not take zeros, or frames of another place, for frames', () => {
    const journal = writer()
    remove(journal, 1)
    journal.close()
    const [{ file }] = listSegments(directory)
    const whole = fs.readFileSync(file)
    fs.appendFileSync(file, Buffer.alloc(4096))
    assert.equal(readAll(directory).frames.length, 1)
    fs.writeFileSync(file, Buffer.concat([whole, whole.subarray(SEGMENT_HEADER)]))
    assert.equal(readAll(directory).frames.length, 1)
  })

  it('reads back data by position, on file or not yet, also after segments are gone', () => {
    const journal = writer()
    const data = Buffer.from('some bytes')
    journal.begin()
    const first = journal.write(5, 0, data, 1, 2)
    journal.defer()
    assert.deepEqual(Buffer.from(journal.readBytes(first, data.length)), data)
    journal.rotate()
    journal.begin()
    const second = journal.write(5, 0, Buffer.from('more'), 1, 2)
    journal.commitFrame()
    assert.deepEqual(Buffer.from(journal.readBytes(first, data.length)), data)
    assert.equal(Buffer.from(journal.readBytes(second, 4)).toString(), 'more')
    const reader = new JournalReader({ directory, from: 0 })
    assert.deepEqual(Buffer.from(reader.readBytes(first, data.length)), data)
    assert.equal(Buffer.from(reader.readBytes(second, 4)).toString(), 'more')
    reader.close()
    assert.equal(removeSegmentsBelow(directory, second), 1)
    assert.deepEqual(Buffer.from(journal.readBytes(first, data.length)), data)
    journal.sync()
    journal.release(second)
    assert.throws(() => journal.readBytes(first, data.length), StoreError)
  })

  it('is followed by a reader while it grows and rotates', () => {
    const journal = writer(0, { rotateAt: 200 })
    const reader = new JournalReader({ directory, from: 0 })
    for (let ino = 1; ino < 100; ino++) {
      remove(journal, ino)
      if (journal.needsRotation) journal.rotate()
      assert.equal(reader.next(journal.written)?.end, journal.written)
      assert.equal(reader.next(journal.written), undefined)
    }
    assert.ok(listSegments(directory).length > 5)
    assert.equal(reader.cut, undefined)
    reader.close()
  })

  it('says what has to be synced, once', () => {
    const journal = writer()
    remove(journal, 1)
    const first = journal.sync()
    assert.equal(first.directory, directory)
    assert.equal(first.upTo, journal.written)
    for (const fd of first.fds) fs.fdatasyncSync(fd)
    assert.deepEqual(journal.sync(), { fds: [], upTo: journal.written })
    journal.rotate()
    remove(journal, 2)
    assert.equal(journal.sync().fds.length, 1)
  })

  it('puts segments behind a cut aside', () => {
    const journal = writer()
    remove(journal, 1)
    const middle = journal.written
    remove(journal, 2)
    journal.rotate()
    remove(journal, 3)
    journal.close()
    const [{ file }] = listSegments(directory)
    fs.truncateSync(file, SEGMENT_HEADER + middle + 3)
    const { frames, reader } = readAll(directory)
    assert.equal(frames.length, 1)
    assert.equal(cutJournal(directory, reader.cut!.lsn).length, 1)
    const again = writer(reader.cut!.lsn)
    remove(again, 4)
    assert.equal(readAll(directory).frames.length, 2)
  })

  it('refuses frames without records, records that are too large, and what was abandoned', () => {
    const journal = writer()
    journal.begin()
    assert.throws(() => journal.commitFrame(), StoreError)
    assert.throws(() => journal.commitFrame(), StoreError)
    journal.begin()
    assert.throws(() => journal.write(1, 0, new Uint8Array((1 << 20) + 1), 0, 0), TooLargeError)
    journal.inodeGone(1)
    journal.abandon()
    assert.equal(journal.end, 0)
    journal.begin()
    journal.spool(1, 2, EMPTY_LIVE)
    journal.commitFrame()
    assert.equal(readAll(directory).frames.length, 1)
  })

  describe('on a full disk', () => {
    const mounted: string[] = []

    beforeEach(function () {
      if (process.platform !== 'linux' || process.getuid?.() !== 0) this.skip()
      try {
        execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', directory], { stdio: 'ignore' })
      } catch {
        this.skip()
      }
      mounted.push(directory)
    })

    afterEach(() => {
      for (const journal of open.splice(0)) journal.close()
      for (const mount of mounted.splice(0)) execFileSync('umount', [mount])
    })

    it('answers ENOSPC, keeps what there is, and has room for what frees space', () => {
      const journal = writer()
      const data = Buffer.alloc(10_000, 1)
      const write = () => {
        journal.begin()
        journal.write(1, 0, data, 0, 0)
        journal.commitFrame()
      }
      let frames = 0
      assert.throws(() => {
        for (;;) {
          write()
          frames++
        }
      }, NoSpaceError)
      assert.ok(frames > 100)
      assert.throws(write, NoSpaceError)
      const { written } = journal
      for (let ino = 1; ino <= 1000; ino++) {
        journal.begin()
        journal.inodeGone(ino)
        journal.entryGone(1, Buffer.from(`file ${ino}`))
        journal.commitFrame(true)
      }
      assert.ok(journal.written > written)
      const { frames: found, reader } = readAll(directory)
      assert.equal(found.length, frames + 1000)
      assert.equal(reader.cut, undefined)
    })

    it('cannot rotate, and goes on in the old segment', () => {
      const journal = writer()
      remove(journal, 1)
      fs.writeFileSync(path.join(directory, 'ballast'), '')
      assert.throws(() => {
        for (;;) fs.appendFileSync(path.join(directory, 'ballast'), Buffer.alloc(4096))
      }, /ENOSPC/)
      assert.throws(() => journal.rotate(), NoSpaceError)
      fs.rmSync(path.join(directory, 'ballast'))
      remove(journal, 2)
      assert.equal(readAll(directory).frames.length, 2)
      assert.equal(listSegments(directory).length, 1)
    })
  })
})
