// Answers to a peer's questions, from what the volume has. Reads only; what the volume does not have is left out, and the
// peer finds out by what is missing. Answers are cut into frames of about ANSWER_BYTES, and sent no faster than they leave.

import { hex } from '../model/bytes.js'
import type { Volume } from '../volume/contract.js'
import { ANSWER_BYTES, ASK_DEPTH } from './limits.js'
import type { Answer, Get } from './messages.js'

/** Most revisions of one answer: bounds what a question may cost. */
const MAX_REVISIONS = 4096

export async function answerQuestion(
  volume: Volume | undefined,
  get: Get,
  send: (answer: Answer) => Promise<void>,
): Promise<void> {
  let part = emptyAnswer(get.id)
  let size = 0
  const add = async (list: 'revisions' | 'chunks', bytes: Uint8Array) => {
    if (size > 0 && size + bytes.length > ANSWER_BYTES) {
      await send(part)
      part = emptyAnswer(get.id)
      size = 0
    }
    part[list].push(bytes)
    size += bytes.length
  }
  if (volume) {
    for (const bytes of ancestry(volume, get.revisions, Math.min(get.depth, ASK_DEPTH))) await add('revisions', bytes)
    for (const chunk of get.chunks) {
      if (volume.hasChunk(chunk)) await add('chunks', await volume.chunk(chunk))
    }
    for (const document of get.documents) {
      const head = volume.head(document)
      if (head)
        part.documents.push({ document, head: head.head, revision: volume.encoded(head.head) ?? new Uint8Array(0) })
    }
  }
  part.done = true
  await send(part)
}

const emptyAnswer = (id: number): Answer => ({ id, done: false, revisions: [], chunks: [], documents: [] })

/** The revisions and `depth` generations of their ancestors, nearest first, each once. */
function* ancestry(volume: Volume, rids: Uint8Array[], depth: number): Generator<Uint8Array> {
  const seen = new Set<string>()
  let generation = rids
  for (let age = 0; age <= depth && generation.length; age++) {
    const parents: Uint8Array[] = []
    for (const rid of generation) {
      const key = hex(rid)
      if (seen.has(key) || seen.size >= MAX_REVISIONS) continue
      seen.add(key)
      const bytes = volume.encoded(rid)
      if (!bytes) continue
      yield bytes
      if (age < depth) parents.push(...(volume.revision(rid)?.parents ?? []))
    }
    generation = parents
  }
}
