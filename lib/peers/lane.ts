// A lane: frames for bulk over a TCP connection of its own beside a link, sealed with keys from a ticket that went over the link. It
// costs a seventh of the processor time of libp2p's noise. Bytes in, frames out, back-pressure both ways, and nothing else: who made it
// and what happens when it breaks is the business of lanes.ts and of whoever sent. There is no good-bye: what was on its way may be lost.
import type { Socket } from 'node:net'
import { asError, FrameTooLargeError, LaneBrokenError } from './errors.js'
import type { Traffic } from './gate.js'
import { HEADER_BYTES, type RecordOpener, type RecordSealer, TAG_BYTES } from './lane-records.js'

export interface LaneInit {
  /** Largest frame in either direction, bytes. */
  maxFrame: number
  /** The connection is not read above so many bytes of frames that nobody has read; 1 MiB. */
  readHigh?: number
  /** send() waits above this many unsent bytes; 2 MiB. */
  writeHigh?: number
}

export interface LaneParts {
  socket: Socket
  sealer: RecordSealer
  opener: RecordOpener
  /** Has this device opened the connection? Then it shows first that it has the ticket; the other one says nothing before. */
  dialled: boolean
  /** Bytes that have come in before. */
  head?: Uint8Array
}

export class Lane {
  /** Resolves when the lane is over, with the reason. */
  readonly closed: Promise<Error>
  /** Resolves when the other device has shown that it has the ticket. */
  readonly proven: Promise<void>
  bytesIn = 0
  bytesOut = 0
  /** Hears of bytes as they come in: a sign of life. */
  traffic: Traffic | undefined
  readonly #socket: Socket
  readonly #sealer: RecordSealer
  readonly #opener: RecordOpener
  readonly #dialled: boolean
  readonly #init: Required<LaneInit>
  readonly #header = Buffer.alloc(HEADER_BYTES)
  /** The record that is coming in: how much is known of its header, of ciphertext and tag. */
  #headerBytes = 0
  #body: Buffer | undefined
  /** What `#body` is a part of: records are opened into memory of their own, so this is used again. */
  #room: Buffer = Buffer.alloc(0)
  #bodyBytes = 0
  readonly #frames: Uint8Array[] = []
  #unread = 0
  #reader: (() => void) | undefined
  #writers: (() => void)[] = []
  #error: Error | undefined
  #isProven = false
  readonly #resolveClosed: (error: Error) => void
  readonly #resolveProven: () => void

  constructor({ socket, sealer, opener, dialled, head }: LaneParts, init: LaneInit) {
    this.#socket = socket
    this.#sealer = sealer
    this.#opener = opener
    this.#init = { readHigh: 1 << 20, writeHigh: 2 << 20, ...init }
    const [closed, proven] = [Promise.withResolvers<Error>(), Promise.withResolvers<void>()]
    this.closed = closed.promise
    this.proven = proven.promise
    this.#resolveClosed = closed.resolve
    this.#resolveProven = proven.resolve
    socket.setNoDelay(true)
    socket.on('data', (bytes) => this.#onData(bytes))
    socket.on('drain', () => this.#wakeWriters())
    socket.on('error', (error) => this.abort(error))
    socket.on('close', () => this.abort(new LaneBrokenError('The connection of the lane ended.')))
    this.#dialled = dialled
    if (dialled) this.#prove()
    if (head?.length) this.#onData(head)
  }

  get over(): boolean {
    return this.#error !== undefined
  }

  /**
   * Sends one frame; resolves when more may be sent (not when the other side has it).
   * @throws FrameTooLargeError, and what ended the lane
   */
  async send(frame: Uint8Array): Promise<void> {
    if (this.#error) throw this.#error
    if (frame.length === 0) throw new RangeError('A frame has at least one byte')
    if (frame.length > this.#init.maxFrame)
      throw new FrameTooLargeError(`A frame of ${frame.length} bytes was to be sent; ${this.#init.maxFrame} at most.`)
    this.#write(frame)
    if (this.#sealer.wornOut) this.abort(new LaneBrokenError('The lane has carried as much as its keys are good for.'))
    while (!this.#error && this.#socket.writableLength > this.#init.writeHigh)
      await new Promise<void>((resolve) => this.#writers.push(resolve))
    if (this.#error) throw this.#error
  }

  /** The next frame. One reader at a time. @throws what ended the lane */
  async read(): Promise<Uint8Array> {
    for (;;) {
      const frame = this.#frames.shift()
      if (frame) {
        this.#unread -= frame.length
        if (this.#unread <= this.#init.readHigh / 4 && this.#socket.isPaused()) this.#socket.resume()
        return frame
      }
      if (this.#error) throw this.#error
      if (this.#reader) throw new Error('Two readers on one lane')
      await new Promise<void>((resolve) => {
        this.#reader = resolve
      })
    }
  }

  /** Ends the lane at once, on both sides. */
  abort(error: Error): void {
    if (this.#error) return
    this.#error = error
    this.#frames.length = 0
    this.#body = undefined
    this.#socket.destroy()
    this.#wakeReader()
    this.#wakeWriters()
    this.#resolveClosed(error)
  }

  /** The first record is empty: whoever can seal it has the ticket. */
  #prove(): void {
    this.#write(new Uint8Array(0))
  }

  #write(frame: Uint8Array): void {
    const record = this.#sealer.seal(frame)
    this.#socket.cork()
    for (const part of record) {
      this.bytesOut += part.length
      this.#socket.write(part)
    }
    this.#socket.uncork()
  }

  #onData(bytes: Uint8Array): void {
    this.bytesIn += bytes.length
    if (this.traffic) {
      this.traffic.bytes += bytes.length
      this.traffic.last = performance.now()
    }
    try {
      for (let at = 0; at < bytes.length && !this.#error; ) at += this.#take(bytes.subarray(at))
    } catch (error) {
      this.abort(asError(error))
    }
    if (this.#unread > this.#init.readHigh) this.#socket.pause()
  }

  /** Takes what belongs to the record that is coming in; answers how much that was. */
  #take(bytes: Uint8Array): number {
    if (!this.#body) {
      const count = Math.min(HEADER_BYTES - this.#headerBytes, bytes.length)
      this.#header.set(bytes.subarray(0, count), this.#headerBytes)
      this.#headerBytes += count
      if (this.#headerBytes === HEADER_BYTES) this.#begin(this.#header.readUInt32BE())
      return count
    }
    const count = Math.min(this.#body.length - this.#bodyBytes, bytes.length)
    this.#body.set(count === bytes.length ? bytes : bytes.subarray(0, count), this.#bodyBytes)
    this.#bodyBytes += count
    if (this.#bodyBytes === this.#body.length) this.#end(this.#body)
    return count
  }

  #begin(length: number): void {
    // Before it has proven the ticket, a stranger makes us keep nothing.
    if (length > (this.#isProven ? this.#init.maxFrame : 0))
      throw new LaneBrokenError(`A record of ${length} bytes came in.`)
    if (length === 0 && this.#isProven) throw new LaneBrokenError('An empty record came in.')
    const size = length + TAG_BYTES
    if (this.#room.length < size) this.#room = Buffer.allocUnsafeSlow(size)
    this.#body = this.#room.subarray(0, size)
    this.#bodyBytes = 0
  }

  #end(body: Buffer): void {
    const length = body.length - TAG_BYTES
    this.#body = undefined
    this.#headerBytes = 0
    const frame = this.#opener.open(this.#header, body.subarray(0, length), body.subarray(length))
    if (this.#opener.wornOut) throw new LaneBrokenError('The lane has carried as much as its keys are good for.')
    if (!this.#isProven) {
      this.#isProven = true
      if (!this.#dialled) this.#prove()
      return this.#resolveProven()
    }
    this.#frames.push(frame)
    this.#unread += frame.length
    this.#wakeReader()
  }

  #wakeReader(): void {
    const wake = this.#reader
    this.#reader = undefined
    wake?.()
  }

  #wakeWriters(): void {
    for (const wake of this.#writers.splice(0)) wake()
  }
}
