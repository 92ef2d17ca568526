// Supervision as data: `supervisor({...})` makes a child spec whose behaviour starts its children in order, and starts them
// again when they end, after the rules of Erlang/OTP (strategies, restart types, intensity) plus back-off.
// Invariant: children are started in the order of the list and stopped in the reverse order.

import { Actor, ActorRef, type Reply } from './actor.js'
import { ActorNameError, RestartIntensityError } from './errors.js'
import type { Behaviour, ChildSpec, Context, Down } from './types.js'

export type Strategy =
  /** Only the child that ended is started again. */
  | 'one_for_one'
  /** All children are. */
  | 'one_for_all'
  /** It and those after it in the list are. */
  | 'rest_for_one'

export interface SupervisorInit {
  id: string
  strategy: Strategy
  /** More than `restarts` within `windowMs`: the supervisor gives up and crashes itself. Default 5 in 10 s. */
  intensity?: { restarts: number; windowMs: number }
  /** A function is asked anew whenever the supervisor itself is started: for lists that live outside of it. */
  // biome-ignore lint/suspicious/noExplicitAny: children of all kinds
  children: ChildSpec<any>[] | (() => ChildSpec<any>[])
  restart?: ChildSpec['restart']
  name?: string
}

export type SupervisorMessage =
  | { type: 'start child'; spec: ChildSpec; reply: Reply<ActorRef<never> | undefined> }
  | { type: 'stop child'; id: string; reply: Reply<boolean> }
  | { type: 'start again'; id: string }

interface Child {
  spec: ChildSpec
  actor?: Actor
  /** Delay of the next restart with back-off. */
  delayMs: number
  cancel?: () => void
}

interface State {
  init: SupervisorInit
  children: Map<string, Child>
  /** Times of the restarts within the window. */
  restarts: number[]
  total: number
}

const DEFAULT_INTENSITY = { restarts: 5, windowMs: 10_000 }

/** The spec of a supervisor, to be a child of another or the root of a system. */
export function supervisor(init: SupervisorInit): ChildSpec<SupervisorInit> {
  return { id: init.id, behaviour, args: init, restart: init.restart, name: init.name, shutdownMs: 60_000 }
}

/**
 * Starts a child under a running supervisor. Rejects with the error of its `init`, or ActorNameError if the id is taken.
 * A child with back-off that cannot start yet is tried again later: undefined.
 */
export function startChild<M, A>(supervisor: ActorRef<SupervisorMessage>, spec: ChildSpec<A>, timeoutMs = 60_000) {
  return supervisor.call<ActorRef<never> | undefined>(
    (reply) => ({ type: 'start child', spec: spec as ChildSpec, reply }),
    timeoutMs,
  ) as Promise<unknown> as Promise<ActorRef<M> | undefined>
}

/** Stops a child and forgets it. False if there was none of that id. */
export function stopChild(supervisor: ActorRef<SupervisorMessage>, id: string, timeoutMs = 60_000): Promise<boolean> {
  return supervisor.call<boolean>((reply) => ({ type: 'stop child', id, reply }), timeoutMs)
}

const behaviour: Behaviour<State, SupervisorMessage, SupervisorInit> = {
  kind: 'supervisor',

  async init(context, init) {
    const state: State = { init, children: new Map(), restarts: [], total: 0 }
    const specs = typeof init.children === 'function' ? init.children() : init.children
    for (const spec of specs) await add(state, spec, context)
    return state
  },

  async handle(state, message, context) {
    switch (message.type) {
      case 'start child':
        try {
          if (state.children.has(message.spec.id))
            throw new ActorNameError(`${context.path} has a child '${message.spec.id}' already.`)
          message.reply(await add(state, message.spec, context))
        } catch (error) {
          message.reply.fail(error as Error)
        }
        return
      case 'stop child': {
        const child = state.children.get(message.id)
        await remove(state, message.id, context)
        message.reply(child !== undefined)
        return
      }
      case 'start again':
        return startAgain(state, message.id, context)
    }
  },

  async onDown(state, down, context) {
    const actor = ActorRef.actorOf(down.ref)
    const child = state.children.get(actor.spec.id)
    if (child?.actor !== actor) return
    child.actor = undefined
    await ended(state, child, down, context)
  },

  terminate(state) {
    for (const child of state.children.values()) child.cancel?.()
  },

  summarize: (state) => ({
    strategy: state.init.strategy,
    children: state.children.size,
    'restarts of children': state.total,
  }),
}

async function add(
  state: State,
  spec: ChildSpec,
  context: Context<SupervisorMessage>,
): Promise<ActorRef<never> | undefined> {
  const child: Child = { spec, delayMs: spec.backoff?.minMs ?? 0 }
  state.children.set(spec.id, child)
  try {
    await start(child, context)
  } catch (error) {
    // What waits on the world may fail at first and is tried again like after a crash.
    if (!spec.backoff) {
      state.children.delete(spec.id)
      throw error
    }
    startLater(child, context)
  }
  return child.actor?.ref
}

async function start(child: Child, context: Context<SupervisorMessage>): Promise<void> {
  const parent = ActorRef.actorOf(context.self)
  if (!parent.alive) return
  const actor = new Actor(parent.system, parent, child.spec)
  parent.waiting.delete(child.spec.id)
  parent.children.set(child.spec.id, actor)
  await actor.start()
  child.actor = actor
  context.monitor(actor.ref)
}

async function remove(state: State, id: string, context: Context<SupervisorMessage>): Promise<void> {
  const child = state.children.get(id)
  if (!child) return
  state.children.delete(id)
  child.cancel?.()
  const self = ActorRef.actorOf(context.self)
  self.waiting.delete(id)
  await child.actor?.exit({ kind: 'shutdown' })
  self.system.forget(`${self.path}/${id}`)
}

async function ended(state: State, child: Child, down: Down, context: Context<SupervisorMessage>): Promise<void> {
  const { spec } = child
  const kind = spec.restart ?? 'permanent'
  const orderly = down.reason.kind === 'normal' || down.reason.kind === 'shutdown'
  if (kind === 'temporary' || (kind === 'transient' && orderly)) {
    state.children.delete(spec.id)
    ActorRef.actorOf(context.self).system.forget(`${context.path}/${spec.id}`)
    return
  }
  if (spec.backoff) {
    const lived = now(context) - ActorRef.actorOf(down.ref).startedAt
    if (lived > spec.backoff.maxMs) child.delayMs = spec.backoff.minMs
    return startLater(child, context)
  }
  await restart(state, child, context)
}

function startLater(child: Child, context: Context<SupervisorMessage>): void {
  const { id, backoff } = child.spec
  ActorRef.actorOf(context.self).waiting.set(id, child.spec)
  child.cancel = context.after(child.delayMs, { type: 'start again', id })
  child.delayMs = Math.min(Math.max(child.delayMs * 2, 1), backoff?.maxMs ?? child.delayMs)
}

async function startAgain(state: State, id: string, context: Context<SupervisorMessage>): Promise<void> {
  const child = state.children.get(id)
  if (!child || child.actor) return
  child.cancel = undefined
  state.total++
  note(child, context)
  try {
    await start(child, context)
  } catch {
    startLater(child, context)
  }
}

/** Restarts within the intensity; an `init` that fails counts as a crash and is tried again until the intensity ends it. */
async function restart(state: State, child: Child, context: Context<SupervisorMessage>): Promise<void> {
  const affected = affectedBy(state, child)
  for (const other of [...affected].reverse()) {
    const { actor } = other
    other.actor = undefined
    await actor?.exit({ kind: 'shutdown' })
    if (other !== child && other.spec.restart === 'temporary') await remove(state, other.spec.id, context)
  }
  count(state, child, context)
  for (const each of affected) if (state.children.has(each.spec.id)) await startInGroup(state, each, context)
}

/** What waits on the world waits alone when it fails; anything else that fails is counted, until the intensity ends it. */
async function startInGroup(state: State, child: Child, context: Context<SupervisorMessage>): Promise<void> {
  child.cancel?.()
  child.cancel = undefined
  for (;;) {
    note(child, context)
    try {
      return await start(child, context)
    } catch {
      if (child.spec.backoff) return startLater(child, context)
      count(state, child, context)
    }
  }
}

function affectedBy(state: State, child: Child): Child[] {
  const all = [...state.children.values()]
  switch (state.init.strategy) {
    case 'one_for_one':
      return [child]
    case 'one_for_all':
      return all
    case 'rest_for_one':
      return all.slice(all.indexOf(child))
  }
}

/** Throws RestartIntensityError when this restart is one too many. */
function count(state: State, child: Child, context: Context<SupervisorMessage>): void {
  const { restarts, windowMs } = state.init.intensity ?? DEFAULT_INTENSITY
  const time = now(context)
  state.restarts = state.restarts.filter((t) => time - t < windowMs)
  state.restarts.push(time)
  state.total++
  if (state.restarts.length > restarts) throw new RestartIntensityError(context.path, child.spec.id, restarts, windowMs)
}

function note(child: Child, context: Context<SupervisorMessage>): void {
  ActorRef.actorOf(context.self).system.restarted(`${context.path}/${child.spec.id}`)
}

function now(context: Context<SupervisorMessage>): number {
  return ActorRef.actorOf(context.self).system.clock.now()
}
