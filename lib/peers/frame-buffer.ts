// Bytes in, frames out: collects what arrives and cuts it at the length prefixes. Pure: no stream, no timer. Holds no more
// than what it is given; whoever feeds it stops at the watermarks (channel.ts).
import { FrameTooLargeError } from './errors.js'

export const LENGTH_BYTES = 4
/** Frames up to this size are copied, so that they do not keep a large piece of the stream alive. */
const COPY_BELOW = 4096
const NOTHING = new Uint8Array(0)

export class FrameBuffer {
  readonly #max: number
  readonly #pieces: Uint8Array[] = []
  #first = 0
  #bytes = 0
  #next = -1

  /** @param max largest frame in bytes */
  constructor(max: number) {
    this.#max = max
  }

  get byteLength(): number {
    return this.#bytes
  }

  push(piece: Uint8Array): void {
    if (piece.byteLength === 0) return
    this.#pieces.push(piece)
    this.#bytes += piece.byteLength
  }

  /** Is the next frame here as a whole? @throws FrameTooLargeError as soon as its prefix is here */
  hasFrame(): boolean {
    if (this.#next < 0 && this.#bytes >= LENGTH_BYTES) {
      const prefix = this.#take(LENGTH_BYTES)
      this.#next = (prefix[0] * 0x1000000 + ((prefix[1] << 16) | (prefix[2] << 8) | prefix[3])) >>> 0
      if (this.#next > this.#max) {
        throw new FrameTooLargeError(`A frame of ${this.#next} bytes came in; at most ${this.#max} are allowed here.`)
      }
    }
    return this.#next >= 0 && this.#bytes >= this.#next
  }

  /** Is the good-bye next? */
  hasBye(): boolean {
    return this.hasFrame() && this.#next === 0
  }

  /** The next frame, if it is here as a whole. An empty one is the good-bye of the other side. */
  shift(): Uint8Array | undefined {
    if (!this.hasFrame()) return undefined
    const frame = this.#take(this.#next)
    this.#next = -1
    return frame
  }

  clear(): void {
    this.#pieces.length = 0
    this.#first = 0
    this.#bytes = 0
    this.#next = -1
  }

  #take(length: number): Uint8Array {
    if (length === 0) return NOTHING
    const head = this.#pieces[this.#first]
    this.#bytes -= length
    if (head.byteLength >= length && length >= COPY_BELOW) {
      this.#consume(length)
      return head.subarray(0, length)
    }
    const out = Buffer.allocUnsafeSlow(length)
    let at = 0
    while (at < length) {
      const piece = this.#pieces[this.#first]
      const part = Math.min(piece.byteLength, length - at)
      out.set(part === piece.byteLength ? piece : piece.subarray(0, part), at)
      at += part
      this.#consume(part)
    }
    return out
  }

  /** Drops bytes of the first piece. Pieces are dropped in batches: shift() of a long array is slow. */
  #consume(length: number): void {
    const piece = this.#pieces[this.#first]
    if (length < piece.byteLength) {
      this.#pieces[this.#first] = piece.subarray(length)
      return
    }
    this.#pieces[this.#first++] = NOTHING
    if (this.#first < 64 && this.#first < this.#pieces.length) return
    this.#pieces.splice(0, this.#first)
    this.#first = 0
  }
}
