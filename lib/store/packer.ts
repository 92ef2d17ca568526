// Bytes in, bytes out: the primitives under codec.ts. Little endian. Owns one growing buffer, reused by its owner; the
// unpacker copies what it hands out, so its input may be overwritten afterwards (LMDB reuses its read buffer).

import { EncodingError, TooLargeError } from './errors.js'

const TWO_32 = 0x1_0000_0000
const SAFE_HIGH = 0x1f_ffff

/** Writes to a buffer that grows up to `limit` bytes; beyond, TooLargeError. */
export class Packer {
  buffer: Buffer
  pos = 0

  constructor(
    size: number,
    private readonly limit: number,
  ) {
    this.buffer = Buffer.allocUnsafeSlow(size)
  }

  /** Makes room for `bytes` more, so that the writers below need no check of their own. */
  room(bytes: number): void {
    if (this.pos + bytes > this.buffer.length) this.#grow(bytes)
  }

  #grow(bytes: number): void {
    const need = this.pos + bytes
    if (need > this.limit) throw new TooLargeError('A record', need, this.limit)
    const grown = Buffer.allocUnsafeSlow(Math.min(this.limit, Math.max(need, this.buffer.length * 2)))
    this.buffer.copy(grown, 0, 0, this.pos)
    this.buffer = grown
  }

  u8(value: number): void {
    this.buffer[this.pos++] = value
  }

  u16(value: number): void {
    const b = this.buffer
    b[this.pos++] = value
    b[this.pos++] = value >>> 8
  }

  u32(value: number): void {
    const b = this.buffer
    let p = this.pos
    b[p++] = value
    b[p++] = value >>> 8
    b[p++] = value >>> 16
    b[p++] = value >>> 24
    this.pos = p
  }

  /** 0 … 2^48 - 1: inode numbers, spool ids. */
  u48(value: number): void {
    this.u32(value >>> 0)
    this.u16(Math.floor(value / TWO_32))
  }

  /** 0 … 2^53 - 1: sizes, offsets, sequence numbers. */
  u64(value: number): void {
    this.u32(value >>> 0)
    this.u32(Math.floor(value / TWO_32))
  }

  /** Signed, up to ± 2^53: seconds. */
  i64(value: number): void {
    this.u32(value >>> 0)
    this.u32(Math.floor(value / TWO_32) | 0)
  }

  /** Bytes as they are; the length is written by the caller or fixed. Makes its own room. */
  bytes(value: Uint8Array): void {
    this.room(value.length + 64)
    this.buffer.set(value, this.pos)
    this.pos += value.length
  }

  /** A fixed number of bytes; anything else is a fault of the caller. */
  fixed(value: Uint8Array, length: number): void {
    if (value.length !== length) throw new EncodingError(`${value.length} bytes where ${length} belong`)
    const b = this.buffer
    const p = this.pos
    for (let i = 0; i < length; i++) b[p + i] = value[i]
    this.pos = p + length
  }

  /** A copy of what was written. */
  take(): Buffer {
    return Buffer.from(this.buffer.subarray(0, this.pos))
  }
}

/** Reads from `buffer` between `pos` and `end`; throws EncodingError beyond. */
export class Unpacker {
  constructor(
    public buffer: Uint8Array,
    public pos = 0,
    public end = buffer.length,
  ) {}

  need(bytes: number): void {
    if (this.pos + bytes > this.end) throw new EncodingError('it ends too early')
  }

  u8(): number {
    this.need(1)
    return this.buffer[this.pos++]
  }

  u16(): number {
    this.need(2)
    const b = this.buffer
    return b[this.pos++] | (b[this.pos++] << 8)
  }

  u32(): number {
    this.need(4)
    const b = this.buffer
    const p = this.pos
    this.pos = p + 4
    return (b[p] | (b[p + 1] << 8) | (b[p + 2] << 16) | (b[p + 3] << 24)) >>> 0
  }

  u48(): number {
    const low = this.u32()
    return low + this.u16() * TWO_32
  }

  u64(): number {
    const low = this.u32()
    const high = this.u32()
    if (high > SAFE_HIGH) throw new EncodingError('a number beyond 2^53')
    return low + high * TWO_32
  }

  i64(): number {
    const low = this.u32()
    const value = low + (this.u32() | 0) * TWO_32
    if (!Number.isSafeInteger(value)) throw new EncodingError('a number beyond 2^53')
    return value
  }

  /** A copy of the next `length` bytes. */
  bytes(length: number): Uint8Array {
    this.need(length)
    const copy = new Uint8Array(length)
    const b = this.buffer
    const p = this.pos
    if (length <= 40) for (let i = 0; i < length; i++) copy[i] = b[p + i]
    else copy.set(b.subarray(p, p + length))
    this.pos = p + length
    return copy
  }

  /** Nothing may be left. */
  done(): void {
    if (this.pos !== this.end) throw new EncodingError(`${this.end - this.pos} bytes too many`)
  }
}
