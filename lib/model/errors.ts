// The errors of the model. Each says what is wrong, why, and what to do. Nothing in lib/model throws anything else for
// bytes that come from outside.

/** Base of all errors of lib/model. */
export abstract class ModelError extends Error {
  abstract readonly code: string
}

/** Bytes that are no encoding of a value, or not the one encoding that it has. */
export class NotCanonicalError extends ModelError {
  override readonly name = 'NotCanonicalError'
  readonly code = 'NOT_CANONICAL'
  constructor(what: string, reason: string) {
    super(`The bytes are not the canonical encoding of ${what}: ${reason}. Discard them and fetch them from elsewhere.`)
  }
}

/** A revision that breaks a rule of the data model (docs/format.md) and therefore has no encoding. */
export class InvalidRevisionError extends ModelError {
  override readonly name = 'InvalidRevisionError'
  readonly code = 'INVALID_REVISION'
  constructor(readonly reason: string) {
    super(`This cannot be a revision: ${reason}. Whoever made the value has to stay within docs/format.md.`)
  }
}

/** A folder entry or a list of entries that breaks a rule (name, document, type, stamp, order). */
export class InvalidFolderError extends ModelError {
  override readonly name = 'InvalidFolderError'
  readonly code = 'INVALID_FOLDER'
  constructor(reason: string) {
    super(`This cannot be a folder: ${reason}. Whoever made the value has to stay within docs/format.md.`)
  }
}

/** A content, or a list of its tree, that contradicts itself. */
export class InvalidContentError extends ModelError {
  override readonly name = 'InvalidContentError'
  readonly code = 'INVALID_CONTENT'
  constructor(reason: string) {
    super(`This cannot be a content: ${reason}. If it was stored, scrub the volume; if it was received, discard it.`)
  }
}

/** A plain value (id, clock, text) that is not what it is taken for. */
export class InvalidValueError extends ModelError {
  override readonly name = 'InvalidValueError'
  readonly code = 'INVALID_VALUE'
  constructor(expected: string, reason: string) {
    super(`Expected ${expected}, but ${reason}. Correct the value and try again.`)
  }
}

/** More history would have to be walked than was allowed. */
export class HistoryLimitError extends ModelError {
  override readonly name = 'HistoryLimitError'
  readonly code = 'HISTORY_LIMIT'
  constructor(readonly limit: number) {
    super(`The history has more than ${limit} revisions to look at. Ask again with a higher limit.`)
  }
}
