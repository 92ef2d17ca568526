import assert from 'node:assert/strict'
import fc from 'fast-check'
import { encodeNotification } from '../../lib/fuse/notify.js'
import { Fattr } from '../../lib/fuse/opcodes.js'
import {
  direntSize,
  i64,
  put64,
  putAttributes,
  putDirent,
  putEntry,
  putNoEntry,
  readChanges,
  u64,
  wordsOf,
} from '../../lib/fuse/protocol.js'

const safe = fc.maxSafeInteger()

function block(size: number): { bytes: Buffer; words: Uint32Array } {
  const bytes = Buffer.from(new ArrayBuffer(size)).fill(0xee)
  return { bytes, words: wordsOf(bytes) }
}

const attributes = {
  ...{
    ino: 2 ** 40 + 5,
    mode: 0o100644,
    nlink: 3,
    uid: 1000,
    gid: 100,
    rdev: 0x103,
    size: 2 ** 45 + 1,
    blocks: 2 ** 36,
  },
  ...{ atimeSec: -5, atimeNsec: 1, mtimeSec: 2 ** 33, mtimeNsec: 999_999_999, ctimeSec: 0, ctimeNsec: 7 },
}
const valid = { entrySec: 3600, entryNsec: 5, attrSec: 2 ** 33, attrNsec: 6, blockSize: 4096 }

describe('protocol', () => {
  it('64-bit fields are what Node reads and writes', () => {
    const { bytes, words } = block(16)
    fc.assert(
      fc.property(safe, (n) => {
        put64(words, 1, n)
        assert.equal(bytes.readBigInt64LE(4), BigInt(n))
        assert.equal(i64(words, 1), n)
        if (n >= 0) assert.equal(u64(words, 1), n)
      }),
    )
  })

  it('fuse_entry_out and fuse_attr lie where linux/fuse.h has them', () => {
    const { bytes, words } = block(128)
    putEntry(words, 0, attributes, valid)
    assert.equal(bytes.readBigUInt64LE(0), BigInt(attributes.ino))
    assert.equal(bytes.readBigUInt64LE(8), 0n, 'generation')
    assert.equal(bytes.readBigUInt64LE(16), 3600n)
    assert.equal(bytes.readBigUInt64LE(24), 2n ** 33n)
    assert.deepEqual([bytes.readUInt32LE(32), bytes.readUInt32LE(36)], [5, 6])
    const attr = bytes.subarray(40)
    const long = [0, 8, 16, 24, 32, 40].map((at) => attr.readBigInt64LE(at))
    assert.deepEqual(long, [2n ** 40n + 5n, 2n ** 45n + 1n, 2n ** 36n, -5n, 2n ** 33n, 0n])
    const short = [48, 52, 56, 60, 64, 68, 72, 76, 80, 84].map((at) => attr.readUInt32LE(at))
    assert.deepEqual(short, [1, 999_999_999, 7, 0o100644, 3, 1000, 100, 0x103, 4096, 0])
  })

  it('a name that does not exist is an entry of node 0 with a time', () => {
    const { bytes, words } = block(128)
    putNoEntry(words, 0, 60, 5)
    assert.equal(bytes.readBigUInt64LE(0), 0n)
    assert.equal(bytes.readBigUInt64LE(16), 60n)
    assert.equal(bytes.readUInt32LE(32), 5)
    assert.ok(bytes.subarray(40).every((b) => b === 0))
  })

  it('directory entries are padded with zeros to 8 bytes and follow one another', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 255 }), { maxLength: 8 }),
        fc.boolean(),
        (names, plus) => {
          const { bytes, words } = block(8 * 512)
          let at = 0
          names.forEach((name, i) => {
            const entry = { name: Buffer.from(name), ino: i + 9, type: 8, offset: i + 1 }
            at = putDirent(bytes, words, at, entry, attributes, plus ? valid : undefined)
          })
          let read = 0
          for (const [i, name] of names.entries()) {
            const start = read + (plus ? 128 : 0)
            if (plus) assert.equal(bytes.readBigUInt64LE(read), BigInt(attributes.ino))
            assert.equal(bytes.readBigUInt64LE(start), BigInt(i + 9))
            assert.equal(bytes.readBigUInt64LE(start + 8), BigInt(i + 1))
            assert.equal(bytes.readUInt32LE(start + 16), name.length)
            assert.ok(bytes.subarray(start + 24, start + 24 + name.length).equals(name))
            const end = read + direntSize(name.length, plus)
            assert.ok(bytes.subarray(start + 24 + name.length, end).every((b) => b === 0))
            assert.equal(end % 8, 0)
            read = end
          }
          assert.equal(read, at)
        },
      ),
    )
  })

  it('fuse_setattr_in: only what is valid, times of either sign, now and omitted', () => {
    const { bytes, words } = block(88)
    bytes.fill(0)
    const set = (mask: number) => bytes.writeUInt32LE(mask, 0)
    bytes.writeBigUInt64LE(7n, 8)
    bytes.writeBigUInt64LE(2n ** 40n, 16)
    bytes.writeBigInt64LE(-3n, 32)
    bytes.writeBigInt64LE(2n ** 33n, 40)
    bytes.writeUInt32LE(11, 56)
    bytes.writeUInt32LE(12, 60)
    bytes.writeUInt32LE(0o100755, 68)
    bytes.writeUInt32LE(1000, 76)
    bytes.writeUInt32LE(4_000_000_000, 80)
    set(0)
    assert.deepEqual(readChanges(words, 0), { killSetIds: true })
    set(Fattr.MODE | Fattr.SIZE | Fattr.FH)
    assert.deepEqual(readChanges(words, 0), { mode: 0o100755, size: 2 ** 40, handle: 7 })
    set(Fattr.ATIME | Fattr.MTIME | Fattr.MTIME_NOW)
    assert.deepEqual(readChanges(words, 0), { atime: { sec: -3, nsec: 11 }, mtime: 'now' })
    set(Fattr.MTIME)
    assert.deepEqual(readChanges(words, 0), { mtime: { sec: 2 ** 33, nsec: 12 } })
    set(Fattr.UID | Fattr.GID)
    assert.deepEqual(readChanges(words, 0), { uid: 1000, gid: 4_000_000_000, killSetIds: true })
  })

  it('notifications', () => {
    const inode = encodeNotification({ kind: 'inode', ino: 5, data: true })
    assert.deepEqual([inode.length, inode.readUInt32LE(0), inode.readInt32LE(4)], [40, 40, 2])
    assert.deepEqual(
      [16, 24, 32].map((at) => inode.readBigInt64LE(at)),
      [5n, 0n, -1n],
    )
    assert.equal(encodeNotification({ kind: 'inode', ino: 5, data: false }).readBigInt64LE(24), -1n)
    const entry = encodeNotification({ kind: 'entry', parent: 1, name: Buffer.from('abc') })
    assert.deepEqual([entry.length, entry.readInt32LE(4), entry.readUInt32LE(24)], [36, 3, 3])
    assert.equal(entry.toString('latin1', 32), 'abc\0')
    const gone = encodeNotification({ kind: 'delete', parent: 1, child: 9, name: Buffer.from('abc') })
    assert.deepEqual([gone.length, gone.readInt32LE(4), gone.readUInt32LE(32)], [44, 6, 3])
    assert.equal(gone.readBigUInt64LE(24), 9n)
    assert.equal(gone.toString('latin1', 40), 'abc\0')
  })

  it('attributes leave what lies around them alone', () => {
    const { words } = block(96)
    putAttributes(words, 1, attributes, 4096)
    assert.equal(words[0], 0xeeeeeeee)
    assert.equal(words[23], 0xeeeeeeee)
  })
})
