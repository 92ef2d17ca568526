// Heads that a rule makes where a merge is not wanted (docs/rules.md): the later version as a whole, or that of one side, always.
// Nothing is lost: both versions are ancestors of what is made. Pure, without author and clock of its own, so whoever makes it of
// the same heads makes the same.

import { compare, equal } from './bytes.js'
import { maxClock } from './clock.js'
import { encodeRevision } from './codec.js'
import { isRemoved, type MergeComponents, type MergeResult, mergeHeads } from './merge.js'
import { FLAG_CONFLICT, FLAG_REMOVED, type Home, type Revision, type RId, TYPE_FOLDER } from './types.js'

const NOBODY = { author: new Uint8Array(0), comment: '' }

/**
 * As `mergeHeads`, but of two contents the one with the later clock stands as a whole, and that is no conflict. Folders, and what
 * one side removed, are merged as ever.
 */
export function latestHeads(a: RId, b: RId, components: MergeComponents): MergeResult {
  const merged = mergeHeads(a, b, components)
  const [one, other] = [components.revision(a)!, components.revision(b)!]
  if (one.type === TYPE_FOLDER || other.type === TYPE_FOLDER || isRemoved(one) !== isRemoved(other)) return merged
  // The same clock: the larger id wins, as in a merge.
  const order = compare(one.clock, other.clock) || compare(a, b)
  const { type, attributes, metadata, parts, modified } = order > 0 ? one : other
  const wasConflict = (one.flags | other.flags) & FLAG_CONFLICT
  const flags = wasConflict ? merged.revision.flags : merged.revision.flags & ~FLAG_CONFLICT
  const revision = { ...merged.revision, type, attributes, metadata, parts, modified, flags }
  return { revision, chunks: [], conflict: false }
}

/** Whether both show the same thing: all that is not history. */
export function showsSame(a: Revision, b: Revision): boolean {
  const plain = (revision: Revision) =>
    encodeRevision({ ...revision, ...NOBODY, parents: [], clock: b.clock, created: b.created, home: b.home })
  return isRemoved(a) === isRemoved(b) && equal(plain({ ...a, flags: b.flags }), plain(b))
}

/** Shows what `theirs` shows, on top of `ours`. `isBelow`: ours descends from theirs already. */
export function givingWay(
  ours: { rid: RId; revision: Revision },
  theirs: { rid: RId; revision: Revision },
  isBelow: boolean,
): Revision {
  const home = theirs.revision.home ?? ours.revision.home
  const { home: _, ...rest } = theirs.revision
  return {
    ...rest,
    ...NOBODY,
    parents: isBelow ? [ours.rid] : [ours.rid, theirs.rid].sort(compare),
    clock: maxClock(ours.revision.clock, theirs.revision.clock),
    ...(home && { home }),
  }
}

/** The document is removed; `home`: the entry that named it. Of folders nothing stays in them. */
export function removalOf(rid: RId, revision: Revision, home: Home): Revision {
  const empty = { size: 0, inline: new Uint8Array(0), levels: 0 }
  const parts =
    revision.type === TYPE_FOLDER ? new Map([...revision.parts].map(([name]) => [name, empty])) : revision.parts
  return {
    ...revision,
    ...NOBODY,
    parents: [rid],
    flags: (revision.flags | FLAG_REMOVED) & ~FLAG_CONFLICT,
    parts,
    home,
  }
}
