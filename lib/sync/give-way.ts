// What is changed at the target of a mirror gives way to what the source has: heads that show the source's on top of what is here,
// and removals of what only this volume had. All of it stays in the history. Makes revisions; applies nothing.

import { equal, hex } from '../model/bytes.js'
import { encodeRevision } from '../model/codec.js'
import { diffFolder } from '../model/folder.js'
import { isRemoved } from '../model/merge.js'
import { givingWay, removalOf, showsSame } from '../model/overrule.js'
import { entriesOf, type HeadStep } from '../model/tree-facts.js'
import { type DId, type Home, type Revision, type RId, TYPE_FOLDER } from '../model/types.js'
import type { Volume } from '../volume/contract.js'

/** `takesBack`: what was changed here is taken back by it. */
export type Step = HeadStep & { takesBack?: boolean }

/** Undefined: what is here shows what the peer has, and descends from it (`isBelow`). */
export async function giveWay(volume: Volume, ours: RId, theirs: RId, isBelow: boolean): Promise<RId | undefined> {
  const [here, there] = [volume.revision(ours)!, volume.revision(theirs)!]
  if (isBelow && showsSame(here, there)) return undefined
  const made = givingWay({ rid: ours, revision: here }, { rid: theirs, revision: there }, isBelow)
  return (await volume.importRevisions([encodeRevision(made)]))[0]
}

/** Steps that remove what a mirror's folders do not name any more, because only this volume had put it there. */
export async function takenOut(volume: Volume, steps: Step[], told: Map<string, RId>): Promise<HeadStep[]> {
  if (!steps.some(({ takesBack }) => takesBack)) return []
  const done = new Set(steps.map(({ document }) => hex(document)))
  const open: { document: DId; home: Home }[] = []
  const note = (folder: DId, before: Revision | undefined, after: Revision | undefined, isOurs: boolean) => {
    for (const change of diffFolder(entriesOf(before), entriesOf(after), volume.source)) {
      if (change.after) done.add(hex(change.after.document))
      if (!change.before || (change.after && equal(change.before.document, change.after.document))) continue
      const { name, stamp, document } = change.before
      if (isOurs) open.push({ document, home: { folder, name, stamp } })
    }
  }
  for (const { document, before, after, takesBack } of steps) {
    const revision = volume.revision(after)
    if (revision?.type === TYPE_FOLDER && before) note(document, volume.revision(before), revision, takesBack === true)
  }
  const taken: HeadStep[] = []
  for (let next = open.pop(); next; next = open.pop()) {
    const { document, home } = next
    if (done.has(hex(document))) continue
    done.add(hex(document))
    const head = told.get(hex(document)) ?? volume.head(document)?.head
    const revision = head && volume.revision(head)
    const [{ names }] = await volume.whereabouts([document])
    if (!head || !revision || isRemoved(revision) || names > 1) continue
    if (revision.type === TYPE_FOLDER) note(document, revision, undefined, true)
    const [after] = await volume.importRevisions([encodeRevision(removalOf(head, revision, home))])
    taken.push({ document, before: head, after })
  }
  return taken
}
