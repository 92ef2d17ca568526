// Errors of a volume's main-thread side.

/** The thread that had the request died before it answered. */
export class ThreadLostError extends Error {
  override name = 'ThreadLostError'
  readonly code = 'THREAD_LOST'
  constructor(
    readonly thread: string,
    reason: string,
  ) {
    super(`The ${thread} stopped before it answered: ${reason}. It is started again by itself; ask again.`)
  }
}

/** The volume is closed, or its threads could not be kept running. */
export class VolumeClosedError extends Error {
  override name = 'VolumeClosedError'
  readonly code = 'VOLUME_CLOSED'
  constructor(label: string, reason = 'it was closed') {
    super(`The volume "${label}" is not open: ${reason}. Open it again.`)
  }
}

/** More requests wait for a thread than anyone may queue. */
export class LinkFullError extends Error {
  override name = 'LinkFullError'
  readonly code = 'LINK_FULL'
  constructor(
    readonly thread: string,
    readonly waiting: number,
  ) {
    super(`${waiting} requests wait for the ${thread} already; wait for some of them before asking more.`)
  }
}

/** A failed walk by names: `code` is the errno's name (ENOENT, ENOTDIR, …). */
export class PathError extends Error {
  override name = 'PathError'
  constructor(
    readonly code: string,
    what: string,
  ) {
    super(`${what} (${code}).`)
  }
}

/** Asked for something that this volume does not have. */
export class UnknownRevisionError extends Error {
  override name = 'UnknownRevisionError'
  readonly code = 'UNKNOWN_REVISION'
  constructor(rid: string) {
    super(`This volume has no revision ${rid}. Fetch it from a peer that has it, or name another one.`)
  }
}

/** A file changes all the time, or is open for writing, so that an older version cannot take its place now. */
export class DocumentBusyError extends Error {
  override name = 'DocumentBusyError'
  readonly code = 'BUSY'
  constructor(readonly ino: number) {
    super(
      'The file is open for writing or changes all the time; close it in the program that has it open and try again.',
    )
  }
}
