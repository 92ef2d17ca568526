// One actor for each handle that is open for writing for more than a moment, or spooled: what of it takes long is done here.
// It drives the sealing of a large closed content: hasher pool → committer (chunks into packs) → volume thread (the inode
// is told where its content is now). Owns the way, not the bytes: they stay in the spool file until the content is durable.
//
// Every step may be done twice: after a crash the actor starts from the spool again. After FAILURES_MAX failures the
// handle is parked as `failed` (it can be seen, and the next opening of the volume tries again).

import { setTimeout as pause } from 'node:timers/promises'
import type { Behaviour, ChildSpec } from '../actors/index.js'
import type { ChunkId, Content } from '../model/types.js'
import { ChunkMissingError } from '../store/errors.js'
import type { CommitterClient } from './committer-client.js'
import type { EngineClient } from './engine-client.js'
import { FAILURES_MAX, type HandleEntry, type HandleTable } from './handle-table.js'
import type { HashResult } from './hashing/hash-job.js'
import type { HasherPool } from './hashing/pool.js'
import type { VolumeHolding } from './holding.js'
import { missingOfBase, type SpoolJobComponents, spoolWork } from './spool-job.js'
import type { VolumeReads } from './volume-reads.js'
import { ContentAwayError, type Wants } from './wants.js'

/** Milliseconds between two looks whether the disk has room again. */
const ROOM_MIN_MS = 100
const ROOM_MAX_MS = 5000
const FETCHED_TOGETHER = 256

export interface HandleComponents extends SpoolJobComponents {
  handles: HandleTable
  hashers: HasherPool
  committer: CommitterClient
  engine: EngineClient
  reads: Pick<VolumeReads, 'missingLeaves'>
  wants: Pick<Wants, 'fetch'>
  holding: Pick<VolumeHolding, 'partial'>
  report(text: string): void
}

export type HandleMessage = { type: 'seal' }

interface State {
  components: HandleComponents
  entry: HandleEntry
  /** Of the closed spool, which does not change any more: nobody hashes it twice only because the disk is full. */
  hashed?: HashResult
}

export interface HandleArgs {
  components: HandleComponents
  entry: HandleEntry
}

const behaviour: Behaviour<State, HandleMessage, HandleArgs> = {
  init(context, { components, entry }) {
    entry.onSealing = () => void context.self.cast({ type: 'seal' })
    if (entry.state === 'sealing') entry.onSealing()
    return { components, entry }
  },

  async handle(state, _message, context) {
    const { components, entry } = state
    if (entry.state !== 'sealing') return
    try {
      await sealWithRoom(state, context.signal)
      if (context.signal.aborted) return
    } catch (error) {
      if (context.signal.aborted) return
      components.handles.failed(entry, (error as Error).message)
      if (entry.failures < FAILURES_MAX) throw error
      components.report(
        `Spool ${entry.spool} of inode ${entry.ino} is parked after ${entry.failures} failures: ${entry.lastError}`,
      )
      return
    }
    components.handles.remove(entry.key)
    context.exit()
  },

  /** A kill while it works is a failure as any other: what kills it each time must not go on for ever. */
  terminate({ components, entry }, reason) {
    if (reason.kind === 'killed' && entry.state === 'sealing') components.handles.failed(entry, 'it was killed')
  },

  summarize: ({ entry }) => ({
    inode: entry.ino,
    state: entry.state,
    size: entry.size,
    hashed: entry.progress,
    failures: entry.failures,
    ...(entry.spool === undefined ? {} : { spool: entry.spool }),
    ...(entry.lastError ? { error: entry.lastError } : {}),
  }),
}

async function seal(state: State, signal: AbortSignal): Promise<void> {
  const { components, entry } = state
  const { committer, engine, hashers, handles } = components
  const spool = entry.spool!
  // What says that it is closed may still be in the volume thread's memory: without it, it would look as if it were open.
  await engine.flush()
  await committer.fold()
  let work = spoolWork(components, spool)
  while (work.kind === 'waits' && !signal.aborted) {
    const below = handles.get(`s${work.for}`) ?? findClosed(components, work.for)
    if (!below || below.state === 'failed') throw new Error(`it lies on spool ${work.for}, which is not committed`)
    await handles.changed(signal)
    work = spoolWork(components, spool)
  }
  if (signal.aborted || work.kind === 'none' || work.kind === 'waits') return
  let content: Content
  if (work.kind === 'committed') content = work.content
  else {
    if (components.holding.partial && !state.hashed)
      await fetchAll(components, missingOfBase(work.job, components.reads))
    if (signal.aborted) return
    state.hashed ??= await hashers.hash(work.job, (bytes) => (entry.progress = bytes))
    if (signal.aborted) return
    content = await committer.commitContent(spool, state.hashed)
  }
  await engine.spoolCommitted(spool, content)
  entry.state = 'committed'
}

/** In portions: there may be many. Rejects with ContentAwayError. */
async function fetchAll({ wants }: Pick<HandleComponents, 'wants'>, ids: ChunkId[]): Promise<void> {
  for (let i = 0; i < ids.length; i += FETCHED_TOGETHER) await wants.fetch(ids.slice(i, i + FETCHED_TOGETHER))
}

/**
 * Again and again while the disk is full, or while the content that it lies on is elsewhere, which is no failure: the bytes are in
 * the spool.
 */
async function sealWithRoom(state: State, signal: AbortSignal): Promise<void> {
  const { components, entry } = state
  for (let delay = ROOM_MIN_MS; !signal.aborted; delay = Math.min(2 * delay, ROOM_MAX_MS)) {
    try {
      await seal(state, signal)
      entry.waitsForRoom = false
      return
    } catch (error) {
      const missing = error instanceof ChunkMissingError ? error.id : undefined
      if (
        missing &&
        (await components.wants.fetch([missing]).then(
          () => true,
          () => false,
        ))
      )
        continue
      if (!isNoSpace(error) && !missing && !(error instanceof ContentAwayError)) throw error
      components.handles.noRoom(entry, (error as Error).message)
      await pause(delay, undefined, { signal }).catch(() => {})
    }
  }
}

/** One that nobody told of: it gets an entry, and an actor by that. */
function findClosed({ reader, handles }: HandleComponents, spool: number): HandleEntry | undefined {
  const row = reader.spool(spool)
  return row?.state === 'closed' ? handles.sealing(spool, row.ino, 0) : undefined
}

const isNoSpace = (error: unknown) => ['ENOSPC', 'EDQUOT'].includes((error as { code?: string }).code ?? '')

/** Restarted with growing delays: what fails here is the disk or a thread that comes back in a moment. */
export function handleSpec(args: HandleArgs): ChildSpec<HandleArgs> {
  return { id: args.entry.key, behaviour, args, restart: 'transient', backoff: { minMs: 50, maxMs: 5000 } }
}
