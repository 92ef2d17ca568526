// Extended attributes of an inode: sorted pairs, values never changed in place. Owns which names there may be and how much.
// Pure but for the transaction it is given.

import { E2BIG, EEXIST, EINVAL, ENODATA, ENOSPC, EOPNOTSUPP, ERANGE } from '../../fuse/errno.js'
import type { Errno } from '../../fuse/file-system.js'
import { keyOf } from './folders.js'
import type { Inode } from './inode.js'

const NAME_MAX = 255
const VALUE_MAX = 64 * 1024
/** Names and values of one inode together. */
const SUM_MAX = 128 * 1024
const XATTR_CREATE = 1
const XATTR_REPLACE = 2
const SPACES = ['user.', 'trusted.', 'security.']
const LONGEST_SPACE = 9
const TRUSTED = Buffer.from('trusted.')

export function get(inode: Inode, name: Buffer): Buffer | Errno {
  const found = inode.xattrs.length === 0 ? undefined : inode.xattrs.find((x) => name.equals(x.name))
  return found ? Buffer.from(found.value) : refused(name) || ENODATA
}

/** 0, or why there is no attribute of such a name. */
function refused(name: Buffer): Errno {
  const text = keyOf(name.subarray(0, LONGEST_SPACE))
  const space = SPACES.find((s) => text.startsWith(s))
  if (space === undefined) return EOPNOTSUPP
  return name.length === space.length ? EINVAL : 0
}

/** `privileged`: also names that only root may see. */
export function list(inode: Inode, privileged: boolean): Buffer {
  const parts: Uint8Array[] = []
  for (const { name } of inode.xattrs) {
    if (privileged || !TRUSTED.equals(name.subarray(0, TRUSTED.length))) parts.push(name, Buffer.of(0))
  }
  return Buffer.concat(parts)
}

/** The attributes with one set, or an errno. */
export function set(inode: Inode, name: Buffer, value: Buffer, flags: number): Inode['xattrs'] | Errno {
  const why = refused(name)
  if (why < 0) return why
  if (name.length > NAME_MAX) return ERANGE
  if (value.length > VALUE_MAX) return E2BIG
  const others = inode.xattrs.filter((x) => !name.equals(x.name))
  const there = others.length < inode.xattrs.length
  if (there && (flags & XATTR_CREATE) !== 0) return EEXIST
  if (!there && (flags & XATTR_REPLACE) !== 0) return ENODATA
  const sum = others.reduce((n, x) => n + x.name.length + x.value.length, name.length + value.length)
  if (sum > SUM_MAX) return ENOSPC
  const pair = { name: new Uint8Array(name), value: new Uint8Array(value) }
  return [...others, pair].sort((a, b) => Buffer.compare(a.name, b.name))
}

export function remove(inode: Inode, name: Buffer): Inode['xattrs'] | Errno {
  const others = inode.xattrs.filter((x) => !name.equals(x.name))
  return others.length < inode.xattrs.length ? others : refused(name) || ENODATA
}
