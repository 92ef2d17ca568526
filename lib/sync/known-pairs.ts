// The pairs that a volume is in: with which volume of which device, when it was seen last, and whether it is paused here. Kept in
// the volume's settings, so that a pause outlives restarts, and that people can be told of devices that are away.

import { hex } from '../model/bytes.js'
import type { SId } from '../model/types.js'
import type { Volume } from '../volume/contract.js'

export interface KnownPair {
  /** Hex id of the other volume. */
  peerVolume: string
  /** The device, and its name then. */
  peer: string
  name: string
  /** Milliseconds since the epoch. */
  seen: number
  paused: boolean
}

const KEY = 'sync/pairs'
/** Beyond it the one that was seen longest ago, and is not paused, is forgotten. */
const PAIRS_MAX = 100

const turns = new WeakMap<Volume, Promise<unknown>>()

/** What cannot be read is not known. */
export function knownPairs(volume: Volume): KnownPair[] {
  const bytes = volume.setting(KEY)
  if (!bytes) return []
  try {
    return JSON.parse(Buffer.from(bytes).toString()) as KnownPair[]
  } catch {
    return []
  }
}

export const knownPair = (volume: Volume, peerVolume: SId): KnownPair | undefined =>
  knownPairs(volume).find((pair) => pair.peerVolume === hex(peerVolume))

/** Durable when resolved. */
export function notePair(
  volume: Volume,
  peerVolume: SId,
  change: Partial<Omit<KnownPair, 'peerVolume'>>,
): Promise<void> {
  return rewrite(volume, (pairs) => {
    const key = hex(peerVolume)
    const before = pairs.find((pair) => pair.peerVolume === key)
    const after = { peerVolume: key, peer: '', name: '', seen: 0, paused: false, ...before, ...change }
    const others = pairs.filter((pair) => pair !== before).sort((a, b) => b.seen - a.seen)
    while (others.length >= PAIRS_MAX) {
      const last = others.findLastIndex(({ paused }) => !paused)
      others.splice(last < 0 ? others.length - 1 : last, 1)
    }
    return [after, ...others]
  })
}

/** Was met until now, if nobody forgot it meanwhile. Durable when resolved. */
export const notePairSeen = (volume: Volume, peerVolume: SId, seen: number): Promise<void> =>
  rewrite(volume, (pairs) => pairs.map((pair) => (pair.peerVolume === hex(peerVolume) ? { ...pair, seen } : pair)))

/** Nobody is told of these any more, unless they are met again. Durable when resolved. */
export const forgetPairs = (volume: Volume, which: (pair: KnownPair) => boolean): Promise<void> =>
  rewrite(volume, (pairs) => pairs.filter((pair) => !which(pair)))

/** One change at a time for each volume. */
function rewrite(volume: Volume, change: (pairs: KnownPair[]) => KnownPair[]): Promise<void> {
  const turn = (turns.get(volume) ?? Promise.resolve()).then(() =>
    volume.setSetting(KEY, Buffer.from(JSON.stringify(change(knownPairs(volume))))),
  )
  turns.set(
    volume,
    turn.catch(() => {}),
  )
  return turn
}
