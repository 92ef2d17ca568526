// What a file loses when somebody changes its content or its owner: set-id bits and file capabilities, as the kernel takes them
// from files of its own disks (file_remove_privs, setattr_should_drop_sgid). Pure but for the inode it is given, which is
// touched in a transaction.

import type { Caller } from '../../fuse/file-system.js'
import { isInGroup } from './caller-groups.js'
import type { Inode } from './inode.js'
import { S_ISGID, S_ISUID, S_IXGRP } from './modes.js'

const CAPABILITY = Buffer.from('security.capability')
const isCapability = ({ name }: { name: Uint8Array }) => CAPABILITY.equals(name)

/** Whether `dropPrivileges` may have something to do. */
export function hasPrivileges({ mode, xattrs }: Inode, setIds: boolean): boolean {
  if (setIds && (mode & (S_ISUID | S_ISGID)) !== 0) return true
  return xattrs.length > 0 && xattrs.some(isCapability)
}

/** Capabilities go whoever changes the file; with `setIds` the bits as well. */
export function dropPrivileges(inode: Inode, setIds: boolean, caller: Caller): void {
  if (setIds) inode.mode = withoutSetIds(inode, caller)
  if (inode.xattrs.some(isCapability)) inode.xattrs = inode.xattrs.filter((xattr) => !isCapability(xattr))
}

function withoutSetIds({ mode, gid }: Inode, caller: Caller): number {
  const left = mode & ~S_ISUID
  if ((left & S_ISGID) === 0) return left
  // Without group execution the bit stands for mandatory locking, and stays for those who might set it.
  return (left & S_IXGRP) !== 0 || !isInGroup(caller, gid) ? left & ~S_ISGID : left
}
