// One life of an actor: its mailbox, state, timers, monitors, children and end. nact schedules and runs the handler; all
// that OTP adds is here. A crash never leaves this file as an exception: it becomes an exit with a reason.
// Invariant: after `exit` no handler starts, every monitor hears once, and every open call fails.

import { dispatch, type Ref, spawn, stop } from 'nact'
import { ActorDownError, ActorNameError, CallTimeoutError, MailboxFullError } from './errors.js'
import { Mailbox } from './mailbox.js'
import type { ActorSystem } from './system.js'
import type { ChildSpec, Context, Crash, Down, ExitReason, Summary } from './types.js'

const DEFAULT_MAILBOX = { limit: 10_000, overflow: 'reject' as const }
const DEFAULT_SHUTDOWN_MS = 5000
const RECENT = 16

type Envelope = { message: unknown } | { down: Down }

/** The answer to a call: give it a value, or an error by `fail`. */
export interface Reply<R> {
  (value: R): void
  fail(error: Error): void
}

/** A way to one life of an actor; it never reaches a later one of the same name. */
export class ActorRef<M> {
  /** Makes references of different messages different types. */
  declare readonly messageType: (message: M) => void
  readonly #actor: Actor

  constructor(actor: Actor) {
    this.#actor = actor
  }

  get path(): string {
    return this.#actor.path
  }

  get alive(): boolean {
    return this.#actor.alive
  }

  /** False when the actor is gone or its mailbox is full. */
  cast(message: M): boolean {
    return this.#actor.put({ message }) !== 'refused'
  }

  /**
   * Sends a message with a way to answer it. Rejects at once when the actor is or goes down (ActorDownError) or has its mailbox
   * full (MailboxFullError), and after `timeoutMs` (CallTimeoutError).
   */
  call<R>(message: (reply: Reply<R>) => M, timeoutMs = 5000): Promise<R> {
    return this.#actor.call(message as (reply: Reply<R>) => unknown, timeoutMs)
  }

  /** For lib/actors itself. */
  static actorOf(ref: ActorRef<never>): Actor {
    return ref.#actor
  }
}

export class Actor {
  readonly ref = new ActorRef<never>(this)
  /** Living children by id, in the order of their start. */
  readonly children = new Map<string, Actor>()
  /** Children that its supervisor starts again after a while. */
  readonly waiting = new Map<string, ChildSpec>()
  readonly path: string
  readonly startedAt: number
  status: 'starting' | 'running' | 'stopping' | 'stopped' = 'starting'
  messages = 0
  busyMs = 0
  readonly recent: { type: string; at: number }[] = []
  lastCrash?: Crash
  /** Settles when the actor is gone. */
  readonly ended: Promise<ExitReason>
  #state: unknown
  #initialized = false
  #handling: Promise<void> = Promise.resolve()
  #nact: Ref<unknown>
  #settleEnded!: (reason: ExitReason) => void
  readonly #mailbox: Mailbox<Envelope>
  readonly #abort = new AbortController()
  readonly #timers = new Set<() => void>()
  readonly #watchers = new Set<(down: Down) => void>()
  readonly #unwatch = new Set<() => void>()
  readonly #calls = new Set<(error: Error) => void>()
  readonly #context: Context<unknown>

  constructor(
    readonly system: ActorSystem,
    readonly parent: Actor | undefined,
    readonly spec: ChildSpec,
  ) {
    if (spec.id.includes('/')) throw new ActorNameError(`An actor's id has no slash: '${spec.id}'.`)
    this.path = parent ? `${parent.path}/${spec.id}` : spec.id
    this.startedAt = system.clock.now()
    this.#mailbox = new Mailbox(spec.mailbox ?? DEFAULT_MAILBOX)
    this.ended = new Promise((resolve) => {
      this.#settleEnded = resolve
    })
    this.#nact = spawn(system.nact, () => this.#next(), system.uniqueName(), { onCrash: (_m, _e, ctx) => ctx.stop })
    this.#context = this.#makeContext()
  }

  get alive(): boolean {
    return this.status === 'starting' || this.status === 'running'
  }

  get mailboxLength(): number {
    return this.#mailbox.length
  }

  /** Runs `init`. Rejects with its error; the actor has exited then. */
  async start(): Promise<void> {
    this.system.begins(this.path)
    try {
      if (this.spec.name) this.system.registry.register(this.spec.name, this)
      const state = this.spec.behaviour.init(this.#context, this.spec.args)
      this.#state = state instanceof Promise ? await this.#unlessEnded(state) : state
      this.#initialized = true
      if (!this.alive) {
        await this.#terminate({ kind: 'shutdown' })
        throw new ActorDownError(this.path, 'it was stopped while it started')
      }
      this.status = 'running'
      for (let i = this.#mailbox.length; i > 0; i--) dispatch(this.#nact, 0)
      this.system.changed(this)
    } catch (error) {
      await this.exit({ kind: 'crash', error: asError(error) })
      throw error
    }
  }

  /** Tells it of an end. Never refused for want of room: a supervisor must not miss one. */
  signalDown(down: Down): void {
    if (!this.alive) return
    this.#mailbox.signal({ down })
    if (this.status === 'running') dispatch(this.#nact, 0)
  }

  put(envelope: Envelope): 'taken' | 'replaced' | 'refused' {
    if (!this.alive) return 'refused'
    const put = this.#mailbox.put(envelope)
    if (put === 'taken' && this.status === 'running') dispatch(this.#nact, 0)
    return put
  }

  call<R>(message: (reply: Reply<R>) => unknown, timeoutMs: number): Promise<R> {
    return new Promise<R>((resolve, reject) => {
      if (!this.alive) return reject(new ActorDownError(this.path, 'it has ended'))
      const settle = (settleIt: () => void) => {
        cancel()
        this.#calls.delete(fail)
        settleIt()
      }
      const fail = (error: Error) => settle(() => reject(error))
      const cancel = this.system.clock.after(timeoutMs, () => fail(new CallTimeoutError(this.path, timeoutMs)))
      const reply = Object.assign((value: R) => settle(() => resolve(value)), { fail })
      this.#calls.add(fail)
      if (this.put({ message: message(reply) }) === 'refused') fail(new MailboxFullError(this.path))
    })
  }

  /** `watcher` hears once of the end. Returns what ends the watch. */
  watch(watcher: (down: Down) => void): () => void {
    if (this.status === 'stopped') {
      void this.ended.then((reason) => this.system.guard(() => watcher({ ref: this.ref, reason })))
      return () => {}
    }
    this.#watchers.add(watcher)
    return () => this.#watchers.delete(watcher)
  }

  /**
   * Ends this life: no further message is handled, children are stopped in reverse order, then `terminate` runs. `stop`s wait for the
   * handler in flight, kills and crashes do not. Resolves when all is over.
   */
  async exit(reason: ExitReason): Promise<void> {
    if (!this.alive) return void (await this.ended)
    this.status = 'stopping'
    this.#mailbox.clear()
    stop(this.#nact)
    for (const cancel of this.#timers) cancel()
    for (const end of this.#unwatch) end()
    this.#abort.abort()
    this.#noteCrash(reason)
    const why = describe(reason)
    for (const fail of [...this.#calls]) fail(new ActorDownError(this.path, why))
    for (const child of [...this.children.values()].reverse()) await child.exit({ kind: 'shutdown' })
    if (reason.kind === 'shutdown' || reason.kind === 'normal') await this.#inTime(this.#handling)
    await this.#inTime(this.#terminate(reason))
    this.status = 'stopped'
    this.system.registry.free(this)
    this.parent?.children.delete(this.spec.id)
    this.#settleEnded(reason)
    for (const watcher of this.#watchers) this.system.guard(() => watcher({ ref: this.ref, reason }))
    this.system.changed(this)
  }

  summary(): Summary {
    if (!this.#initialized || !this.spec.behaviour.summarize) return {}
    try {
      return this.spec.behaviour.summarize(this.#state)
    } catch (error) {
      return { summary: `failed: ${asError(error).message}` }
    }
  }

  /** One turn of nact: the oldest message. */
  async #next(): Promise<void> {
    if (this.status !== 'running') return
    const envelope = this.#mailbox.take()
    if (!envelope) return
    const type = 'down' in envelope ? 'down' : typeOf(envelope.message)
    this.recent.push({ type, at: this.system.clock.now() })
    if (this.recent.length > RECENT) this.recent.shift()
    this.messages++
    const begun = performance.now()
    const { behaviour } = this.spec
    let done = () => {}
    this.#handling = new Promise((resolve) => {
      done = resolve
    })
    try {
      const result =
        'down' in envelope
          ? behaviour.onDown?.(this.#state, envelope.down, this.#context)
          : behaviour.handle(this.#state, envelope.message, this.#context)
      const next = result instanceof Promise ? await result : result
      if (next !== undefined) this.#state = next
    } catch (error) {
      void this.exit({ kind: 'crash', error: asError(error), message: type })
    } finally {
      this.busyMs += performance.now() - begun
      done()
    }
  }

  /** What `init` answers. An end does not wait for it; what it answers after that is given back by `terminate`. */
  #unlessEnded(init: Promise<unknown>): Promise<unknown> {
    const giveBack = (state: unknown) => {
      if (this.alive) return
      this.#state = state
      this.#initialized = true
      void this.#terminate({ kind: 'shutdown' })
    }
    init.then(giveBack, () => {})
    const early = this.ended.then((reason) => {
      throw reason.kind === 'crash' ? reason.error : new ActorDownError(this.path, 'it was ended while it started')
    })
    return Promise.race([init, early])
  }

  async #terminate(reason: ExitReason): Promise<void> {
    if (!this.#initialized) return
    this.#initialized = false
    try {
      await this.spec.behaviour.terminate?.(this.#state, reason)
    } catch (error) {
      this.system.crashed(this, { when: this.system.clock.now(), reason: `terminate: ${asError(error).message}` })
    }
  }

  #inTime(work: Promise<void>): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.system.clock.after(this.spec.shutdownMs ?? DEFAULT_SHUTDOWN_MS, resolve)
      void work.then(() => {
        cancel()
        resolve()
      })
    })
  }

  #noteCrash(reason: ExitReason): void {
    if (reason.kind !== 'crash' && reason.kind !== 'killed') return
    const crash: Crash = { when: this.system.clock.now(), reason: describe(reason) }
    if (reason.kind === 'crash') {
      crash.stack = reason.error.stack?.slice(0, 4000)
      crash.message = reason.message
    }
    this.lastCrash = crash
    this.system.crashed(this, crash)
  }

  #makeContext(): Context<unknown> {
    const later = (ms: number, message: unknown, again: boolean): (() => void) => {
      let cancel = () => {}
      if (!this.alive) return cancel
      const arm = () => {
        const clear = this.system.clock.after(ms, () => {
          this.#timers.delete(cancel)
          this.put({ message })
          if (again && this.alive) arm()
        })
        cancel = () => {
          clear()
          this.#timers.delete(cancel)
        }
        this.#timers.add(cancel)
      }
      arm()
      return () => cancel()
    }
    return {
      self: this.ref as ActorRef<unknown>,
      path: this.path,
      signal: this.#abort.signal,
      monitor: (ref) => {
        const end = ActorRef.actorOf(ref).watch((down) => {
          this.#unwatch.delete(end)
          this.signalDown(down)
        })
        this.#unwatch.add(end)
        return end
      },
      after: (ms, message) => later(ms, message, false),
      every: (ms, message) => later(ms, message, true),
      exit: (reason) => void this.exit(reason ? { kind: 'crash', error: asError(reason) } : { kind: 'normal' }),
      whereis: (name) => this.system.registry.whereis(name),
    }
  }
}

export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown))
}

export function describe(reason: ExitReason): string {
  return reason.kind === 'crash' ? `${reason.error.name}: ${reason.error.message}`.slice(0, 500) : reason.kind
}

function typeOf(message: unknown): string {
  if (typeof message === 'string') return message.slice(0, 40)
  const { type, kind } = (message ?? {}) as { type?: unknown; kind?: unknown }
  return String(type ?? kind ?? typeof message).slice(0, 40)
}
