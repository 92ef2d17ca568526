// A connected device as a supplier of chunks: asks it for what somebody here waits for (lib/volume/wants.ts) and for what is
// damaged here, by ids, so that whatever comes back is either what is missing or refused. Asks which chunks it keeps for ever. Never
// an error of the sync: a peer that does not have them leaves things as they are.

import { hex } from '../model/bytes.js'
import { hashOf } from '../model/hash.js'
import type { ChunkId } from '../model/types.js'
import type { Volume } from '../volume/contract.js'
import type { Supplier } from '../volume/wants.js'
import type { GatherComponents } from './gather.js'
import { MAX_KEEPS } from './limits.js'

/** Chunks of one question: 2 MiB of contents, about. */
const TOGETHER = 32
/** Questions at the same time. */
const QUESTIONS = 3
/** Milliseconds after which a peer is asked for the same damaged chunk again. */
const AGAIN_MS = 60_000

export interface SupplyComponents extends Pick<GatherComponents, 'ask'> {
  volume: Volume
  name: string
  /** It knows of questions what it keeps. */
  confirms: boolean
  /** Whether it says that it keeps everything, at the moment. */
  keeps(): boolean
  now(): number
}

export class Supply implements Supplier {
  readonly name: string
  readonly #c: SupplyComponents
  readonly #detach: () => void
  /** When each damaged chunk was asked for. */
  readonly #asked = new Map<string, number>()
  #mending = false
  #questions = 0
  #over = false

  constructor(components: SupplyComponents) {
    this.#c = components
    this.name = components.name
    this.#detach = components.volume.wants.attach(this)
  }

  get keeps(): boolean {
    return this.#c.keeps()
  }

  end(): void {
    this.#over = true
    this.#detach()
  }

  /** Asks for what is wanted. Never throws. */
  wake(): void {
    const { wants } = this.#c.volume
    while (!this.#over && this.#questions < QUESTIONS) {
      const ids = wants.next(this, TOGETHER)
      if (!ids.length) return
      this.#questions++
      void this.#fetch(ids).then(() => {
        this.#questions--
        wants.answered(this, ids)
        this.wake()
      })
    }
  }

  /** Looks for damage, and has it mended. Never rejects. */
  async look(): Promise<void> {
    if (this.#mending || this.#over) return
    const { volume, now } = this.#c
    const damaged = volume.damagedChunks(TOGETHER * 16)
    const known = new Set(damaged.map(hex))
    for (const key of this.#asked.keys()) if (!known.has(key)) this.#asked.delete(key)
    const due = damaged.filter((id) => now() - (this.#asked.get(hex(id)) ?? Number.NEGATIVE_INFINITY) >= AGAIN_MS)
    const wanted = due.slice(0, TOGETHER)
    if (!wanted.length) return
    this.#mending = true
    for (const id of wanted) this.#asked.set(hex(id), now())
    await this.#fetch(wanted)
    this.#mending = false
  }

  async confirm(ids: ChunkId[]): Promise<ChunkId[]> {
    if (!this.#c.confirms || this.#over) return []
    const kept: ChunkId[] = []
    for (let i = 0; i < ids.length; i += MAX_KEEPS) {
      const part = ids.slice(i, i + MAX_KEEPS)
      const asked = new Set(part.map(hex))
      const { keeps = [] } = await this.#c.ask({ keeps: part })
      kept.push(...keeps.filter((id) => asked.has(hex(id))))
    }
    return kept
  }

  /** What comes is stored. Never rejects: the link may be over, or the disk full. */
  async #fetch(wanted: ChunkId[]): Promise<void> {
    try {
      const { chunks } = await this.#c.ask({ chunks: wanted })
      const ours = new Set(wanted.map(hex))
      const good = chunks.map((bytes) => ({ id: hashOf(bytes), bytes })).filter(({ id }) => ours.has(hex(id)))
      if (good.length) await this.#c.volume.importChunks(good)
    } catch {
      // Another time.
    }
  }
}
