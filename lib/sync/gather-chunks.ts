// Gets the chunks of contents into the volume: level by level down their trees, skipping what the volume has (then it has all
// below it as well). Asks in portions, a few at a time, and stores each portion as it comes: memory is bounded by the portions
// and by the lists, however large a file is. What came along with the changes, and the lists, are left to be stored together with
// the revisions. Whoever stores a chunk looks whether it is what its id says; here only what has to be looked into before.

import { equal, hex } from '../model/bytes.js'
import { children, rootOf, type TreeChunk } from '../model/content-tree.js'
import { InvalidContentError } from '../model/errors.js'
import { hashOf } from '../model/hash.js'
import { type Chunk, type ChunkId, type Revision, TYPE_FOLDER, TYPE_SYMLINK } from '../model/types.js'
import { PeerLacksError, SyncProtocolError } from './errors.js'
import type { GatherComponents } from './gather.js'
import { ASK_BYTES, MAX_ASKED, MAX_QUESTIONS } from './limits.js'

export interface StoreOptions {
  /** What the peer does not have is an error; otherwise it is left out. Lists of what was left out are not. */
  strict: boolean
  /** Contents may be missing here although their lists are here: what is below lists is looked at. */
  partial?: boolean
  /** The data of files is left out. Lists, folders and links are not. */
  bare?: boolean
}

const OTHER_BYTES = 'Bytes came in that are not those of a chunk that was asked for.'
/** What a list counts for in a portion: the tree above it does not tell its size. */
const LIST_BYTES = 64 << 10

export class ChunkGather {
  /** Bytes stored so far. */
  stored = 0

  constructor(private readonly components: GatherComponents) {}

  /** Answers what is to be stored before, or with, the revisions, and whether something was left out that the peer does not have. */
  async store(
    revisions: Revision[],
    offered: Map<string, Uint8Array>,
    options: StoreOptions,
  ): Promise<{ chunks: Chunk[]; leftOut: boolean }> {
    const walk = new Walk(this.components, offered, options)
    try {
      const rootsOf = (some: Revision[]) => some.flatMap(({ parts }) => [...parts.values()].map(rootOf))
      await walk.run(rootsOf(options.bare ? revisions.filter(isStructure) : revisions), false)
      if (options.bare) await walk.run(rootsOf(revisions.filter((revision) => !isStructure(revision))), true)
      return { chunks: walk.last(), leftOut: walk.leftOut }
    } finally {
      this.stored += walk.stored
    }
  }
}

/** Whole everywhere: the tree is not there without it. */
const isStructure = ({ type }: Revision) => type === TYPE_FOLDER || type === TYPE_SYMLINK

class Walk {
  stored = 0
  leftOut = false
  readonly #components: GatherComponents
  readonly #offered: Map<string, Uint8Array>
  readonly #strict: boolean
  readonly #partial: boolean
  readonly #seen = new Set<string>()
  /** Lists that are not stored yet, with what they name. */
  readonly #lists = new Map<string, { level: number; chunk: Chunk; below: TreeChunk[] }>()
  /** To be stored with the revisions: what came along, and lists that are complete. */
  readonly #last = new Map<string, Chunk>()

  constructor(components: GatherComponents, offered: Map<string, Uint8Array>, { strict, partial }: StoreOptions) {
    this.#components = components
    this.#offered = offered
    this.#strict = strict
    this.#partial = partial ?? false
  }

  /** `bare`: lists only. */
  async run(roots: (TreeChunk | undefined)[], bare: boolean): Promise<void> {
    const wanted = (chunk: TreeChunk) => !(bare && chunk.level === 0) && this.#isNew(chunk, bare)
    let level = roots.filter((root) => root !== undefined).filter(wanted)
    while (level.length) {
      const known = level.filter((chunk) => chunk.level > 0 && this.#components.volume.hasChunk(chunk.id))
      const lists = level.filter((chunk) => chunk.level > 0 && !known.includes(chunk))
      const data = level.filter((chunk) => chunk.level === 0)
      const below: TreeChunk[] = known.flatMap((list) => children(list, this.#components.volume.source))
      const expand = (list: TreeChunk, bytes: Uint8Array) => {
        const named = children(list, () => bytes)
        this.#lists.set(hex(list.id), { level: list.level, chunk: { id: list.id, bytes }, below: named })
        below.push(...named)
      }
      await this.#fetch(this.#takeOffered(lists, expand), async (got) => {
        for (const { chunk, bytes } of got) expand(chunk, bytes)
      })
      const asked = this.#takeOffered(data, ({ id, ...chunk }, bytes) =>
        this.#last.set(hex(id), { id, bytes: checked({ id, ...chunk }, bytes) }),
      )
      await this.#fetchData(asked)
      level = below.filter(wanted)
    }
    this.#completeLists(bare)
  }

  /** A list that is here has all below it here, unless data may be missing. */
  #isNew(chunk: TreeChunk, bare: boolean): boolean {
    const key = hex(chunk.id)
    if (this.#seen.has(key)) return false
    this.#seen.add(key)
    if (this.#partial && !bare && chunk.level > 0) return true
    return !this.#components.volume.hasChunk(chunk.id)
  }

  /** Hands over those that came along; answers the others. */
  #takeOffered(chunks: TreeChunk[], take: (chunk: TreeChunk, bytes: Uint8Array) => void): TreeChunk[] {
    return chunks.filter((chunk) => {
      const bytes = this.#offered.get(hex(chunk.id))
      if (bytes) take(chunk, bytes)
      return !bytes
    })
  }

  /** From the bottom up; those that are not complete are left out, unless data may be. */
  #completeLists(bare: boolean): void {
    const isThere = (id: ChunkId) => this.#last.has(hex(id)) || this.#components.volume.hasChunk(id)
    const lists = [...this.#lists].sort(([, a], [, b]) => a.level - b.level)
    for (const [key, { chunk, level, below }] of lists)
      if (((bare || this.leftOut) && level === 1) || below.every(({ id }) => isThere(id))) this.#last.set(key, chunk)
  }

  last(): Chunk[] {
    const chunks = [...this.#last.values()]
    for (const { bytes } of chunks) this.stored += bytes.length
    return chunks
  }

  async #import(chunks: Chunk[]): Promise<void> {
    await this.#components.volume.importChunks(chunks)
    for (const { bytes } of chunks) this.stored += bytes.length
  }

  /** Stored as they come, waiting for those that another peer's worker fetches. */
  async #fetchData(chunks: TreeChunk[]): Promise<void> {
    const { inFlight, volume } = this.#components
    const others = chunks.flatMap(({ id }) => inFlight.get(hex(id)) ?? [])
    const own = chunks.filter(({ id }) => !inFlight.has(hex(id)))
    const done = this.#fetchOwn(own)
    const settled = done.catch(() => {})
    for (const { id } of own) inFlight.set(hex(id), settled)
    try {
      await done
    } finally {
      for (const { id } of own) inFlight.delete(hex(id))
    }
    await Promise.all(others)
    if (others.length) await this.#fetchOwn(chunks.filter(({ id }) => !volume.hasChunk(id)))
  }

  #fetchOwn(chunks: TreeChunk[]): Promise<void> {
    return this.#fetch(chunks, async (got) => {
      const list = got.map(({ chunk, bytes }) => ({ id: chunk.id, bytes: checked(chunk, bytes) }))
      try {
        await this.#import(list)
      } catch (error) {
        const others = list.some(({ id, bytes }) => !equal(hashOf(bytes), id))
        throw others ? new SyncProtocolError(OTHER_BYTES) : error
      }
    })
  }

  /** Asks in portions, a few at a time. */
  async #fetch(
    chunks: TreeChunk[],
    take: (got: { chunk: TreeChunk; bytes: Uint8Array }[]) => Promise<void>,
  ): Promise<void> {
    const portions = portionsOf(chunks)
    const worker = async () => {
      for (let portion = portions.shift(); portion; portion = portions.shift()) await take(await this.#ask(portion))
    }
    try {
      await Promise.all(Array.from({ length: Math.min(MAX_QUESTIONS, portions.length) }, worker))
    } finally {
      portions.length = 0
    }
  }

  async #ask(portion: TreeChunk[]): Promise<{ chunk: TreeChunk; bytes: Uint8Array }[]> {
    const answer = await this.#components.ask({ chunks: portion.map((chunk) => chunk.id) })
    // All of them, in their order: whether they are what they should be is looked at where they are stored.
    if (isWhole(portion, answer.chunks)) return portion.map((chunk, i) => ({ chunk, bytes: answer.chunks[i] }))
    const asked = new Map(portion.map((chunk) => [hex(chunk.id), chunk]))
    const got = answer.chunks.map((bytes) => {
      const key = hex(hashOf(bytes))
      const chunk = asked.get(key)
      if (!chunk) throw new SyncProtocolError(OTHER_BYTES)
      asked.delete(key)
      return { chunk, bytes }
    })
    const [lacking] = asked.keys()
    if (lacking && this.#strict)
      throw new PeerLacksError(`The device does not have chunk ${lacking}, or cannot read it.`)
    if (lacking) this.leftOut = true
    return got
  }
}

/** Of lists the size is not told, and they are looked into. */
function isWhole(portion: TreeChunk[], chunks: Uint8Array[]): boolean {
  return (
    chunks.length === portion.length && portion.every(({ level, size }, i) => level === 0 && chunks[i].length === size)
  )
}

/** The size is told by the list above it. */
function checked(chunk: TreeChunk, bytes: Uint8Array): Uint8Array {
  if (chunk.level > 0 || bytes.length === chunk.size) return bytes
  throw new InvalidContentError(`a chunk of ${bytes.length} bytes where ${chunk.size} should be`)
}

/** Portions of about ASK_BYTES. */
function portionsOf(chunks: TreeChunk[]): TreeChunk[][] {
  const portions: TreeChunk[][] = []
  let portion: TreeChunk[] = []
  let size = 0
  for (const chunk of chunks) {
    const cost = chunk.level === 0 ? chunk.size : LIST_BYTES
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
