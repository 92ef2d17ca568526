// The rules and bounds of a revision: what `encodeRevision` refuses to encode and `decodeRevision` to accept. Changes nothing.

import { compare } from './bytes.js'
import { InvalidRevisionError } from './errors.js'
import { nameFault } from './folder-entry.js'
import { isClock, isDId, isHash } from './ids.js'
import { checkMetadata } from './metadata.js'
import {
  type Attributes,
  CHUNK_LIMIT,
  type Content,
  DEVICE_BYTES,
  FLAG_REMOVED,
  INLINE_MAX,
  LEVELS_MAX,
  type Revision,
  type Time,
} from './types.js'

/** Most bytes of an encoded revision. */
export const REVISION_MAX = 512 * 1024
export const PARENTS_MAX = 64
export const PARTS_MAX = 64
/** Most UTF-8 bytes of a part's name. */
export const PART_NAME_MAX = 64
/** Most UTF-8 bytes of a MIME type. */
export const TYPE_MAX = 255
/** Most UTF-8 bytes of a comment. */
export const COMMENT_MAX = 64 * 1024
export const XATTRS_COUNT_MAX = 4096
export const XATTR_NAME_MAX = 255
export const XATTR_VALUE_MAX = 64 * 1024
/** Most bytes of names and values of all extended attributes together. */
export const XATTRS_BYTES_MAX = 256 * 1024

function fail(reason: string): never {
  throw new InvalidRevisionError(reason)
}

function isUint32(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= 0xffffffff
}

/** Well-formed text of `min`..`max` UTF-8 bytes. */
function isText(text: string, min: number, max: number): boolean {
  if (typeof text !== 'string' || text.length < min || text.length > max || !text.isWellFormed()) return false
  return text.length * 3 <= max || Buffer.byteLength(text) <= max
}

/** Throws InvalidRevisionError unless seconds are a safe integer and nanoseconds within a second. */
export function checkTime(time: Time, what: string): void {
  if (!Number.isSafeInteger(time.sec)) fail(`${what} has ${time.sec} seconds`)
  if (!Number.isInteger(time.nsec) || time.nsec < 0 || time.nsec > 999_999_999) {
    fail(`${what} has ${time.nsec} nanoseconds`)
  }
}

/** Why a content cannot be; undefined if it can. */
export function contentFault(content: Content): string | undefined {
  const { size, inline, root, levels } = content
  if (!Number.isSafeInteger(size) || size < 0) return `a size of ${size}`
  if (size <= INLINE_MAX) {
    if (root || levels !== 0) return `${size} bytes that are not inline`
    if ((inline?.length ?? 0) !== size) return `${inline?.length ?? 0} inline bytes instead of ${size}`
    return
  }
  if (inline?.length) return `${size} bytes inline; at most ${INLINE_MAX} may be`
  if (!isHash(root)) return 'a root that is not a hash'
  if (!Number.isInteger(levels) || levels < 0 || levels > LEVELS_MAX) return `${levels} levels`
  if (levels === 0 && size > CHUNK_LIMIT) return `one chunk of ${size} bytes`
}

function checkXattrs({ xattrs }: Attributes): void {
  if (xattrs.length > XATTRS_COUNT_MAX) fail(`it has ${xattrs.length} extended attributes`)
  let bytes = 0
  for (let i = 0; i < xattrs.length; i++) {
    const { name, value } = xattrs[i]
    if (name.length === 0 || name.length > XATTR_NAME_MAX || name.includes(0)) fail('the name of an extended attribute')
    if (value.length > XATTR_VALUE_MAX) fail(`an extended attribute has ${value.length} bytes`)
    if (i > 0 && compare(xattrs[i - 1].name, name) >= 0) fail('its extended attributes are not sorted by name')
    bytes += name.length + value.length
  }
  if (bytes > XATTRS_BYTES_MAX) fail(`its extended attributes have ${bytes} bytes together`)
}

function checkAttributes(attributes: Attributes): void {
  for (const field of ['mode', 'uid', 'gid', 'rdev'] as const) {
    if (!isUint32(attributes[field])) fail(`its ${field} is ${attributes[field]}`)
  }
  if (attributes.xattrs.length > 0) checkXattrs(attributes)
}

function checkParts(parts: Map<string, Content>): void {
  if (parts.size > PARTS_MAX) fail(`it has ${parts.size} parts`)
  for (const [name, content] of parts) {
    if (!isText(name, 1, PART_NAME_MAX)) fail(`the name of a part: ${JSON.stringify(name)}`)
    const fault = contentFault(content)
    if (fault) fail(`its part ${name} has ${fault}`)
  }
}

function checkParents(parents: Uint8Array[]): void {
  if (parents.length > PARENTS_MAX) fail(`it has ${parents.length} parents`)
  for (let i = 0; i < parents.length; i++) {
    if (!isHash(parents[i])) fail('one of its parents is not a revision id')
    if (i > 0 && compare(parents[i - 1], parents[i]) >= 0) fail('its parents are not sorted, or one is there twice')
  }
}

function checkHome({ home, flags }: Revision): void {
  if (!home) {
    if (flags & FLAG_REMOVED) fail('it is removed, but not said from where')
    return
  }
  const fault = nameFault(home.name)
  if (fault) fail(`its home has ${fault}`)
  if (!isDId(home.folder) || !isClock(home.stamp)) fail('its home has a folder or stamp that is none')
}

/** Throws InvalidRevisionError unless every rule of docs/format.md holds (all but the total length). */
export function checkRevision(revision: Revision): void {
  checkParents(revision.parents)
  if (!isText(revision.type, 1, TYPE_MAX)) fail('its type is not a text of 1 to 255 bytes')
  if (!isUint32(revision.flags)) fail(`its flags are ${revision.flags}`)
  checkTime(revision.created, 'its creation time')
  checkTime(revision.modified, 'its modification time')
  const author = revision.author.length
  if (author !== 0 && author !== DEVICE_BYTES) fail(`its author has ${author} bytes`)
  if (!isClock(revision.clock)) fail('its clock does not have 8 bytes')
  if (!isText(revision.comment, 0, COMMENT_MAX)) fail('its comment is not a text of at most 64 KiB')
  checkAttributes(revision.attributes)
  if (revision.metadata.size > 0) checkMetadata(revision.metadata)
  checkParts(revision.parts)
  checkHome(revision)
}
