// What is known of handles that are open for writing and of spools on their way into packs. Outlives the actors that do the
// work and the volume thread that reports: so it counts their failures. Owns no files and no descriptors.

import type { OpenHandle } from './engine/messages.js'

/** open → dirty → sealing → committed | failed (ARCHITECTURE "From write to version"). */
export type HandleState = 'open' | 'dirty' | 'sealing' | 'committed' | 'failed'

/** Failures after which a spool is left alone until the volume is opened again. */
export const FAILURES_MAX = 3

export interface HandleEntry {
  /** Unique in the volume: `h<handle>`, or `s<spool>` once it is spooled. */
  readonly key: string
  ino: number
  /** FUSE handle number; 0 when it is closed. */
  handle: number
  spool?: number
  size: number
  state: HandleState
  failures: number
  lastError?: string
  /** While the disk is full: nothing can be done for it until there is room. */
  waitsForRoom?: boolean
  /** Bytes of the content that are chunked and hashed. */
  progress: number
  /** Set by its actor: the handle was closed, its spool waits to become chunks. */
  onSealing?: () => void
  /** Names from the root, where it has some. */
  path?: Uint8Array[]
}

export class HandleTable {
  readonly #entries = new Map<string, HandleEntry>()
  readonly #waiting = new Set<() => void>()
  /** Set by who starts actors: an entry is there that has none yet. */
  onNew: (entry: HandleEntry) => void = () => {}
  /** An entry's handle was closed and has nothing to seal: its actor may go. */
  onGone: (entry: HandleEntry) => void = () => {}

  get(key: string): HandleEntry | undefined {
    return this.#entries.get(key)
  }

  all(): HandleEntry[] {
    return [...this.#entries.values()]
  }

  /** All handles that are open for writing now: those not named any more are closed. */
  reported(reports: OpenHandle[]): void {
    const open = new Set<string>()
    for (const report of reports) {
      const key = report.spool === undefined ? `h${report.handle}` : `s${report.spool}`
      open.add(key)
      const entry = this.#entries.get(key) ?? this.#add({ key, ...emptyEntry(), ino: report.ino })
      const { dirty, ...rest } = report
      Object.assign(entry, rest)
      if (entry.state === 'open' || entry.state === 'dirty') entry.state = dirty ? 'dirty' : 'open'
    }
    for (const entry of this.all()) {
      if (open.has(entry.key)) continue
      entry.handle = 0
      if (entry.state !== 'open' && entry.state !== 'dirty') continue
      this.remove(entry.key)
      this.onGone(entry)
    }
  }

  /** A closed spool waits to become chunks. Does nothing for one that is known to. Answers its entry. */
  sealing(spool: number, ino: number, size: number): HandleEntry {
    const key = `s${spool}`
    const entry = this.#entries.get(key) ?? this.#add({ key, ...emptyEntry(), ino, state: 'sealing' })
    Object.assign(entry, { spool, size })
    if (entry.state === 'open' || entry.state === 'dirty') {
      entry.state = 'sealing'
      entry.onSealing?.()
    }
    return entry
  }

  remove(key: string): void {
    if (this.#entries.delete(key)) this.#changed()
  }

  /** Counts a failure; from the third on the entry is `failed` and nobody tries again. The bytes stay where they are. */
  failed(entry: HandleEntry, reason: string): void {
    entry.failures++
    entry.lastError = reason
    if (entry.failures >= FAILURES_MAX) entry.state = 'failed'
    this.#changed()
  }

  /** Nothing that failed: the disk is full. */
  noRoom(entry: HandleEntry, reason: string): void {
    entry.waitsForRoom = true
    entry.lastError = reason
    this.#changed()
  }

  /** Resolves when nothing of what is sealing now is so any more; what failed or waits for room counts as settled. */
  async settled(): Promise<void> {
    const keys = new Set(this.all().map((entry) => entry.key))
    const busy = () => this.all().some((entry) => keys.has(entry.key) && isBusy(entry))
    while (busy()) await this.changed()
  }

  /** Resolves when an entry was settled, failed or removed, or the signal is aborted. */
  changed(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#waiting.delete(wake)
        signal?.removeEventListener('abort', wake)
        resolve()
      }
      this.#waiting.add(wake)
      signal?.addEventListener('abort', wake, { once: true })
    })
  }

  /** Nobody will settle anything any more. */
  clear(): void {
    this.#entries.clear()
    this.#changed()
  }

  #add(entry: HandleEntry): HandleEntry {
    this.#entries.set(entry.key, entry)
    this.onNew(entry)
    return entry
  }

  #changed(): void {
    for (const wake of [...this.#waiting]) wake()
  }
}

const isBusy = ({ state, waitsForRoom }: HandleEntry) => state === 'sealing' && !waitsForRoom

const emptyEntry = () => ({ handle: 0, ino: 0, size: 0, state: 'open' as HandleState, failures: 0, progress: 0 })
