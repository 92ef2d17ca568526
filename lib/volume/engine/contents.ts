// Reading the bytes of closed contents and of spools, wherever they are, straight into the caller's buffer. Owns the cache of
// recently closed small contents, which makes them readable before and after their commit without any I/O. Never writes.

import fs from 'node:fs'
import type { Content } from '../../model/types.js'
import type { LiveContent } from '../../store/records.js'
import type { Inode } from './inode.js'
import { type ChunkFinder, LeafCache, type Piece } from './leaf-cache.js'
import type { PackFiles } from './pack-files.js'
import type { DurableState, Journal, Progress } from './ports.js'
import { allocate } from './slab.js'
import type { Spool, SpoolFiles } from './spools.js'

const CACHE_BYTES = 64 << 20
/** Bases of spools whose leaves are remembered. */
const BASES_MAX = 64

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
    while (position < end) {
      const pieces = leaves.block(position, this.#finder)
      const from = position
      for (let i = pieceAt(pieces, position); i < pieces.length && position < end; i++) {
        const piece = pieces[i]
        const skip = position - piece.offset
        const n = Math.min(piece.length - skip, end - position)
        try {
          this.#readPiece(piece, skip, into, at + position - offset, n)
        } catch (error) {
          // It may be mended meanwhile, and lie elsewhere.
          leaves.forget(position)
          this.#durable.refresh()
          throw error
        }
        position += n
      }
      if (position === from) throw new Error(`Content has no bytes at ${position}`)
    }
  }

  /** Bytes of a piece from `skip` within it. What is read of a chunk for the first time is compared with its hash. */
  #readPiece(piece: Piece, skip: number, into: Buffer, at: number, length: number): void {
    const { pack, unverified } = piece
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
