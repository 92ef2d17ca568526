// Content trees: Merkle trees of lists over data chunks (docs/format.md). Owns their shape: equal bytes make an equal Content.
// Never reads a list that is not asked for; believes nothing it reads (ids are the source's business, sizes are checked here).

import { equal, hex } from './bytes.js'
import { cut } from './chunker.js'
import { cutLists, decodeList, encodeList } from './content-list.js'
import { InvalidContentError } from './errors.js'
import { hashOf } from './hash.js'
import { contentFault } from './revision-check.js'
import {
  CHUNK_LIMIT,
  type Chunk,
  type ChunkId,
  type ChunkRef,
  type ChunkSource,
  type Content,
  INLINE_MAX,
  LEVELS_MAX,
} from './types.js'

const EMPTY = new Uint8Array(0)

/** A data chunk and where its bytes begin in the content. */
export interface Leaf extends ChunkRef {
  offset: number
}

/** A chunk of a content: list or data. `level` 0: data; n: a list of chunks of level n - 1. */
export interface TreeChunk extends ChunkRef {
  level: number
}

/** Content of at most INLINE_MAX bytes; keeps the array. Throws InvalidContentError for more. */
export function inlineContent(bytes: Uint8Array): Content {
  if (bytes.length > INLINE_MAX) throw new InvalidContentError(`${bytes.length} bytes inline`)
  return { size: bytes.length, inline: bytes, levels: 0 }
}

/**
 * The tree over these data chunks (all of a content's, in order), and the lists to be stored with it.
 * Throws InvalidContentError if they are at most INLINE_MAX bytes together (`inlineContent` then), or one is too long.
 */
export function buildContent(chunks: readonly ChunkRef[]): { content: Content; lists: Chunk[] } {
  const size = chunks.reduce((sum, chunk) => sum + chunk.size, 0)
  if (size <= INLINE_MAX) throw new InvalidContentError(`${size} bytes in chunks instead of inline`)
  if (chunks.some((chunk) => chunk.size > CHUNK_LIMIT)) throw new InvalidContentError('a chunk that is too long')
  const lists = new Map<string, Chunk>()
  let level = chunks
  let levels = 0
  while (level.length > 1) {
    level = buildLevel(level, lists)
    if (++levels > LEVELS_MAX) throw new InvalidContentError('too many levels')
  }
  return { content: { size, root: level[0].id, levels }, lists: [...lists.values()] }
}

function buildLevel(entries: readonly ChunkRef[], lists: Map<string, Chunk>): ChunkRef[] {
  const above: ChunkRef[] = []
  for (const list of cutLists(entries)) {
    const bytes = encodeList(list)
    const id = hashOf(bytes)
    lists.set(hex(id), { id, bytes })
    above.push({ id, size: list.reduce((sum, entry) => sum + entry.size, 0) })
  }
  return above
}

/** Chunks, hashes and builds: the content of these bytes, and every chunk (data and lists, each once) to be stored. */
export function encodeContent(bytes: Uint8Array): { content: Content; chunks: Chunk[] } {
  if (bytes.length <= INLINE_MAX) return { content: inlineContent(bytes), chunks: [] }
  const chunks = new Map<string, Chunk>()
  const refs: ChunkRef[] = []
  let offset = 0
  for (const size of cut(bytes)) {
    const data = bytes.subarray(offset, offset + size)
    const id = hashOf(data)
    chunks.set(hex(id), { id, bytes: data })
    refs.push({ id, size })
    offset += size
  }
  const { content, lists } = buildContent(refs)
  for (const list of lists) chunks.set(hex(list.id), list)
  return { content, chunks: [...chunks.values()] }
}

/** The root as a chunk; undefined if the content is inline. Throws InvalidContentError if the content cannot be. */
export function rootOf(content: Content): TreeChunk | undefined {
  const fault = contentFault(content)
  if (fault) throw new InvalidContentError(fault)
  return content.root && { id: content.root, size: content.size, level: content.levels }
}

/**
 * What is directly below a list. Throws InvalidContentError if sizes do not add up or a data chunk would be too long,
 * NotCanonicalError if the bytes are no list, and what the source throws.
 */
export function children(list: TreeChunk, source: ChunkSource): TreeChunk[] {
  const level = list.level - 1
  return decodeList(source(list.id), list.size).map(({ id, size }) => {
    checkData(size, level)
    return { id, size, level }
  })
}

function checkData(size: number, level: number): void {
  if (level === 0 && size > CHUNK_LIMIT) throw new InvalidContentError(`a data chunk of ${size} bytes`)
}

/**
 * The data chunks that cover bytes [from, to), in order. Reads the lists on their way and no others. An inline content
 * has none. Throws as `children` does.
 */
export function* leaves(content: Content, source: ChunkSource, from = 0, to = content.size): Generator<Leaf> {
  const root = rootOf(content)
  if (root && Math.max(from, 0) < Math.min(to, root.size)) yield* leavesBelow(root, 0, source, from, to)
}

function* leavesBelow(node: TreeChunk, start: number, source: ChunkSource, from: number, to: number): Generator<Leaf> {
  if (node.level === 0) {
    yield { id: node.id, size: node.size, offset: start }
    return
  }
  const level = node.level - 1
  for (const { id, size, offset } of decodeList(source(node.id), node.size, from - start, to - start)) {
    checkData(size, level)
    yield* leavesBelow({ id, size, level }, start + offset, source, from, to)
  }
}

/** Chunks whose subtrees were not met before; equal ones are met again and again in contents that repeat themselves. */
class Unseen {
  readonly #keys = new Set<string>()

  has(chunk: TreeChunk): boolean {
    const key = `${hex(chunk.id)} ${chunk.level} ${chunk.size}`
    if (this.#keys.has(key)) return false
    this.#keys.add(key)
    return true
  }
}

/**
 * Every chunk of a content once, lists before what is below them: for transfer and garbage collection. Cost: its different
 * lists, however often they repeat. Throws as `children` does.
 */
export function* allChunks(content: Content, source: ChunkSource): Generator<TreeChunk> {
  const root = rootOf(content)
  if (!root) return
  const unseen = new Unseen()
  const stack = [root]
  for (let node = stack.pop(); node; node = stack.pop()) {
    if (!unseen.has(node)) continue
    yield node
    if (node.level > 0) stack.push(...children(node, source).reverse())
  }
}

/** The bytes of a chunk, its length checked. Throws InvalidContentError if it has another one. */
export function chunkBytes(chunk: ChunkRef, source: ChunkSource): Uint8Array {
  const bytes = source(chunk.id)
  if (bytes.length === chunk.size) return bytes
  throw new InvalidContentError(`a chunk of ${bytes.length} bytes where ${chunk.size} should be`)
}

/** Bytes [from, to) of a content, in one new array (inline: perhaps a view). The caller bounds how many. */
export function readContent(content: Content, source: ChunkSource, from = 0, to = content.size): Uint8Array {
  const begin = Math.min(Math.max(from, 0), content.size)
  const end = Math.min(Math.max(to, begin), content.size)
  if (!rootOf(content)) return (content.inline ?? EMPTY).subarray(begin, end)
  const bytes = new Uint8Array(end - begin)
  for (const leaf of leaves(content, source, begin, end)) {
    const skip = Math.max(begin - leaf.offset, 0)
    const piece = chunkBytes(leaf, source).subarray(skip, end - leaf.offset)
    bytes.set(piece, leaf.offset + skip - begin)
  }
  return bytes
}

/** Same bytes: same size and same inline bytes or root. */
export function sameContent(a: Content, b: Content): boolean {
  if (a.size !== b.size || a.levels !== b.levels) return false
  return a.size <= INLINE_MAX ? equal(a.inline ?? EMPTY, b.inline ?? EMPTY) : equal(a.root ?? EMPTY, b.root ?? EMPTY)
}

/** Subtrees of a that b does not have, and the reverse, as far down as lists differ. */
export interface TreeDifference {
  onlyA: TreeChunk[]
  onlyB: TreeChunk[]
}

function expand(nodes: TreeChunk[], source: ChunkSource): TreeChunk[] {
  const unseen = new Unseen()
  return nodes.flatMap((node) => children(node, source).filter((child) => unseen.has(child)))
}

/**
 * Walks both trees level by level, never below a chunk that both have on the same level. In order within each level, what
 * occurs several times once.
 */
export function compareTrees(a: Content, b: Content, source: ChunkSource): TreeDifference {
  const rootA = rootOf(a)
  const rootB = rootOf(b)
  const result: TreeDifference = { onlyA: [], onlyB: [] }
  let nodesA: TreeChunk[] = []
  let nodesB: TreeChunk[] = []
  for (let level = Math.max(rootA?.level ?? 0, rootB?.level ?? 0); level >= 0; level--) {
    if (rootA?.level === level) nodesA = [rootA]
    if (rootB?.level === level) nodesB = [rootB]
    const idsA = new Set(nodesA.map((node) => hex(node.id)))
    const idsB = new Set(nodesB.map((node) => hex(node.id)))
    nodesA = nodesA.filter((node) => !idsB.has(hex(node.id)))
    nodesB = nodesB.filter((node) => !idsA.has(hex(node.id)))
    result.onlyA.push(...nodesA)
    result.onlyB.push(...nodesB)
    if (level === 0) break
    nodesA = expand(nodesA, source)
    nodesB = expand(nodesB, source)
  }
  return result
}

/**
 * The chunks of b that a does not have, each once, lists first. Cost: the lists that differ. Where the same data occurs
 * more than once within a content, a chunk may be named although a has it below a list that both have: ask before sending.
 */
export function diffContent(a: Content, b: Content, source: ChunkSource): ChunkId[] {
  const ids = new Map<string, ChunkId>()
  for (const { id } of compareTrees(a, b, source).onlyB) ids.set(hex(id), id)
  return [...ids.values()]
}
