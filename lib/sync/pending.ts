// Documents that could not be synchronized yet: why, since when, how often tried. Kept in the volume's settings, so that they
// survive restarts: the position in the peer's feed moves on past them, and they alone wait. Bounded.

import { equal, hex, unhex } from '../model/bytes.js'
import type { Volume } from '../volume/contract.js'
import { MAX_PENDING } from './limits.js'

export interface Waiting {
  document: Uint8Array
  head: Uint8Array
  reason: string
  /** Milliseconds since the epoch. */
  since: number
  attempts: number
  /** When it is tried again, milliseconds since the epoch. */
  next: number
  /** Somebody does not want it for now: neither taken nor told until they say so. */
  skipped?: boolean
}

const FIRST_RETRY_MS = 500
const LAST_RETRY_MS = 300_000
const SKIPPED = 'skipped here, until `peerdrive sync retry`'
/** Setting values are bounded, so the list is kept in pages of this many. */
const PAGE = 256

export class Pending {
  readonly #waiting = new Map<string, Waiting>()
  #pages = 0
  #dirty = false

  /** `peerVolume`: hex SId; positions and what waits are kept for each volume of a peer apart. */
  constructor(
    private readonly components: { volume: Volume; now: () => number },
    private readonly peerVolume: string,
  ) {
    for (;;) {
      const bytes = components.volume.setting(this.#key(this.#pages))
      if (!bytes) break
      this.#pages++
      for (const line of JSON.parse(Buffer.from(bytes).toString()) as string[][]) {
        const [document, head, reason, since, attempts, skipped] = line
        this.#waiting.set(document, {
          document: unhex(document),
          head: unhex(head),
          reason,
          since: Number(since),
          attempts: Number(attempts),
          next: skipped ? Number.POSITIVE_INFINITY : 0,
          ...(skipped && { skipped: true }),
        })
      }
    }
  }

  get size(): number {
    return this.#waiting.size
  }

  get full(): boolean {
    return this.#waiting.size >= MAX_PENDING
  }

  list(): Waiting[] {
    return [...this.#waiting.values()]
  }

  /** The document waits, for this reason. A later head of the same document takes its place. */
  add(document: Uint8Array, head: Uint8Array, reason: string): void {
    const key = hex(document)
    this.#dirty = true
    const before = this.#waiting.get(key)
    if (before?.skipped) return void this.#waiting.set(key, { ...before, head })
    const attempts = (before?.attempts ?? 0) + 1
    const now = this.components.now()
    const delay = Math.min(FIRST_RETRY_MS * 2 ** Math.min(attempts - 1, 20), LAST_RETRY_MS)
    this.#waiting.set(key, { document, head, reason, since: before?.since ?? now, attempts, next: now + delay })
  }

  /** The document waits until somebody wants it again (`wanted`). */
  skip(document: Uint8Array, head: Uint8Array): void {
    const now = this.components.now()
    const before = this.#waiting.get(hex(document)) ?? { document, head, since: now, attempts: 0 }
    const waiting = { ...before, reason: SKIPPED, next: Number.POSITIVE_INFINITY, skipped: true }
    this.#waiting.set(hex(document), waiting)
    this.#dirty = true
  }

  isSkipped(document: Uint8Array): boolean {
    return this.#waiting.get(hex(document))?.skipped === true
  }

  /** What was skipped is due now. Answers it. */
  wanted(): Uint8Array[] {
    const skipped = this.list().filter((waiting) => waiting.skipped)
    for (const waiting of skipped) {
      this.#waiting.set(hex(waiting.document), { ...waiting, skipped: false, next: 0 })
      this.#dirty = true
    }
    return skipped.map(({ document }) => document)
  }

  get(document: Uint8Array): Waiting | undefined {
    return this.#waiting.get(hex(document))
  }

  /** True if it waited. With `head`: for this one, and not for a later one. */
  remove(document: Uint8Array, head?: Uint8Array): boolean {
    const waiting = this.get(document)
    if (!waiting || (head && !equal(waiting.head, head))) return false
    this.#waiting.delete(hex(document))
    this.#dirty = true
    return true
  }

  /** Is due at once, since something about it has changed. True if it waits. */
  hurry(document: Uint8Array): boolean {
    const waiting = this.#waiting.get(hex(document))
    if (!waiting || waiting.skipped) return false
    waiting.next = 0
    return true
  }

  /** What is due now, or all with `all`. */
  due(all = false): Waiting[] {
    const now = this.components.now()
    return this.list().filter((w) => !w.skipped && (all || w.next <= now))
  }

  /** Milliseconds until the next one is due; undefined when none waits. */
  nextDue(): number | undefined {
    if (!this.#waiting.size) return undefined
    return Math.max(0, Math.min(...this.list().map((w) => w.next)) - this.components.now())
  }

  /** Durable when resolved. */
  async save(): Promise<void> {
    if (!this.#dirty) return
    this.#dirty = false
    const { volume } = this.components
    const lines = this.list().map((w) => [
      hex(w.document),
      hex(w.head),
      w.reason.slice(0, 100),
      String(w.since),
      String(w.attempts),
      ...(w.skipped ? ['skipped'] : []),
    ])
    const pages = Math.ceil(lines.length / PAGE)
    for (let page = 0; page < pages; page++)
      await volume.setSetting(this.#key(page), Buffer.from(JSON.stringify(lines.slice(page * PAGE, (page + 1) * PAGE))))
    for (let page = pages; page < this.#pages; page++) await volume.setSetting(this.#key(page), undefined)
    this.#pages = pages
  }

  #key(page: number): string {
    return `sync/pending/${this.peerVolume}/${page}`
  }
}
