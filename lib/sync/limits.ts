// Every bound of the sync protocol, with its reason. Sizes in bytes.

/** Volumes offered over one link. */
export const MAX_OFFERS = 256
export const MAX_LABEL = 255
/** A batch of changes is closed above this size, chunks included: large enough to fill a link, small enough to be acknowledged often. */
export const BATCH_BYTES = 1 << 20
export const BATCH_CHANGES = 1024
/** Content up to this size travels with its change. */
export const INLINE_CHUNK_BYTES = 64 << 10
/** Batches sent but not acknowledged: enough to hide a round trip, and all a receiver ever has to hold. */
export const WINDOW = 4
/** Ids in one question. */
export const MAX_ASKED = 1024
/** Bytes of chunks asked for in one question, by the sizes that content trees tell. */
export const ASK_BYTES = 2 << 20
/** Questions of one volume pair without an answer yet. */
export const MAX_QUESTIONS = 4
/** Questions of a peer that are answered at the same time; further ones wait. */
export const MAX_ANSWERING = 8
/** Generations of ancestors asked for at once. */
export const ASK_DEPTH = 64
/** One answer frame holds about this much. */
export const ANSWER_BYTES = 1 << 20
/** Largest chunk (a content tree's data chunks and lists are far smaller). */
export const MAX_CHUNK = 1 << 20
export const MAX_REVISION = 1 << 20
/** How long an answer may take to begin or go on before the link is given up, ms. */
export const ANSWER_TIMEOUT_MS = 60_000
/** Documents that wait, per volume pair; beyond it the pair stops with a reason. */
export const MAX_PENDING = 10_000
