// Encoding and decoding of FUSE messages (linux/fuse.h) in place, in words of preallocated buffers.
// Owns no state but the buffers of a `Wire`; never does a system call. No BigInt and next to no allocation: 64-bit fields are
// read as doubles (exact up to 2^53) and `unique` is copied as two words.
//
// Offsets are in 32-bit words from the start of the structure, little endian as the machine.

import type { Attributes, Changes, DirectoryEntry, StatFs, Time } from './file-system.js'
import { Fattr, MAX_WRITE, OUT_HEADER } from './opcodes.js'
import { addressOf, memory } from './syscalls.js'

const TWO32 = 0x100000000

export const ATTR_WORDS = 22
export const ENTRY_OUT = 128
export const ATTR_OUT = 104
export const OPEN_OUT = 16
export const STATFS_OUT = 80
export const INIT_OUT = 64
const DIRENT = 24

/** An unsigned 64-bit field; beyond 2^53 it is rounded. */
export function u64(words: Uint32Array, at: number): number {
  return words[at] + words[at + 1] * TWO32
}

export function i64(words: Uint32Array, at: number): number {
  return words[at] + (words[at + 1] | 0) * TWO32
}

/** Stores any integer up to 2^53 of either sign. */
export function put64(words: Uint32Array, at: number, value: number): void {
  words[at] = value
  words[at + 1] = Math.floor(value / TWO32)
}

/** struct fuse_attr. */
export function putAttributes(words: Uint32Array, at: number, a: Attributes, blockSize: number): void {
  put64(words, at, a.ino)
  put64(words, at + 2, a.size)
  put64(words, at + 4, a.blocks)
  put64(words, at + 6, a.atimeSec)
  put64(words, at + 8, a.mtimeSec)
  put64(words, at + 10, a.ctimeSec)
  words[at + 12] = a.atimeNsec
  words[at + 13] = a.mtimeNsec
  words[at + 14] = a.ctimeNsec
  words[at + 15] = a.mode
  words[at + 16] = a.nlink
  words[at + 17] = a.uid
  words[at + 18] = a.gid
  words[at + 19] = a.rdev
  words[at + 20] = blockSize
  words[at + 21] = 0
}

/** How long the kernel may use what it was told, in seconds and nanoseconds. */
export interface Validity {
  entrySec: number
  entryNsec: number
  attrSec: number
  attrNsec: number
  blockSize: number
}

/** struct fuse_entry_out. Generation numbers are 0: node ids are never given twice. */
export function putEntry(words: Uint32Array, at: number, a: Attributes, valid: Validity): void {
  put64(words, at, a.ino)
  words[at + 2] = 0
  words[at + 3] = 0
  put64(words, at + 4, valid.entrySec)
  put64(words, at + 6, valid.attrSec)
  words[at + 8] = valid.entryNsec
  words[at + 9] = valid.attrNsec
  putAttributes(words, at + 10, a, valid.blockSize)
}

/** struct fuse_entry_out of a name that does not exist, for the kernel to remember. */
export function putNoEntry(words: Uint32Array, at: number, sec: number, nsec: number): void {
  words.fill(0, at, at + ENTRY_OUT / 4)
  put64(words, at + 4, sec)
  words[at + 8] = nsec
}

/** struct fuse_attr_out. */
export function putAttrOut(words: Uint32Array, at: number, a: Attributes, valid: Validity): void {
  put64(words, at, valid.attrSec)
  words[at + 2] = valid.attrNsec
  words[at + 3] = 0
  putAttributes(words, at + 4, a, valid.blockSize)
}

/** struct fuse_open_out. */
export function putOpen(words: Uint32Array, at: number, handle: number, flags: number, backingId: number): void {
  put64(words, at, handle)
  words[at + 2] = flags
  words[at + 3] = backingId
}

/** struct fuse_kstatfs. */
export function putStatFs(words: Uint32Array, at: number, s: StatFs): void {
  put64(words, at, s.blocks)
  put64(words, at + 2, s.blocksFree)
  put64(words, at + 4, s.blocksAvailable)
  put64(words, at + 6, s.files)
  put64(words, at + 8, s.filesFree)
  words[at + 10] = s.blockSize
  words[at + 11] = s.nameMax
  words[at + 12] = s.blockSize
  words.fill(0, at + 13, at + 20)
}

/** Bytes that a directory entry takes in an answer to READDIR, or READDIRPLUS with `plus`. */
export function direntSize(nameLength: number, plus: boolean): number {
  return ((plus ? ENTRY_OUT : 0) + DIRENT + nameLength + 7) & ~7
}

/** struct fuse_dirent, or fuse_direntplus when `valid` is given. `at` in bytes, a multiple of 8. Answers the end. */
export function putDirent(
  bytes: Buffer,
  words: Uint32Array,
  at: number,
  entry: DirectoryEntry,
  attributes: Attributes | undefined,
  valid: Validity | undefined,
): number {
  const end = at + direntSize(entry.name.length, valid !== undefined)
  let w = at >>> 2
  if (valid) {
    if (attributes) putEntry(words, w, attributes, valid)
    else words.fill(0, w, w + ENTRY_OUT / 4)
    w += ENTRY_OUT / 4
  }
  put64(words, w, entry.ino)
  put64(words, w + 2, entry.offset)
  words[w + 4] = entry.name.length
  words[w + 5] = entry.type
  const name = (w + 6) * 4
  bytes.set(entry.name, name)
  bytes.fill(0, name + entry.name.length, end)
  return end
}

function time(words: Uint32Array, secAt: number, nsecAt: number): Time {
  return { sec: i64(words, secAt), nsec: words[nsecAt] }
}

/**
 * struct fuse_setattr_in. A chown drops set-id bits whoever does it (chown(2) of Linux), hence `killSetIds` with uid and gid. A
 * request that changes nothing is a chown(-1, -1), or the kernel's way to say that set-id bits are to go. File systems never
 * apply it to folders.
 */
export function readChanges(words: Uint32Array, at: number): Changes {
  const valid = words[at]
  const changes: Changes = {}
  if (valid & Fattr.MODE) changes.mode = words[at + 17]
  if (valid & Fattr.UID) changes.uid = words[at + 19]
  if (valid & Fattr.GID) changes.gid = words[at + 20]
  if (valid & Fattr.SIZE) changes.size = u64(words, at + 4)
  if (valid & Fattr.ATIME) changes.atime = valid & Fattr.ATIME_NOW ? 'now' : time(words, at + 8, at + 14)
  if (valid & Fattr.MTIME) changes.mtime = valid & Fattr.MTIME_NOW ? 'now' : time(words, at + 10, at + 15)
  if (valid & Fattr.FH) changes.handle = u64(words, at + 2)
  if (valid === 0 || valid & (Fattr.KILL_SUIDGID | Fattr.UID | Fattr.GID)) changes.killSetIds = true
  return changes
}

/**
 * The buffers of one loop. A request's header is read into the session's shared memory, its content into `body`; an answer
 * is laid out in `out`, 16 bytes of header first. The bytes of a WRITE and of an answer to READ lie on page boundaries.
 */
export class Wire {
  readonly body = memory(MAX_WRITE + 8192, 4096, 4096 - 40)
  readonly in: Uint32Array
  readonly out = memory(OUT_HEADER + MAX_WRITE, 4096, 4096 - OUT_HEADER)
  readonly words: Uint32Array
  readonly outAddress: number
  /** Address of the two struct iovec for readv(2). */
  readonly iovAddress: number
  private readonly iov: Buffer

  constructor(header: Uint8Array) {
    this.in = wordsOf(this.body)
    this.words = wordsOf(this.out)
    this.outAddress = addressOf(this.out)
    this.iov = memory(32)
    const fields = new Float64Array(4)
    fields.set([addressOf(header), header.length, addressOf(this.body), this.body.length])
    fields.forEach((n, i) => {
      this.iov.writeBigUInt64LE(BigInt(n), 8 * i)
    })
    this.iovAddress = addressOf(this.iov)
  }
}

export function wordsOf(bytes: Buffer): Uint32Array {
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2)
}
