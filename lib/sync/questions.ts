// The questions of one link that have no whole answer yet. Puts answers together, refuses what was not asked for, and asks again what
// was to come by a lane that broke. Owns no channel.

import { SyncInterruptedError, SyncProtocolError } from './errors.js'
import { ANSWER_TIMEOUT_MS, LANE_TIMEOUT_MS, MAX_ANSWER, MAX_ASKED, MAX_REPEATED } from './limits.js'
import type { Answer, Get } from './messages.js'
import type { LanePort } from './session.js'

export interface Question {
  revisions?: Uint8Array[]
  depth?: number
  chunks?: Uint8Array[]
  documents?: Uint8Array[]
  have?: Uint8Array[]
  /** Chunks of which the peer is asked whether it keeps them for ever. */
  keeps?: Uint8Array[]
}

export interface QuestionsComponents {
  send(get: Get): void
  /** No sign of an answer for a long time: the link is given up. */
  late(error: Error): void
}

interface Open {
  get: Get
  /** By which its answer may come. */
  lane?: LanePort
  answer: Answer
  /** What may come still: an answer never has more than was asked for. */
  chunks: number
  documents: number
  keeps: number
  bytes: number
  resolve(answer: Answer): void
  reject(error: Error): void
  timer?: NodeJS.Timeout
}

export class Questions {
  readonly #components: QuestionsComponents
  readonly #open = new Map<number, Open>()
  /** Asked again under other numbers: parts of answers to these may come still, and are not looked at. The oldest first. */
  readonly #repeated = new Set<number>()
  #last = 0

  constructor(components: QuestionsComponents) {
    this.#components = components
  }

  /** All answer frames in one. Rejects when `end` is called. */
  ask(root: Uint8Array, question: Question, lane?: LanePort): Promise<Answer> {
    const { revisions = [], depth = 0, chunks = [], documents = [], have = [], keeps = [] } = question
    return new Promise((resolve, reject) => {
      const get: Get = { root, id: 0, revisions, depth, chunks, documents, have: have.slice(0, MAX_ASKED), keeps }
      this.#send(get, chunks.length ? lane : undefined, { resolve, reject })
    })
  }

  #send(asked: Get, lane: LanePort | undefined, { resolve, reject }: Pick<Open, 'resolve' | 'reject'>): void {
    const id = ++this.#last
    const get: Get = { ...asked, id, lane: lane !== undefined }
    const answer: Answer = { id, done: false, revisions: [], chunks: [], documents: [], keeps: [] }
    const counts = {
      chunks: get.chunks.length,
      documents: get.documents.length,
      keeps: get.keeps?.length ?? 0,
      bytes: 0,
    }
    const open: Open = { get, lane, answer, ...counts, resolve, reject }
    open.timer = setTimeout(() => this.#late(open), lane ? LANE_TIMEOUT_MS : ANSWER_TIMEOUT_MS)
    this.#open.set(id, open)
    this.#components.send(get)
  }

  /** What was to come by this lane is asked for anew, to come another way. */
  repeat(lane: LanePort): void {
    for (const [id, open] of [...this.#open]) {
      if (open.lane !== lane) continue
      this.#open.delete(id)
      clearTimeout(open.timer)
      this.#repeated.add(id)
      this.#send(open.get, undefined, open)
    }
    for (const oldest of this.#repeated) {
      if (this.#repeated.size <= MAX_REPEATED) break
      this.#repeated.delete(oldest)
    }
  }

  /** @throws SyncProtocolError for what was not asked for */
  take(part: Answer): void {
    const open = this.#open.get(part.id)
    if (!open) {
      if (!this.#repeated.has(part.id)) throw new SyncProtocolError('An answer came in that nobody asked for.')
      if (part.done) this.#repeated.delete(part.id)
      return
    }
    count(open, part)
    open.timer?.refresh()
    for (const list of ['revisions', 'chunks'] as const) open.answer[list].push(...part[list])
    open.answer.documents.push(...part.documents)
    open.answer.keeps?.push(...(part.keeps ?? []))
    if (!part.done) return
    this.#open.delete(part.id)
    clearTimeout(open.timer)
    open.resolve(open.answer)
  }

  end(error: Error): void {
    for (const { reject, timer } of this.#open.values()) {
      clearTimeout(timer)
      reject(error)
    }
    this.#open.clear()
    this.#repeated.clear()
  }

  #late({ lane }: Open): void {
    const error = new SyncInterruptedError('An answer did not begin, or go on, for too long.')
    if (lane) lane.abort(error)
    else this.#components.late(error)
  }
}

/** Throws SyncProtocolError for what was not asked for. */
function count(open: Open, part: Answer): void {
  const sizes = [...part.revisions, ...part.chunks, ...part.documents.map((change) => change.revision)]
  open.bytes += sizes.reduce((sum, bytes) => sum + bytes.length, 0)
  open.chunks -= part.chunks.length
  open.documents -= part.documents.length
  open.keeps -= part.keeps?.length ?? 0
  const tooMuch =
    open.chunks < 0 || open.documents < 0 || open.keeps < 0 || (part.revisions.length > 0 && !open.get.revisions.length)
  if (tooMuch || open.bytes > MAX_ANSWER) throw new SyncProtocolError('An answer holds more than was asked for.')
}
