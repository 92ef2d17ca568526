// Chunks and hashes one spooled content: runs in a hasher thread. Reads; never writes, never asks other threads.
// Law: the content is the one that the same bytes have anywhere (model's rechunk sees to the boundaries).

import { hex } from '../../model/bytes.js'
import { buildContent, inlineContent, leaves, readContent } from '../../model/content-tree.js'
import { hashOf } from '../../model/hash.js'
import { rechunk } from '../../model/rechunk.js'
import { type ChunkRef, type ChunkSource, INLINE_MAX } from '../../model/types.js'
import type { HashedChunk, HashJob, HashResult } from './hash-job.js'
import { type BaseReader, SpoolBytes } from './spool-bytes.js'

const PROGRESS_EVERY = 8 << 20

/** `source` gives chunks of the base. Throws what the disk throws, and ChunkMissingError, ChunkDamagedError of the source. */
export function hashSpool(job: HashJob, source: ChunkSource, progress: (bytes: number) => void = () => {}): HashResult {
  const { base } = job
  const bytes = new SpoolBytes({ readBase: baseReader(job, source) }, job)
  try {
    const read = (offset: number, length: number) => {
      const into = new Uint8Array(length)
      bytes.read(offset, into)
      return into
    }
    if (job.size <= INLINE_MAX)
      return { content: inlineContent(read(0, job.size)), chunks: [], lists: [], hashed: job.size }
    return hashChunks(job, read, base ? [...leaves(base, source)] : [], progress)
  } finally {
    bytes.close()
  }
}

function baseReader({ base, baseBytes }: HashJob, source: ChunkSource): BaseReader | undefined {
  if (base) return (offset, into) => into.set(readContent(base, source, offset, offset + into.length))
  return baseBytes && ((offset, into) => into.set(baseBytes.subarray(offset, offset + into.length)))
}

function hashChunks(
  job: HashJob,
  read: (offset: number, length: number) => Uint8Array,
  old: ChunkRef[],
  progress: (bytes: number) => void,
): HashResult {
  const refs: ChunkRef[] = []
  const chunks: HashedChunk[] = []
  const known = new Set<string>()
  let hashed = 0
  let told = 0
  for (const chunk of rechunk({ old, changed: changesOf(job), size: job.size, read })) {
    const id = chunk.id ?? hashOf(chunk.bytes)
    refs.push({ id, size: chunk.size })
    if (chunk.bytes) {
      hashed += chunk.size
      const key = hex(id)
      if (!known.has(key)) chunks.push({ id, offset: chunk.offset, length: chunk.size })
      known.add(key)
    }
    if (chunk.offset - told >= PROGRESS_EVERY) progress((told = chunk.offset))
  }
  return { ...buildContent(refs), chunks, hashed }
}

/** What differs from the base: own ranges, and zeros from where the base is not seen any more. */
function changesOf(job: HashJob): { offset: number; length: number }[] {
  if (!job.base) return [{ offset: 0, length: job.size }]
  const changes: { offset: number; length: number }[] = []
  let at = 0
  const add = (from: number, to: number) => {
    const start = Math.max(from, at)
    const end = Math.min(to, job.size)
    if (end <= start) return
    changes.push({ offset: start, length: end - start })
    at = end
  }
  for (const [offset, length] of job.ranges) {
    if (offset >= job.baseSize) break
    add(offset, offset + length)
  }
  add(job.baseSize, job.size)
  return changes
}
