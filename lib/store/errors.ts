// The errors of a volume's store. Each says what happened, why, and what to do; `code` is stable.

import type { Content } from '../model/types.js'

/** Base of all of them, so that callers can tell them from faults in the program. */
export class StoreError extends Error {
  constructor(
    readonly code: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options)
    this.name = new.target.name
  }
}

export class NotAVolumeError extends StoreError {
  constructor(directory: string, why: string) {
    super('NOT_A_VOLUME', `${directory} is not a PeerDrive volume: ${why}. Check the path, or create a volume there.`)
  }
}

export class VolumeExistsError extends StoreError {
  constructor(directory: string, why: string) {
    super('VOLUME_EXISTS', `Cannot create a volume in ${directory}: ${why}. Choose a new or empty directory.`)
  }
}

export class NewerFormatError extends StoreError {
  constructor(directory: string, found: number, known: number) {
    super(
      'NEWER_FORMAT',
      `The volume in ${directory} has format ${found}; this version knows formats up to ${known}. Nothing was changed. Use a newer PeerDrive.`,
    )
  }
}

export class DamagedVolumeError extends StoreError {
  constructor(what: string, why: string, options?: ErrorOptions) {
    super(
      'DAMAGED_VOLUME',
      `${what} is damaged: ${why}. Nothing was changed. Restore it from a copy, or pair with a device that has the volume.`,
      options,
    )
  }
}

export class VolumeLockedError extends StoreError {
  constructor(
    directory: string,
    readonly pid: number | undefined,
  ) {
    super(
      'VOLUME_LOCKED',
      `The volume in ${directory} is already open in ${pid ? `process ${pid}` : 'another process'}. Stop that process first.`,
    )
  }
}

export class StorePermissionError extends StoreError {
  constructor(path: string, cause: unknown) {
    super('NO_PERMISSION', `No permission to use ${path}. Check owner and mode of the directory.`, { cause })
  }
}

/** The disk is full (or a quota is used up). Whatever was begun has been taken back. */
export class NoSpaceError extends StoreError {
  constructor(what: string, cause?: unknown) {
    super('ENOSPC', `No space left on the volume's disk to write ${what}. Free some space.`, { cause })
  }
}

/** The disk answered with an error. Whatever was begun has been taken back. */
export class DiskError extends StoreError {
  constructor(what: string, cause: unknown) {
    super('EIO', `The volume's disk failed: ${what} (${(cause as Error).message}). Check the disk.`, { cause })
  }
}

/** Where in a content bytes were wanted: [from, to). */
export interface WantedRange {
  content: Content
  from: number
  to: number
}

export class ChunkMissingError extends StoreError {
  /** Told by whoever read a content. */
  wanted?: WantedRange

  constructor(readonly id: Uint8Array) {
    super(
      'CHUNK_MISSING',
      `Chunk ${Buffer.from(id).toString('hex')} is not in this volume. Synchronize with a device that has it.`,
    )
  }
}

export class ChunkDamagedError extends StoreError {
  wanted?: WantedRange

  constructor(
    readonly id: Uint8Array,
    where: string,
    why: string,
  ) {
    super(
      'CHUNK_DAMAGED',
      `Chunk ${Buffer.from(id).toString('hex')} in ${where} is damaged: ${why}. Synchronize with a device that has it.`,
    )
  }
}

/** A record, frame or row breaks the rules of its encoding. */
export class EncodingError extends StoreError {
  constructor(what: string) {
    super('ENCODING', `Not a valid encoding: ${what}.`)
  }
}

/** A value is larger than what the store takes. */
export class TooLargeError extends StoreError {
  constructor(what: string, size: number, most: number) {
    super('TOO_LARGE', `${what} has ${size} bytes; at most ${most} are taken.`)
  }
}

/** What the committer was sent cannot be true (a wrong hash, a non-canonical revision). Nothing of it was stored. */
export class ImportError extends StoreError {
  constructor(what: string, options?: ErrorOptions) {
    super('BAD_IMPORT', `Refused what was to be imported: ${what}. Nothing was stored.`, options)
  }
}

const codeOf = (error: unknown) => (error as NodeJS.ErrnoException)?.code

/** Turns an error of the file system into one of the above. `what`: what was to be done, for the message. */
export function typedError(what: string, error: unknown): unknown {
  if (error instanceof StoreError) return error
  switch (codeOf(error)) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new NoSpaceError(what, error)
    case 'EIO':
    case 'EROFS':
      return new DiskError(what, error)
    case 'EACCES':
    case 'EPERM':
      return new StorePermissionError(what, error)
    default:
      return error
  }
}
