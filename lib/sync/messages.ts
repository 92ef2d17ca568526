// Encoding and strict decoding of proto/sync.proto: what comes in is bounded, well formed and encoded as we would have, or it
// is a SyncProtocolError. Pure. Hashes and canonical encodings are checked where the bytes are stored, not here.

import '../model/protobuf-numbers.js'
import protobuf from 'protobufjs/minimal.js'
import { peerdrive } from '../../proto/gen/sync.js'
import { DID_BYTES, HASH_BYTES } from '../model/types.js'
import { SyncProtocolError } from './errors.js'
import {
  ANSWER_ITEMS,
  BATCH_CHANGES,
  BATCH_CHUNKS,
  MAX_ASKED,
  MAX_CHUNK,
  MAX_FIELDS,
  MAX_KEEPS,
  MAX_LABEL,
  MAX_OFFERS,
  MAX_REVISION,
} from './limits.js'
import { scanFrame } from './scan.js'

const wire = peerdrive.sync

export interface Offer {
  sid: Uint8Array
  root: Uint8Array
  label: string
  lastSeq: number
  /** It holds everything, and gives nothing away. */
  keeps?: boolean
}
export interface Follow {
  root: Uint8Array
  sid: Uint8Array
  after: number
  /** Distinguishes this feed from earlier ones of the same link. */
  number: number
  /** No chunks along with the changes. */
  bare?: boolean
}
export interface Change {
  document: Uint8Array
  head: Uint8Array
  /** Empty: not sent along. */
  revision: Uint8Array
}
export interface Changes {
  root: Uint8Array
  sid: Uint8Array
  seq: number
  lastSeq: number
  changes: Change[]
  chunks: Uint8Array[]
  number: number
}
export interface Ack {
  root: Uint8Array
  seq: number
  number: number
}
export interface Get {
  root: Uint8Array
  id: number
  revisions: Uint8Array[]
  depth: number
  chunks: Uint8Array[]
  documents: Uint8Array[]
  /** Ancestry that need not be told: RIds that the asking volume has. */
  have: Uint8Array[]
  /** The answer may come by the lane. */
  lane?: boolean
  /** Chunk ids: which of them does the volume keep for ever? */
  keeps?: Uint8Array[]
}
export interface Answer {
  id: number
  done: boolean
  revisions: Uint8Array[]
  chunks: Uint8Array[]
  documents: Change[]
  keeps?: Uint8Array[]
}
export interface FrameBody {
  offers?: { offers: Offer[] }
  follow?: Follow
  changes?: Changes
  ack?: Ack
  get?: Get
  answer?: Answer
}

/** For every frame the same: one that grows anew for each mebibyte keeps the garbage collector busy. */
let writer = protobuf.Writer.create()

export function encodeFrame(body: FrameBody): Uint8Array {
  try {
    return wire.Frame.encode(body as Parameters<typeof wire.Frame.encode>[0], writer.reset()).finish()
  } catch (error) {
    // It may be in the midst of a message.
    writer = protobuf.Writer.create()
    throw error
  }
}

/**
 * Unknown fields and other encodings of the same message are refused: new ones need a feature (docs/sync.md).
 * @throws SyncProtocolError
 */
export function decodeFrame(bytes: Uint8Array): FrameBody {
  scanFrame(bytes, MAX_FIELDS)
  const frame = decodeScanned(bytes)
  if (frame.offers) checkOffers(frame.offers.offers)
  else if (frame.follow) {
    need(frame.follow.root.length === DID_BYTES && frame.follow.sid.length === DID_BYTES, 'ids in Follow')
    need(isCount(frame.follow.after), 'anchor in Follow')
  } else if (frame.changes) checkChanges(frame.changes)
  else if (frame.ack) need(frame.ack.root.length === DID_BYTES && isCount(frame.ack.seq), 'Ack')
  else if (frame.get) checkGet(frame.get)
  else if (frame.answer) checkAnswer(frame.answer)
  else throw new SyncProtocolError('An empty frame came in, or one of a kind that this version does not know.')
  return frame
}

/** Views of `bytes`, which are known to be one message in its one encoding. */
function decodeScanned(bytes: Uint8Array): FrameBody {
  try {
    return wire.Frame.decode(bytes) as FrameBody
  } catch (error) {
    throw new SyncProtocolError(`A frame that is no message came in: ${(error as Error).message}`)
  }
}

function need(holds: boolean, what: string): void {
  if (!holds) throw new SyncProtocolError(`The peer sent a malformed message: ${what}.`)
}

const isCount = (n: number) => Number.isSafeInteger(n) && n >= 0
const allOf = (list: Uint8Array[], length: number) => list.every((id) => id.length === length)

function checkOffers(offers: Offer[]): void {
  need(offers.length <= MAX_OFFERS, 'too many offers')
  for (const offer of offers) {
    need(offer.sid.length === DID_BYTES && offer.root.length === DID_BYTES, 'ids of an offer')
    need(offer.label.length <= MAX_LABEL && isCount(offer.lastSeq), 'an offer')
  }
}

function checkChange(change: Change): void {
  need(change.document.length === DID_BYTES && change.head.length === HASH_BYTES, 'ids of a change')
  need(change.revision.length <= MAX_REVISION, 'a revision is too long')
}

function checkChanges(changes: Changes): void {
  need(changes.root.length === DID_BYTES && changes.sid.length === DID_BYTES, 'ids in Changes')
  need(isCount(changes.seq) && isCount(changes.lastSeq) && changes.seq <= changes.lastSeq, 'numbers in Changes')
  need(changes.changes.length <= BATCH_CHANGES, 'too many changes at once')
  need(changes.chunks.length <= BATCH_CHUNKS, 'too many chunks at once')
  changes.changes.forEach(checkChange)
  need(
    changes.chunks.every((chunk) => chunk.length <= MAX_CHUNK),
    'a chunk is too long',
  )
}

function checkGet(get: Get): void {
  need(get.root.length === DID_BYTES, 'ids in Get')
  need(
    get.revisions.length + get.chunks.length + get.documents.length + get.have.length <= 2 * MAX_ASKED,
    'too much asked at once',
  )
  need((get.keeps?.length ?? 0) <= MAX_KEEPS, 'too many chunks asked about at once')
  need(
    allOf(get.keeps ?? [], HASH_BYTES) &&
      allOf(get.revisions, HASH_BYTES) &&
      allOf(get.have, HASH_BYTES) &&
      allOf(get.chunks, HASH_BYTES) &&
      allOf(get.documents, DID_BYTES),
    'ids in Get',
  )
}

function checkAnswer(answer: Answer): void {
  need(answer.revisions.length + answer.chunks.length + answer.documents.length <= ANSWER_ITEMS, 'too long an answer')
  need(
    answer.revisions.every((r) => r.length <= MAX_REVISION),
    'a revision is too long',
  )
  need(
    answer.chunks.every((c) => c.length <= MAX_CHUNK),
    'a chunk is too long',
  )
  answer.documents.forEach(checkChange)
  need((answer.keeps?.length ?? 0) <= MAX_KEEPS && allOf(answer.keeps ?? [], HASH_BYTES), 'ids in Answer')
}
