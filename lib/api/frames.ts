// Frames of the client API: a big-endian uint32 length, then that many bytes. Bounded on both sides; knows no messages.

import type { Socket } from 'node:net'

/** The largest frame either side accepts, in bytes: a piece of `cat` (1 MiB) and its envelope, or a large listing. */
export const MAX_FRAME = 8 << 20

/** The other side sent a frame that is too long; the connection is of no use any more. */
export class FrameTooLargeError extends Error {
  override name = 'FrameTooLargeError'
  readonly code = 'FRAME_TOO_LARGE'
}

/** Writes one frame; resolves when more may be written (back-pressure of the socket). */
export function writeFrame(socket: Socket, bytes: Uint8Array): Promise<void> {
  const head = Buffer.allocUnsafe(4)
  head.writeUInt32BE(bytes.length)
  socket.cork()
  socket.write(head)
  const clear = socket.write(bytes)
  socket.uncork()
  if (clear || socket.destroyed) return Promise.resolve()
  return new Promise((resolve) => {
    const settled = () => {
      socket.off('drain', settled)
      socket.off('close', settled)
      resolve()
    }
    socket.on('drain', settled)
    socket.on('close', settled)
  })
}

/**
 * The frames of a socket, one after another. Ends with the stream; throws FrameTooLargeError.
 * The socket is read only as fast as the frames are taken.
 */
export async function* readFrames(socket: Socket, limit = MAX_FRAME): AsyncGenerator<Buffer> {
  let held: Buffer[] = []
  let size = 0
  let need = 4
  let inHead = true
  for await (const piece of socket as AsyncIterable<Buffer>) {
    held.push(piece)
    size += piece.length
    if (size < need) continue
    let all = held.length === 1 ? held[0] : Buffer.concat(held, size)
    while (all.length >= need) {
      const part = all.subarray(0, need)
      all = all.subarray(need)
      if (inHead) {
        need = part.readUInt32BE(0)
        if (need > limit) throw new FrameTooLargeError(`A frame of ${need} bytes was announced; the limit is ${limit}.`)
        inHead = false
        continue
      }
      yield part
      need = 4
      inHead = true
    }
    held = all.length ? [all] : []
    size = all.length
  }
}
