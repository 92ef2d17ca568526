// Gets everything that a set of revisions needs into the volume: the revisions themselves, all ancestors that the volume does
// not know (no version is lost), and every chunk of their contents. What is stored stays, so a cut costs at most the open
// questions. Nothing received is believed: the volume checks every hash and encoding as it stores.

import { hex } from '../model/bytes.js'
import { decodeRevision } from '../model/codec.js'
import { children, rootOf, type TreeChunk } from '../model/content-tree.js'
import { hashOf, ridOf } from '../model/hash.js'
import type { ChunkId, Revision, RId } from '../model/types.js'
import type { Volume } from '../volume/contract.js'
import { PeerLacksError } from './errors.js'
import { ASK_BYTES, ASK_DEPTH, MAX_ASKED, MAX_QUESTIONS } from './limits.js'
import type { Answer } from './messages.js'
import type { Question } from './session.js'

export interface GatherComponents {
  volume: Volume
  ask(question: Question): Promise<Answer>
  /** Chunks that somebody is fetching for this volume already, by hex id: asked for only once among all peers. */
  inFlight: Map<string, Promise<void>>
}

/** Revisions imported at once; bounds memory on long histories. */
const IMPORT_REVISIONS = 2000

export class Gather {
  /** Bytes of chunks stored so far. */
  chunkBytes = 0

  constructor(private readonly components: GatherComponents) {}

  /**
   * After it, the volume has `wanted` and all they need. `offered`: revisions and chunks that came along.
   * @throws PeerLacksError, SyncInterruptedError, and the volume's errors for bad bytes or a full disk
   */
  async complete(wanted: RId[], offered: { revisions: Uint8Array[]; chunks: Uint8Array[] }): Promise<void> {
    const { volume } = this.components
    const revisions = await this.#revisions(wanted, offered.revisions)
    const have = new Map<string, Uint8Array>()
    for (const bytes of offered.chunks) have.set(hex(hashOf(bytes)), bytes)
    await this.#chunks(
      [...revisions.values()].map(({ revision }) => revision),
      have,
    )
    const encoded = [...revisions.values()].map(({ bytes }) => bytes).reverse()
    for (let i = 0; i < encoded.length; i += IMPORT_REVISIONS)
      await volume.importRevisions(encoded.slice(i, i + IMPORT_REVISIONS))
  }

  /** Unknown revisions among `wanted` and their ancestors, children before parents. */
  async #revisions(
    wanted: RId[],
    offered: Uint8Array[],
  ): Promise<Map<string, { bytes: Uint8Array; revision: Revision }>> {
    const { volume, ask } = this.components
    const came = new Map<string, Uint8Array>()
    for (const bytes of offered) came.set(hex(ridOf(bytes)), bytes)
    const found = new Map<string, { bytes: Uint8Array; revision: Revision }>()
    let next = wanted
    while (next.length) {
      const missing: RId[] = []
      const parents: RId[] = []
      for (const rid of next) {
        const key = hex(rid)
        if (found.has(key) || volume.encoded(rid)) continue
        const bytes = came.get(key)
        if (!bytes) {
          missing.push(rid)
          continue
        }
        came.delete(key)
        const revision = decodeRevision(bytes)
        found.set(key, { bytes, revision })
        parents.push(...revision.parents)
      }
      for (let i = 0; i < missing.length; i += MAX_ASKED) {
        const part = missing.slice(i, i + MAX_ASKED)
        const { revisions } = await ask({ revisions: part, depth: part.length > 64 ? 1 : ASK_DEPTH })
        for (const bytes of revisions) came.set(hex(ridOf(bytes)), bytes)
        for (const rid of part)
          if (!came.has(hex(rid)))
            throw new PeerLacksError(`The device does not have revision ${hex(rid)}, which it named.`)
      }
      next = [...missing, ...parents]
    }
    return found
  }

  /** Level by level down the content trees, skipping what the volume has (then it has all below it as well). */
  async #chunks(revisions: Revision[], offered: Map<string, Uint8Array>): Promise<void> {
    const { volume } = this.components
    const lists = new Map<string, Uint8Array>()
    const source = (id: ChunkId) => lists.get(hex(id)) ?? volume.source(id)
    const seen = new Set<string>()
    const stored: { id: ChunkId; bytes: Uint8Array }[] = []
    const unknown = (chunk: TreeChunk): boolean => {
      const key = hex(chunk.id)
      if (seen.has(key)) return false
      seen.add(key)
      return !volume.hasChunk(chunk.id)
    }
    let level = revisions
      .flatMap((r) => [...r.parts.values()])
      .map(rootOf)
      .filter((chunk) => chunk !== undefined)
      .filter(unknown)
    // Lists are stored after what they name, so that a list in the volume promises everything below it.
    const listsByDepth: { id: ChunkId; bytes: Uint8Array }[][] = []
    while (level.length) {
      const ask: TreeChunk[] = []
      const listsHere: { id: ChunkId; bytes: Uint8Array }[] = []
      const take = (chunk: TreeChunk, bytes: Uint8Array) => {
        if (chunk.level === 0) stored.push({ id: chunk.id, bytes })
        else {
          lists.set(hex(chunk.id), bytes)
          listsHere.push({ id: chunk.id, bytes })
        }
      }
      for (const chunk of level) {
        const bytes = offered.get(hex(chunk.id))
        if (bytes) take(chunk, bytes)
        else ask.push(chunk)
      }
      if (stored.length) await this.#store(stored.splice(0))
      await this.#fetch(
        ask.filter((c) => c.level > 0),
        async (chunk, bytes) => take(chunk, bytes),
      )
      await this.#fetchAndStore(ask.filter((c) => c.level === 0))
      listsByDepth.push(listsHere)
      level = level
        .filter((chunk) => chunk.level > 0)
        .flatMap((chunk) => children(chunk, source))
        .filter(unknown)
    }
    for (const some of listsByDepth.reverse()) if (some.length) await this.#store(some)
  }

  async #store(chunks: { id: ChunkId; bytes: Uint8Array }[]): Promise<void> {
    for (const { bytes } of chunks) this.chunkBytes += bytes.length
    await this.components.volume.importChunks(chunks)
  }

  /** Data chunks: stored as they come, waiting for those that another peer's worker fetches. */
  async #fetchAndStore(chunks: TreeChunk[]): Promise<void> {
    const { inFlight, volume } = this.components
    const others: Promise<void>[] = []
    const own: TreeChunk[] = []
    for (const chunk of chunks) {
      const other = inFlight.get(hex(chunk.id))
      if (other) others.push(other)
      else own.push(chunk)
    }
    if (own.length) {
      const done = this.#fetchOwn(own)
      const settled = done.catch(() => {})
      for (const chunk of own) inFlight.set(hex(chunk.id), settled)
      try {
        await done
      } finally {
        for (const chunk of own) inFlight.delete(hex(chunk.id))
      }
    }
    await Promise.all(others)
    const left = chunks.filter((chunk) => !volume.hasChunk(chunk.id))
    if (left.length) await this.#fetchOwn(left)
  }

  #fetchOwn(chunks: TreeChunk[]): Promise<void> {
    return this.#fetch(chunks, undefined)
  }

  /** Asks in portions, a few at a time. Without `each`, every portion is stored. */
  async #fetch(chunks: TreeChunk[], each?: (chunk: TreeChunk, bytes: Uint8Array) => Promise<void>): Promise<void> {
    const portions = portionsOf(chunks)
    const worker = async () => {
      for (let portion = portions.shift(); portion; portion = portions.shift()) {
        const { chunks: answered } = await this.components.ask({ chunks: portion.map((chunk) => chunk.id) })
        const came = new Map(answered.map((bytes) => [hex(hashOf(bytes)), bytes]))
        const got = portion.map((chunk) => {
          const bytes = came.get(hex(chunk.id))
          if (!bytes)
            throw new PeerLacksError(`The device does not have chunk ${hex(chunk.id)}, or sent other bytes for it.`)
          return { id: chunk.id, bytes, chunk }
        })
        if (each) for (const { chunk, bytes } of got) await each(chunk, bytes)
        else await this.#store(got)
      }
    }
    await Promise.all(Array.from({ length: MAX_QUESTIONS }, worker))
  }
}

/** Portions of about ASK_BYTES. A list's own size is not told by the tree above it; lists are small. */
function portionsOf(chunks: TreeChunk[]): TreeChunk[][] {
  const portions: TreeChunk[][] = []
  let portion: TreeChunk[] = []
  let size = 0
  for (const chunk of chunks) {
    const cost = chunk.level === 0 ? chunk.size : 64 << 10
    if (portion.length && (size + cost > ASK_BYTES || portion.length >= MAX_ASKED)) {
      portions.push(portion)
      portion = []
      size = 0
    }
    portion.push(chunk)
    size += cost
  }
  if (portion.length) portions.push(portion)
  return portions
}
