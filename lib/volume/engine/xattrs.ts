// Extended attributes of an inode: sorted pairs, values never changed in place. Owns which names there may be and how much.
// Pure but for the transaction it is given.

import { E2BIG, EEXIST, EINVAL, ENODATA, ENOSPC, EOPNOTSUPP, ERANGE } from '../../fuse/errno.js'
import type { Errno } from '../../fuse/file-system.js'
import { ACCESS, DEFAULT } from './acl.js'
import { keyOf } from './folders.js'
import type { Inode } from './inode.js'

export type Xattrs = Inode['xattrs']

const NAME_MAX = 255
const VALUE_MAX = 64 * 1024
/** Names and values of one inode together, how many, and what listxattr(2) may answer: bounds of revisions and of Linux. */
const SUM_MAX = 128 * 1024
const COUNT_MAX = 4096
const LIST_MAX = 64 * 1024
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
  if (space === undefined) return ACCESS.equals(name) || DEFAULT.equals(name) ? 0 : EOPNOTSUPP
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
export function set(inode: Inode, name: Buffer, value: Buffer, flags: number): Xattrs | Errno {
  const why = refused(name)
  if (why < 0) return why
  if (name.length > NAME_MAX) return ERANGE
  if (value.length > VALUE_MAX) return E2BIG
  const others = inode.xattrs.filter((x) => !name.equals(x.name))
  const there = others.length < inode.xattrs.length
  if (there && (flags & XATTR_CREATE) !== 0) return EEXIST
  if (!there && (flags & XATTR_REPLACE) !== 0) return ENODATA
  if (!there && others.length >= COUNT_MAX) return ENOSPC
  let names = name.length + 1
  let values = value.length
  for (const other of others) {
    names += other.name.length + 1
    values += other.value.length
  }
  if (names + values > SUM_MAX || names > LIST_MAX) return ENOSPC
  const pair = { name: new Uint8Array(name), value: new Uint8Array(value) }
  return [...others, pair].sort((a, b) => Buffer.compare(a.name, b.name))
}

export function without(inode: Inode, name: Buffer): Xattrs {
  return inode.xattrs.filter((x) => !name.equals(x.name))
}

export function remove(inode: Inode, name: Buffer): Xattrs | Errno {
  const others = without(inode, name)
  return others.length < inode.xattrs.length ? others : refused(name) || ENODATA
}
