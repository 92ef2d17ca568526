// Requests of the mount that wait for bytes from elsewhere: gets them, and tells the volume thread to serve the request again, or
// with which errno it fails. Owns the read-ahead. Never waits on behalf of the volume thread.

import { EHOSTUNREACH, EIO, ETIMEDOUT } from '../fuse/errno.js'
import { hex } from '../model/bytes.js'
import type { ChunkId, Content } from '../model/types.js'
import type { MissingContent } from './engine/engine.js'
import type { EngineClient } from './engine-client.js'
import type { VolumeReads } from './volume-reads.js'
import { ContentAwayError, type Wants } from './wants.js'

/** Bytes fetched ahead of a reader: this at first, twice as much each time it goes on, up to the second. */
const AHEAD_MIN = 1 << 20
const AHEAD_MAX = 16 << 20
/** Readers whose read-ahead is remembered. */
const READERS_MAX = 64
/** Milliseconds in which the same is not said again. */
const QUIET_MS = 60_000
/** How often one request is served again before it fails: what it fetched may be given away again. */
const ROUNDS_MAX = 64

export interface DemandComponents {
  engine: Pick<EngineClient, 'again' | 'path'>
  wants: Wants
  reads: Pick<VolumeReads, 'missingLeaves'>
  /** Devices that keep everything, as far as is known, by name. */
  keepers(): string[]
  report(text: string): void
}

interface Reader {
  window: number
  /** Fetched, or being fetched, up to here. */
  until: number
}

export class Demand {
  readonly #c: DemandComponents
  readonly #readers = new Map<string, Reader>()
  readonly #rounds = new Map<bigint, number>()
  readonly #said = new Map<string, number>()
  /** Requests that wait now. */
  waiting = 0

  constructor(components: DemandComponents) {
    this.#c = components
  }

  /** Gets what the request lacks. Never rejects. */
  async missing({ unique, ...missing }: MissingContent & { unique: bigint }): Promise<void> {
    const { engine, wants } = this.#c
    this.waiting++
    try {
      const rounds = (this.#rounds.get(unique) ?? 0) + 1
      if (rounds > ROUNDS_MAX) throw new ContentAwayError('LATE', missing.id)
      const fetched = wants.fetch(this.#lacking(missing), { urgent: true, ...(missing.damaged && { graceMs: 0 }) })
      if (missing.wanted) this.readOn(missing.wanted.content, missing.wanted.to)
      await fetched
      this.#rounds.set(unique, rounds)
      if (this.#rounds.size > 4 * READERS_MAX) this.#rounds.delete(this.#rounds.keys().next().value!)
      engine.again(unique, 0)
    } catch (error) {
      this.#rounds.delete(unique)
      engine.again(unique, errnoOf(error, missing.damaged))
      if (!missing.damaged) await this.#complain(error as Error, missing.ino)
    } finally {
      this.waiting--
    }
  }

  /** A content is read up to `offset`: what follows is fetched before it is asked for. Never throws. */
  readOn(content: Content, offset: number): void {
    const key = hex(content.root ?? new Uint8Array(0))
    let reader = this.#readers.get(key)
    // It goes on, or begins anew somewhere.
    if (!reader || offset > reader.until || offset < reader.until - 2 * reader.window)
      reader = { window: AHEAD_MIN / 2, until: offset }
    this.#readers.delete(key)
    this.#readers.set(key, reader)
    if (this.#readers.size > READERS_MAX) this.#readers.delete(this.#readers.keys().next().value!)
    if (reader.until - offset > reader.window / 2) return
    reader.window = Math.min(2 * reader.window, AHEAD_MAX)
    const from = reader.until
    reader.until = offset + reader.window
    try {
      const ids = this.#c.reads.missingLeaves(content, from, reader.until)
      if (ids.length) this.#c.wants.fetch(ids).catch(() => {})
    } catch {
      // A list is damaged or missing: whoever reads there finds it.
    }
  }

  #lacking({ id, wanted, damaged }: MissingContent): ChunkId[] {
    if (!wanted || damaged) return [id]
    try {
      return [id, ...this.#c.reads.missingLeaves(wanted.content, wanted.from, wanted.to)]
    } catch {
      return [id]
    }
  }

  async #complain(error: Error, ino?: number): Promise<void> {
    const path = ino === undefined ? undefined : await this.#c.engine.path(ino).catch(() => undefined)
    const name = path?.map((part) => Buffer.from(part).toString()).join('/') ?? 'a file'
    const keepers = this.#c.keepers()
    const who = keepers.length ? ` Connect ${keepers.join(' or ')}, which keeps it.` : ' Connect a device that has it.'
    const text = `${name}: ${error.message}${error instanceof ContentAwayError && error.code === 'NOBODY' ? who : ''}`
    const now = performance.now()
    if (now - (this.#said.get(text) ?? Number.NEGATIVE_INFINITY) < QUIET_MS) return
    this.#said.delete(text)
    this.#said.set(text, now)
    if (this.#said.size > 100) this.#said.delete(this.#said.keys().next().value!)
    this.#c.report(text)
  }
}

/** EIO would say that a disk is broken: this says that somebody is not there, or too slow, and that trying again may help. */
function errnoOf(error: unknown, damaged: boolean): number {
  if (damaged || !(error instanceof ContentAwayError)) return EIO
  return error.code === 'NOBODY' ? EHOSTUNREACH : ETIMEDOUT
}
