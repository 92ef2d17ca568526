// Serves a mounted kernel session in this thread, until it is unmounted or told to stop. Owns the thread's waiting: when it
// polls, sleeps, and gives the event loop a turn. The descriptors belong to the caller and outlive the loop.
//
// Waiting: after a request the loop polls the device for a while without sleeping, since a client that does one thing after
// another comes back within microseconds, and waking a sleeping thread costs more than the request. How long follows what it
// brought: it grows as requests arrive in time and falls to nothing as they do not. Then the owner's `onIdle` is called and the
// thread sleeps in poll(2) on the device and the doorbell: an idle mount uses no CPU. While the owner holds the loop (`hold`), it
// sleeps in the thread's event loop instead, so that promises, timers and messages go on.

import { availableParallelism } from 'node:os'
import { performance } from 'node:perf_hooks'
import koffi from 'koffi'
import { Dispatcher } from './dispatcher.js'
import { EAGAIN, EINTR, ENODEV, ENOENT } from './errno.js'
import type { FileSystem, Request } from './file-system.js'
import { SERVE_DEFAULTS, type ServeOptions } from './options.js'
import { complete, failUnanswered, type KernelSession, type Negotiated, SessionMemory } from './session.js'
import { addressOf, libc, memory, PollSet } from './syscalls.js'

/** What the owner of the thread wants to be told. None of it may wait. */
export interface LoopOwner {
  /**
   * Before the loop goes to sleep. Answers how many milliseconds from now it wants to be called again at the latest;
   * -1, Infinity or nothing: no need.
   */
  onIdle?(): number | undefined
  /** Somebody rang: drain the mailbox (receiveMessageOnPort). */
  onDoorbell?(): void
  /** The file system threw, or the kernel refused an answer. The caller has got EIO. `opcode` of linux/fuse.h. */
  onError?(error: Error, opcode: number): void
}

export type LoopEnd = 'unmounted' | 'stopped'

type Pass = 'turn' | 'idle' | LoopEnd

export class KernelLoop {
  readonly options: ServeOptions
  readonly memory: SessionMemory
  private readonly dispatcher: Dispatcher
  private readonly polled: PollSet
  private readonly c = libc()
  private readonly eight = memory(8)
  private readonly eightAddress = addressOf(this.eight)
  private readonly bell: Int32Array
  private readonly mostMs: number
  /** Milliseconds to poll after a request. */
  private pollMs: number
  private held = 0
  /** The doorbell was answered since it was last looked at. */
  private rang = false
  private stopping = false
  private running = false

  constructor(
    private readonly session: KernelSession,
    fileSystem: FileSystem,
    private readonly owner: LoopOwner = {},
    options: Partial<ServeOptions> = {},
  ) {
    this.options = { ...SERVE_DEFAULTS, ...options }
    this.memory = new SessionMemory(session.shared)
    this.bell = this.memory.bell
    this.polled = new PollSet([session.fd, session.doorbell])
    this.dispatcher = new Dispatcher(fileSystem, session.fd, this.memory, this.options, (error, opcode) =>
      this.owner.onError?.(error, opcode),
    )
    // With a single core, polling only keeps the client from running.
    this.mostMs = availableParallelism() > 1 ? this.options.pollMicroseconds / 1000 : 0
    this.pollMs = this.mostMs / 2
  }

  /** The number of the request being served, for a file system that answers PENDING. */
  get request(): Request {
    return this.dispatcher
  }

  /** What INIT agreed on, once it has. */
  get negotiated(): Negotiated | undefined {
    return this.memory.negotiated
  }

  /** Completes a request whose operation answered PENDING. `error`: 0 or a negative errno. */
  complete(unique: bigint, error: number): boolean {
    return complete(this.session, unique, error)
  }

  /** Serves a request again whose operation threw NotYet. Between requests only, e.g. from `onDoorbell`. */
  again(unique: bigint): void {
    this.dispatcher.again(unique)
  }

  /** Answers a request whose operation threw NotYet with a negative errno. */
  giveUp(unique: bigint, errno: number): void {
    if (this.dispatcher.aside.take(unique)) complete(this.session, unique, errno)
  }

  /** Until `release`, the loop sleeps in the event loop: for asynchronous work under way in this thread. Counted. */
  hold(): void {
    this.held++
  }

  release(): void {
    if (this.held > 0) this.held--
  }

  /** `run` resolves 'stopped' as soon as the loop notices: at once from within this thread, else ring as well. */
  stop(): void {
    this.stopping = true
    this.wakeHeld?.()
  }

  /**
   * Serves. First answers EIO to whatever an earlier loop of this session left unanswered; INIT is not negotiated again.
   * Rejects with what the file system threw, with `crashOnError`; the session can be served again then.
   */
  async run(): Promise<LoopEnd> {
    if (this.running) throw new Error('This loop runs already')
    this.running = true
    try {
      this.dispatcher.repeatInit()
      failUnanswered(this.session)
      for (;;) {
        const pass = this.burst(this.mostMs > 0)
        if (pass === 'unmounted' || pass === 'stopped') return pass
        await lap()
        if (pass === 'turn') continue
        // The event loop had its turn; once more without polling, then to sleep. But not if the owner was told of something
        // meanwhile: promises that it left would wait as long as the thread sleeps.
        this.rang = false
        const again = this.burst(false)
        if (again === 'unmounted' || again === 'stopped') return again
        if (again === 'idle' && !this.rang) await this.sleep()
      }
    } finally {
      this.running = false
    }
  }

  /** Serves what is there, at most for a turn. */
  private burst(poll: boolean): Pass {
    const { readv } = this.c
    const { fd } = this.session
    const { iovAddress } = this.dispatcher.wire
    const end = performance.now() + this.options.turnMilliseconds
    for (;;) {
      if (this.stopping) return 'stopped'
      if (this.bell[0] !== 0) this.answerBell()
      let n = readv(fd, iovAddress, 2)
      if (n <= 0) {
        const why = this.why()
        if (why === 'unmounted') return why
        if (why === 'again') continue
        n = poll && this.pollMs > 0 ? this.poll() : 0
        if (n <= 0) return 'idle'
      }
      this.dispatcher.serve(n)
      if (performance.now() >= end) return 'turn'
    }
  }

  private why(): 'again' | 'idle' | 'unmounted' {
    const errno = -this.c.errno()
    if (errno === EAGAIN) return 'idle'
    if (errno === ENODEV) return 'unmounted'
    if (errno === EINTR || errno === ENOENT) return 'again'
    throw new Error(`Reading from /dev/fuse failed (errno ${-errno})`)
  }

  /** Reads again and again for `pollMs`. Answers the length of a request, or 0. */
  private poll(): number {
    const { readv } = this.c
    const { fd } = this.session
    const { iovAddress } = this.dispatcher.wire
    const end = performance.now() + this.pollMs
    do {
      const n = readv(fd, iovAddress, 2)
      if (n > 0) {
        this.worthwhile(true)
        return n
      }
      if (this.bell[0] !== 0) return 0
    } while (performance.now() < end)
    this.worthwhile(false)
    return 0
  }

  private worthwhile(was: boolean): void {
    if (was) this.pollMs = Math.min(this.mostMs, this.pollMs * 1.25)
    else this.pollMs = this.pollMs < 0.01 ? 0 : this.pollMs * 0.8
  }

  private async sleep(): Promise<void> {
    const wish = this.owner.onIdle?.() ?? -1
    const ms = wish >= 0 && Number.isFinite(wish) ? Math.ceil(wish) : -1
    if (ms === 0 || this.stopping) return
    Atomics.store(this.bell, 1, 1)
    if (Atomics.load(this.bell, 0) === 0) {
      const start = performance.now()
      if (this.held > 0) await this.sleepInEventLoop(ms)
      else this.polled.wait(Math.min(ms, 0x7fffffff))
      // Polling would have caught it: worth trying again.
      if (performance.now() - start < this.mostMs / 2) this.pollMs = Math.max(this.pollMs, this.mostMs / 4)
    }
    Atomics.store(this.bell, 1, 0)
    if (this.held === 0 && this.polled.events(1) !== 0) this.bell[0] = 1
  }

  private wakeHeld: (() => void) | undefined

  private sleepInEventLoop(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const handles = [this.session.fd, this.session.doorbell].map((fd) =>
        koffi.node.poll(fd, { readable: true }, () => wake()),
      )
      const timer = ms > 0 ? setTimeout(() => wake(), ms) : undefined
      const wake = () => {
        if (!this.wakeHeld) return
        this.wakeHeld = undefined
        clearTimeout(timer)
        for (const handle of handles) {
          handle.stop()
          handle.close()
        }
        this.bell[0] = 1
        resolve()
      }
      this.wakeHeld = wake
    })
  }

  private answerBell(): void {
    this.rang = true
    Atomics.store(this.bell, 0, 0)
    this.c.read(this.session.doorbell, this.eightAddress, 8)
    this.owner.onDoorbell?.()
  }
}

/** One turn of the thread's event loop. */
function lap(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
