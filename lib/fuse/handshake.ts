// The first request of a mount: what the kernel offers against what we want. Pure; owns nothing.

import {
  FUSE_KERNEL_MINOR_VERSION,
  FUSE_KERNEL_VERSION,
  FUSE_LEAST_MINOR_VERSION,
  Init,
  Init2,
  MAX_PAGES,
  MAX_WRITE,
} from './opcodes.js'
import type { ServeOptions } from './options.js'
import { INIT_OUT } from './protocol.js'
import type { Negotiated } from './session.js'

/**
 * Always wanted. Left out on purpose: WRITEBACK_CACHE (an acknowledged write must be in the engine), POSIX_LOCKS and FLOCK_LOCKS
 * (the kernel keeps locks itself), splicing. EXPLICIT_INVAL_DATA: pages stay until we notify, since a
 * changed mtime is most often our own write.
 */
const WANTED =
  Init.ASYNC_READ |
  Init.BIG_WRITES |
  Init.DO_READDIRPLUS |
  Init.READDIRPLUS_AUTO |
  Init.PARALLEL_DIROPS |
  Init.MAX_PAGES |
  Init.CACHE_SYMLINKS |
  Init.EXPLICIT_INVAL_DATA |
  Init.HANDLE_KILLPRIV_V2 |
  Init.SETXATTR_EXT

/**
 * Reads struct fuse_init_in from `input` and lays out struct fuse_init_out at word `at` of `output` (INIT_OUT bytes).
 * `'again'`: the kernel speaks a newer major version and will ask again with ours. `undefined`: too old to talk to.
 */
export function negotiate(
  input: Uint32Array,
  output: Uint32Array,
  at: number,
  options: Pick<ServeOptions, 'atomicTruncate' | 'acls' | 'exportable' | 'passthrough' | 'maxBackground'>,
): Negotiated | 'again' | undefined {
  const [major, minor, readahead, offered, offered2] = input
  output.fill(0, at, at + INIT_OUT / 4)
  output[at] = FUSE_KERNEL_VERSION
  output[at + 1] = FUSE_KERNEL_MINOR_VERSION
  if (major > FUSE_KERNEL_VERSION) return 'again'
  if (major < FUSE_KERNEL_VERSION || minor < FUSE_LEAST_MINOR_VERSION) return undefined
  let flags = offered & WANTED
  if (options.atomicTruncate) flags |= offered & Init.ATOMIC_O_TRUNC
  if (options.acls) flags |= offered & (Init.POSIX_ACL | Init.DONT_MASK)
  if (options.exportable) flags |= offered & Init.EXPORT_SUPPORT
  let flags2 = 0
  if (options.passthrough && offered & Init.INIT_EXT) {
    flags2 = offered2 & Init2.PASSTHROUGH
    if (flags2) flags |= Init.INIT_EXT
  }
  output[at + 2] = readahead
  output[at + 3] = flags
  output[at + 4] = options.maxBackground | (Math.ceil((options.maxBackground * 3) / 4) << 16)
  output[at + 5] = MAX_WRITE
  output[at + 6] = 1 // nanoseconds
  output[at + 7] = flags & Init.MAX_PAGES ? MAX_PAGES : 0
  output[at + 8] = flags2
  output[at + 9] = flags2 & Init2.PASSTHROUGH ? 1 : 0 // max_stack_depth
  return { minor: Math.min(minor, FUSE_KERNEL_MINOR_VERSION), flags: flags >>> 0, flags2, maxWrite: MAX_WRITE }
}
