// Conflicts: content that several devices changed at once and that is no text, so that one of them had to be shown. The record of a
// conflict is the merge revision itself (FLAG_CONFLICT): it replicates as every head does, and its ancestors say whose
// versions they are, from when and from which device. Here is which versions those are, and what ends a conflict. Pure, and without clock
// or author: two devices that resolve alike make the same revisions.

import { compare, equal, hex } from './bytes.js'
import { lookupFolder, updateFolder } from './folder.js'
import { hashOf } from './hash.js'
import { relationOf } from './history.js'
import { isRemoved } from './merge.js'
import { markedName } from './merge-names.js'
import { entriesOf } from './tree-facts.js'
import {
  type Chunk,
  type ChunkSource,
  DID_BYTES,
  type DId,
  FLAG_CONFLICT,
  type FolderEntry,
  PART_ENTRIES,
  type Revision,
  type RId,
} from './types.js'

type Look = (rid: RId) => Revision | undefined

/** Revisions of a conflict that are looked through. */
const LOOK_MAX = 1000

/**
 * The versions that a conflict is between, latest clock first: the nearest ancestors of the head that carry no conflict and
 * that none of the others descends from. None if the head carries none.
 */
export function conflictSides(head: RId, look: Look): RId[] {
  const sides = new Map<string, RId>()
  const seen = new Set<string>()
  const stack = [head]
  for (let rid = stack.pop(); rid && seen.size < LOOK_MAX; rid = stack.pop()) {
    if (seen.has(hex(rid))) continue
    seen.add(hex(rid))
    const revision = look(rid)
    if (!revision) continue
    if (revision.flags & FLAG_CONFLICT) stack.push(...revision.parents)
    else if (!equal(rid, head) && !isRemoved(revision)) sides.set(hex(rid), rid)
  }
  const all = [...sides.values()]
  const isBelow = (rid: RId, other: RId) => relationOf(rid, other, (r) => look(r)?.parents) === 'behind'
  const clock = (rid: RId) => look(rid)!.clock
  return all
    .filter((rid) => !all.some((other) => !equal(rid, other) && isBelow(rid, other)))
    .sort((x, y) => compare(clock(y), clock(x)) || compare(y, x))
}

/** The head that ends a conflict, with the content and attributes of `chosen` (the head itself, or one of its ancestors). */
export function resolvedHead(head: RId, current: Revision, chosen: Revision): Revision {
  const { home: _, ...rest } = chosen
  return {
    ...rest,
    ...{ parents: [head], author: new Uint8Array(0), clock: current.clock, comment: '' },
    flags: chosen.flags & ~FLAG_CONFLICT,
    ...(current.home && { home: current.home }),
  }
}

export interface Besides {
  document: DId
  revision: Revision
  /** Folder revision that names it, on top of the one that is there. */
  folder: Revision
  chunks: Chunk[]
  name: Uint8Array
}

/**
 * One of the versions of a conflict as a document of its own, beside the other: its id follows from document and version, its
 * history goes on from that version.
 */
export function besides(input: {
  document: DId
  side: RId
  revision: Revision
  entry: FolderEntry
  folder: { rid: RId; revision: Revision }
  source: ChunkSource
}): Besides {
  const { side, revision, entry, folder, source } = input
  const document = hashOf(new Uint8Array([...input.document, ...side])).slice(1, 1 + DID_BYTES)
  const before = entriesOf(folder.revision)
  let name = entry.name
  for (const digits of [8, 16, 64]) {
    name = markedName(entry, hex(side).slice(2, 2 + digits))
    const there = lookupFolder(before, name, source)
    if (!there || equal(there.document, document)) break
  }
  const added: FolderEntry = { name, document, type: revision.attributes.mode >> 12, stamp: revision.clock }
  const { content, chunks } = updateFolder(before, [{ name, after: added }], source)
  const nobody = { author: new Uint8Array(0), comment: '' }
  const { home: _, ...rest } = revision
  return {
    ...{ document, chunks, name },
    revision: { ...rest, ...nobody, parents: [side], flags: revision.flags & ~FLAG_CONFLICT },
    folder: {
      ...folder.revision,
      ...nobody,
      parents: [folder.rid],
      parts: new Map([...folder.revision.parts, [PART_ENTRIES, content]]),
    },
  }
}
