// Reading the bytes of closed contents and of spools, wherever they are, straight into the caller's buffer. Owns the cache of
// recently closed small contents, which makes them readable before and after their commit without any I/O. Never writes.

import fs from 'node:fs'
import { hex } from '../../model/bytes.js'
import type { Content } from '../../model/types.js'
import { ChunkDamagedError, ChunkMissingError, type WantedRange } from '../../store/errors.js'
import type { LiveContent } from '../../store/records.js'
import type { Inode } from './inode.js'
import { BLOCK, type ChunkFinder, LeafCache, type Piece } from './leaf-cache.js'
import type { PackFiles } from './pack-files.js'
import type { DurableState, Journal, Progress } from './ports.js'
import { allocate } from './slab.js'
import type { Spool, SpoolFiles } from './spools.js'

const CACHE_BYTES = 64 << 20
/** Bases of spools whose leaves are remembered. */
const BASES_MAX = 64
/** Contents that are remembered to have been read. */
const LATELY_MAX = 20_000
/** Milliseconds after which it counts again that the same block is read. */
const TOLD_MS = 10_000

export class Contents {
  readonly #durable: DurableState
  readonly #progress: Progress
  readonly #journal: Journal
  readonly #packs: PackFiles
  readonly #finder: ChunkFinder
  readonly #spools: SpoolFiles
  readonly #cacheMax: number
  readonly #cached = new Set<Inode>()
  #cachedBytes = 0
  /** A chunk that is read to be verified. */
  #chunk = Buffer.alloc(0)
  readonly #bases = new Map<Content, LeafCache>()
  /** Hears that a content is read on: the bytes behind `offset` are likely to be wanted next. */
  onReadOn: ((content: Content, offset: number) => void) | undefined
  /** With `onReadOn`: when contents were read last, by root; the one read longest ago first. */
  readonly lately = new Map<string, { content: Content; at: number }>()

  constructor(
    components: {
      durable: DurableState
      progress: Progress
      journal: Journal
      packs: PackFiles
      finder: ChunkFinder
      spools: SpoolFiles
    },
    init: { cacheBytes?: number } = {},
  ) {
    this.#durable = components.durable
    this.#progress = components.progress
    this.#journal = components.journal
    this.#packs = components.packs
    this.#finder = components.finder
    this.#spools = components.spools
    this.#cacheMax = init.cacheBytes ?? CACHE_BYTES
  }

  get cachedBytes(): number {
    return this.#cachedBytes
  }

  /** `bytes` are all of the inode's content. */
  remember(inode: Inode, bytes: Buffer): void {
    this.forget(inode)
    if (bytes.length === 0) return
    inode.cached = bytes
    this.#cached.add(inode)
    this.#cachedBytes += bytes.length
    for (const oldest of this.#cached) {
      if (this.#cachedBytes <= this.#cacheMax) break
      this.forget(oldest)
    }
  }

  /** The content of the inode is another one now, or the inode leaves memory. */
  forget(inode: Inode): void {
    inode.leaves = undefined
    inode.closedBlocks = -1
    if (inode.cached === undefined) return
    this.#cachedBytes -= inode.cached.length
    inode.cached = undefined
    this.#cached.delete(inode)
  }

  /** Where the closed content is now: what the committer moved is looked up again. */
  locate(inode: Inode): LiveContent {
    const content = inode.content
    if (content.kind === 'journal' && inode.dirtyLsn < this.#progress.committed()) {
      this.#durable.refresh()
      const row = this.#durable.inode(inode.ino)
      if (row) inode.content = row.content
    } else if (content.kind === 'spool') {
      const spool = this.#spools.get(content.spool)
      if (spool.content) inode.content = { kind: 'committed', content: spool.content }
    }
    return inode.content
  }

  /** Closed content from `offset`, `length` bytes of it, which are there, into `into` at 0. */
  read(inode: Inode, offset: number, into: Buffer, length: number): void {
    if (inode.cached !== undefined) {
      inode.cached.copy(into, 0, offset, offset + length)
      return
    }
    const content = this.locate(inode)
    if (content.kind === 'committed' && content.content.root) {
      if (inode.leaves?.content !== content.content) inode.leaves = new LeafCache(content.content)
      this.#readTree(inode.leaves!, offset, into, 0, length)
    } else this.readContent(content, offset, into, 0, length)
  }

  /** The first `size` bytes in a new buffer. For small ones. */
  load(inode: Inode, size: number): Buffer {
    const bytes = allocate(size)
    if (size > 0) this.read(inode, 0, bytes, size)
    return bytes
  }

  /** Bytes of a content that is no inode's, e.g. below a spool. They have to be there. */
  readContent(content: LiveContent, offset: number, into: Buffer, at: number, length: number): void {
    switch (content.kind) {
      case 'bytes':
        into.set(content.bytes.subarray(offset, offset + length), at)
        return
      case 'journal':
        into.set(this.#journal.readBytes(content.lsn + offset, length), at)
        return
      case 'spool': {
        const spool = this.#spools.get(content.spool)
        if (spool.content === undefined) this.readSpool(spool, offset, into, at, length)
        else this.readContent({ kind: 'committed', content: spool.content }, offset, into, at, length)
        return
      }
      case 'committed':
        if (content.content.root) this.#readTree(this.#base(content.content), offset, into, at, length)
        else if (content.content.inline) into.set(content.content.inline.subarray(offset, offset + length), at)
    }
  }

  #base(content: Content): LeafCache {
    let base = this.#bases.get(content)
    if (base) return base
    if (this.#bases.size >= BASES_MAX) this.#bases.clear()
    base = new LeafCache(content)
    this.#bases.set(content, base)
    return base
  }

  #readTree(leaves: LeafCache, offset: number, into: Buffer, at: number, length: number): void {
    const end = offset + length
    let position = offset
    let again = -1
    while (position < end) {
      const pieces = leaves.block(position, this.#finder)
      if (this.onReadOn) this.#readOn(leaves, position)
      const from = position
      let failed: unknown
      for (let i = pieceAt(pieces, position); i < pieces.length && position < end; i++) {
        const piece = pieces[i]
        const skip = position - piece.offset
        const n = Math.min(piece.length - skip, end - position)
        try {
          this.#readPiece(piece, skip, into, at + position - offset, n)
        } catch (error) {
          failed = error
          break
        }
        position += n
      }
      if (failed !== undefined) {
        // It may have come, been mended or been moved meanwhile, and lie elsewhere: once more.
        leaves.forget(position)
        this.#durable.refresh()
        if (again === position) throw wanting(failed, { content: leaves.content, from: position, to: end })
        again = position
      } else if (position === from) throw new Error(`Content has no bytes at ${position}`)
    }
  }

  /** Told when a block is read that was not read just before. */
  #readOn(leaves: LeafCache, position: number): void {
    const block = Math.floor(position / BLOCK)
    const at = performance.now()
    if (leaves.told === block && at - leaves.toldAt < TOLD_MS) return
    leaves.told = block
    leaves.toldAt = at
    const key = hex(leaves.content.root!)
    this.lately.delete(key)
    this.lately.set(key, { content: leaves.content, at })
    if (this.lately.size > LATELY_MAX) this.lately.delete(this.lately.keys().next().value!)
    const behind = (block + 1) * BLOCK
    if (behind < leaves.content.size) this.onReadOn!(leaves.content, behind)
  }

  /** Bytes of a piece from `skip` within it. What is read of a chunk for the first time is compared with its hash. */
  #readPiece(piece: Piece, skip: number, into: Buffer, at: number, length: number): void {
    const { pack, unverified, missing } = piece
    if (missing) throw new ChunkMissingError(missing)
    const from = piece.at + skip
    const to = from + length
    if (unverified === undefined) return this.#packs.read(pack, from, into, at, length)
    const touched = unverified.filter((chunk) => chunk.at < to && chunk.at + chunk.length > from)
    const whole = touched.filter((chunk) => chunk.at >= from && chunk.at + chunk.length <= to)
    // Those of which only a part is wanted are read as a whole first.
    for (const chunk of touched)
      if (!whole.includes(chunk)) this.#packs.readChunk(pack, chunk, this.#scratch(chunk.length))
    try {
      this.#packs.read(pack, from, into, at, length)
    } catch (error) {
      for (const chunk of whole) this.#packs.readChunk(pack, chunk, this.#scratch(chunk.length))
      throw error
    }
    for (const chunk of whole) {
      const start = at + chunk.at - from
      this.#packs.check(pack, chunk, into.subarray(start, start + chunk.length))
    }
    const rest = unverified.filter((chunk) => !touched.includes(chunk))
    piece.unverified = rest.length > 0 ? rest : undefined
  }

  #scratch(length: number): Buffer {
    if (this.#chunk.length < length) this.#chunk = Buffer.allocUnsafeSlow(length)
    return this.#chunk
  }

  /** Bytes of a spool; what nobody wrote is zeros. */
  readSpool(spool: Spool, offset: number, into: Buffer, at: number, length: number): void {
    if (spool.base === undefined) {
      readZeroed(spool.fd, offset, into, at, length)
      return
    }
    const end = offset + length
    for (let position = offset; position < end; ) {
      const piece = spool.ranges.piece(position, end)
      const to = at + position - offset
      if (piece.own) readZeroed(spool.fd, position, into, to, piece.end - position)
      else {
        const seen = Math.max(0, Math.min(piece.end, spool.baseSize) - position)
        if (seen > 0) this.readContent(spool.base, position, into, to, seen)
        into.fill(0, to + seen, to + piece.end - position)
      }
      position = piece.end
    }
  }
}

/** The error, knowing what it kept somebody from reading. */
function wanting(error: unknown, wanted: WantedRange): unknown {
  if (error instanceof ChunkMissingError || error instanceof ChunkDamagedError) error.wanted = wanted
  return error
}

/** Index of the piece in which `offset` lies. */
function pieceAt(pieces: Piece[], offset: number): number {
  let low = 0
  let high = pieces.length - 1
  while (low < high) {
    const middle = (low + high + 1) >>> 1
    if (pieces[middle].offset <= offset) low = middle
    else high = middle - 1
  }
  return low
}

/** Reads a file; beyond its end there are zeros. */
function readZeroed(fd: number, offset: number, into: Buffer, at: number, length: number): void {
  let got = 0
  while (got < length) {
    const n = fs.readSync(fd, into, at + got, length - got, offset + got)
    if (n === 0) break
    got += n
  }
  if (got < length) into.fill(0, at + got, at + length)
}
