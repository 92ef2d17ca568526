// Links between two devices in one process, for tests: two channels each way, bounded like real ones (send waits while the
// other side does not read), with frames that take a while (a seeded number of turns of the event loop, order kept), and a
// link that can be cut at any frame. Counts bytes. Knows nothing of what is in a frame.

export interface MemoryLinkInit {
  /** Most turns of the event loop that a frame takes; 0: none. */
  delay?: number
  random?: () => number
  /** `send` waits while more than this many bytes are not read, per channel and direction; 1 MiB. */
  window?: number
  /** Cut when so many frames were sent in all. */
  cutAfter?: number
  /** Sees every frame, may change it, drop it (undefined), or wait. */
  onFrame?: (
    frame: Uint8Array,
    from: string,
    channel: 'control' | 'bulk',
  ) => Uint8Array | undefined | Promise<Uint8Array>
}

type Listener = (lane: MemoryLane) => void

export interface LinkEnd {
  /** The device at the other end. */
  peer: string
  name: string
  channel: { control: MemoryChannel; bulk: MemoryChannel }
  closed: Promise<Error | undefined>
  /** While there is one: `giveLane`. */
  lane?: MemoryLane
  on(event: 'lane', listener: (lane: MemoryLane) => void): void
  supports(feature: string): boolean
  abort(error: Error): void
}

export class LinkCutError extends Error {
  override name = 'LinkCutError'
}

/** One end of a lane. What is on its way when it ends is lost. */
export class MemoryLane {
  other!: MemoryLane
  bytesOut = 0
  framesOut = 0
  over = false
  #error?: Error
  readonly #frames: Uint8Array[] = []
  #readers: (() => void)[] = []

  /** Ends at this frame, of which nothing arrives, and swallows what is sent after it if it is to be silent. */
  constructor(readonly init: { cutAt?: number; silentAt?: number }) {}

  async send(frame: Uint8Array): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    if (this.#error) throw this.#error
    const number = ++this.framesOut
    if (number === this.init.cutAt) this.abort(new LinkCutError('The lane was cut.'))
    if (this.#error) throw this.#error
    if (this.init.silentAt !== undefined && number >= this.init.silentAt) return
    this.bytesOut += frame.length
    this.other.#frames.push(frame)
    for (const go of this.other.#readers.splice(0)) go()
  }

  async read(): Promise<Uint8Array> {
    while (!this.#frames.length && !this.#error) await new Promise<void>((resolve) => this.#readers.push(resolve))
    if (this.#error) throw this.#error
    return this.#frames.shift()!
  }

  abort(error: Error): void {
    for (const end of [this, this.other]) {
      end.over = true
      end.#error ??= error
      end.#frames.length = 0
      for (const go of end.#readers.splice(0)) go()
    }
  }
}

export class MemoryChannel {
  other!: MemoryChannel
  /** Bytes that wait to be read here, and the most there ever were. */
  unread = 0
  mostUnread = 0
  bytesOut = 0
  readonly #frames: Uint8Array[] = []
  #readers: (() => void)[] = []
  #writers: (() => void)[] = []
  #order: Promise<unknown> = Promise.resolve()

  constructor(
    readonly link: MemoryLink,
    readonly from: string,
    readonly kind: 'control' | 'bulk',
  ) {}

  async send(frame: Uint8Array | Uint8Array[]): Promise<void> {
    this.link.check()
    const bytes = frame instanceof Uint8Array ? frame : new Uint8Array(Buffer.concat(frame))
    this.bytesOut += bytes.length
    this.link.sent(bytes.length)
    this.#order = this.#order.then(() => this.other.#arrive(bytes, this.from))
    await this.#order
    while (this.other.unread > this.link.window && !this.link.over) {
      await new Promise<void>((resolve) => this.other.#writers.push(resolve))
    }
    this.link.check()
  }

  async read(): Promise<Uint8Array | undefined> {
    while (!this.#frames.length) {
      this.link.check()
      await new Promise<void>((resolve) => this.#readers.push(resolve))
    }
    this.link.check()
    const frame = this.#frames.shift()!
    this.unread -= frame.length
    if (this.unread <= this.link.window) for (const go of this.#writers.splice(0)) go()
    return frame
  }

  wake(): void {
    for (const go of [...this.#readers.splice(0), ...this.#writers.splice(0)]) go()
  }

  async #arrive(bytes: Uint8Array, from: string): Promise<void> {
    for (let turns = this.link.turns(); turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve))
    const frame = this.link.init.onFrame ? await this.link.init.onFrame(bytes, from, this.kind) : bytes
    if (this.link.over || !frame) return
    this.#frames.push(frame)
    this.unread += frame.length
    this.mostUnread = Math.max(this.mostUnread, this.unread)
    for (const go of this.#readers.splice(0)) go()
  }
}

export class MemoryLink {
  readonly ends: [LinkEnd, LinkEnd]
  readonly window: number
  over = false
  frames = 0
  bytes = 0
  readonly closed: Promise<Error | undefined>
  #error?: Error
  #settle!: (error: Error | undefined) => void
  readonly #channels: MemoryChannel[] = []
  readonly #onLane: [Listener[], Listener[]] = [[], []]

  constructor(
    a: string,
    b: string,
    readonly init: MemoryLinkInit = {},
  ) {
    this.window = init.window ?? 1 << 20
    this.closed = new Promise((resolve) => {
      this.#settle = resolve
    })
    const pair = (kind: 'control' | 'bulk'): [MemoryChannel, MemoryChannel] => {
      const left = new MemoryChannel(this, a, kind)
      const right = new MemoryChannel(this, b, kind)
      left.other = right
      right.other = left
      this.#channels.push(left, right)
      return [left, right]
    }
    const control = pair('control')
    const bulk = pair('bulk')
    const end = (side: 0 | 1, peer: string): LinkEnd => ({
      peer,
      name: peer,
      channel: { control: control[side], bulk: bulk[side] },
      closed: this.closed,
      on: (_event, listener) => void this.#onLane[side].push(listener),
      supports: () => true,
      abort: (error) => this.cut(error),
    })
    this.ends = [end(0, b), end(1, a)]
  }

  /** Both ends have a lane from now on. */
  giveLane(init: MemoryLane['init'] = {}): [MemoryLane, MemoryLane] {
    const lanes: [MemoryLane, MemoryLane] = [new MemoryLane(init), new MemoryLane(init)]
    lanes[0].other = lanes[1]
    lanes[1].other = lanes[0]
    for (const [side, lane] of lanes.entries()) {
      const end = this.ends[side]
      Object.defineProperty(end, 'lane', { get: () => (lane.over ? undefined : lane), configurable: true })
      for (const listener of this.#onLane[side]) listener(lane)
    }
    return lanes
  }

  cut(error: Error = new LinkCutError('The link was cut.')): void {
    if (this.over) return
    this.over = true
    this.#error = error
    for (const channel of this.#channels) channel.wake()
    this.#settle(error)
  }

  get error(): Error | undefined {
    return this.#error
  }

  check(): void {
    if (this.over) throw this.#error
  }

  sent(bytes: number): void {
    this.bytes += bytes
    if (++this.frames === this.init.cutAfter) this.cut()
  }

  turns(): number {
    const { delay = 0, random = Math.random } = this.init
    return delay ? Math.floor(random() * (delay + 1)) : 0
  }
}
