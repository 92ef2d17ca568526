import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { Stream } from '@libp2p/interface'
import fc from 'fast-check'
import { afterEach, describe, it } from 'mocha'
import { FrameBuffer } from '../../lib/peers/frame-buffer.js'
import { Channel, ChannelBrokenError, ChannelClosedError, FrameTooLargeError } from '../../lib/peers/index.js'
import { cleanAll, streams, until } from './support.js'

describe('peers: channel', () => {
  afterEach(cleanAll)

  it('carries frames of all sizes in order, both ways, and ends with undefined after a close', async () => {
    const [a, b] = await channels()
    const frames = [1, 2, 4095, 4096, 4097, 65_535, 65_536, 1 << 20, 4 << 20, 3].map((size) => randomBytes(size))
    const sending = (async () => {
      for (const frame of frames) await a.send([frame.subarray(0, 1), frame.subarray(1)])
      await a.close()
    })()
    await b.send(Buffer.from('back')).catch(() => {})
    const got: Uint8Array[] = []
    for await (const frame of b.frames) got.push(frame)
    await sending
    assert.equal(got.length, frames.length)
    for (const [i, frame] of got.entries()) assert.ok(frames[i].equals(frame), `frame ${i}`)
    assert.deepEqual(await Promise.all([a.closed, b.closed]), [undefined, undefined])
    assert.equal(b.bytesIn, a.bytesOut)
    await assert.rejects(a.send(Buffer.from('x')), ChannelClosedError)
  })

  it('has the exact bytes of docs/peers.md on the wire', async () => {
    const { near, far } = await streams()
    const raw = collect(far)
    const channel = new Channel(near)
    await channel.send(Buffer.from('abc'))
    void channel.close()
    await until(() => raw.bytes().length === 11, 'eleven bytes')
    assert.equal(raw.bytes().toString('hex'), '00000003616263' + '00000000')
  })

  it('stops the sender while the reader is slow, keeps the stream, and loses nothing', async () => {
    const [a, b] = await channels()
    const size = 64 << 10
    const total = 48 << 20
    let sent = 0
    const sending = (async () => {
      for (let n = 0; sent < total; n++) {
        const frame = Buffer.alloc(size)
        frame.writeUInt32BE(n)
        sent += size
        await a.send(frame)
      }
    })()
    await settled(() => sent)
    assert.ok(sent < 14 << 20, `nobody reads, yet ${sent} bytes were taken`)
    assert.ok(b.unread < 9 << 20 && a.unsent < 3 << 20)
    for (let n = 0; n < total / size; n++) {
      const frame = await b.read()
      assert.equal(Buffer.from(frame!.buffer, frame!.byteOffset).readUInt32BE(), n)
      // Read fast, so that the window grows; then stop, also right after reading has made the stream go on.
      if ([400, 408, 416, 424, 480, 560].includes(n)) await settled(() => sent)
      assert.ok(b.unread < 9 << 20)
    }
    await sending
    await a.close()
    assert.equal(await b.closed, undefined)
  }).timeout(60_000)

  it('reads while it does not write, and writes while it does not read', async () => {
    const [a, b] = await channels()
    const pump = async (channel: Channel): Promise<void> => {
      for (let n = 0; n < 300; n++) await channel.send(Buffer.alloc(64 << 10, n))
    }
    const drain = async (channel: Channel): Promise<void> => {
      for (let n = 0; n < 300; n++) assert.equal((await channel.read())![0], n & 255)
    }
    await Promise.all([pump(a), pump(b), drain(a), drain(b)])
  })

  it('refuses a frame that is too large, here and from there', async () => {
    const [a, b] = await channels({ maxFrame: 100 }, { maxFrame: 50 })
    await assert.rejects(a.send(Buffer.alloc(101)), FrameTooLargeError)
    await assert.rejects(a.send(Buffer.alloc(0)), RangeError)
    await a.send(Buffer.alloc(50))
    await a.send(Buffer.alloc(51))
    assert.equal((await b.read())?.length, 50)
    await assert.rejects(b.read(), FrameTooLargeError)
    assert.ok((await b.closed) instanceof FrameTooLargeError)
    assert.ok((await a.closed) instanceof ChannelBrokenError)
    await assert.rejects(a.read(), ChannelBrokenError)
  })

  it('ends with an error on garbage, on half a frame, and on an end without good-bye', async () => {
    for (const bytes of ['ffffffffffff', '0000000561', '000000', '']) {
      const { near, far } = await streams()
      const channel = new Channel(far)
      if (bytes) near.send(Buffer.from(bytes, 'hex'))
      await near.close()
      await assert.rejects(channel.read(), bytes.startsWith('ff') ? FrameTooLargeError : ChannelBrokenError, bytes)
      await cleanAll()
    }
  })

  it('tells both ends, and those who wait, when it is aborted or the connection breaks', async () => {
    const { near, far, connection } = await streams()
    const [a, b] = [new Channel(near), new Channel(far)]
    const reading = assert.rejects(a.read(), ChannelBrokenError)
    const writing = assert.rejects(fill(a), ChannelBrokenError)
    await settled(() => a.bytesOut)
    b.abort(new ChannelBrokenError('enough'))
    await Promise.all([reading, writing])
    assert.equal((await b.closed)?.message, 'enough')
    assert.ok((await a.closed) instanceof ChannelBrokenError)
    connection.abort(new Error('cable'))
    assert.ok((await a.closed) instanceof ChannelBrokenError)
  })

  it('closes in good order although the other side has unread frames and a full pipe', async () => {
    const [a, b] = await channels({ closeTimeout: 10_000 })
    const writing = fill(a).catch((error) => error)
    await settled(() => a.bytesOut)
    await b.close()
    assert.ok((await writing) instanceof ChannelClosedError)
    assert.deepEqual(await Promise.all([a.closed, b.closed]), [undefined, undefined])
  })

  it('gives up closing when the other side never answers', async () => {
    const { near } = await streams()
    const channel = new Channel(near, { closeTimeout: 50 })
    await channel.close()
    assert.ok((await channel.closed) instanceof ChannelBrokenError)
  })

  it('cuts any pieces into the same frames', () => {
    const frames = fc.array(fc.uint8Array({ minLength: 1, maxLength: 9000 }), { maxLength: 20 })
    fc.assert(
      fc.property(frames, fc.infiniteStream(fc.integer({ min: 1, max: 5000 })), (frames, sizes) => {
        const wire = Buffer.concat(frames.flatMap((frame) => [prefix(frame.length), frame]))
        const buffer = new FrameBuffer(10_000)
        const got: Uint8Array[] = []
        for (let at = 0; at < wire.length; ) {
          const size = sizes.next().value
          buffer.push(wire.subarray(at, at + size))
          at += size
          for (let frame = buffer.shift(); frame; frame = buffer.shift()) got.push(frame)
        }
        assert.deepEqual(
          got.map((frame) => Buffer.from(frame)),
          frames.map((frame) => Buffer.from(frame)),
        )
        assert.equal(buffer.byteLength, 0)
      }),
      { numRuns: 60 },
    )
  })
})

async function channels(a?: ConstructorParameters<typeof Channel>[1], b = a): Promise<[Channel, Channel]> {
  const { near, far } = await streams()
  return [new Channel(near, a), new Channel(far, b)]
}

async function fill(channel: Channel): Promise<void> {
  for (;;) await channel.send(Buffer.alloc(64 << 10))
}

/** Resolves when the number has not changed for a while. */
async function settled(read: () => number): Promise<void> {
  for (let before = -1; before !== read(); ) {
    before = read()
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

function collect(stream: Stream): { bytes(): Buffer } {
  const pieces: Uint8Array[] = []
  stream.addEventListener(
    'message',
    (event) => void pieces.push(event.data instanceof Uint8Array ? event.data : event.data.subarray()),
  )
  return { bytes: () => Buffer.concat(pieces) }
}

function prefix(length: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(length)
  return bytes
}
