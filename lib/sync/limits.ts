// Every bound of the sync protocol, with its reason. Sizes in bytes.

import { REVISION_MAX } from '../model/revision-check.js'
import { CHUNK_LIMIT } from '../model/types.js'

/** Volumes offered over one link. */
export const MAX_OFFERS = 256
export const MAX_LABEL = 255
/** A batch of changes is closed above this size, chunks included: large enough to fill a link, small enough to be acknowledged often. */
export const BATCH_BYTES = 1 << 20
export const BATCH_CHANGES = 1024
/** Small chunks of one batch. */
export const BATCH_CHUNKS = 4096
/** Content up to this size travels with its change. */
export const INLINE_CHUNK_BYTES = 64 << 10
/** Batches sent but not acknowledged: enough to hide a round trip, and all a receiver ever has to hold. */
export const WINDOW = 4
/** Ids in one question. */
export const MAX_ASKED = 1024
/** Chunks of which one question asks whether they are kept: the other device reads all of them before it says yes. */
export const MAX_KEEPS = 128
/** Bytes of chunks asked for in one question, by the sizes that content trees tell. */
export const ASK_BYTES = 2 << 20
/** Questions of one volume pair without an answer yet. */
export const MAX_QUESTIONS = 4
/** Large contents that wait for their turn beside the feed; further ones hold it up. */
export const MAX_LARGE = 64
/** Questions of a peer that are answered at the same time; further ones wait. */
export const MAX_ANSWERING = 8
/** Generations of ancestors asked for at once. */
export const ASK_DEPTH = 64
/** Bytes of revisions looked at together before they are stored. */
export const MAX_HISTORY = 64 << 20
/** One answer frame holds about this much. */
export const ANSWER_BYTES = 1 << 20
/** Items of one answer frame. */
export const ANSWER_ITEMS = 4096
/** Bytes of all frames of one answer. What is left out is asked for again. */
export const MAX_ANSWER = 32 << 20
/** Questions of a peer that wait to be answered, of all its volume pairs together; more is a breach. */
export const MAX_WAITING_QUESTIONS = 1024
/** Fields of one frame, four for each change: bounds what decoding may cost. */
export const MAX_FIELDS = 4 * ANSWER_ITEMS + 64
/** Heads of the peer that are remembered, so that they are not told to it again; per volume pair. */
export const MAX_TOLD = 20_000
export const MAX_CHUNK = CHUNK_LIMIT
export const MAX_REVISION = REVISION_MAX
/** How long an answer may take to begin or go on before the link is given up, ms. */
export const ANSWER_TIMEOUT_MS = 60_000
/** The same for an answer by the lane, before the lane is given up. */
export const LANE_TIMEOUT_MS = 30_000
/** Questions asked again whose first answers may come still; older ones are a breach. */
export const MAX_REPEATED = 4096
/** Documents that wait, per volume pair; beyond it the pair stops with a reason. */
export const MAX_PENDING = 10_000
/** Removing more documents than this, and more than this share of all here, needs somebody's word. */
export const BRAKE_ENTRIES = 1000
export const BRAKE_SHARE = 0.5
