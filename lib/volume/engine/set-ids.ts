// Set-id bits and file capabilities go when somebody without privileges writes, and on chown (kernel: file_remove_privs). Pure
// but for the inode it is given, which is touched in a transaction.

import type { Inode } from './inode.js'
import { S_ISGID, S_ISUID, S_IXGRP } from './modes.js'

const CAPABILITY = Buffer.from('security.capability')
const isCapability = ({ name }: { name: Uint8Array }) => CAPABILITY.equals(name)

/** Whether `dropSetIds` has something to do. */
export function hasSetIds({ mode, xattrs }: Inode): boolean {
  if ((mode & S_ISUID) !== 0 || (mode & (S_ISGID | S_IXGRP)) === (S_ISGID | S_IXGRP)) return true
  return xattrs.length > 0 && xattrs.some(isCapability)
}

export function dropSetIds(inode: Inode): void {
  inode.mode &= ~S_ISUID
  // Without group execution the bit stands for mandatory locking, and stays.
  if ((inode.mode & S_IXGRP) !== 0) inode.mode &= ~S_ISGID
  if (inode.xattrs.some(isCapability)) inode.xattrs = inode.xattrs.filter((xattr) => !isCapability(xattr))
}
