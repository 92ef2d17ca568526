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
import { SyncInterruptedError } from './errors.js'
import { type LocalEnd, localLink } from './local-link.js'
import type { Offer } from './messages.js'
import { FEATURE_HOLDING, type LinkPort, Session } from './session.js'
import { type WorkerMessage, workerId, workerSpec } from './worker.js'

export type SteerAction = 'pause' | 'resume' | 'retry' | 'allow' | 'skip'

export type Permission = 'read' | 'write' | 'backup'

/** What the manager needs of the node. All of it outlives the manager. */
export interface ManagerArgs {
  /** What other devices may see, if they have the permission. */
  volumes(): Volume[]
  /** Volumes that are replicas of others of this device, for this device alone: backups on its disks. */
  attached?(): Volume[]
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

interface Known {
  session: Session
  offered?: string
  /** The volume that this end stands for, where the other end is a volume of this device. */
  only?: Volume
}

interface State {
  args: ManagerArgs
  links: Map<LinkPort, Known>
  /** Links between volumes of this device, by the ids of both. */
  locals: Map<string, LocalEnd[]>
  /** Worker id, which is its name too → what it was started for. */
  workers: Map<string, { session: Session; receives: boolean; bare: boolean }>
  /** Chunks on their way, by volume: shared by all workers of a volume. */
  inFlight: Map<string, Map<string, Promise<void>>>
}

const LOOK_MS = 1000

export const manager: Behaviour<State, ManagerMessage, ManagerArgs> = {
  async init(context, args) {
    const state: State = { args, links: new Map(), locals: new Map(), workers: new Map(), inFlight: new Map() }
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
    linkLocals(state, context.self)
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

/** One link for each attached volume and each volume of the same root; none for those that are gone. */
function linkLocals(state: State, self: ActorRef<ManagerMessage>): void {
  const { args, locals } = state
  const wanted = new Map<string, [Volume, Volume]>()
  for (const attached of args.attached?.() ?? [])
    for (const volume of args.volumes())
      if (equal(volume.root, attached.root)) wanted.set(`${hex(volume.sid)} ${hex(attached.sid)}`, [volume, attached])
  for (const [key, ends] of locals) {
    const pair = wanted.get(key)
    const isWhole = ends.every((end) => state.links.has(end))
    // A volume that was closed and opened again is another one.
    if (pair && isWhole && ends.every((end, i) => state.links.get(end)?.only === pair[i])) continue
    locals.delete(key)
    for (const end of ends) end.abort(new SyncInterruptedError('The volume was closed.'))
  }
  for (const [key, pair] of wanted) {
    if (locals.has(key)) continue
    const [one, other] = pair.map((volume) => ({ peer: localPeer(volume), name: volume.label }))
    const ends = localLink(one, other)
    locals.set(key, ends)
    for (const [i, end] of ends.entries()) begin(state, end, self, pair[i])
  }
}

/** What stands for the device where the other volume is on this one. */
export const localPeer = (volume: Volume): string => `${LOCAL}${hex(volume.sid)}`
export const isLocal = ({ peer }: { peer: string }): boolean => peer.startsWith(LOCAL)
const LOCAL = 'volume '

/** What the other end of a link may see. */
function visible({ args }: State, { session, only }: Pick<Known, 'only'> & { session: { peer: string } }): Volume[] {
  return only ? [only] : args.volumes().filter((volume) => args.permission(session.peer, volume.root))
}

function begin(state: State, link: LinkPort & { name: string }, self: ActorRef<ManagerMessage>, only?: Volume): void {
  const { args } = state
  const shared = (root: Uint8Array) => visible(state, { session: link, only }).find((v) => equal(v.root, root))
  const session = new Session({ link, shared })
  state.links.set(link, { session, only })
  if (!only) args.sessions.set(link.peer, session)
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
function offer(state: State, known: Known): void {
  const offers = visible(state, known).map((volume): Offer => {
    const keeps = known.session.supports(FEATURE_HOLDING) && volume.holding.keeps
    const { sid, root, label } = volume
    return { sid, root, label, lastSeq: volume.lastSeq(), ...(keeps && { keeps }) }
  })
  const told = offers.map((o) => `${hex(o.sid)} ${o.label} ${o.keeps ?? false}`).join()
  if (known.offered === told) return
  known.offered = told
  known.session.sendOffers(offers)
}

async function matchWorkers(state: State): Promise<void> {
  const { args } = state
  const supervisor = args.workers()
  if (!supervisor) return
  const wanted = new Map<
    string,
    { session: Session; volume: Volume; offer: Offer; receives: boolean; bare: boolean; name: string }
  >()
  for (const [link, { session, only }] of state.links)
    for (const offer of session.offers) {
      const volume = visible(state, { session, only }).find(
        (v) => equal(v.root, offer.root) && !equal(v.sid, offer.sid),
      )
      const permission = only ? 'write' : args.permission(session.peer, offer.root)
      if (!volume || !permission || session.over) continue
      const { name } = link as LinkPort & { name: string }
      if (session.supports(FEATURE_HOLDING)) volume.holding.keeperSeen(name, offer.keeps ?? false).catch(() => {})
      const receives = permission === 'write'
      const bare = session.supports(FEATURE_HOLDING) && volume.holding.policy.hold === 'on-demand'
      wanted.set(workerId(volume, session.peer), { session, volume, offer, receives, bare, name })
    }
  for (const [id, worker] of state.workers) {
    const want = wanted.get(id)
    if (want?.session === worker.session && want.receives === worker.receives && want.bare === worker.bare) continue
    state.workers.delete(id)
    await stopChild(supervisor, id).catch(() => {})
  }
  for (const [id, { session, volume, offer, receives, bare, name }] of wanted) {
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
        bare,
        inFlight,
        changed: args.changed,
        report: args.report,
        now: args.now,
      }) as never,
    ).catch((error) => args.report(`${id}: ${(error as Error).message}`))
    state.workers.set(id, { session, receives, bare })
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
