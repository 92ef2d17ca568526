// The actor system: one root supervisor, kept alive; names; the tree for the console. Owns the counters that survive
// restarts. Everything in it may be killed, the root included: then the root is started again from its spec.

import { type ActorSystemRef, start as startNact, stop as stopNact } from 'nact'
import { Actor, ActorRef } from './actor.js'
import { systemClock } from './clock.js'
import { ActorNameError } from './errors.js'
import { Registry } from './registry.js'
import type { ActorNode, ChildSpec, Clock, Crash } from './types.js'

export interface ActorSystemComponents {
  clock?: Clock
}

export interface ActorSystemInit {
  /** Hears of every crash and kill, e.g. to log it. */
  onCrash?(path: string, crash: Crash): void
  /** How soon the root is started again, and how often within ten seconds before the system gives up (`failed`). */
  rootRestarts?: number
}

const ROOT_WINDOW_MS = 10_000
let systems = 0

export class ActorSystem {
  readonly clock: Clock
  readonly registry = new Registry()
  /** nact's root, under which all its actors lie flat: a nact actor with many children is slow. */
  readonly nact: ActorSystemRef
  /** Settles with an error when the root crashed too often, without one after `stop`. */
  readonly ended: Promise<Error | undefined>
  #settleEnded!: (error?: Error) => void
  #names = 0
  #root?: Actor
  #stopping = false
  #rootRestarts: number[] = []
  readonly #records = new Map<string, ActorRecord>()
  #places = 0
  readonly #listeners = new Set<() => void>()

  constructor(
    components: ActorSystemComponents,
    private readonly init: ActorSystemInit = {},
  ) {
    this.clock = components.clock ?? systemClock
    this.nact = startNact({ name: `peerdrive-${process.pid}-${++systems}` } as never)
    this.ended = new Promise((resolve) => {
      this.#settleEnded = resolve
    })
  }

  /** Starts the root. Rejects with the error of the first child that cannot start. */
  async start(spec: ChildSpec): Promise<void> {
    const root = new Actor(this, undefined, spec)
    this.#root = root
    await root.start()
    root.watch(() => void this.#rootEnded(spec))
  }

  /** Stops everything, children first. */
  async stop(): Promise<void> {
    this.#stopping = true
    await this.#root?.exit({ kind: 'shutdown' })
    stopNact(this.nact)
    this.#settleEnded()
  }

  whereis<M>(name: string): ActorRef<M> | undefined {
    return this.registry.whereis<M>(name)
  }

  /** Kills the actor at `path`, abruptly: its supervisor starts it again. Throws ActorNameError if there is none. */
  async kill(path: string): Promise<void> {
    const actor = this.#find(path)
    if (!actor) throw new ActorNameError(`There is no actor '${path}'.`)
    await actor.exit({ kind: 'killed' })
  }

  inspect(): ActorNode {
    return this.#root ? this.#node(this.#root) : stoppedNode('root', 'root')
  }

  /** Calls `listener` after every start, end and crash. Returns what ends that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** A name for nact, which needs unique ones. */
  uniqueName(): string {
    return `a${++this.#names}`
  }

  changed(_actor: Actor): void {
    for (const listener of this.#listeners) this.guard(listener)
  }

  crashed(actor: Actor, crash: Crash): void {
    this.#record(actor.path).lastCrash = crash
    this.guard(() => this.init.onCrash?.(actor.path, crash))
  }

  /** Runs what comes from outside: its errors must not keep an actor from ending, nor its supervisor from hearing of it. */
  guard(outside: () => void): void {
    try {
      outside()
    } catch (error) {
      process.emitWarning(error instanceof Error ? error : String(error))
    }
  }

  /** An actor of this path begins its life. */
  begins(path: string): void {
    this.#record(path)
  }

  restarted(path: string): void {
    this.#record(path).restarts++
  }

  /** The actor of this path is not to be started again. */
  forget(path: string): void {
    for (const known of this.#records.keys())
      if (known === path || known.startsWith(`${path}/`)) this.#records.delete(known)
  }

  async #rootEnded(spec: ChildSpec): Promise<void> {
    if (this.#stopping) return
    const time = this.clock.now()
    this.#rootRestarts = this.#rootRestarts.filter((t) => time - t < ROOT_WINDOW_MS)
    this.#rootRestarts.push(time)
    if (this.#rootRestarts.length > (this.init.rootRestarts ?? 5)) {
      stopNact(this.nact)
      return this.#settleEnded(new Error('The root supervisor crashed too often; see the crashes before.'))
    }
    this.restarted(spec.id)
    try {
      await this.start(spec)
    } catch {
      await this.#rootEnded(spec)
    }
  }

  #record(path: string): ActorRecord {
    let record = this.#records.get(path)
    if (!record) this.#records.set(path, (record = { restarts: 0, place: ++this.#places }))
    return record
  }

  #find(path: string): Actor | undefined {
    const [rootId, ...ids] = path.split('/')
    let actor = this.#root?.spec.id === rootId ? this.#root : undefined
    for (const id of ids) actor = actor?.children.get(id)
    return actor
  }

  #place({ path }: ActorNode): number {
    return this.#records.get(path)?.place ?? Number.POSITIVE_INFINITY
  }

  #node(actor: Actor): ActorNode {
    const record = this.#records.get(actor.path)
    const waiting = [...actor.waiting.values()].map((spec): ActorNode => {
      const path = `${actor.path}/${spec.id}`
      const known = this.#records.get(path)
      return {
        ...stoppedNode(path, spec.id),
        status: 'backing off',
        restarts: known?.restarts ?? 0,
        lastCrash: known?.lastCrash,
      }
    })
    return {
      path: actor.path,
      id: actor.spec.id,
      kind: actor.spec.behaviour.kind ?? 'worker',
      status: actor.status,
      mailbox: actor.mailboxLength,
      messages: actor.messages,
      busyMs: Math.round(actor.busyMs),
      startedAt: actor.startedAt,
      restarts: record?.restarts ?? 0,
      lastCrash: record?.lastCrash,
      summary: actor.summary(),
      recent: [...actor.recent],
      children: [...[...actor.children.values()].map((child) => this.#node(child)), ...waiting].sort(
        (a, b) => this.#place(a) - this.#place(b),
      ),
    }
  }
}

/** What is known of a path through all its lives. */
interface ActorRecord {
  restarts: number
  lastCrash?: Crash
  /** Grows in the order of first starts: a child that is started again stays where it was in the tree. */
  place: number
}

function stoppedNode(path: string, id: string): ActorNode {
  return {
    path,
    id,
    kind: 'worker',
    status: 'stopped',
    mailbox: 0,
    messages: 0,
    busyMs: 0,
    startedAt: 0,
    restarts: 0,
    summary: {},
    recent: [],
    children: [],
  }
}

/** Monitors from outside of any actor: calls back once when `ref` has ended. */
export function whenDown(ref: ActorRef<never>, callback: () => void): () => void {
  return ActorRef.actorOf(ref).watch(callback)
}
