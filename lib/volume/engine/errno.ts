// What an exception inside an operation becomes for the caller: an errno of Linux, negative.

import { E2BIG, EFBIG, EINVAL, EIO, ENAMETOOLONG, ENOENT, ENOSPC, ERANGE, EROFS } from '../../fuse/errno.js'

export const EDQUOT = -122

/** Thrown where an errno has to travel up through several functions; nothing may have been changed by then. */
export class ErrnoError extends Error {
  override name = 'ErrnoError'
  constructor(
    readonly errno: number,
    readonly code: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options)
  }
}

const BY_CODE: Record<string, number> = {
  ENOSPC,
  EDQUOT,
  EROFS,
  ENAMETOOLONG,
  EFBIG,
  ERANGE,
  EINVAL,
  ENOENT,
  TOO_LARGE: E2BIG,
}

/** The errno that the caller of a failed operation gets: what the disk said, else EIO. */
export function errnoOf(error: unknown): number {
  if (error instanceof ErrnoError) return error.errno
  const code = (error as { code?: unknown })?.code
  return typeof code === 'string' ? (BY_CODE[code] ?? EIO) : EIO
}
