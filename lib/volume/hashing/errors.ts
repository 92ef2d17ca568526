// Errors of the hasher pool.

/** The spool file, or a chunk of the content below it, cannot be read. Not tried again by the pool. */
export class SpoolUnreadableError extends Error {
  override name = 'SpoolUnreadableError'
  readonly code = 'SPOOL_UNREADABLE'
  constructor(
    readonly path: string,
    reason: string,
  ) {
    super(`The spool ${path} cannot be read: ${reason}. It is kept as it is; check the disk, then reopen the volume.`)
  }
}

/** The hasher threads that took the job died, every one of them. */
export class HasherCrashedError extends Error {
  override name = 'HasherCrashedError'
  readonly code = 'HASHER_CRASHED'
  constructor(
    readonly path: string,
    readonly attempts: number,
    reason: string,
  ) {
    super(
      `Hashing ${path} crashed ${attempts} threads in a row, the last with: ${reason}. The spool is kept and hashed again later.`,
    )
  }
}

/** The pool was closed before the job was done; the spool is hashed when the volume is opened again. */
export class HasherClosedError extends Error {
  override name = 'HasherClosedError'
  readonly code = 'HASHER_CLOSED'
  constructor() {
    super('The hasher pool was closed; the spool is hashed when the volume is opened again.')
  }
}
