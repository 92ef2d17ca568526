// Sees to it that a volume holds what it is to hold, and no more than its budget: fetches what is pinned, gives away what may go.
// An actor of its own, so that its end takes nobody along. Owns nothing that it could not find out again. Idle where a volume
// holds everything for ever.

import type { ActorRef, Behaviour, ChildSpec, Reply } from '../actors/index.js'
import { hex } from '../model/bytes.js'
import { keeps } from '../model/holding.js'
import { type DId, TYPE_FOLDER } from '../model/types.js'
import { Fill } from './fill.js'
import type { VolumeResources } from './resources.js'
import { Room } from './room.js'
import { Survey } from './survey.js'

/** Milliseconds between two looks at the budget, and between two looks for what was lacking. */
const LOOK_MS = 10_000
const FILL_MS = 60_000
/** Documents that are looked at one by one; of more, all are. */
const CHANGED_MAX = 1000

export type HoldingMessage =
  | { type: 'changed' }
  | { type: 'look' }
  | { type: 'fill' }
  | { type: 'policy'; reply?: Reply<void> }

interface State {
  volume: VolumeResources
  fill: Fill
  room: Room
  /** Heads that moved since the last look. */
  changed: Map<string, DId>
  /** Of those, the ones that are in no folder yet: theirs comes next. */
  homeless: Map<string, DId>
  /** Something may lack that no single document told of: folders were moved, devices were away. */
  due: boolean
  ends: (() => void)[]
  /** Ends hearing of heads: reading them costs those who write. */
  deafen?: () => void
  error?: string
}

const behaviour: Behaviour<State, HoldingMessage, VolumeResources> = {
  init(context, volume) {
    const { self } = context
    const now = Date.now
    const { layout, reader, reads, committer, engine, holding, wants } = volume
    const packsGone = (packs: number[]) => volume.packs.forget(packs)
    const state: State = {
      volume,
      fill: new Fill({ reads, wants, holding, now }),
      room: new Room({ ...{ layout, reader, reads, committer, engine, holding, wants }, packsGone, now }),
      changed: new Map(),
      homeless: new Map(),
      due: true,
      ends: [],
    }
    state.ends.push(
      holding.on(() => {
        followHeads(state, self)
        self.cast({ type: 'policy' })
      }),
      wants.onSupplier(() => state.fill.lacking > 0 && self.cast({ type: 'fill' })),
    )
    followHeads(state, self)
    context.every(LOOK_MS, { type: 'look' })
    context.every(FILL_MS, { type: 'fill' })
    self.cast({ type: 'policy' })
    return state
  },

  async handle(state, message, context) {
    const { volume, fill, room } = state
    const done = () => message.type === 'policy' && message.reply?.()
    if (!volume.holding.partial) return void done()
    const survey = new Survey(volume, context.signal)
    try {
      if (message.type === 'changed') await fillChanged(state, survey)
      else if (message.type === 'policy' || (message.type === 'fill' && state.due)) {
        state.due = false
        await fill.everything(survey)
        // What was fetched is looked at once more before the volume calls itself whole.
        const unsure = volume.holding.partial && keeps(volume.holding.policy)
        state.due ||= fill.lacking > 0 || unsure
        if (unsure && fill.lacking === 0) context.self.cast({ type: 'fill' })
      }
      if (message.type === 'look' || message.type === 'policy') await room.make(survey, message.type === 'policy')
      state.error = undefined
    } catch (error) {
      // A full disk, a thread that dies: another time.
      if (context.signal.aborted) return
      const { message: text } = error as Error
      if (text !== state.error)
        volume.report(`Making room or fetching what is pinned failed and is tried again: ${text}`)
      state.error = text
    }
    volume.held = { bytes: room.bytes, givenAway: room.givenAway, lacking: fill.lacking }
    done()
  },

  terminate({ ends, deafen }) {
    deafen?.()
    for (const end of ends) end()
  },

  summarize: ({ volume, fill, room, error }) => ({
    holds: volume.holding.policy.hold,
    pins: volume.holding.pins.length,
    'files that lack something': fill.lacking,
    'bytes in packs': room.bytes,
    'bytes given away': room.givenAway,
    ...(error ? { error } : {}),
  }),
}

/** Heads matter where something has to be here that may not be. */
function followHeads(state: State, self: ActorRef<HoldingMessage>): void {
  const { holding, heads } = state.volume
  const matter = holding.partial && (holding.pins.length > 0 || holding.policy.hold === 'everything')
  if (matter === (state.deafen !== undefined)) return
  state.deafen?.()
  state.deafen = undefined
  if (!matter) return
  state.deafen = heads.on((moved) => {
    if (state.changed.size === 0) self.cast({ type: 'changed' })
    for (const { document } of moved) if (state.changed.size <= CHANGED_MAX) state.changed.set(hex(document), document)
  })
}

async function fillChanged(state: State, survey: Survey): Promise<void> {
  const documents = new Map([...state.homeless, ...state.changed])
  const { reads } = state.volume
  state.changed.clear()
  state.homeless.clear()
  if (documents.size > CHANGED_MAX) return state.fill.everything(survey)
  for (const [key, document] of documents) {
    const head = reads.head(document)
    const revision = head && reads.revision(head.head)
    if (head?.ino === 0 && state.homeless.size < CHANGED_MAX) state.homeless.set(key, document)
    // Whole folders may have come with it.
    else if (revision?.type === TYPE_FOLDER) state.due = true
    else if (!(await state.fill.document(document, survey))) {
      state.fill.lacking++
      state.due = true
    }
  }
}

export function holdingSpec(volume: VolumeResources): ChildSpec<VolumeResources> {
  return { id: 'holding', behaviour, args: volume, name: volume.name('holding') }
}
