// A document's revisions from the newest to the oldest, and the one that it had at a time. Owns no state; reads no further
// back than it is asked to, and never more than a bound.
//
// Order is by clock, and never a parent before the child it was reached by. A history that was diverged is as its devices
// together had it: at any time the revision with the latest clock until then.

import { compare, equal, hex } from '../../model/bytes.js'
import { type SkimmedRevision, skimRevision } from '../../model/revision-skim.js'
import { type Clock, type DId, FLAG_REMOVED, type RId } from '../../model/types.js'
import type { HistoryStore } from './ports.js'

/** Revisions of one document that are looked at, the newest ones. */
export const WALK_MAX = 100_000

export interface TimelineEntry extends SkimmedRevision {
  rid: RId
}

/** Those that are still to come, the newest last. Histories are nearly lines, so there are few of them. */
class Frontier {
  readonly #entries: TimelineEntry[] = []

  push(entry: TimelineEntry): void {
    let at = this.#entries.length
    while (at > 0 && compare(this.#entries[at - 1].clock, entry.clock) >= 0) at--
    this.#entries.splice(at, 0, entry)
  }

  pop(): TimelineEntry | undefined {
    return this.#entries.pop()
  }
}

export interface WalkOptions {
  /** Revisions (by `hex`) at which to turn back. */
  except?: ReadonlySet<string>
  /** Only what the document itself was, and not what was renamed over it and joined its history by that. */
  own?: boolean
}

/** Revisions that are not here are left out. */
export function* newestFirst(
  store: HistoryStore,
  head: RId | undefined,
  options: WalkOptions = {},
): Generator<TimelineEntry> {
  const { except, own } = options
  const frontier = new Frontier()
  const seen = new Set<string>()
  const read = (rid: RId): TimelineEntry | undefined => {
    const key = hex(rid)
    if (seen.has(key) || except?.has(key)) return undefined
    const bytes = store.encoded(rid)
    return bytes && { rid, ...skimRevision(bytes) }
  }
  const first = head && read(head)
  if (first) frontier.push(first)
  for (let n = 0, next = frontier.pop(); next && n < WALK_MAX; n++, next = frontier.pop()) {
    // That a document was removed is no state of it.
    if ((next.flags & FLAG_REMOVED) === 0) yield next
    const parents = next.parents.map(read).filter((parent) => parent !== undefined)
    for (const parent of own ? ownOf(next, parents) : parents) {
      seen.add(hex(parent.rid))
      frontier.push(parent)
    }
  }
}

/** Those of the same document: it keeps the time of its creation. All of them if that tells nothing. */
function ownOf({ created }: TimelineEntry, parents: TimelineEntry[]): TimelineEntry[] {
  if (parents.length < 2) return parents
  const own = parents.filter((parent) => equal(parent.created, created))
  return own.length > 0 ? own : parents
}

/**
 * The newest revision with a clock not after `at`. If there is none although a folder of that time names the document, its
 * first one: it stands for what came with it.
 */
export function revisionAt(store: HistoryStore, document: DId, at: Clock): RId | undefined {
  let first: RId | undefined
  for (const { rid, clock } of newestFirst(store, store.head(document), { own: true })) {
    if (compare(clock, at) <= 0) return rid
    first = rid
  }
  return first
}

/** As `revisionAt`, but undefined before the document's first revision. */
export function headAt(store: HistoryStore, document: DId, at: Clock): RId | undefined {
  for (const { rid, clock } of newestFirst(store, store.head(document), { own: true }))
    if (compare(clock, at) <= 0) return rid
  return undefined
}
