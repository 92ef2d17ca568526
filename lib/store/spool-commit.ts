// Puts the content of a closed spool, once the hashers have cut it into chunks, into packs: copied, or the whole file at
// once as a pack of its own. Then the version it was closed as is made. Runs within a batch of the committer.

import fs from 'node:fs'
import { equal, hex } from '../model/bytes.js'
import { readContent } from '../model/content-tree.js'
import { hashOf } from '../model/hash.js'
import { CHUNK_LIMIT, type Chunk, type ChunkId, type Content } from '../model/types.js'
import { ImportError, NoSpaceError } from './errors.js'
import type { Fold } from './fold.js'
import { sizeOf } from './fold-spools.js'
import type { VolumeLayout } from './layout.js'
import { isText } from './mime.js'
import type { PackWriter } from './pack-writer.js'
import type { PackReader } from './packs.js'
import type { InodeRecord, SpoolRecord } from './records.js'
import type { Reviser } from './revise.js'
import type { WorkingView } from './view.js'

/** Smaller spools are always copied. */
export const ADOPT_MIN = 8 << 20
const SAMPLE = 64 * 1024

export interface SpoolCommit {
  spool: number
  content: Content
  /** Chunks that the base does not have, in order of their offset in the content. */
  chunks: { id: ChunkId; offset: number; length: number }[]
  /** List chunks of the content tree. */
  lists: Chunk[]
}

/** `gone`: there is no such spool (any more); `copied`, `adopted`: how its bytes were stored; `known`: it was done before. */
export type SpoolCommitted = 'copied' | 'adopted' | 'known' | 'gone'

export interface SpoolCommitComponents {
  view: WorkingView
  layout: VolumeLayout
  writer: PackWriter
  packs: PackReader
  reviser: Reviser
  fold: Fold
}

type Piece = SpoolCommit['chunks'][number]

/** Throws ImportError, with nothing changed, if the request contradicts itself or the spool. */
export function commitSpool(c: SpoolCommitComponents, request: SpoolCommit): SpoolCommitted {
  const spool = c.view.spool(request.spool)
  if (!spool || spool.state === 'open') {
    if (spool) throw new ImportError(`spool ${request.spool} is still open`)
    return 'gone'
  }
  if (spool.state === 'committed') return 'known'
  check(request, spool)
  const sampled = sample(c, request.spool, spool)
  const how = storeChunks(c, request, spool)
  c.reviser.store(request.lists)
  settle(c, request, spool, sampled)
  return how
}

function check({ spool, content, chunks, lists }: SpoolCommit, row: SpoolRecord): void {
  const size = row.closed?.size
  if (content.size !== size) throw new ImportError(`spool ${spool} has ${size} bytes, its content ${content.size}`)
  for (const { id, bytes } of lists) {
    if (bytes.length > CHUNK_LIMIT || !equal(hashOf(bytes), id)) throw new ImportError(`list ${hex(id)}`)
  }
  for (const { id, offset, length } of chunks) {
    if (!(length > 0 && length <= CHUNK_LIMIT && offset >= 0 && offset + length <= content.size)) {
      throw new ImportError(`chunk ${hex(id)} of ${length} bytes at ${offset}`)
    }
  }
}

function storeChunks(c: SpoolCommitComponents, request: SpoolCommit, spool: SpoolRecord): 'copied' | 'adopted' {
  const fresh = request.chunks.filter(({ id }) => !c.view.chunk(id))
  if (fresh.length === 0) return 'copied'
  const file = c.layout.spool(request.spool)
  if (sizeOf(spool.base) === 0 && adopt(c, file, fresh)) return 'adopted'
  const fd = fs.openSync(file, 'r')
  try {
    for (const piece of fresh) {
      if (c.view.chunk(piece.id)) continue
      const own = sizeOf(spool.base) === 0 || isOwn(spool, piece)
      const location = own
        ? c.writer.appendFrom(fd, piece.offset, piece.length)
        : c.writer.append(compose(c, fd, spool, piece))
      c.view.putChunk(piece.id, location)
    }
  } finally {
    fs.closeSync(fd)
  }
  return 'copied'
}

/** The file becomes a pack when at least half of it is new. */
function adopt(c: SpoolCommitComponents, file: string, fresh: Piece[]): boolean {
  const { size } = fs.statSync(file)
  const bytes = fresh.reduce((sum, { length }) => sum + length, 0)
  const inside = fresh.every(({ offset, length }) => offset + length <= size)
  if (bytes < ADOPT_MIN || bytes * 2 < size || !inside) return false
  let pack: number
  try {
    pack = c.writer.adopt(file)
  } catch (error) {
    if (error instanceof NoSpaceError) throw error
    return false // No hard links here, for example.
  }
  for (const { id, offset, length } of fresh) c.view.putChunk(id, { pack, offset, length })
  return true
}

/** Whether all bytes of the piece are in the spool file itself. */
function isOwn(spool: SpoolRecord, { offset, length }: Piece): boolean {
  return spool.ranges.some(([from, size]) => from <= offset && offset + length <= from + size)
}

/** Bytes of the content partly from the spool file, partly from its base; what neither has is zeros. */
function compose(c: SpoolCommitComponents, fd: number, spool: SpoolRecord, { offset, length }: Piece): Uint8Array {
  const bytes = new Uint8Array(length)
  const seen = Math.min(spool.baseSize, offset + length)
  if (spool.base.kind === 'committed' && seen > offset) {
    c.writer.flush()
    bytes.set(readContent(spool.base.content, c.packs.source, offset, seen))
  }
  for (const [from, size] of spool.ranges) {
    const start = Math.max(from, offset)
    const end = Math.min(from + size, offset + length)
    if (end > start) {
      const got = fs.readSync(fd, bytes, start - offset, end - start, start)
      bytes.fill(0, start - offset + got, end - offset)
    }
  }
  return bytes
}

/** Whoever had the spool as content or base has the stored content now; the closed version becomes a revision. */
function settle(
  c: SpoolCommitComponents,
  request: SpoolCommit,
  spool: SpoolRecord,
  sampled: Uint8Array | undefined,
): void {
  const { view, fold } = c
  const id = request.spool
  const content = { kind: 'committed' as const, content: request.content }
  const row = view.inode(spool.ino)
  const closed = spool.closed!
  const current = row?.content.kind === 'spool' && row.content.spool === id
  if (row && current) {
    view.putInode({ ...row, content, size: request.content.size })
    if (row.nlink > 0) fold.due(row.ino, sampled)
  } else keepVersion(c, row, closed, content)
  for (const other of view.spools()) {
    const { base } = other.spool
    if (base.kind === 'spool' && base.spool === id) view.putSpool(other.id, { ...other.spool, base: content })
  }
  view.putSpool(id, { ...spool, state: 'committed', content: request.content })
  if (fold.spools.discarded.has(id)) fold.spools.drop(id)
}

/**
 * The inode has moved on, or is gone: the closed content becomes a revision nevertheless, and if there is a live state, a
 * revision of it follows, so that the head is what is live.
 */
function keepVersion(
  c: SpoolCommitComponents,
  row: InodeRecord | undefined,
  closed: NonNullable<SpoolRecord['closed']>,
  content: InodeRecord['content'],
): void {
  const head = c.reviser.head(closed.document)
  const live = row && row.nlink > 0 && equal(row.document, closed.document) ? row : undefined
  if (!head && !live) return
  const { attributes, created } = head?.revision ?? {}
  const old: InodeRecord = {
    ...(live ?? emptyRow(closed.document)),
    ...(attributes ?? {}),
    ...(created ? { createdSec: created.sec, createdNsec: created.nsec } : {}),
    content,
    size: sizeOf(content),
    mtimeSec: closed.mtimeSec,
    mtimeNsec: closed.mtimeNsec,
  }
  c.reviser.revise(old, { parents: [], dismiss: true })
  if (live) c.fold.due(live.ino)
  else if (head) liveElsewhere(c, closed.document)
}

/** The document lives on in another inode (something was renamed over it): its state goes on top again. */
function liveElsewhere(c: SpoolCommitComponents, document: Uint8Array): void {
  const ino = c.view.document(document)?.ino
  if (ino) c.fold.due(ino)
}

function emptyRow(document: Uint8Array): InodeRecord {
  const times = { mtimeSec: 0, mtimeNsec: 0, ctimeSec: 0, ctimeNsec: 0, createdSec: 0, createdNsec: 0 }
  const rest = { ino: 0, mode: 0, uid: 0, gid: 0, rdev: 0, nlink: 0, size: 0, parent: 0, xattrs: [] }
  return { ...rest, ...times, document, content: { kind: 'bytes', bytes: new Uint8Array(0) } }
}

/** Up to 64 KiB of the spool's own beginning, to tell text from bytes; undefined where it is not text. */
function sample(c: SpoolCommitComponents, id: number, spool: SpoolRecord): Uint8Array | undefined {
  if (sizeOf(spool.base) > 0) return undefined
  const bytes = new Uint8Array(SAMPLE)
  const fd = fs.openSync(c.layout.spool(id), 'r')
  try {
    const got = bytes.subarray(0, fs.readSync(fd, bytes, 0, SAMPLE, 0))
    // A character may be cut in two at the end.
    for (let cut = 0; cut < 4; cut++)
      if (isText(got.subarray(0, got.length - cut))) return got.subarray(0, got.length - cut)
    return got
  } finally {
    fs.closeSync(fd)
  }
}
