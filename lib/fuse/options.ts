// Options of serving a mount through the kernel protocol, with their defaults. Owns nothing.

/** What may be asked of the kernel loop. All of it can be posted to a thread. */
export interface ServeOptions {
  /** Seconds for which the kernel may use a name's inode without asking; long, since changes are notified. */
  entryTimeout: number
  /** Seconds for which it may use attributes. */
  attributeTimeout: number
  /** Seconds for which it may remember that a name does not exist; 0: not at all. */
  negativeTimeout: number
  /** Inodes with this number or a larger one change without notice: what is told of them is believed for `volatileTimeout` only. */
  volatileFrom: number
  /** Seconds. Names that are missing in such a directory are not remembered at all. */
  volatileTimeout: number
  /** The file system wants FLUSH at every close(2). Without it, closing sends RELEASE only. */
  wantsFlush: boolean
  /** `open` handles O_TRUNC itself: one request less for each file that is written over. */
  atomicTruncate: boolean
  /**
   * Files opened for writing only are written past the kernel's page cache: one request for each write(2) up to 1 MiB, without the look at
   * `security.capability` that a cached write costs. What was written is not cached, so that reading it later asks once.
   */
  directWrites: boolean
  /**
   * The file system keeps POSIX access control lists, in `system.posix_acl_access` and `system.posix_acl_default`, which the kernel
   * enforces: it inherits them, keeps them and modes in step, and applies the umask itself.
   */
  acls: boolean
  /**
   * `lookup` knows `.` and `..` of every inode that exists, also of those that the kernel has forgotten: for open_by_handle_at(2)
   * and NFS.
   */
  exportable: boolean
  /** Ask for pass-through; answers with `backing` use it where the kernel and the rights of the process allow it. */
  passthrough: boolean
  /** Bytes, a power of two: st_blksize, by which some programs size their buffers. */
  blockSize: number
  /** Reads ahead and other requests nobody waits for that the kernel may have under way. */
  maxBackground: number
  /** Microseconds to go on polling after a request before sleeping, at most. 0: never polls. */
  pollMicroseconds: number
  /** Milliseconds to serve before the thread's event loop gets a turn. */
  turnMilliseconds: number
  /** Give up serving (after answering EIO) when the file system throws, for a supervisor to start afresh. */
  crashOnError: boolean
}

export const SERVE_DEFAULTS: ServeOptions = {
  entryTimeout: 3600,
  attributeTimeout: 3600,
  negativeTimeout: 3600,
  volatileFrom: Number.POSITIVE_INFINITY,
  volatileTimeout: 1,
  wantsFlush: false,
  atomicTruncate: false,
  directWrites: true,
  acls: false,
  exportable: false,
  passthrough: false,
  blockSize: 4096,
  maxBackground: 64,
  pollMicroseconds: 200,
  turnMilliseconds: 5,
  crashOnError: false,
}
