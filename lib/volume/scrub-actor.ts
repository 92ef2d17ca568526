// Scrub: reads every chunk of the volume now and then and compares it with its hash, so that a disk that forgets is noticed
// while another device still has the bytes. One small step at a time: by default one a minute, so that an idle node stays idle;
// `scrub()` of the volume asks for a whole round. Its position is a setting of the volume and survives restarts.
// Never repairs: it reports, and sync fetches again what is damaged.

import type { Behaviour, ChildSpec, Reply } from '../actors/index.js'
import { hex } from '../model/bytes.js'
import { HASH_BYTES } from '../model/types.js'
import type { StoreReader } from '../store/tables.js'
import type { ChunkFiles } from './chunk-files.js'
import type { CommitterClient } from './committer-client.js'

export interface ScrubComponents {
  reader: StoreReader
  chunkFiles: ChunkFiles
  committer: Pick<CommitterClient, 'setSetting'>
  name(part: string): string
  report(text: string): void
}

export interface ScrubInit {
  /** Milliseconds between two steps. Default: a minute. */
  everyMs?: number
  /** Chunks of one step, about 37 KiB each. Default 64. */
  chunks?: number
}

export interface ScrubRound {
  checked: number
  bytes: number
  damaged: string[]
}

export type ScrubMessage = { type: 'step' } | { type: 'round'; reply: Reply<ScrubRound> }

const POSITION = 'scrub.position'
const DAMAGED_MAX = 1000

interface State {
  components: ScrubComponents
  chunks: number
  /** The last chunk that was checked; undefined: at the start. */
  position?: Uint8Array
  checked: number
  bytes: number
  rounds: number
  damaged: Set<string>
}

interface ScrubArgs {
  components: ScrubComponents
  init?: ScrubInit
}

const behaviour: Behaviour<State, ScrubMessage, ScrubArgs> = {
  init(context, { components, init = {} }) {
    context.every(init.everyMs ?? 60_000, { type: 'step' })
    const saved = components.reader.setting(POSITION)
    return {
      components,
      chunks: init.chunks ?? 64,
      position: saved?.length === HASH_BYTES ? saved : undefined,
      checked: 0,
      bytes: 0,
      rounds: 0,
      damaged: new Set<string>(),
    }
  },

  async handle(state, message, context) {
    if (message.type === 'step') return void (await step(state, true))
    const before = { checked: state.checked, bytes: state.bytes }
    state.position = undefined
    state.damaged.clear()
    while (!context.signal.aborted && (await step(state, false)));
    await state.components.committer.setSetting(POSITION, undefined)
    message.reply({
      checked: state.checked - before.checked,
      bytes: state.bytes - before.bytes,
      damaged: [...state.damaged],
    })
  },

  summarize: ({ checked, bytes, rounds, damaged }) => ({
    'chunks checked': checked,
    'bytes read': bytes,
    rounds,
    damaged: damaged.size,
  }),
}

/** The next chunks in order of their ids. False: that was the last of them, the next step begins anew. */
async function step(state: State, save: boolean): Promise<boolean> {
  const { components, chunks } = state
  const ids = nextIds(components.reader, state.position, chunks)
  for (const id of ids) await check(state, id)
  const more = ids.length === chunks
  const moved = ids.length > 0 || state.position !== undefined
  state.position = more ? ids[ids.length - 1] : undefined
  if (!more && moved) state.rounds++
  // Nothing to remember in a volume whose chunks fit into one step.
  if (save && moved && (more || state.rounds > 1 || components.reader.setting(POSITION)))
    await components.committer.setSetting(POSITION, state.position)
  return more
}

function nextIds(reader: StoreReader, after: Uint8Array | undefined, limit: number): Uint8Array[] {
  const start = after && Buffer.concat([after, Buffer.of(0)])
  const ids: Uint8Array[] = []
  for (const key of reader.tables.chunks.getKeys({ start, limit })) ids.push(new Uint8Array(key as Buffer))
  return ids
}

async function check(state: State, id: Uint8Array): Promise<void> {
  const { components, damaged } = state
  state.checked++
  try {
    state.bytes += (await components.chunkFiles.read(id)).length
    damaged.delete(hex(id))
  } catch (error) {
    // It may have been removed meanwhile.
    components.reader.refresh()
    if (!components.reader.chunk(id)) return
    if (!damaged.has(hex(id))) components.report(`Scrub: ${(error as Error).message}`)
    if (damaged.size < DAMAGED_MAX) damaged.add(hex(id))
  }
}

/** Its name in the registry is `name('scrub')`, to ask for a round. */
export function scrubSpec(components: ScrubComponents, init?: ScrubInit): ChildSpec<ScrubArgs> {
  return { id: 'scrub', behaviour, args: { components, init }, name: components.name('scrub') }
}
