// A link between two volumes of one node: the same as one over the network, but frames are handed over in memory. Each end stands for
// one of the two. Bounded: whoever sends waits while the other end has much to read.

import type { ChannelPort, LinkPort } from './session.js'

/** Bytes not read yet, per channel and direction, beyond which sending waits. */
const WINDOW = 2 << 20

export type LocalEnd = LinkPort & { name: string }

/** `name` and `peer` of each end: what it is told of the other one. */
export function localLink(one: { peer: string; name: string }, other: { peer: string; name: string }): LocalEnd[] {
  const pipes = Array.from({ length: 4 }, () => new Pipe())
  let settle!: (error: Error | undefined) => void
  const closed = new Promise<Error | undefined>((resolve) => {
    settle = resolve
  })
  const abort = (error: Error) => {
    for (const pipe of pipes) pipe.end(error)
    settle(error)
  }
  // Both ends are of this version.
  const supports = () => true
  const channel = (out: Pipe, into: Pipe): ChannelPort => ({
    send: (frame) => out.send(frame instanceof Uint8Array ? frame : Buffer.concat(frame)),
    read: () => into.read(),
  })
  const [a, b, c, d] = pipes
  return [
    { ...other, channel: { control: channel(a, b), bulk: channel(c, d) }, closed, supports, abort },
    { ...one, channel: { control: channel(b, a), bulk: channel(d, c) }, closed, supports, abort },
  ]
}

/** One channel in one direction. */
class Pipe {
  readonly #frames: Uint8Array[] = []
  #unread = 0
  #waiting: (() => void)[] = []
  #error: Error | undefined

  async send(frame: Uint8Array): Promise<void> {
    if (this.#error) throw this.#error
    this.#frames.push(frame)
    this.#unread += frame.length
    this.#wake()
    while (this.#unread > WINDOW && !this.#error) await this.#change()
    if (this.#error) throw this.#error
  }

  async read(): Promise<Uint8Array> {
    while (!this.#frames.length && !this.#error) await this.#change()
    if (this.#error) throw this.#error
    const frame = this.#frames.shift()!
    this.#unread -= frame.length
    this.#wake()
    return frame
  }

  end(error: Error): void {
    this.#error ??= error
    this.#wake()
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  #wake(): void {
    for (const go of this.#waiting.splice(0)) go()
  }
}
