import assert from 'node:assert/strict'
import fc from 'fast-check'
import * as codec from '../../lib/store/codec.js'
import { EncodingError, TooLargeError } from '../../lib/store/errors.js'
import { key48, key64, read48, read64 } from '../../lib/store/keys.js'
import { decodeLocation, encodeLocation } from '../../lib/store/tables.js'
import { arbitraryInode, arbitraryLive, bytes, ino48 } from './support/arbitrary.js'
import { did, inode } from './support/volume.js'

const hexOf = (data: Uint8Array) => Buffer.from(data).toString('hex')

describe('rows of the tables', () => {
  it('come back as they were', () => {
    fc.assert(
      fc.property(arbitraryInode, (row) => {
        assert.deepEqual(codec.decodeInode(row.ino, codec.encodeInode(row)), row)
      }),
    )
    fc.assert(
      fc.property(ino48, fc.integer({ min: 0, max: 15 }), bytes(8), (ino, type, stamp) => {
        const entry = { ino, type, stamp }
        assert.deepEqual(codec.decodeEntry(codec.encodeEntry(entry)), entry)
      }),
    )
    fc.assert(
      fc.property(bytes(33), ino48, fc.maxSafeNat(), (head, ino, seq) => {
        assert.deepEqual(codec.decodeDocument(codec.encodeDocument({ head, ino, seq })), { head, ino, seq })
      }),
    )
  })

  it('of spools come back as they were', () => {
    const range = fc.tuple(fc.maxSafeNat(), fc.maxSafeNat())
    const spool = fc.record(
      {
        ino: ino48,
        base: arbitraryLive,
        ranges: fc.array(range, { maxLength: 50 }),
        baseSize: fc.maxSafeNat(),
        state: fc.constantFrom('open' as const, 'closed' as const, 'committed' as const),
      },
      { noNullPrototype: true },
    )
    fc.assert(
      fc.property(spool, fc.boolean(), (row, more) => {
        const content = { size: 99_999, root: new Uint8Array(33).fill(3), levels: 2 }
        const closed = { document: did(9), size: 5, mtimeSec: -7, mtimeNsec: 8 }
        const full = more ? { ...row, content, closed } : row
        assert.deepEqual(codec.decodeSpool(codec.encodeSpool(full)), full)
      }),
    )
  })

  it('have the bytes they always had', () => {
    const row = inode(0x0102_0304_0506, {
      size: 5,
      content: { kind: 'bytes', bytes: new Uint8Array([1, 2]) },
      mtimeSec: -1,
      xattrs: [{ name: Buffer.from('user.a'), value: new Uint8Array([255]) }],
    })
    assert.equal(
      hexOf(codec.encodeInode(row)),
      '01d0d0d0d0d0d0d0d0d0d0d0d003040506a4810000e8030000e80300000000000001000000' +
        '0500000000000000ffffffffffffffff0500000000f153650000000005000000' +
        '00f15365000000000100000001000000000002020001020100' +
        '06757365722e6101000000ff',
    )
    const head = new Uint8Array(33).fill(0x12)
    assert.equal(
      hexOf(codec.encodeDocument({ head, ino: 7, seq: 0x1_0000_0002 })),
      `01${'12'.repeat(33)}0700000000000200000001000000`,
    )
    const stamp = new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8])
    assert.equal(hexOf(codec.encodeEntry({ ino: 258, type: 8, stamp })), '020100000000080102030405060708')
    assert.equal(
      hexOf(codec.encodeSpool({ ino: 3, base: codec.EMPTY_LIVE, ranges: [[1, 2]], baseSize: 4, state: 'closed' })),
      '010300000000000104000000000000000000000000010000000100000000000000' + '0200000000000000',
    )
    const location = { pack: 1, offset: 0x1_0000_0000_00, length: 9 }
    assert.equal(hexOf(encodeLocation(location)), '0100000000000000000109000000')
    assert.deepEqual(decodeLocation(encodeLocation(location)), location)
  })

  it('are refused when cut short, too long or of another version', () => {
    const row = codec.encodeInode(inode(5))
    for (let length = 0; length < row.length; length++) {
      assert.throws(() => codec.decodeInode(5, row.subarray(0, length)), EncodingError)
    }
    assert.throws(() => codec.decodeInode(5, Buffer.concat([row, Buffer.of(0)])), EncodingError)
    assert.throws(() => codec.decodeInode(5, Buffer.concat([Buffer.of(2), row.subarray(1)])), EncodingError)
  })

  it('have bounds', () => {
    const large = { kind: 'bytes' as const, bytes: new Uint8Array(codec.BYTES_MAX + 1) }
    assert.throws(() => codec.encodeInode(inode(5, { content: large })), TooLargeError)
    const value = new Uint8Array(64 * 1024)
    const xattrs = [1, 2, 3, 4, 5].map((n) => ({ name: Buffer.from(`user.${n}`), value }))
    assert.throws(() => codec.encodeInode(inode(5, { xattrs })), TooLargeError)
  })
})

describe('keys', () => {
  it('sort as numbers do, and come back', () => {
    fc.assert(
      fc.property(ino48, ino48, fc.maxSafeNat(), fc.maxSafeNat(), (a, b, c, d) => {
        assert.equal(read48(key48(a)), a)
        assert.equal(read64(key64(c)), c)
        assert.equal(Math.sign(Buffer.compare(key48(a), key48(b))), Math.sign(a - b))
        assert.equal(Math.sign(Buffer.compare(key64(c), key64(d))), Math.sign(c - d))
      }),
    )
  })
})
