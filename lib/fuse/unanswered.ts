// What the kernel may believe wrongly after a thread died over a request: it got EIO, but the request may have been done. From what is
// left of it in the session's shared memory come the names and inodes that the kernel has to forget. Reads only.

import type { Invalidation } from './file-system.js'
import { Opcode } from './opcodes.js'
import { type KernelSession, SessionMemory } from './session.js'

/** Where names begin in the bodies of operations on names (linux/fuse.h). */
const NAMES_AT = new Map<number, number>([
  [Opcode.UNLINK, 0],
  [Opcode.RMDIR, 0],
  [Opcode.SYMLINK, 0],
  [Opcode.MKDIR, 8],
  [Opcode.LINK, 8],
  [Opcode.RENAME, 8],
  [Opcode.MKNOD, 16],
  [Opcode.CREATE, 16],
  [Opcode.RENAME2, 16],
])

const TWO_NAMES: number[] = [Opcode.RENAME, Opcode.RENAME2]

/** Operations that change an inode and no name. */
const INODES: number[] = [
  ...[Opcode.SETATTR, Opcode.WRITE, Opcode.OPEN, Opcode.FALLOCATE],
  ...[Opcode.SETXATTR, Opcode.REMOVEXATTR, Opcode.COPY_FILE_RANGE],
]

/** Whether the body of such a request is kept (`SessionMemory.keepBody`). */
export const changesNames = (opcode: number): boolean => NAMES_AT.has(opcode)

/** Between the end of a thread and the begin of the next one, which answers EIO. */
export function unanswered({ shared }: KernelSession): Invalidation[] {
  const { header, body } = new SessionMemory(shared)
  if (header[2] === 0 && header[3] === 0) return []
  const opcode = header[1]
  const node = header[4] + header[5] * 0x100000000
  if (INODES.includes(opcode)) return [{ kind: 'inode', ino: node, data: true }]
  const at = NAMES_AT.get(opcode)
  if (at === undefined) return []
  const [name, newName] = namesOf(body.subarray(at))
  // The second folder of a rename, or the inode of a link.
  const other = at > 0 ? new DataView(body.buffer, body.byteOffset).getUint32(0, true) + high(body) : 0
  const found = [...changed(node, name)]
  if (TWO_NAMES.includes(opcode)) found.push(...changed(other, newName))
  if (opcode === Opcode.LINK) found.push({ kind: 'inode', ino: other, data: false })
  return found
}

const high = (body: Uint8Array) => new DataView(body.buffer, body.byteOffset).getUint32(4, true) * 0x100000000

function changed(parent: number, name: Uint8Array): Invalidation[] {
  return [
    { kind: 'entry', parent, name },
    { kind: 'inode', ino: parent, data: true },
  ]
}

/** Up to two strings, each with a zero behind it. */
function namesOf(bytes: Uint8Array): [Uint8Array, Uint8Array] {
  const first = bytes.indexOf(0)
  const second = bytes.indexOf(0, first + 1)
  return [bytes.slice(0, first), bytes.slice(first + 1, second)]
}
