// The volume thread as an actor: starts it, hears its events, and tells the link who lives. Owns the thread and nothing else:
// the mount's descriptors, shared memory and what is known of handles are the volume's (resources.ts).
//
// Recovery: a volume thread begins with an empty overlay over LMDB, so whatever the one before has journaled has to be folded
// first, and what it had open to be settled: the committer does both when it starts without a volume thread, so it is asked
// to start again. Waiting for that must not hold up the supervisor (it may have the committer to start), so `init` only sends
// the actor on its way; requests wait in the link meanwhile.

import { Worker } from 'node:worker_threads'
import {
  type Behaviour,
  type ChildSpec,
  type Context,
  endThread,
  type SupervisorMessage,
  startChild,
  stopChild,
} from '../actors/index.js'
import { ring } from '../fuse/session.js'
import type { Lsn } from '../store/records.js'
import type { CommitterActorMessage } from './committer-actor.js'
import type { EngineBegin, EngineData, EngineEvent, EngineMessage, Leave } from './engine/messages.js'
import { PathError } from './errors.js'
import { completeFsync } from './fsync.js'
import { handleSpec } from './handle-actor.js'
import type { VolumeResources } from './resources.js'

/** How long a thread may take to write and close what it has when it is asked to stop. */
const STOP_MS = 10_000

export type EngineActorMessage = { type: 'start' }

interface State {
  volume: VolumeResources
  worker?: Worker
}

const behaviour: Behaviour<State, EngineActorMessage, VolumeResources> = {
  kind: 'thread',

  init(context, volume) {
    followHandles(volume, context)
    context.self.cast({ type: 'start' })
    return { volume }
  },

  async handle(state, _message, context) {
    const { volume } = state
    context.whereis<CommitterActorMessage>(volume.name('committer'))?.cast({ type: 'recover' })
    state.worker = startThread(context)
    const journalEnd = await volume.engineMayStart(context.signal)
    if (journalEnd === undefined) return
    await ready(volume, state.worker, journalEnd)
    if (context.signal.aborted) return
    volume.findPendingSpools()
    volume.started()
  },

  async terminate({ volume, worker }, reason) {
    if (!worker) return
    if (reason.kind === 'shutdown' || reason.kind === 'normal') await finish(volume)
    volume.engine.link.detach(reason.kind === 'crash' ? reason.error.message : reason.kind)
    await end(worker, volume)
    volume.mountPoint?.forgetUnanswered()
    volume.engineEnded()
  },

  summarize: ({ volume, worker }) => ({
    state: !worker ? 'waits for recovery' : volume.engine.link.attached ? 'serves' : 'starts',
    thread: worker?.threadId ?? 0,
    'threads before': volume.engine.generation,
    'requests waiting': volume.engine.link.waiting,
    backlog: volume.backlog,
  }),
}

/** A handle that is there has an actor. Without a supervisor at the moment: the next one asks the table who has to be there. */
function followHandles(volume: VolumeResources, context: Context<EngineActorMessage>): void {
  const { handles } = volume
  const supervisor = () => context.whereis<SupervisorMessage>(volume.name('handles'))
  handles.onNew = (entry) => {
    const parent = supervisor()
    if (parent) startChild(parent, handleSpec({ components: volume, entry })).catch(() => {})
  }
  handles.onGone = ({ key }) => {
    const parent = supervisor()
    if (parent) stopChild(parent, key).catch(() => {})
  }
}

/** Loads while recovery goes on. Its end is the actor's. */
function startThread(context: Context<EngineActorMessage>): Worker {
  const worker = new Worker(new URL('./engine/thread.js', import.meta.url), {
    name: 'peerdrive-volume',
    // Live state is bounded by itself (live-state.ts); buffers of file contents are not on this heap.
    resourceLimits: { maxOldGenerationSizeMb: 512, maxYoungGenerationSizeMb: 16 },
  })
  const over = (error: Error) => {
    if (!context.signal.aborted) context.exit(error)
  }
  worker.on('error', over)
  worker.on('exit', (code) => over(new Error(`The volume thread ended (exit code ${code}).`)))
  return worker
}

/** What a thread begins with. */
function beginning(volume: VolumeResources, end: Lsn): EngineData {
  return {
    directory: volume.layout.directory,
    end,
    progress: volume.progress,
    session: volume.engine.session,
    devices: volume.devices,
    partial: volume.holding.partial,
    generation: volume.engine.generation++,
  }
}

/** Resolves when the thread takes requests; rejects if it ends before. */
function ready(volume: VolumeResources, worker: Worker, end: Lsn): Promise<void> {
  const { link } = volume.engine
  worker.postMessage({ begin: beginning(volume, end) } satisfies EngineBegin)
  return new Promise((resolve, reject) => {
    worker.on('error', reject)
    worker.on('exit', () => reject(new Error('The volume thread ended while it started.')))
    worker.on('message', (message: EngineMessage) => {
      if ('event' in message) {
        if (message.event.type === 'ready') {
          link.attach((id, request) => {
            worker.postMessage({ id, request })
            if (volume.engine.session) ring(volume.engine.session)
          })
          // They may have changed while it started.
          volume.engine.nameDevices(volume.devices)
          void volume.engine.partial(volume.holding.partial).catch(() => {})
          resolve()
        } else onEvent(volume, message.event)
      } else if ('error' in message) link.fail(message.id, new PathError(message.error.code, message.error.message))
      else link.answer(message.id, message.answer)
    })
  })
}

function onEvent(volume: VolumeResources, event: EngineEvent): void {
  switch (event.type) {
    case 'handles':
      return volume.handles.reported(event.handles)
    case 'sealed':
      return void volume.handles.sealing(event.spool, event.ino, event.size)
    case 'fsync':
      return void completeFsync(volume, event)
    case 'wake':
      return volume.committer.wake()
    case 'unmounted':
      return void volume.mountPoint?.ended()
    case 'damaged':
      return volume.damaged.add(event.id)
    case 'missing':
      return void volume.demand.missing(event)
    case 'readOn':
      return volume.demand.readOn(event.content, event.offset)
    case 'report':
      return volume.report(event.text)
  }
}

/** The thread may sleep in poll(2), which nothing but the doorbell ends. */
async function end(worker: Worker | undefined, volume: VolumeResources): Promise<void> {
  if (!worker) return
  await endThread(worker, () => {
    worker.postMessage({ leave: true } satisfies Leave)
    if (volume.engine.session) ring(volume.engine.session)
  })
}

async function finish(volume: VolumeResources): Promise<void> {
  if (!volume.engine.link.attached) return
  const stopped = volume.engine.link.request({ type: 'stop' }).catch(() => {})
  let timer: NodeJS.Timeout | undefined
  await Promise.race([stopped, new Promise((resolve) => (timer = setTimeout(resolve, STOP_MS)))])
  clearTimeout(timer)
}

export function engineSpec(volume: VolumeResources): ChildSpec<VolumeResources> {
  return { id: 'engine', behaviour, args: volume, name: volume.name('engine'), shutdownMs: STOP_MS + 5000 }
}
