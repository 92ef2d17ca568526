// The sync worker: one actor per volume pair while the devices are connected. Owns the feeder and the fetcher of the pair; a
// crash loses only what is in memory, and the next life goes on from the anchor. Ends normally with the link.

import type { Behaviour, ChildSpec } from '../actors/index.js'
import { hex } from '../model/bytes.js'
import type { Volume } from '../volume/contract.js'
import { SyncProtocolError } from './errors.js'
import { Feeder } from './feeder.js'
import { Fetcher } from './fetcher.js'
import { Repair } from './repair.js'
import type { Session } from './session.js'

export interface WorkerArgs {
  volume: Volume
  session: Session
  /** SId of the peer's volume. */
  peerVolume: Uint8Array
  peerName: string
  /** True if the peer's changes are taken here (it has the permission to write). */
  receives: boolean
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
  | { type: 'look at what waits' }

/** What the console and the API show of a worker. */
export interface WorkerView {
  args: WorkerArgs
  feeder: Feeder
  fetcher: Fetcher
  paused: boolean
  /** Why it stands still, or what ended its last life. */
  readonly lastError?: string
}

interface State extends WorkerView {
  repair: Repair
  end(): void
}

let follows = 0
/** By worker id, until something goes well again: outlives the worker that it ended. */
const lastErrors = new Map<string, string>()
/** The workers that live, for whoever lists them. */
const living = new Set<WorkerView>()

export function livingWorkers(volume: Volume): WorkerView[] {
  return [...living].filter((worker) => worker.args.volume.sid === volume.sid)
}

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
    const feeder = new Feeder({ volume, send: (changes) => session.send({ changes }), failed })
    const fetcher = new Fetcher(
      {
        volume,
        async ask(question) {
          const answer = await session.ask(volume.root, question)
          feeder.notice(answer.documents)
          return answer
        },
        inFlight: args.inFlight,
        async acknowledge(seq) {
          await session.send({ ack: { root: volume.root, seq, number } })
          lastErrors.delete(id)
          args.changed()
        },
        failed,
        changed: () => args.changed(),
        now: args.now ?? Date.now,
      },
      peerVolume,
    )
    const detach = session.attach(volume.root, {
      onFollow: (follow) => feeder.follow(follow),
      onAck: (ack) => {
        feeder.acknowledge(ack)
        args.changed()
      },
      onTold: (heads) => feeder.notice(heads),
      onChanges: (changes) => {
        if (changes.number !== number || !args.receives) return
        feeder.notice(changes.changes)
        fetcher.take(changes)
      },
    })
    const unlisten = volume.on('heads', (heads) => {
      feeder.wake()
      fetcher.noticeHeads(heads)
    })
    if (args.receives)
      session.send({ follow: { root: volume.root, sid: peerVolume, after: fetcher.anchor, number } }).catch(failed)
    context.every(1000, { type: 'look at what waits' })
    const state: State = {
      args,
      feeder,
      fetcher,
      repair: new Repair({ volume, ask: (question) => session.ask(volume.root, question), now: args.now ?? Date.now }),
      paused: false,
      get lastError() {
        return fetcher.halted ?? lastErrors.get(id)
      },
      end() {
        living.delete(state)
        detach()
        unlisten()
        fetcher.stop()
        feeder.paused = true
      },
    }
    living.add(state)
    return state
  },

  handle(state, message, context) {
    const { feeder, fetcher, args } = state
    switch (message.type) {
      case 'pause':
      case 'resume':
        state.paused = message.type === 'pause'
        feeder.paused = state.paused
        if (state.paused) fetcher.pause()
        else {
          fetcher.resume()
          allow(state)
        }
        feeder.wake()
        args.changed()
        return
      case 'allow':
        allow(state)
        args.changed()
        return
      // Not waited for: it may take long, or until somebody allows something.
      case 'retry':
        void fetcher.retry(true)
        return
      case 'look at what waits':
        if (args.session.over) return context.exit()
        if (state.paused) return
        void fetcher.retry()
        void state.repair.look()
        return
    }
  },

  terminate: (state) => state.end(),

  summarize: ({ args, feeder, fetcher, paused }) => ({
    peer: args.peerName,
    state: stateOf({ feeder, fetcher, paused }),
    sent: feeder.acknowledged,
    received: fetcher.anchor,
    merges: fetcher.merges,
    waiting: fetcher.pending.size,
    halted: fetcher.halted ?? null,
  }),
}

/** Somebody said so: worth a line in the log. */
function allow({ args, fetcher }: State): void {
  const { halted } = fetcher
  if (halted) args.report?.(`${args.volume.label} ⇄ ${args.peerName}: allowed although ${halted}`)
  fetcher.allow()
}

export function stateOf({ feeder, fetcher, paused }: Pick<WorkerView, 'feeder' | 'fetcher' | 'paused'>): string {
  if (paused) return 'paused'
  if (fetcher.halted) return 'halted'
  if (fetcher.working || fetcher.anchor < fetcher.lastSeq) return 'receiving'
  if (feeder.following && feeder.acknowledged < feeder.sent) return 'sending'
  return 'idle'
}
