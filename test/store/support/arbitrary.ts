// fast-check arbitraries of what the store writes.

import fc from 'fast-check'
import type { InodeRecord, LiveContent } from '../../../lib/store/records.js'

const plain = (data: Uint8Array) => new Uint8Array(data)

export const bytes = (minLength: number, maxLength = minLength) => fc.uint8Array({ minLength, maxLength }).map(plain)
export const ino48 = fc.maxSafeNat().map((n) => n % 2 ** 48)
const uint32 = fc.integer({ min: 0, max: 0xffffffff })
const seconds = fc.maxSafeInteger()
const nanoseconds = fc.integer({ min: 0, max: 999_999_999 })

export const arbitraryLive: fc.Arbitrary<LiveContent> = fc.oneof(
  bytes(0, 512).map((inline) => ({ kind: 'committed' as const, content: { size: inline.length, inline, levels: 0 } })),
  fc
    .tuple(fc.maxSafeNat(), bytes(33), fc.integer({ min: 0, max: 10 }))
    .map(([size, root, levels]) => ({ kind: 'committed' as const, content: { size, root, levels } })),
  bytes(0, 4096).map((data) => ({ kind: 'bytes' as const, bytes: data })),
  fc
    .tuple(fc.maxSafeNat(), fc.integer({ min: 0, max: 1 << 20 }))
    .map(([lsn, size]) => ({ kind: 'journal' as const, lsn, size })),
  fc.tuple(ino48, fc.maxSafeNat()).map(([spool, size]) => ({ kind: 'spool' as const, spool, size })),
)

export const arbitraryInode: fc.Arbitrary<InodeRecord> = fc.record(
  {
    ino: ino48,
    document: bytes(16),
    mode: uint32,
    uid: uint32,
    gid: uint32,
    rdev: uint32,
    nlink: uint32,
    size: fc.maxSafeNat(),
    mtimeSec: seconds,
    mtimeNsec: nanoseconds,
    ctimeSec: seconds,
    ctimeNsec: nanoseconds,
    createdSec: seconds,
    createdNsec: nanoseconds,
    parent: ino48,
    content: arbitraryLive,
    xattrs: fc.array(fc.record({ name: bytes(1, 255), value: bytes(0, 300) }, { noNullPrototype: true }), {
      maxLength: 5,
    }),
  },
  { noNullPrototype: true },
)
