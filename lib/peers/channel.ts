// Frames over one libp2p stream, with back-pressure both ways: a slow reader stops the sender, and neither side keeps more
// than its watermarks plus one frame plus the stream's window. libp2p's own helpers do not do that; what had to be avoided
// (onDrain(), pause() inside a message event, end without good-bye) is told in docs/peers.md "Traps". Wire format: u32 big
// endian length and as many bytes; length 0 is the good-bye. Knows nothing of what is inside.
import './promise-polyfill.js'
import type { Stream } from '@libp2p/interface'
import { Uint8ArrayList } from 'uint8arraylist'
import { asError, ChannelBrokenError, ChannelClosedError, FrameTooLargeError } from './errors.js'
import { FrameBuffer, LENGTH_BYTES } from './frame-buffer.js'

export const DEFAULT_MAX_FRAME = 4 << 20

export interface ChannelInit {
  /** Largest frame in either direction, bytes; 4 MiB if not given. */
  maxFrame?: number
  /** Stop reading from the stream above this many buffered bytes; 512 KiB. Reading goes on below a quarter of it. */
  readHigh?: number
  /** send() waits above this many unsent bytes; 2 MiB. It goes on below half of it. */
  writeHigh?: number
  /** How long close() waits for the other side, ms; 5 s. */
  closeTimeout?: number
}

export class Channel {
  /** Resolves when the channel is over: with undefined after good-byes from both sides, else with the reason. */
  readonly closed: Promise<Error | undefined>
  bytesIn = 0
  bytesOut = 0
  framesIn = 0
  framesOut = 0

  readonly #stream: Stream
  readonly #init: Required<ChannelInit>
  readonly #buffer: FrameBuffer
  readonly #resolveClosed: (error: Error | undefined) => void
  #over = false
  #error: Error | undefined
  #closing = false
  #saidBye = false
  #heardBye = false
  #streamEnded = false
  #paused = false
  #reader: (() => void) | undefined
  #outbox: Uint8Array[] = []
  #outboxBytes = 0
  #writable: PromiseWithResolvers<void> | undefined

  constructor(stream: Stream, init: ChannelInit = {}) {
    this.#stream = stream
    this.#init = {
      maxFrame: DEFAULT_MAX_FRAME,
      readHigh: 512 << 10,
      writeHigh: 2 << 20,
      closeTimeout: 5000,
      ...definedOf(init),
    }
    this.#buffer = new FrameBuffer(this.#init.maxFrame)
    const closed = Promise.withResolvers<Error | undefined>()
    this.closed = closed.promise
    this.#resolveClosed = closed.resolve
    stream.addEventListener('drain', () => this.#onWritable())
    stream.addEventListener('idle', () => this.#onWritable())
    stream.addEventListener('end', () => this.#onEnd())
    stream.addEventListener('close', (event) => this.#onClose(event.error))
    stream.addEventListener('message', (event) => this.#onMessage(event.data))
    if (stream.status !== 'open') this.#finish(new ChannelBrokenError(`The stream is already ${stream.status}`))
  }

  /** Bytes handed to send() that have not left yet. */
  get unsent(): number {
    return this.#outboxBytes + this.#stream.writeBufferLength
  }

  /** Bytes received that nobody has read yet, whole or part frames. */
  get unread(): number {
    return this.#buffer.byteLength + this.#stream.readBufferLength
  }

  /**
   * Sends one frame, which may be given in parts. The bytes must not be changed afterwards: they are not copied.
   * Resolves when more may be sent (not when the other side has it); frames keep their order even if nobody waits.
   * @throws FrameTooLargeError, ChannelClosedError, ChannelBrokenError and whatever ended the channel
   */
  async send(frame: Uint8Array | Uint8Array[]): Promise<void> {
    if (this.#over || this.#closing) throw this.#error ?? new ChannelClosedError('The channel is closed.')
    const parts = Array.isArray(frame) ? frame : [frame]
    const length = parts.reduce((sum, part) => sum + part.byteLength, 0)
    if (length === 0) throw new RangeError('A frame has at least one byte')
    if (length > this.#init.maxFrame) {
      throw new FrameTooLargeError(
        `A frame of ${length} bytes was to be sent; at most ${this.#init.maxFrame} are allowed here.`,
      )
    }
    this.framesOut++
    this.#put(length, parts)
    if (this.unsent <= this.#init.writeHigh) return
    this.#writable ??= Promise.withResolvers()
    return this.#writable.promise
  }

  /**
   * The next frame; undefined after the other side's good-bye or a close() here. One reader at a time.
   * @throws the reason when the channel ends otherwise
   */
  async read(): Promise<Uint8Array | undefined> {
    for (;;) {
      if (this.#error) throw this.#error
      if (this.#over || this.#closing || this.#heardBye) return undefined
      const frame = this.#shift()
      if (frame) return frame
      if (this.#error || this.#heardBye) continue
      if (this.#reader) throw new Error('Two readers on one channel')
      await new Promise<void>((resolve) => {
        this.#reader = resolve
      })
    }
  }

  /** All frames until the end. Leaving the loop early leaves the channel open. */
  get frames(): AsyncIterable<Uint8Array> {
    const channel = this
    return {
      async *[Symbol.asyncIterator]() {
        for (let frame = await channel.read(); frame; frame = await channel.read()) yield frame
      },
    }
  }

  /** Says good-bye after what was sent, drops what was not read, waits for the other's good-bye. Never throws. */
  async close(): Promise<void> {
    if (!this.#closing && !this.#over) {
      this.#closing = true
      this.#put(0, [])
      this.#saidBye = true
      this.#discard()
      this.#wakeReader()
      const timer = setTimeout(
        () => this.abort(new ChannelBrokenError('The other side did not say good-bye.')),
        this.#init.closeTimeout,
      )
      this.closed.then(() => clearTimeout(timer))
      this.#flush()
      await this.#stream
        .close({ signal: AbortSignal.timeout(this.#init.closeTimeout) })
        .catch((error) => this.abort(asError(error)))
    }
    await this.closed
  }

  /** Ends the channel at once; the other side sees a reset. */
  abort(error: Error): void {
    this.#finish(error)
  }

  // Reading

  #onMessage(data: Uint8Array | Uint8ArrayList): void {
    this.bytesIn += data.byteLength
    if (this.#over) return
    if (data instanceof Uint8Array) this.#buffer.push(data)
    else for (const piece of data) this.#buffer.push(piece)
    if (this.#closing) return this.#discard()
    try {
      if (this.#buffer.byteLength > this.#init.readHigh && this.#buffer.hasFrame()) this.#pauseSoon()
      if (this.#buffer.hasBye()) this.#shift()
    } catch (error) {
      return this.#finish(asError(error))
    }
    this.#wakeReader()
  }

  /** Deferred: a pause inside a message event that resume() raised would be undone by the same resume(). */
  #pauseSoon(): void {
    if (this.#paused) return
    this.#paused = true
    queueMicrotask(() => {
      if (this.#paused && this.#stream.readStatus === 'readable') this.#stream.pause()
    })
  }

  #resume(): void {
    if (!this.#paused) return
    this.#paused = false
    if (this.#stream.readStatus === 'paused') this.#stream.resume()
  }

  #shift(): Uint8Array | undefined {
    try {
      const frame = this.#buffer.shift()
      if (!frame || this.#buffer.byteLength < this.#init.readHigh / 4) this.#resume()
      if (frame && frame.byteLength > 0) {
        this.framesIn++
        return frame
      }
      if (frame) this.#onBye()
      else if (this.#streamEnded) this.#checkEnd()
    } catch (error) {
      this.#finish(asError(error))
    }
    return undefined
  }

  /** While closing, frames are of no interest any more, except for the good-bye. */
  #discard(): void {
    while (!this.#over && !this.#heardBye && this.#buffer.byteLength > 0) {
      const before = this.#buffer.byteLength
      this.#shift()
      if (this.#buffer.byteLength === before) break
    }
    this.#resume()
  }

  #onBye(): void {
    this.#heardBye = true
    this.#wakeReader()
    if (!this.#closing) void this.close()
  }

  #onEnd(): void {
    this.#streamEnded = true
    const { status } = this.#stream
    if ((status === 'open' || status === 'closing') && !this.#heardBye) this.#checkEnd()
  }

  /** The other side ended the stream: whole frames may still be read, anything else is a breach. */
  #checkEnd(): void {
    try {
      if (this.#buffer.hasFrame()) return
      this.#finish(new ChannelBrokenError('The stream ended without a good-bye.'))
    } catch (error) {
      this.#finish(asError(error))
    }
  }

  #wakeReader(): void {
    const wake = this.#reader
    this.#reader = undefined
    wake?.()
  }

  // Writing

  /** Frames of one tick leave as one write: small writes cost libp2p as much as large ones. */
  #put(length: number, parts: Uint8Array[]): void {
    const prefix = Buffer.allocUnsafe(LENGTH_BYTES)
    prefix.writeUInt32BE(length)
    if (this.#outbox.length === 0) queueMicrotask(() => this.#flush())
    this.#outbox.push(prefix, ...parts)
    this.#outboxBytes += LENGTH_BYTES + length
    this.bytesOut += LENGTH_BYTES + length
  }

  #flush(): void {
    if (this.#outbox.length === 0 || this.#over) return
    const bytes = new Uint8ArrayList(...this.#outbox)
    this.#outbox = []
    this.#outboxBytes = 0
    try {
      this.#stream.send(bytes)
    } catch (error) {
      this.#finish(asError(error))
    }
    this.#release()
  }

  /** The stream sends on in a microtask of its own, queued before this one. */
  #onWritable(): void {
    if (this.#writable) queueMicrotask(() => this.#release())
  }

  #release(): void {
    if (!this.#writable || this.unsent > this.#init.writeHigh / 2) return
    this.#writable.resolve()
    this.#writable = undefined
  }

  // The end

  #onClose(error: Error | undefined): void {
    if (this.#saidBye && this.#heardBye && !error) this.#finish(undefined)
    else
      this.#finish(
        new ChannelBrokenError(`The connection ended: ${error?.message ?? 'closed by the other side'}`, {
          cause: error,
        }),
      )
  }

  #finish(error: Error | undefined): void {
    if (this.#over) return
    this.#over = true
    this.#error = error
    this.#buffer.clear()
    this.#outbox = []
    this.#outboxBytes = 0
    if (error) this.#stream.abort(error)
    if (this.#writable) {
      this.#writable.promise.catch(() => {})
      this.#writable.reject(error ?? new ChannelClosedError('The channel is closed.'))
      this.#writable = undefined
    }
    this.#wakeReader()
    this.#resolveClosed(error)
  }
}

function definedOf(init: ChannelInit): ChannelInit {
  return Object.fromEntries(Object.entries(init).filter(([, value]) => value !== undefined))
}
