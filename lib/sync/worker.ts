// The sync worker: one actor per volume pair while the devices are connected. Owns the feeder and the fetcher of the pair; a
// crash loses only what is in memory, and the next life goes on from the anchor. Ends normally with the link.

import type { Behaviour, ChildSpec } from '../actors/index.js'
import { equal, hex } from '../model/bytes.js'
import type { DId } from '../model/types.js'
import type { Volume } from '../volume/contract.js'
import { SyncProtocolError } from './errors.js'
import { Feeder } from './feeder.js'
import { Fetcher } from './fetcher.js'
import { knownPair, notePair, notePairSeen } from './known-pairs.js'
import { Mirror } from './mirror.js'
import { PairRules } from './pair-rules.js'
import type { Question } from './questions.js'
import { RulesExchange } from './rules-exchange.js'
import { FEATURE_HOLDING, type Session } from './session.js'
import { Supply } from './supply.js'
import { Throttle } from './throttle.js'
import { begun, ended, stateOf, type WorkerView, waitsOf } from './worker-view.js'

export interface WorkerArgs {
  volume: Volume
  session: Session
  /** SId of the peer's volume. */
  peerVolume: Uint8Array
  peerName: string
  /** True if the peer's changes are taken here (it has the permission to write). */
  receives: boolean
  /** Changes come without chunks. */
  bare?: boolean
  inFlight: Map<string, Promise<void>>
  /** Something that the console shows has changed. */
  changed(): void
  /** Hears what somebody overrode. */
  report?(text: string): void
  /** Milliseconds since the epoch. */
  now?(): number
}

export type WorkerMessage =
  | { type: 'pause' }
  | { type: 'resume' }
  | { type: 'retry' }
  | { type: 'allow' }
  | { type: 'skip'; document: DId }
  | { type: 'look at what waits' }

interface State extends WorkerView {
  supply: Supply
  rules: PairRules
  exchange: RulesExchange
  mirror: Mirror
  throttle: Throttle
  end(): void
}

let follows = 0
/** By worker id, until something goes well again: outlives the worker that it ended. */
const lastErrors = new Map<string, string>()
export const workerId = (volume: Volume, peer: string) => `${volume.label} ${hex(volume.sid).slice(0, 8)} ↔ ${peer}`

/** Spec of the worker of one pair. Restarted with back-off after a crash, not after the end of the link. */
export function workerSpec(args: WorkerArgs): ChildSpec<WorkerArgs> {
  const id = workerId(args.volume, args.session.peer)
  return {
    id,
    name: id,
    behaviour,
    args,
    restart: 'transient',
    backoff: { minMs: 100, maxMs: 10_000 },
  }
}

const behaviour: Behaviour<State, WorkerMessage, WorkerArgs> = {
  init(context, args) {
    const { volume, session, peerVolume } = args
    const number = ++follows
    const id = workerId(volume, session.peer)
    const failed = (error: Error) => {
      if (!session.over) lastErrors.set(id, error.message)
      if (error instanceof SyncProtocolError) session.abort(error)
      context.exit(session.over ? undefined : error)
    }
    const now = args.now ?? Date.now
    const rules = new PairRules({ volume, now }, peerVolume)
    const throttle = new Throttle({ now })
    const feeder = new Feeder({
      volume,
      async send(changes) {
        await throttle.take(changes.chunks.reduce((sum, chunk) => sum + chunk.length, 0))
        await session.send({ changes })
      },
      skips: (document) => fetcher.pending.isSkipped(document),
      failed,
    })
    // Until it is known what the rules say.
    feeder.paused = true
    const ask = async (question: Question) => {
      const answer = await session.ask(volume.root, question)
      feeder.notice(answer.documents)
      return answer
    }
    const fetcher = new Fetcher(
      {
        volume,
        ask,
        inFlight: args.inFlight,
        async acknowledge(seq) {
          await session.send({ ack: { root: volume.root, seq, number } })
          lastErrors.delete(id)
          args.changed()
        },
        failed,
        changed: () => args.changed(),
        strategy: () => state.terms.strategy,
        now,
      },
      peerVolume,
    )
    const exchange = new RulesExchange({ volume, ask, inFlight: args.inFlight, failed })
    const mirror = new Mirror(
      {
        volume,
        ask,
        take: (changes) => fetcher.takeAside(changes),
        isTold: (head) => feeder.isTold(head),
        failed,
      },
      { peerVolume, except: rules.document },
    )
    const detach = session.attach(volume.root, {
      onFollow(follow) {
        feeder.follow(follow)
        void feeder.tell(rules.document)
      },
      onAck: (ack) => {
        feeder.acknowledge(ack)
        args.changed()
      },
      onTold: (heads) => feeder.notice(heads),
      onChanges: (changes) => {
        if (changes.number !== number || !args.receives) return
        feeder.notice(changes.changes)
        const others = changes.changes.filter(({ document }) => !equal(document, rules.document))
        for (const change of changes.changes) if (!others.includes(change)) exchange.take(change)
        const { root, sid, seq, lastSeq, chunks } = changes
        const isAside = !others.length && changes.changes.length > 0 && !fetcher.isNews(seq)
        if (!isAside) fetcher.take({ root, sid, seq, lastSeq, changes: others, chunks, number })
      },
      mayAnswer: (bytes, idle) => throttle.take(bytes, idle),
    })
    const unlisten = volume.on('heads', (heads) => {
      if (heads.some(({ document }) => equal(document, rules.document))) {
        void feeder.tell(rules.document)
        obey(state)
      }
      feeder.wake()
      mirror.wake()
      fetcher.noticeHeads(heads)
    })
    const { bare } = args
    const follow = { root: volume.root, sid: peerVolume, after: fetcher.anchor, number, ...(bare && { bare }) }
    if (args.receives) session.send({ follow }).catch(failed)
    context.every(1000, { type: 'look at what waits' })
    const state: State = {
      args,
      feeder,
      fetcher,
      supply: new Supply({
        ...{ volume, name: args.peerName, confirms: session.supports(FEATURE_HOLDING), now },
        keeps: () => session.offers.some((offer) => equal(offer.sid, peerVolume) && offer.keeps),
        ask: (question) => session.ask(volume.root, question),
      }),
      rules,
      exchange,
      mirror,
      throttle,
      paused: knownPair(volume, peerVolume)?.paused ?? false,
      terms: rules.terms(),
      get lastError() {
        return fetcher.halted ?? lastErrors.get(id)
      },
      end() {
        ended(state)
        state.supply.end()
        detach()
        unlisten()
        fetcher.stop()
        throttle.stop()
        mirror.active = false
        feeder.paused = true
        notePairSeen(volume, peerVolume, now()).catch(() => {})
      },
    }
    begun(state)
    obey(state)
    note(state)
    return state
  },

  handle(state, message, context) {
    const { feeder, fetcher, args } = state
    switch (message.type) {
      case 'pause':
      case 'resume':
        state.paused = message.type === 'pause'
        note(state)
        obey(state)
        if (!state.paused) allow(state)
        args.changed()
        return
      case 'skip':
        void fetcher.skip(message.document)
        return
      case 'allow':
        allow(state)
        args.changed()
        return
      // Not waited for: it may take long, or until somebody allows something.
      case 'retry':
        for (const document of fetcher.pending.wanted()) void feeder.tell(document)
        void fetcher.retry(true)
        return
      case 'look at what waits':
        if (args.session.over) return context.exit()
        obey(state)
        state.throttle.tick()
        void state.exchange.look()
        if (waitsOf(state)) return
        if (state.terms.receives) void fetcher.retry()
        void state.supply.look()
        return
    }
  },

  terminate: (state) => state.end(),

  summarize: ({ args, feeder, fetcher, paused, terms }) => ({
    peer: args.peerName,
    state: stateOf({ feeder, fetcher, paused, terms }),
    sent: feeder.acknowledged,
    received: fetcher.anchor,
    merges: fetcher.merges,
    waiting: fetcher.pending.size,
    halted: fetcher.halted ?? null,
  }),
}

/** Does what the rules, and whoever paused it here, say now. */
function obey(state: State): void {
  const { feeder, fetcher, mirror, throttle, rules } = state
  const before = `${feeder.paused} ${state.terms.receives} ${state.terms.rule?.id} ${waitsOf(state)}`
  state.terms = rules.terms()
  const { sends, receives, strategy, limit } = state.terms
  const waits = waitsOf(state) !== undefined
  throttle.limit = limit
  feeder.paused = waits || !sends
  if (waits || !receives) fetcher.pause()
  else fetcher.resume()
  mirror.active = !waits && strategy === 'mirror' && receives && state.args.receives
  feeder.wake()
  if (before !== `${feeder.paused} ${receives} ${state.terms.rule?.id} ${waitsOf(state)}`) state.args.changed()
}

/** The pair is known, and was seen just now. */
function note({ args, paused }: State): void {
  const { volume, session, peerVolume, peerName } = args
  const seen = (args.now ?? Date.now)()
  // If it cannot be written (the disk is full, the volume closed), it is not known for long.
  notePair(volume, peerVolume, { peer: session.peer, name: peerName, seen, paused }).catch(() => {})
}

/** Somebody said so: worth a line in the log. */
function allow({ args, fetcher }: State): void {
  const { halted } = fetcher
  if (halted) args.report?.(`${args.volume.label} ⇄ ${args.peerName}: allowed although ${halted}`)
  fetcher.allow()
}
