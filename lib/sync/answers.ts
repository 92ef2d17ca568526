// Answers to a peer's questions, from what the volume has. Reads only; what the volume does not have, or cannot read, is left
// out, and the peer finds out by what is missing. Answers are cut into frames of about ANSWER_BYTES, and sent no faster than
// they leave; one answer is MAX_ANSWER bytes at most, and what is beyond that is left out as well.

import { hex } from '../model/bytes.js'
import type { Volume } from '../volume/contract.js'
import { ANSWER_BYTES, ANSWER_ITEMS, ASK_DEPTH, MAX_ANSWER } from './limits.js'
import type { Answer, Change, Get } from './messages.js'

/** Most revisions of one answer: bounds what a question may cost. */
const MAX_REVISIONS = 4096
/** Chunks read together for one answer; as many more are read while these are sent. */
const READ_TOGETHER = 16
/** Milliseconds that chunks may take that come from a third device. */
const PASS_ON_MS = 10_000

export async function answerQuestion(
  volume: Volume | undefined,
  get: Get,
  send: (answer: Answer) => Promise<void>,
): Promise<void> {
  const frames = new Frames(get.id, send)
  if (volume) {
    for (const bytes of ancestry(volume, get)) if (!(await frames.add('revisions', bytes, bytes.length))) break
    for await (const bytes of readChunks(volume, get.chunks)) await frames.add('chunks', bytes, bytes.length)
    for (const document of get.documents) {
      const head = volume.head(document)
      if (!head) continue
      const revision = volume.encoded(head.head) ?? new Uint8Array(0)
      if (!(await frames.add('documents', { document, head: head.head, revision }, revision.length + 64))) break
    }
  }
  await frames.end(volume && get.keeps?.length ? await kept(volume, get.keeps) : [])
}

/** What it takes to say what a volume keeps. */
export type Keeper = Pick<Volume, 'hasChunk' | 'chunk'> & { holding: Pick<Volume['holding'], 'keeps'> }

/**
 * Those of the chunks that may be given away elsewhere, since they stay here: their bytes have been read just now and are good, and
 * when that is said, this volume gives nothing away.
 */
export async function kept(volume: Keeper, ids: Uint8Array[]): Promise<Uint8Array[]> {
  if (!volume.holding.keeps) return []
  const read: Uint8Array[] = []
  for (let i = 0; i < ids.length; i += READ_TOGETHER) {
    const part = ids.slice(i, i + READ_TOGETHER)
    const good = await Promise.all(part.map((id) => readChunk(volume, id)))
    read.push(...part.filter((_, k) => good[k]))
  }
  return volume.holding.keeps ? read : []
}

/** The frames of one answer, each sent when it is full. */
class Frames {
  #part: Answer
  #size = 0
  #items = 0
  #total = 0

  constructor(
    private readonly id: number,
    private readonly send: (answer: Answer) => Promise<void>,
  ) {
    this.#part = emptyAnswer(id)
  }

  /** False if the answer is full, and this is left out. */
  async add(list: 'revisions' | 'chunks', item: Uint8Array, size: number): Promise<boolean>
  async add(list: 'documents', item: Change, size: number): Promise<boolean>
  async add(list: 'revisions' | 'chunks' | 'documents', item: Uint8Array | Change, size: number): Promise<boolean> {
    if ((this.#total += size) > MAX_ANSWER) return false
    if (this.#size > 0 && (this.#size + size > ANSWER_BYTES || this.#items >= ANSWER_ITEMS)) {
      await this.send(this.#part)
      this.#part = emptyAnswer(this.id)
      this.#size = this.#items = 0
    }
    ;(this.#part[list] as (Uint8Array | Change)[]).push(item)
    this.#size += size
    this.#items++
    return true
  }

  async end(keeps: Uint8Array[]): Promise<void> {
    this.#part.done = true
    this.#part.keeps = keeps
    await this.send(this.#part)
  }
}

const emptyAnswer = (id: number): Answer => ({ id, done: false, revisions: [], chunks: [], documents: [], keeps: [] })

/** The chunks that can be read, in order. */
async function* readChunks(volume: Volume, ids: Uint8Array[]): AsyncGenerator<Uint8Array> {
  await passOn(volume, ids)
  const read = (from: number) => Promise.all(ids.slice(from, from + READ_TOGETHER).map((id) => readChunk(volume, id)))
  let next = read(0)
  for (let i = 0; i < ids.length; i += READ_TOGETHER) {
    const chunks = await next
    next = read(i + READ_TOGETHER)
    for (const bytes of chunks) if (bytes) yield bytes
  }
}

/**
 * Gets those that are not here from devices that are connected and keep everything. Only those are asked: they have it or have it not,
 * so that no two devices wait for each other.
 */
async function passOn(volume: Volume, ids: Uint8Array[]): Promise<void> {
  if (!volume.holding.partial) return
  const away = ids.filter((id) => !volume.hasChunk(id))
  if (away.length) await volume.wants.fetch(away, { ofKeepers: true, waitMs: PASS_ON_MS, graceMs: 0 }).catch(() => {})
}

/** Undefined if it is missing or damaged: the volume reports that itself. */
async function readChunk(volume: Pick<Volume, 'hasChunk' | 'chunk'>, id: Uint8Array): Promise<Uint8Array | undefined> {
  try {
    return volume.hasChunk(id) ? await volume.chunk(id) : undefined
  } catch {
    return undefined
  }
}

/** The revisions and `depth` generations of their ancestors, nearest first, each once; nothing that the asking volume has. */
function* ancestry(volume: Volume, { revisions, have, depth }: Get): Generator<Uint8Array> {
  const seen = new Set(have.map(hex))
  let generation = revisions
  let count = 0
  for (let age = 0; age <= Math.min(depth, ASK_DEPTH) && generation.length; age++) {
    const parents: Uint8Array[] = []
    for (const rid of generation) {
      const key = hex(rid)
      if (seen.has(key) || count >= MAX_REVISIONS) continue
      seen.add(key)
      const bytes = volume.encoded(rid)
      if (!bytes) continue
      count++
      yield bytes
      parents.push(...(volume.revision(rid)?.parents ?? []))
    }
    generation = parents
  }
}
