// The sending side of one volume pair: tells the peer which heads changed after the position it asked for, in batches, as
// soon as they are durable, and no more than WINDOW batches ahead of its acknowledgements. Keeps nothing on disk.

import { hex } from '../model/bytes.js'
import { allChunks, diffContent } from '../model/content-tree.js'
import type { Chunk, ChunkId, Content, DId, Revision, RId } from '../model/types.js'
import type { Head, Volume } from '../volume/contract.js'
import { BATCH_BYTES, BATCH_CHANGES, BATCH_CHUNKS, INLINE_CHUNK_BYTES, MAX_TOLD, WINDOW } from './limits.js'
import type { Ack, Change, Changes, Follow } from './messages.js'

/** Chunks of one change that travel with it, and their bytes. */
const MAX_FRESH = 16
const FRESH_BYTES = 512 << 10
/** Changes whose chunks are read at the same time. */
const READ_TOGETHER = 32

export interface FeederComponents {
  volume: Volume
  send(changes: Changes): Promise<void>
  /** Somebody does not want this document to be told. */
  skips?(document: DId): boolean
  /** Reading or sending failed: the worker decides. */
  failed(error: Error): void
}

export class Feeder {
  /** Told up to here, and acknowledged up to here. */
  sent = 0
  acknowledged = 0
  paused = false
  readonly #volume: Volume
  readonly #components: FeederComponents
  #follow?: Follow
  readonly #inFlight: number[] = []
  /** Heads that the peer knows of, hex, by document; the oldest first. Only since its last `follow`: it may have lost them before. */
  readonly #told = new Map<string, string>()
  #running = false
  #again = false

  constructor(components: FeederComponents) {
    this.#components = components
    this.#volume = components.volume
  }

  /** Begins anew at the position asked for; at the start if that is not a position of this volume. */
  follow(follow: Follow): void {
    const known = Buffer.from(follow.sid).equals(this.#volume.sid) && follow.after <= this.#volume.lastSeq()
    this.#follow = follow
    this.sent = this.acknowledged = known ? follow.after : 0
    this.#inFlight.length = 0
    this.#told.clear()
    this.wake()
  }

  acknowledge(ack: Ack): void {
    if (ack.number !== this.#follow?.number) return
    this.acknowledged = Math.max(this.acknowledged, ack.seq)
    while (this.#inFlight.length && this.#inFlight[0] <= ack.seq) this.#inFlight.shift()
    this.wake()
  }

  /** The peer knows of these heads, since it has told of them itself, or asked: it need not be told again. */
  notice(heads: { document: DId; head: RId }[]): void {
    for (const { document, head } of heads) {
      this.#told.delete(hex(document))
      this.#told.set(hex(document), hex(head))
    }
    for (const oldest of this.#told.keys()) {
      if (this.#told.size <= MAX_TOLD) break
      this.#told.delete(oldest)
    }
  }

  /** Tells of one document now, paused or not, without moving on in the feed. */
  async tell(document: DId): Promise<void> {
    const head = this.#volume.head(document)
    if (!this.#follow || !head || this.isTold(head)) return
    this.notice([head])
    const { root, number } = this.#follow
    const revision = this.#volume.encoded(head.head) ?? new Uint8Array(0)
    const changes = [{ document, head: head.head, revision }]
    const lastSeq = Math.max(this.#volume.lastSeq(), this.sent)
    // Not `sent`: a batch that this says may still be on its way, behind it.
    const seq = this.acknowledged
    const batch = { root, sid: this.#volume.sid, seq, lastSeq, changes, chunks: [], number }
    await this.#components.send(batch).catch((error) => this.#components.failed(error as Error))
  }

  get following(): boolean {
    return this.#follow !== undefined
  }

  /** Something may have to be sent. */
  wake(): void {
    this.#again = true
    if (this.#running) return
    this.#running = true
    this.#run()
      .catch((error) => this.#components.failed(error as Error))
      .finally(() => {
        this.#running = false
      })
  }

  async #run(): Promise<void> {
    while (this.#again) {
      this.#again = false
      while (this.#follow && !this.paused && this.#inFlight.length < WINDOW) {
        const follow = this.#follow
        const batch = await this.#batch(follow)
        if (!batch) break
        if (follow !== this.#follow || this.paused) continue
        this.sent = batch.seq
        this.#inFlight.push(batch.seq)
        await this.#components.send(batch)
      }
    }
  }

  /** The next changes, as many as fit. */
  async #batch(follow: Follow): Promise<Changes | undefined> {
    const heads = this.#volume.changes(this.sent, BATCH_CHANGES)
    const lastSeq = this.#volume.lastSeq()
    if (!heads.length) return undefined
    const changes: Change[] = []
    const chunks = new Map<string, Uint8Array>()
    let size = 0
    let seq = this.sent
    for (let i = 0; i < heads.length && size < BATCH_BYTES; i += READ_TOGETHER) {
      const group = heads.slice(i, i + READ_TOGETHER)
      const small = await Promise.all(group.map((head) => (follow.bare ? [] : this.#smallChunks(head, chunks))))
      for (const [k, head] of group.entries()) {
        if (size >= BATCH_BYTES || chunks.size > BATCH_CHUNKS - MAX_FRESH) break
        seq = head.seq
        if (this.isTold(head) || this.#components.skips?.(head.document)) continue
        const revision = this.#volume.encoded(head.head) ?? new Uint8Array(0)
        changes.push({ document: head.document, head: head.head, revision })
        size += revision.length + 64
        for (const { id, bytes } of small[k]) {
          if (!chunks.has(hex(id))) size += bytes.length
          chunks.set(hex(id), bytes)
        }
      }
    }
    return {
      root: follow.root,
      sid: this.#volume.sid,
      seq,
      lastSeq: Math.max(lastSeq, seq),
      changes,
      chunks: [...chunks.values()],
      number: follow.number,
    }
  }

  /** The peer knows this head: it has told of it, or asked for it, or `tell` told it. */
  isTold({ document, head }: { document: DId; head: RId }): boolean {
    return this.#told.get(hex(document)) === hex(head)
  }

  /** What is new in the head against its first parent, if it is little and can be read. */
  async #smallChunks(head: Head, except: Map<string, Uint8Array>): Promise<Chunk[]> {
    const revision = this.isTold(head) ? undefined : this.#volume.revision(head.head)
    if (!revision) return []
    try {
      const ids = newChunks(this.#volume, revision).filter((id) => !except.has(hex(id)))
      const chunks = await Promise.all(ids.map(async (id) => ({ id, bytes: await this.#volume.chunk(id) })))
      const size = chunks.reduce((sum, { bytes }) => sum + bytes.length, 0)
      return size <= FRESH_BYTES ? chunks : []
    } catch {
      // Missing or damaged: the volume reports it, and the peer will ask and be told.
      return []
    }
  }
}

/** Chunks of the revision that its first parent has not; none if they are many. */
function newChunks(volume: Volume, revision: Revision): ChunkId[] {
  const parent = revision.parents.length ? volume.revision(revision.parents[0]) : undefined
  const ids: ChunkId[] = []
  for (const [name, content] of revision.parts) {
    if (!content.root) continue
    const before = parent?.parts.get(name)
    if (before?.root) {
      const fresh = diffContent(before, content, volume.source)
      ids.push(...fresh)
    } else if (content.size <= INLINE_CHUNK_BYTES) ids.push(...chunkIds(volume, content))
    else return []
  }
  return ids.length <= MAX_FRESH ? ids : []
}

function chunkIds(volume: Volume, content: Content): ChunkId[] {
  return [...allChunks(content, volume.source)].map((chunk) => chunk.id)
}
