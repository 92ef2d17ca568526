// The sending side of one volume pair: tells the peer which heads changed after the position it asked for, in batches, as
// soon as they are durable, and no more than WINDOW batches ahead of its acknowledgements. Keeps nothing on disk.

import { allChunks, diffContent } from '../model/content-tree.js'
import type { ChunkId, Content, Revision } from '../model/types.js'
import type { Head, Volume } from '../volume/contract.js'
import { BATCH_BYTES, BATCH_CHANGES, INLINE_CHUNK_BYTES, WINDOW } from './limits.js'
import type { Ack, Change, Changes, Follow } from './messages.js'

export interface FeederComponents {
  volume: Volume
  send(changes: Changes): Promise<void>
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
    this.wake()
  }

  acknowledge(ack: Ack): void {
    if (ack.number !== this.#follow?.number) return
    this.acknowledged = Math.max(this.acknowledged, ack.seq)
    while (this.#inFlight.length && this.#inFlight[0] <= ack.seq) this.#inFlight.shift()
    this.wake()
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
        if (follow !== this.#follow) continue
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
    const chunks: Uint8Array[] = []
    const told = new Set<string>()
    let size = 0
    let seq = this.sent
    for (const head of heads) {
      if (size > BATCH_BYTES) break
      const revision = this.#volume.encoded(head.head) ?? new Uint8Array(0)
      changes.push({ document: head.document, head: head.head, revision })
      size += revision.length + 64
      seq = head.seq
      for (const bytes of await this.#smallChunks(head, told)) {
        chunks.push(bytes)
        size += bytes.length
      }
    }
    return {
      root: follow.root,
      sid: this.#volume.sid,
      seq,
      lastSeq: Math.max(lastSeq, seq),
      changes,
      chunks,
      number: follow.number,
    }
  }

  /** What is new in the head against its parents, if it is little. */
  async #smallChunks(head: Head, told: Set<string>): Promise<Uint8Array[]> {
    const revision = this.#volume.revision(head.head)
    if (!revision) return []
    const ids = newChunks(this.#volume, revision).filter((id) => !told.has(Buffer.from(id).toString('latin1')))
    for (const id of ids) told.add(Buffer.from(id).toString('latin1'))
    return Promise.all(ids.map((id) => this.#volume.chunk(id)))
  }
}

/** Chunks of the revision that its first parent has not, unless they are many. */
function newChunks(volume: Volume, revision: Revision): ChunkId[] {
  const parent = revision.parents.length ? volume.revision(revision.parents[0]) : undefined
  const ids: ChunkId[] = []
  for (const [name, content] of revision.parts) {
    if (!content.root) continue
    const before = parent?.parts.get(name)
    if (before?.root) {
      const fresh = diffContent(before, content, volume.source)
      if (fresh.length <= 4) ids.push(...fresh)
    } else if (content.size <= INLINE_CHUNK_BYTES) ids.push(...chunkIds(volume, content))
  }
  return ids
}

function chunkIds(volume: Volume, content: Content): ChunkId[] {
  return [...allChunks(content, volume.source)].map((chunk) => chunk.id)
}
