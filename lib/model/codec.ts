// The canonical encoding of revisions: one value, one encoding (docs/format.md). Owns no state. Never accepts bytes that
// it would not have written itself: decoding encodes again and compares.

// First, so that 64-bit integers are numbers; what is no safe integer does not survive being encoded again.
import './protobuf-numbers.js'
import { peerdrive } from '../../proto/gen/model.js'
import { equal } from './bytes.js'
import { InvalidRevisionError, NotCanonicalError } from './errors.js'
import { fieldMessages, fieldsOf, sortedEntries, timeOf } from './metadata.js'
import { checkRevision, REVISION_MAX } from './revision-check.js'
import type { Attributes, Content, Revision } from './types.js'

const Message = peerdrive.model.Revision
type Message = peerdrive.model.Revision.$Properties
type ContentMessage = peerdrive.model.Content.$Properties
type AttributesMessage = peerdrive.model.Attributes.$Properties

const FORMAT_VERSION = 1
/** Of revisions with a home. */
const FORMAT_VERSION_HOME = 2

function partMessages(parts: Map<string, Content>): peerdrive.model.Part.$Properties[] {
  return sortedEntries(parts).map(([name, content]) => ({ name, content }))
}

function encodeChecked(revision: Revision): Uint8Array {
  const message: Message = {
    version: revision.home ? FORMAT_VERSION_HOME : FORMAT_VERSION,
    parents: revision.parents,
    type: revision.type,
    flags: revision.flags,
    created: revision.created,
    modified: revision.modified,
    author: revision.author,
    clock: revision.clock,
    comment: revision.comment,
    attributes: revision.attributes,
    metadata: revision.metadata.size > 0 ? fieldMessages(revision.metadata) : [],
    parts: partMessages(revision.parts),
    home: revision.home,
  }
  const buffer = Message.encode(message).finish()
  if (buffer.length > REVISION_MAX) throw new InvalidRevisionError(`it would take ${buffer.length} bytes`)
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length)
}

/**
 * The one encoding of a revision. Its SHA-256 is the revision's id (`ridOf`).
 * Throws InvalidRevisionError if a rule or bound of docs/format.md is broken (order of parents and xattrs included).
 */
export function encodeRevision(revision: Revision): Uint8Array {
  checkRevision(revision)
  return encodeChecked(revision)
}

const EMPTY = new Uint8Array(0)

/** A field's bytes; the default of a generated class would be a Buffer that all share. */
function bytesOf(field: Uint8Array | null | undefined): Uint8Array {
  return field?.length ? field : EMPTY
}

function contentOf(message: ContentMessage | null | undefined): Content {
  const size = message?.size ?? 0
  const levels = message?.levels ?? 0
  if (message?.root?.length) return { size, root: message.root, levels }
  return { size, inline: bytesOf(message?.inline), levels }
}

function attributesOf(message: AttributesMessage | null | undefined): Attributes {
  return {
    mode: message?.mode ?? 0,
    uid: message?.uid ?? 0,
    gid: message?.gid ?? 0,
    rdev: message?.rdev ?? 0,
    xattrs: (message?.xattrs ?? []).map((xattr) => ({ name: bytesOf(xattr.name), value: bytesOf(xattr.value) })),
  }
}

function revisionOf(message: Message): Revision {
  const parts = new Map<string, Content>()
  for (const part of message.parts ?? []) parts.set(part.name ?? '', contentOf(part.content))
  const { home } = message
  return {
    parents: message.parents ?? [],
    type: message.type ?? '',
    flags: message.flags ?? 0,
    created: timeOf(message.created),
    modified: timeOf(message.modified),
    author: bytesOf(message.author),
    clock: bytesOf(message.clock),
    comment: message.comment ?? '',
    attributes: attributesOf(message.attributes),
    metadata: fieldsOf(message.metadata),
    parts,
    ...(home && { home: { folder: bytesOf(home.folder), name: bytesOf(home.name), stamp: bytesOf(home.stamp) } }),
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof InvalidRevisionError) return error.reason
  return error instanceof Error ? error.message : String(error)
}

/**
 * The revision that these bytes encode; its byte strings are views of one copy of `bytes`.
 * Throws NotCanonicalError for anything that `encodeRevision` would not have written, longer than REVISION_MAX included.
 */
export function decodeRevision(bytes: Uint8Array): Revision {
  if (bytes.length > REVISION_MAX) throw new NotCanonicalError('a revision', `they are ${bytes.length}`)
  const copy = new Uint8Array(bytes)
  let revision: Revision
  let again: Uint8Array
  try {
    revision = revisionOf(Message.decode(copy))
    again = encodeRevision(revision)
  } catch (error) {
    throw new NotCanonicalError('a revision', reasonOf(error))
  }
  if (!equal(again, copy)) throw new NotCanonicalError('a revision', 'the same value is encoded differently')
  return revision
}
