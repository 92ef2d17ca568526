// How two heads of a document stand to each other. By the graph first; and where it says that they have parted, by what people
// made of them: merges are made by every device for itself, in whatever order heads come in, so heads may have parted only
// by their merges. Then nothing is merged again (or several devices would go on merging each other's merges): the head that
// knows more versions is ahead, and of two that know the same ones the one with the smaller id is, on all devices alike.
// Pure; no version can be lost by it, since the head that is taken descends from all that the other one descends from.

import { compare, equal, hex } from '../model/bytes.js'
import { HistoryLimitError } from '../model/errors.js'
import { relationOf } from '../model/history.js'
import type { Revision, RId } from '../model/types.js'

/** What is to be done with the head `ours` when `theirs` comes in. */
export type Standing = 'nothing' | 'forward' | 'merge'

/** Merges looked through, and revisions visited for each of what lies below them; beyond it heads are merged as ever. */
const MERGES_MAX = 256
const VISITED_MAX = 10_000

export type Look = (rid: RId) => Revision | undefined

/** Throws HistoryLimitError for histories that are too long to compare. */
export function standingOf(ours: RId, theirs: RId, look: Look): Standing {
  // The usual case, without walking any graph: the peer went on from what we have.
  if (look(theirs)?.parents.some((parent) => equal(parent, ours))) return 'forward'
  const relation = relationOf(ours, theirs, (rid) => look(rid)?.parents)
  if (relation === 'equal' || relation === 'ahead') return 'nothing'
  if (relation === 'behind') return 'forward'
  const oursIsKnown = knows(theirs, ours, look)
  const theirsIsKnown = knows(ours, theirs, look)
  if (oursIsKnown && theirsIsKnown) return compare(ours, theirs) < 0 ? 'nothing' : 'forward'
  if (theirsIsKnown) return 'nothing'
  return oursIsKnown ? 'forward' : 'merge'
}

/** Whether every version that somebody made, and that `other` descends from or is, is an ancestor of `head`. */
function knows(head: RId, other: RId, look: Look): boolean {
  const versions = versionsOf(other, look)
  const known = new Set(versionsOf(head, look)?.map(hex))
  return versions?.every((rid) => known.has(hex(rid)) || isBelow(rid, head, look)) ?? false
}

/** The head itself, or the versions that were merged to make it; undefined if there are too many merges. */
function versionsOf(head: RId, look: Look): RId[] | undefined {
  const versions: RId[] = []
  const seen = new Set<string>()
  const stack = [head]
  for (let rid = stack.pop(); rid; rid = stack.pop()) {
    if (seen.has(hex(rid))) continue
    seen.add(hex(rid))
    const revision = look(rid)
    const merge = revision !== undefined && revision.author.length === 0 && revision.parents.length > 1
    if (merge) stack.push(...revision.parents)
    else versions.push(rid)
    if (seen.size > MERGES_MAX) return undefined
  }
  return versions
}

function isBelow(rid: RId, head: RId, look: Look): boolean {
  try {
    return relationOf(rid, head, (r) => look(r)?.parents, { maxVisited: VISITED_MAX }) === 'behind'
  } catch (error) {
    if (error instanceof HistoryLimitError) return false
    throw error
  }
}
