// Ends a conflict in a volume: keeps the version that is shown, another one, or several side by side. Makes the revisions
// (lib/model/conflict.ts) and applies them all or none. Owns nothing.

import { equal } from '../model/bytes.js'
import { encodeRevision } from '../model/codec.js'
import { besides, conflictSides, resolvedHead } from '../model/conflict.js'
import { type DId, FLAG_CONFLICT, type Revision, type RId } from '../model/types.js'
import type { HeadChange, Volume } from '../volume/contract.js'

export interface Resolution {
  document: DId
  /** The version to be shown from now on; absent: the one that is. */
  keep?: RId
  /** The other versions become files beside it. */
  both?: boolean
}

/** `none`: there is no conflict. `busy`: something changed at this moment; try again. */
export type Resolved = 'resolved' | 'none' | 'busy'

/** Throws what the volume throws. */
export async function resolveConflict(volume: Volume, { document, keep, both }: Resolution): Promise<Resolved> {
  const head = volume.head(document)?.head
  const current = head && volume.revision(head)
  if (!head || !current || (current.flags & FLAG_CONFLICT) === 0) return 'none'
  const chosen = (keep && volume.revision(keep)) ?? current
  const changes: HeadChange[] = []
  if (both) {
    const others = othersOf(volume, head, chosen)
    const beside = await putBeside(volume, document, others)
    if (!beside) return 'busy'
    changes.push(...beside)
  }
  const [rid] = await volume.importRevisions([encodeRevision(resolvedHead(head, current, chosen))])
  changes.splice(Math.max(0, changes.length - 1), 0, { document, expected: head, head: rid, group: 0 })
  const results = await volume.apply(changes)
  return results.every(({ result }) => result === 'applied') ? 'resolved' : 'busy'
}

/** The sides of the conflict whose content is another one. */
function othersOf(volume: Volume, head: RId, chosen: Revision): RId[] {
  const bytes = (revision: Revision) => encodeRevision({ ...chosen, parts: revision.parts })
  return conflictSides(head, (rid) => volume.revision(rid)).filter(
    (rid) => !equal(bytes(volume.revision(rid)!), bytes(chosen)),
  )
}

/** The folder's change comes last. Undefined: the document is in no folder at this moment. */
async function putBeside(volume: Volume, document: DId, sides: RId[]): Promise<HeadChange[] | undefined> {
  if (!sides.length) return []
  const [claim] = await volume.claims(document)
  const before = claim && volume.head(claim.folder)?.head
  const revision = before && volume.revision(before)
  if (!before || !revision) return undefined
  const changes: HeadChange[] = []
  let folder = { rid: before, revision }
  for (const side of sides) {
    const input = {
      document,
      side,
      revision: volume.revision(side)!,
      entry: claim.entry,
      folder,
      source: volume.source,
    }
    const made = besides(input)
    if (made.chunks.length) await volume.importChunks(made.chunks)
    const [rid, folderRid] = await volume.importRevisions([encodeRevision(made.revision), encodeRevision(made.folder)])
    const expected = volume.head(made.document)?.head
    if (!expected) changes.push({ document: made.document, head: rid, group: 0 })
    folder = { rid: folderRid, revision: made.folder }
  }
  return [...changes, { document: claim.folder, expected: before, head: folder.rid, group: 0 }]
}
