// The type that a new revision gets when nobody says another: inode/* for what is no file, text or bytes for files.
// Names as in freedesktop's shared-mime-info. Pure.

import { isUtf8 } from 'node:buffer'

export type ContentType = 'text/plain' | 'application/octet-stream'
const TEXT = 'text/plain'
const BYTES = 'application/octet-stream'
const SAMPLE_MAX = 64 * 1024

// A Map: as keys of an object the octal numbers are "simplified" to wrong ones by the formatter.
const KINDS = new Map([
  [0o040000, 'inode/directory'],
  [0o120000, 'inode/symlink'],
  [0o020000, 'inode/chardevice'],
  [0o060000, 'inode/blockdevice'],
  [0o010000, 'inode/fifo'],
  [0o140000, 'inode/socket'],
])

/** UTF-8 without NUL. */
export function isText(bytes: Uint8Array): boolean {
  return !bytes.includes(0) && isUtf8(bytes)
}

/**
 * `before`: type of the head; kept when it is one that somebody chose. `sample`: all bytes of the new content if they are
 * few; absent: it did not change, or is large.
 */
export function typeOf(mode: number, before: string | undefined, sample: Uint8Array | undefined): string {
  const kind = KINDS.get(mode & 0o170000)
  if (kind) return kind
  const chosen = before !== undefined && !before.startsWith('inode/') && before !== TEXT && before !== BYTES
  if (chosen) return before
  if (sample && sample.length <= SAMPLE_MAX) return isText(sample) ? TEXT : BYTES
  return before && !before.startsWith('inode/') ? before : BYTES
}
