// Fetches chunks again that are damaged here, from a peer that has them: asked for by their ids, so that whatever comes back is
// either what is missing or refused. Asks for each not more often than once in a while. Never an error of the sync: a peer that does not have
// them leaves things as they are.

import { hex } from '../model/bytes.js'
import { hashOf } from '../model/hash.js'
import type { Volume } from '../volume/contract.js'
import type { GatherComponents } from './gather.js'

/** Chunks of one question: 4 MiB of contents, about. */
const TOGETHER = 64
/** Milliseconds after which a peer is asked for the same again. */
const AGAIN_MS = 60_000

export interface RepairComponents extends Pick<GatherComponents, 'ask'> {
  volume: Volume
  now(): number
}

export class Repair {
  readonly #components: RepairComponents
  /** When each was asked for. */
  #asked = new Map<string, number>()
  #running = false

  constructor(components: RepairComponents) {
    this.#components = components
  }

  /** Looks for damage, and has it mended. Never rejects. */
  async look(): Promise<void> {
    if (this.#running) return
    const { volume, ask, now } = this.#components
    const damaged = volume.damagedChunks(TOGETHER * 16)
    const known = new Set(damaged.map(hex))
    for (const key of this.#asked.keys()) if (!known.has(key)) this.#asked.delete(key)
    const due = damaged.filter((id) => now() - (this.#asked.get(hex(id)) ?? Number.NEGATIVE_INFINITY) >= AGAIN_MS)
    const wanted = due.slice(0, TOGETHER)
    if (!wanted.length) return
    this.#running = true
    for (const id of wanted) this.#asked.set(hex(id), now())
    try {
      const { chunks } = await ask({ chunks: wanted })
      const ours = new Set(wanted.map(hex))
      const good = chunks.map((bytes) => ({ id: hashOf(bytes), bytes })).filter(({ id }) => ours.has(hex(id)))
      if (good.length) await volume.importChunks(good)
    } catch {
      // The link is over, or the disk full: another time.
    } finally {
      this.#running = false
    }
  }
}
