// Paths as they were typed, byte by byte: Node decodes what a process was started with as UTF-8, and a name that is none loses
// its bytes by that. The kernel still has them (Linux). Reads /proc/self; owns nothing.

import { readFileSync, readlinkSync, realpathSync } from 'node:fs'
import path from 'node:path'

/** What a decoder puts where bytes are no UTF-8. */
const REPLACEMENT = '\ufffd'

/** The bytes of an argument that arrived as `text`. */
export function rawBytes(text: string): Buffer {
  const decoded = Buffer.from(text)
  if (!text.includes(REPLACEMENT)) return decoded
  return typed().find((bytes) => bytes.toString() === text) ?? decoded
}

/** The arguments of this process; none where the kernel does not tell. */
function typed(): Buffer[] {
  try {
    return split(readFileSync('/proc/self/cmdline'))
  } catch {
    return []
  }
}

function split(bytes: Buffer): Buffer[] {
  const parts: Buffer[] = []
  for (let start = 0; start < bytes.length; ) {
    const end = bytes.indexOf(0, start)
    parts.push(bytes.subarray(start, end < 0 ? bytes.length : end))
    start = end < 0 ? bytes.length : end + 1
  }
  return parts
}

/** Absolute path; links in the folders above are followed, the last name is taken as it is. */
export function absoluteBytes(file: Buffer): Buffer {
  // Text of one character a byte, so that nothing is lost on the way.
  const full = path.posix.resolve(workingDirectory(), file.toString('latin1'))
  // Of what was deleted, folders above may be gone as well.
  for (let above = path.posix.dirname(full); ; above = path.posix.dirname(above)) {
    try {
      const folder = realpathSync(Buffer.from(above, 'latin1'), { encoding: 'buffer' })
      const rest = path.posix.relative(above, full)
      return Buffer.from(path.posix.join(folder.toString('latin1'), rest), 'latin1')
    } catch {
      if (above === path.posix.dirname(above)) return Buffer.from(full, 'latin1')
    }
  }
}

function workingDirectory(): string {
  try {
    return readlinkSync('/proc/self/cwd', { encoding: 'buffer' }).toString('latin1')
  } catch {
    return Buffer.from(process.cwd()).toString('latin1')
  }
}
