// Versions of a document as people see them: from revisions to VersionInfo, and from what people type to a revision.
// Reads a volume; changes nothing.

import { ServiceError, type VersionInfo } from '../api/services.js'
import { equal, hex } from '../model/bytes.js'
import { clockTime } from '../model/clock.js'
import { decodeRevision } from '../model/codec.js'
import { lookupFolder } from '../model/folder.js'
import { logOf } from '../model/history.js'
import { isRemoved } from '../model/merge.js'
import {
  type Clock,
  type DId,
  FLAG_CONFLICT,
  PART_CONTENT,
  PART_ENTRIES,
  type Revision,
  type RId,
} from '../model/types.js'
import type { Volume } from '../volume/contract.js'
import { PathError } from '../volume/errors.js'
import { ifHere } from '../volume/history/folder-names.js'
import { lastAt } from '../volume/history/gone.js'
import type { HistoryStore } from '../volume/history/ports.js'
import { headAt, revisionAt } from '../volume/history/timeline.js'
import { parseTime } from '../volume/history/times.js'
import { historyOf } from './restore-folder.js'

/** Hex digits of a version's short form, unless more are needed to tell two apart. */
const SHORT = 8

/** Revisions of a history, newest first (a child always before its parents, otherwise by clock). At most `limit`. */
export function history(volume: Volume, head: RId, limit: number): { rid: RId; revision: Revision }[] {
  const listed: { rid: RId; revision: Revision }[] = []
  for (const rid of logOf([head], (rid) => volume.revision(rid))) {
    if (listed.length >= limit) break
    const revision = volume.revision(rid)
    // That a file was removed is no version of it.
    if (revision && !isRemoved(revision)) listed.push({ rid, revision })
  }
  return listed
}

export function versionInfos(
  listed: { rid: RId; revision: Revision }[],
  /** The current one; undefined: the document is deleted. */
  head: RId | undefined,
  deviceName: (author: Uint8Array) => string,
): VersionInfo[] {
  const names = listed.map(({ rid }) => hex(rid).slice(2))
  let length = SHORT
  while (length < 64 && new Set(names.map((n) => n.slice(0, length))).size < new Set(names).size) length += 2
  return listed.map(({ rid, revision }, i) => ({
    rid: hex(rid),
    version: names[i].slice(0, length),
    modified: revision.modified.sec * 1000 + Math.floor(revision.modified.nsec / 1e6),
    committed: clockTime(revision.clock),
    size: (revision.parts.get(PART_CONTENT) ?? revision.parts.get(PART_ENTRIES))?.size ?? 0,
    device: revision.author.length ? deviceName(revision.author) : 'merged',
    type: revision.type,
    mode: revision.attributes.mode,
    comment: revision.comment,
    current: head !== undefined && equal(rid, head),
    merge: revision.parents.length > 1,
    conflict: (revision.flags & FLAG_CONFLICT) !== 0,
  }))
}

/** How far back a version is looked for by its short form. */
const SEARCH = 100_000

export interface FoundVersion {
  rid: RId
  revision: Revision
  /** The time that was asked for, or that of the revision. */
  at: Clock
}

/**
 * The one revision in the history of `head` that `version` names by hex digits, four at least; or, by a time as in `.peerdrive/at`, what was
 * at the path `names` then. Throws ServiceError.
 */
export function findVersion(volume: Volume, names: Uint8Array[], head: RId, version: string): FoundVersion {
  const at = parseTime(version)
  if (at) return versionAt(volume, names, head, at, version)
  const wanted = version.toLowerCase()
  const found = history(volume, head, SEARCH).filter(
    ({ rid }) => hex(rid).slice(2).startsWith(wanted) || hex(rid) === wanted,
  )
  if (found.length === 1) return { ...found[0], at: found[0].revision.clock }
  if (found.length === 0)
    throw new ServiceError('NO_SUCH_VERSION', `There is no version ${version}; \`peerdrive log\` lists the versions.`)
  throw new ServiceError('AMBIGUOUS_VERSION', `${found.length} versions begin with ${version}: give more digits.`)
}

/** What was at this path at the time; else what this document was then, wherever it was. */
function versionAt(volume: Volume, names: Uint8Array[], head: RId, at: Clock, said: string): FoundVersion {
  const store = historyOf(volume)
  const rid = atPath(store, volume.root, names, at) ?? headAt({ ...store, head: () => head }, head, at)
  const revision = rid && volume.revision(rid)
  if (revision) return { rid, revision, at }
  throw new ServiceError('NO_SUCH_VERSION', `It was not there at ${said}; \`peerdrive log\` lists the versions.`)
}

/** As `.peerdrive/at` shows it. */
function atPath(store: HistoryStore, root: DId, names: Uint8Array[], at: Clock): RId | undefined {
  let rid = headAt(store, root, at)
  for (const name of names) {
    const bytes = rid && store.encoded(rid)
    const part = bytes && decodeRevision(bytes).parts.get(PART_ENTRIES)
    const document = part && ifHere(() => lookupFolder(part, name, store.source))?.document
    if (!document) return undefined
    rid = revisionAt(store, document, at)
  }
  return rid
}

/**
 * The document that these names from the root led to last, where `error` says that they lead nowhere now. Throws `error` if it says
 * something else or they never did.
 */
export async function wasAt(
  volume: Volume,
  names: Uint8Array[],
  error: unknown,
): Promise<{ ino: 0; document: Uint8Array }> {
  if (!(error instanceof PathError) || !['ENOENT', 'ENOTDIR'].includes(error.code)) throw error
  const store = historyOf(volume)
  // From the deepest folder that is there up to the root: one on the way may be a new folder of an old name.
  for (let depth = names.length - 1; depth >= 0; depth--) {
    const folder = await volume.walk(names.slice(0, depth)).catch(() => undefined)
    const document = folder && lastAt(store, folder.document, names.slice(depth))
    if (document) return { ino: 0, document }
  }
  throw error
}
