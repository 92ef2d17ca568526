// POSIX access control lists, as Linux gives them to file systems in extended attributes: what they mean for the mode, what a chmod means
// for them, what is inherited. The kernel checks and enforces them. Pure. Owns their format: acl(5), linux/posix_acl_xattr.h.

import type { Xattrs } from './xattrs.js'

export const ACCESS = Buffer.from('system.posix_acl_access')
export const DEFAULT = Buffer.from('system.posix_acl_default')

const VERSION = 2
const HEADER = 4
/** tag u16, permissions u16, id u32. */
const ENTRY = 8
const Tag = { USER_OBJ: 1, USER: 2, GROUP_OBJ: 4, GROUP: 8, MASK: 16, OTHER: 32 } as const
const S_IRWXUGO = 0o777

/** Offsets of the entries that stand for the bits of a mode, and whether there are others. */
interface Places {
  user: number
  group: number
  mask: number
  other: number
  named: boolean
}

/** undefined: it is not a list as the kernel writes them. */
function places(acl: Buffer): Places | undefined {
  if (acl.length < HEADER || (acl.length - HEADER) % ENTRY !== 0 || acl.readUInt32LE(0) !== VERSION) return undefined
  const found: Places = { user: -1, group: -1, mask: -1, other: -1, named: false }
  for (let at = HEADER; at < acl.length; at += ENTRY) {
    const tag = acl.readUInt16LE(at)
    if (tag === Tag.USER_OBJ) found.user = at
    else if (tag === Tag.GROUP_OBJ) found.group = at
    else if (tag === Tag.MASK) found.mask = at
    else if (tag === Tag.OTHER) found.other = at
    else if (tag === Tag.USER || tag === Tag.GROUP) found.named = true
    else return undefined
  }
  return found.user < 0 || found.group < 0 || found.other < 0 ? undefined : found
}

const bits = (acl: Buffer, at: number) => acl.readUInt16LE(at + 2) & 7

export interface WithMode {
  mode: number
  /** undefined: the mode says it all. */
  acl: Buffer | undefined
}

/** What setting an access list makes of a mode. undefined: it is no list. */
export function applied(given: Buffer, mode: number): WithMode | undefined {
  const p = places(given)
  if (!p) return undefined
  const group = bits(given, p.mask < 0 ? p.group : p.mask)
  const rights = (bits(given, p.user) << 6) | (group << 3) | bits(given, p.other)
  const whole = !p.named && p.mask < 0
  return { mode: (mode & ~S_IRWXUGO) | rights, acl: whole ? undefined : given }
}

export function isList(given: Buffer): boolean {
  return places(given) !== undefined
}

/** An access list after a chmod. */
export function changed(acl: Uint8Array, mode: number): Buffer {
  const list = Buffer.from(acl)
  const p = places(list)
  if (!p) return list
  list.writeUInt16LE((mode >> 6) & 7, p.user + 2)
  list.writeUInt16LE((mode >> 3) & 7, (p.mask < 0 ? p.group : p.mask) + 2)
  list.writeUInt16LE(mode & 7, p.other + 2)
  return list
}

/** The access list and mode of what is made with `mode` in a folder with this default list: what both allow. */
export function inherited(defaults: Uint8Array, mode: number): WithMode {
  const list = Buffer.from(defaults)
  const p = places(list)
  if (!p) return { mode, acl: undefined }
  const masked = (at: number, shift: number) => {
    const both = bits(list, at) & (mode >> shift)
    list.writeUInt16LE(both, at + 2)
    return both << shift
  }
  const rights = masked(p.user, 6) | masked(p.mask < 0 ? p.group : p.mask, 3) | masked(p.other, 0)
  return { mode: (mode & ~S_IRWXUGO) | rights, acl: p.named || p.mask >= 0 ? list : undefined }
}

/** Mode and attributes of what is made in a folder. `umask` counts only where the folder has no default list. */
export function born(folder: Xattrs, mode: number, umask: number, isFolder: boolean): { mode: number; xattrs: Xattrs } {
  const defaults = folder.length === 0 ? undefined : folder.find(({ name }) => DEFAULT.equals(name))
  if (!defaults) return { mode: mode & ~(umask & S_IRWXUGO), xattrs: NONE }
  const { mode: allowed, acl } = inherited(defaults.value, mode)
  const xattrs: Xattrs = acl ? [{ name: new Uint8Array(ACCESS), value: new Uint8Array(acl) }] : []
  if (isFolder) xattrs.push(defaults)
  return { mode: allowed, xattrs }
}

const NONE: Xattrs = []
