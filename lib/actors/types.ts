// The vocabulary of actors: behaviours, specs of children, references, reasons. Types only; docs/runtime.md gives the
// guarantees. After Erlang/OTP (gen_server, supervisor), with what nact lacks.

import type { ActorRef } from './actor.js'

export type ExitReason =
  | { kind: 'normal' }
  /** Its supervisor, or the end of the system. */
  | { kind: 'shutdown' }
  /** Somebody at the console. */
  | { kind: 'killed' }
  | { kind: 'crash'; error: Error /** Type of the message it died on, where it was one. */; message?: string }

/** An actor that was monitored is gone. */
export interface Down {
  ref: ActorRef<never>
  reason: ExitReason
}

export type Summary = Record<string, string | number | boolean | null>

/** What an actor is given besides its state. Valid as long as the actor lives. */
export interface Context<M> {
  readonly self: ActorRef<M>
  readonly path: string
  /** Aborted when the actor exits, for whatever it waits for. */
  readonly signal: AbortSignal
  /** The behaviour's `onDown` hears of the end of `ref`; at once if it is gone already. Returns what ends the monitor. */
  monitor(ref: ActorRef<never>): () => void
  /** Sends itself a message later; gone with the actor. Returns what cancels it. */
  after(ms: number, message: M): () => void
  every(ms: number, message: M): () => void
  /** Ends the actor; an Error is a crash. May be called from callbacks outside of a handler. */
  exit(reason?: Error): void
  whereis<N>(name: string): ActorRef<N> | undefined
}

// biome-ignore lint/suspicious/noConfusingVoidType: handlers that answer nothing are the usual ones
export type Next<S> = S | undefined | void

/** A kind of actor. One message is handled at a time, also when `handle` is asynchronous; a throw is a crash. */
export interface Behaviour<S, M, A = undefined> {
  /** How it is shown in the console. */
  readonly kind?: 'supervisor' | 'thread' | 'worker'
  /** A throw fails the start: the supervisor treats it as a crash. */
  init(context: Context<M>, args: A): S | Promise<S>
  /** Answers the next state; undefined keeps the one it has. */
  handle(state: S, message: M, context: Context<M>): Next<S> | Promise<Next<S>>
  onDown?(state: S, down: Down, context: Context<M>): Next<S> | Promise<Next<S>>
  /** Gives back what the state holds. Called however the actor ends, after its children are gone. */
  terminate?(state: S, reason: ExitReason): void | Promise<void>
  /** A few facts for the console. Must be cheap and must not throw. */
  summarize?(state: S): Summary
}

export type Restart =
  /** Started again however it ended. */
  | 'permanent'
  /** Started again after a crash or a kill, not after a normal end. */
  | 'transient'
  /** Never started again. */
  | 'temporary'

/** A child, as data. Erlang's child spec. */
export interface ChildSpec<A = unknown> {
  /** Unique among its siblings. */
  id: string
  // biome-ignore lint/suspicious/noExplicitAny: a supervisor's children have all kinds of states and messages
  behaviour: Behaviour<any, any, A>
  args: A
  /** Default: permanent. */
  restart?: Restart
  /** How long its handler in flight and `terminate` may take when it is stopped; then it is left behind. Default 5000. */
  shutdownMs?: number
  /** Default: 10,000, reject. */
  mailbox?: { limit: number; overflow: 'reject' | 'drop-oldest' }
  /** For what waits on the world: restarts are delayed, doubling from `minMs` to `maxMs`, and do not count as intensity. */
  backoff?: { minMs: number; maxMs: number }
  /** Name in the registry. */
  name?: string
}

export interface Crash {
  /** Milliseconds since the epoch. */
  when: number
  reason: string
  stack?: string
  message?: string
}

/** An actor as the console shows it: plain JSON, bounded. */
export interface ActorNode {
  path: string
  id: string
  kind: 'supervisor' | 'thread' | 'worker'
  status: 'starting' | 'running' | 'stopping' | 'backing off' | 'stopped'
  /** Messages waiting. */
  mailbox: number
  /** Messages handled since it was last started. */
  messages: number
  /** Time spent in handlers since then, milliseconds. */
  busyMs: number
  startedAt: number
  restarts: number
  lastCrash?: Crash
  summary: Summary
  /** Types of the last messages, newest last. */
  recent: { type: string; at: number }[]
  children: ActorNode[]
}

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Calls back once after `ms`; returns what cancels it. */
  after(ms: number, callback: () => void): () => void
}
