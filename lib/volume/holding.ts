// What a volume holds on this device, and which documents are pinned: durable settings, and the order in which a change of them
// takes effect. Owns the lock between changing the policy and giving contents away.
//
// Invariants, on which it rests that no content is lost (docs/on-demand.md): a volume that may give away says so, durably, before
// it asks anybody; while it may, it confirms nothing; what it was told before the policy changed is not used after.

import { hex, unhex } from '../model/bytes.js'
import { decodeHolding, encodeHolding, HOLDING_SETTING, type Holding, keeps } from '../model/holding.js'
import type { DId } from '../model/types.js'

const PINS = 'holding/pins'
const KEEPERS = 'holding/keepers'
/** A setting is bounded, and so are the names of devices. */
export const PINS_MAX = 1500
const KEEPERS_MAX = 32

/** More is pinned than can be remembered. */
export class TooManyPinsError extends Error {
  override name = 'TooManyPinsError'
  readonly code = 'TOO_MANY_PINS'
  constructor() {
    super(`${PINS_MAX} files and folders are pinned already; pin a folder that they are in instead.`)
  }
}

export interface HoldingComponents {
  setting(key: string): Uint8Array | undefined
  setSetting(key: string, value: Uint8Array | undefined): Promise<void>
  /** The volume thread's working copies do not rest on what may be given away, once it resolves. */
  tellEngine(partial: boolean): Promise<void>
}

export class VolumeHolding {
  readonly #c: HoldingComponents
  #policy: Holding
  /** It is being changed: nothing is confirmed meanwhile, and nothing given away. */
  #changing = false
  #turn: Promise<unknown> = Promise.resolve()
  /** Calls of `leavingOut` under way, and ended. */
  #storing = 0
  #leftOut = 0
  #pins: Map<string, DId>
  #keepers: string[]
  readonly #listeners = new Set<() => void>()

  constructor(components: HoldingComponents) {
    this.#c = components
    this.#policy = decodeHolding(components.setting(HOLDING_SETTING))
    this.#pins = new Map(json<string>(components.setting(PINS)).map((key) => [key, unhex(key)]))
    this.#keepers = json<string>(components.setting(KEEPERS))
  }

  get policy(): Holding {
    return this.#policy
  }

  get partial(): boolean {
    return this.#policy.partial
  }

  /** What is here stays here for ever: others may rely on it. */
  get keeps(): boolean {
    return !this.#changing && keeps(this.#policy)
  }

  on(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Durable when resolved. Waits for what is being given away at this moment. */
  set(change: Partial<Pick<Holding, 'hold' | 'budget' | 'retain'>>): Promise<void> {
    return this.exclusively(async () => {
      this.#changing = true
      try {
        const policy = { ...this.#policy, ...change }
        policy.partial ||= !keeps(policy)
        await this.#c.tellEngine(policy.partial)
        await this.#c.setSetting(HOLDING_SETTING, encodeHolding(policy))
        this.#policy = policy
        // One that has started meanwhile was told what was so then.
        await this.#c.tellEngine(policy.partial)
      } finally {
        this.#changing = false
      }
      this.#changed()
    })
  }

  /**
   * Runs `store`, which leaves something out that has to be here: until all of it has come it is looked for, among all devices. That
   * is durable before anything is stored.
   */
  async leavingOut(store: () => Promise<void>): Promise<void> {
    const before = this.#policy.partial
    this.#storing++
    try {
      if (!before) await this.exclusively(() => this.#becomePartial())
      await store()
    } finally {
      this.#storing--
      this.#leftOut++
    }
    if (!before) this.#changed()
  }

  async #becomePartial(): Promise<void> {
    if (this.#policy.partial) return
    const policy = { ...this.#policy, partial: true }
    this.#changing = true
    try {
      await this.#c.tellEngine(true)
      await this.#c.setSetting(HOLDING_SETTING, encodeHolding(policy))
      this.#policy = policy
    } finally {
      this.#changing = false
    }
  }

  /** Changes whenever something was left out: who looked through everything has to begin again. */
  get leftOut(): number {
    return this.#leftOut
  }

  /** Everything that has to be here is here, seen by somebody who began to look when `leftOut` was this. */
  filled(leftOut: number): Promise<void> {
    return this.exclusively(async () => {
      if (!this.#policy.partial || !keeps(this.#policy)) return
      if (leftOut !== this.#leftOut || this.#storing > 0) return
      const policy = { ...this.#policy, partial: false }
      await this.#c.setSetting(HOLDING_SETTING, encodeHolding(policy))
      this.#policy = policy
      await this.#c.tellEngine(false)
      this.#changed()
    })
  }

  /** While `work` runs, the policy stays as it is. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work)
    this.#turn = turn.catch(() => {})
    return turn
  }

  get pins(): DId[] {
    return [...this.#pins.values()]
  }

  isPin(document: DId): boolean {
    return this.#pins.size > 0 && this.#pins.has(hex(document))
  }

  /** Rejects with TooManyPinsError. */
  async pin(document: DId): Promise<void> {
    if (this.isPin(document)) return
    if (this.#pins.size >= PINS_MAX) throw new TooManyPinsError()
    await this.#setPins(new Map(this.#pins).set(hex(document), document))
  }

  /** False: it was not. */
  async unpin(document: DId): Promise<boolean> {
    const pins = new Map(this.#pins)
    if (!pins.delete(hex(document))) return false
    await this.#setPins(pins)
    return true
  }

  async #setPins(pins: Map<string, DId>): Promise<void> {
    await this.#c.setSetting(PINS, pins.size ? Buffer.from(JSON.stringify([...pins.keys()])) : undefined)
    this.#pins = pins
    this.#changed()
  }

  /** Devices that said that they keep everything, by name, for messages. */
  get keepers(): string[] {
    return this.#keepers
  }

  async keeperSeen(name: string, keeps: boolean): Promise<void> {
    if (this.#keepers.includes(name) === keeps) return
    this.#keepers = keeps ? [...this.#keepers, name].slice(-KEEPERS_MAX) : this.#keepers.filter((one) => one !== name)
    await this.#c.setSetting(KEEPERS, Buffer.from(JSON.stringify(this.#keepers)))
  }

  #changed(): void {
    for (const listener of this.#listeners) listener()
  }
}

function json<T>(bytes: Uint8Array | undefined): T[] {
  try {
    const list = bytes ? JSON.parse(Buffer.from(bytes).toString()) : []
    return Array.isArray(list) ? list : []
  } catch {
    return []
  }
}
