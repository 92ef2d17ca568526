// Matches what is shared here with what connected devices offer, and keeps one worker for each pair of volumes with the same
// root. An actor: it may be killed, and finds everything again, since links and volumes live elsewhere.

import {
  type ActorRef,
  type Behaviour,
  type Context,
  type SupervisorMessage,
  startChild,
  stopChild,
} from '../actors/index.js'
import { equal, hex } from '../model/bytes.js'
import type { DId } from '../model/types.js'
import type { Volume } from '../volume/contract.js'
import type { Offer } from './messages.js'
import { type LinkPort, Session } from './session.js'
import { type WorkerMessage, workerId, workerSpec } from './worker.js'

export type SteerAction = 'pause' | 'resume' | 'retry' | 'allow' | 'skip'

export type Permission = 'read' | 'write' | 'backup'

/** What the manager needs of the node. All of it outlives the manager. */
export interface ManagerArgs {
  volumes(): Volume[]
  links(): (LinkPort & { name: string })[]
  /** What the device may do with the volume of this root. */
  permission(peer: string, root: Uint8Array): Permission | undefined
  /** Where the workers live. */
  workers(): ActorRef<SupervisorMessage> | undefined
  /** Called with every session, so that others (offers, `join`) can look at it. */
  sessions: Map<string, Session>
  changed(): void
  /** A link ended because the peer broke the protocol, or the like. */
  report(text: string): void
  /** Milliseconds since the epoch; the system's clock if not given. */
  now?(): number
}

/** `changed`: volumes, links or trust are not what they were. */
export type ManagerMessage =
  | { type: 'changed' }
  | { type: 'offers' }
  | { type: 'link over'; link: LinkPort }
  | { type: 'steer'; volume: string; peer: string; action: SteerAction; document?: DId }

interface State {
  args: ManagerArgs
  links: Map<LinkPort, { session: Session; offered?: string }>
  /** Worker id, which is its name too → what it was started for. */
  workers: Map<string, { session: Session; receives: boolean }>
  /** Chunks on their way, by volume: shared by all workers of a volume. */
  inFlight: Map<string, Map<string, Promise<void>>>
}

const LOOK_MS = 1000

export const manager: Behaviour<State, ManagerMessage, ManagerArgs> = {
  async init(context, args) {
    const state: State = { args, links: new Map(), workers: new Map(), inFlight: new Map() }
    context.every(LOOK_MS, { type: 'changed' })
    context.self.cast({ type: 'changed' })
    return state
  },

  async handle(state, message, context) {
    if (message.type === 'steer') return steer(state, message, context)
    if (message.type === 'link over') {
      const known = state.links.get(message.link)
      state.links.delete(message.link)
      if (known && state.args.sessions.get(message.link.peer) === known.session)
        state.args.sessions.delete(message.link.peer)
    }
    for (const link of state.args.links()) if (!state.links.has(link)) begin(state, link, context.self)
    for (const known of state.links.values()) offer(state, known)
    await matchWorkers(state)
  },

  terminate(state) {
    // Two sessions cannot read one link: the next life needs new links.
    for (const link of state.links.keys()) link.abort(new Error('The sync manager was started again.'))
    state.args.sessions.clear()
  },

  summarize: (state) => ({ links: state.links.size, pairs: state.workers.size }),
}

function begin(state: State, link: LinkPort & { name: string }, self: ActorRef<ManagerMessage>): void {
  const { args } = state
  const shared = (root: Uint8Array) =>
    args.permission(link.peer, root) ? args.volumes().find((v) => equal(v.root, root)) : undefined
  const session = new Session({ link, shared })
  state.links.set(link, { session })
  args.sessions.set(link.peer, session)
  session.on('offers', () => {
    self.cast({ type: 'offers' })
    args.changed()
  })
  void session.run().then((error) => {
    if (error && (error as { code?: string }).code === 'SYNC_PROTOCOL') args.report(`${link.name}: ${error.message}`)
    self.cast({ type: 'link over', link })
  })
}

/** Tells the peer what it may see, if that is not what it was told before. */
function offer(state: State, known: { session: Session; offered?: string }): void {
  const { args } = state
  const offers = args
    .volumes()
    .filter((volume) => args.permission(known.session.peer, volume.root))
    .map((volume): Offer => ({ sid: volume.sid, root: volume.root, label: volume.label, lastSeq: volume.lastSeq() }))
  const told = offers.map((o) => `${hex(o.sid)} ${o.label}`).join()
  if (known.offered === told) return
  known.offered = told
  known.session.sendOffers(offers)
}

async function matchWorkers(state: State): Promise<void> {
  const { args } = state
  const supervisor = args.workers()
  if (!supervisor) return
  const wanted = new Map<string, { session: Session; volume: Volume; offer: Offer; receives: boolean; name: string }>()
  for (const [link, { session }] of state.links)
    for (const offer of session.offers) {
      const volume = args.volumes().find((v) => equal(v.root, offer.root) && !equal(v.sid, offer.sid))
      const permission = args.permission(session.peer, offer.root)
      if (!volume || !permission || session.over) continue
      const { name } = link as LinkPort & { name: string }
      wanted.set(workerId(volume, session.peer), { session, volume, offer, receives: permission === 'write', name })
    }
  for (const [id, worker] of state.workers) {
    const want = wanted.get(id)
    if (want?.session === worker.session && want.receives === worker.receives) continue
    state.workers.delete(id)
    await stopChild(supervisor, id).catch(() => {})
  }
  for (const [id, { session, volume, offer, receives, name }] of wanted) {
    if (state.workers.has(id)) continue
    const key = hex(volume.sid)
    const inFlight = state.inFlight.get(key) ?? new Map<string, Promise<void>>()
    state.inFlight.set(key, inFlight)
    await stopChild(supervisor, id).catch(() => {})
    await startChild(
      supervisor,
      workerSpec({
        volume,
        session,
        peerVolume: offer.sid,
        peerName: name,
        receives,
        inFlight,
        changed: args.changed,
        report: args.report,
        now: args.now,
      }) as never,
    ).catch((error) => args.report(`${id}: ${(error as Error).message}`))
    state.workers.set(id, { session, receives })
    args.changed()
  }
}

/** Empty names mean all. */
function steer(
  state: State,
  { volume, peer, action, document }: Extract<ManagerMessage, { type: 'steer' }>,
  context: Context<ManagerMessage>,
): void {
  for (const [id, worker] of state.workers) {
    const matches = (!volume || id.startsWith(`${volume} `)) && (!peer || worker.session.peer === peer)
    if (matches && action === 'allow') state.args.report(`${id}: somebody allowed what it stopped at.`)
    if (matches) context.whereis<WorkerMessage>(id)?.cast({ type: action, document } as WorkerMessage)
  }
}
