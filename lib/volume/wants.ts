// Chunks that somebody waits for and that are not here: a read through the mount, a pinned folder, a merge. Owns who waits for
// what, and who was asked. Devices that may have them (suppliers) take from it what to ask for. Keeps nothing on disk: whoever wants
// something still, asks again.

import { hex } from '../model/bytes.js'
import type { ChunkId } from '../model/types.js'

/** A device that may have chunks, and is connected. */
export interface Supplier {
  readonly name: string
  /** It says that it holds everything, and gives nothing away. */
  readonly keeps: boolean
  /** There is something to ask for: see `Wants.next`. */
  wake(): void
  /** Which of these chunks the device promises to keep for ever. */
  confirm(ids: ChunkId[]): Promise<ChunkId[]>
}

export interface WantOptions {
  /** Somebody waits now; otherwise it may come when there is time. */
  urgent?: boolean
  /** Only devices that keep everything are asked. */
  ofKeepers?: boolean
  /** Milliseconds to wait for the bytes. Default 15 s. */
  waitMs?: number
  /** Milliseconds to wait for a device to be connected. Default 2 s. */
  graceMs?: number
}

/** Bytes are not here, and do not come. */
export class ContentAwayError extends Error {
  override name = 'ContentAwayError'
  constructor(
    /** `NOBODY`: no connected device has them; `LATE`: one may have them, and did not send them in time. */
    readonly code: 'NOBODY' | 'LATE',
    readonly id: ChunkId,
  ) {
    super(
      code === 'NOBODY'
        ? 'Its content is not on this device, and no connected device has it.'
        : 'Its content is not on this device, and did not come in time.',
    )
  }
}

const WAIT_MS = 15_000
const GRACE_MS = 2000
/** Chunks wanted at the same time; who wants more waits in portions. */
export const WANTS_MAX = 4096

interface Waiter {
  left: Set<string>
  resolve(): void
  reject(error: Error): void
}

interface Want {
  id: ChunkId
  urgent: boolean
  ofKeepers: boolean
  waiters: Set<Waiter>
  askedOf?: Supplier
  refused: Set<Supplier>
}

export class Wants {
  readonly #has: (id: ChunkId) => boolean
  readonly #after: (ms: number, callback: () => void) => () => void
  readonly #wants = new Map<string, Want>()
  readonly #suppliers = new Set<Supplier>()
  readonly #listeners = new Set<() => void>()

  /** `after`: calls back after so many milliseconds, unless what it answers is called before. Default: a timer. */
  constructor(components: { has(id: ChunkId): boolean; after?(ms: number, callback: () => void): () => void }) {
    this.#has = components.has
    this.#after = components.after ?? timer
  }

  get size(): number {
    return this.#wants.size
  }

  get suppliers(): Supplier[] {
    return [...this.#suppliers]
  }

  /** Called when a device came that may have what is wanted. Returns what ends that. */
  onSupplier(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** From now on the device is asked. Returns what ends that. */
  attach(supplier: Supplier): () => void {
    this.#suppliers.add(supplier)
    if (this.#wants.size) supplier.wake()
    for (const listener of this.#listeners) listener()
    return () => {
      this.#suppliers.delete(supplier)
      for (const want of this.#wants.values()) {
        want.refused.delete(supplier)
        if (want.askedOf === supplier) want.askedOf = undefined
      }
      this.#wake()
      this.#giveUp()
    }
  }

  /** Resolves when all of them are here. Rejects with ContentAwayError. */
  fetch(
    ids: ChunkId[],
    { urgent = false, ofKeepers = false, waitMs = WAIT_MS, graceMs = GRACE_MS }: WantOptions = {},
  ): Promise<void> {
    const missing = new Map(ids.filter((id) => !this.#has(id)).map((id) => [hex(id), id]))
    const [first] = missing.values()
    if (!first) return Promise.resolve()
    if (this.#wants.size + missing.size > WANTS_MAX) return Promise.reject(new ContentAwayError('LATE', first))
    return new Promise((resolve, reject) => {
      const ends = [
        this.#after(waitMs, () => this.#leave(waiter, new ContentAwayError('LATE', first))),
        this.#after(graceMs, () => {
          if (this.#suppliers.size === 0) this.#leave(waiter, new ContentAwayError('NOBODY', first))
        }),
      ]
      const over = () => {
        for (const end of ends) end()
      }
      const waiter: Waiter = {
        left: new Set(missing.keys()),
        resolve: () => {
          over()
          resolve()
        },
        reject: (error) => {
          over()
          reject(error)
        },
      }
      for (const [key, id] of missing) {
        const want: Want = this.#wants.get(key) ?? { id, urgent, ofKeepers, waiters: new Set(), refused: new Set() }
        want.urgent ||= urgent
        want.ofKeepers &&= ofKeepers
        want.waiters.add(waiter)
        this.#wants.set(key, want)
      }
      this.#giveUp()
      this.#wake()
    })
  }

  /** What a device is to be asked for now: urgent ones first, nothing that another one is being asked for. */
  next(supplier: Supplier, limit: number): ChunkId[] {
    const due = [...this.#wants.values()].filter((want) => !want.askedOf && mayBeAsked(want, supplier))
    const chosen = [...due.filter(({ urgent }) => urgent), ...due.filter(({ urgent }) => !urgent)].slice(0, limit)
    for (const want of chosen) want.askedOf = supplier
    return chosen.map(({ id }) => id)
  }

  /** The device has answered, and what came is stored: what did not come it does not have. */
  answered(supplier: Supplier, asked: ChunkId[]): void {
    for (const id of asked) {
      const want = this.#wants.get(hex(id))
      if (want?.askedOf !== supplier) continue
      want.askedOf = undefined
      want.refused.add(supplier)
    }
    this.#giveUp()
    this.#wake()
  }

  /** These are stored now. */
  arrived(ids: ChunkId[]): void {
    if (this.#wants.size === 0) return
    for (const id of ids) {
      const key = hex(id)
      const want = this.#wants.get(key)
      if (!want) continue
      this.#wants.delete(key)
      for (const waiter of want.waiters) {
        waiter.left.delete(key)
        if (waiter.left.size === 0) waiter.resolve()
      }
    }
  }

  #wake(): void {
    if (this.#wants.size) for (const supplier of this.#suppliers) supplier.wake()
  }

  /** Whoever waits for something that every device has been asked for in vain. */
  #giveUp(): void {
    if (this.#suppliers.size === 0) return
    for (const want of this.#wants.values())
      if (!want.askedOf && ![...this.#suppliers].some((supplier) => mayBeAsked(want, supplier)))
        for (const waiter of want.waiters) this.#leave(waiter, new ContentAwayError('NOBODY', want.id))
  }

  #leave(waiter: Waiter, error: Error): void {
    for (const key of waiter.left) {
      const want = this.#wants.get(key)
      want?.waiters.delete(waiter)
      if (want?.waiters.size === 0) this.#wants.delete(key)
    }
    waiter.reject(error)
  }
}

const mayBeAsked = ({ refused, ofKeepers }: Want, supplier: Supplier) =>
  !refused.has(supplier) && (supplier.keeps || !ofKeepers)

function timer(ms: number, callback: () => void): () => void {
  const set = setTimeout(callback, ms)
  return () => clearTimeout(set)
}
