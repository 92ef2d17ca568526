// Rules of merging that are wrong, each in one way: the simulation has to notice every one of them. Test support only.

import { encodeRevision, ridOf } from '../../../lib/model/index.js'
import { Settling } from '../../../lib/model/settle.js'
import { FLAG_CONFLICT, FLAG_REMOVED, type Revision, TYPE_FOLDER } from '../../../lib/model/types.js'
import { rules } from '../../../lib/sync/reconcile.js'

type Rules = typeof rules

const right: Rules = { ...rules }

/** What a merge says is changed afterwards. */
function after(change: (merged: Revision, a: Revision, b: Revision) => Partial<Revision>): Partial<Rules> {
  return {
    mergeHeads(a, b, components) {
      const merged = right.mergeHeads(a, b, components)
      const changed = change(merged.revision, components.revision(a)!, components.revision(b)!)
      return { ...merged, revision: { ...merged.revision, ...changed } }
    },
  }
}

/** The tree is settled without one of the rules. */
function without(...names: ('comeBack' | 'onePlace' | 'noCircle' | 'goHome')[]): Partial<Rules> {
  class Lacking extends Settling {}
  for (const name of names) (Lacking.prototype as unknown as Record<string, unknown>)[name] = async () => {}
  return { settleTree: (facts, steps) => new Lacking(facts, steps).run() }
}

/** In each, what is wrong. */
export const BROKEN: Record<string, Partial<Rules>> = {
  'heads that parted are taken over instead of merged': {
    standingOf: (ours, theirs, look) => {
      const standing = right.standingOf(ours, theirs, look)
      return standing === 'merge' ? 'forward' : standing
    },
  },
  'heads that parted are left': {
    standingOf: (ours, theirs, look) => {
      const standing = right.standingOf(ours, theirs, look)
      return standing === 'merge' ? 'nothing' : standing
    },
  },
  'the later clock wins, whatever the history says': {
    standingOf: (ours, theirs, look) => {
      const [a, b] = [look(ours)!, look(theirs)!]
      return Buffer.compare(a.clock, b.clock) >= 0 ? 'nothing' : 'forward'
    },
  },
  'a merge forgets one of its parents': after(({ parents }) => ({ parents: parents.slice(0, 1) })),
  'a merge depends on whose head is whose': {
    mergeHeads(ours, theirs, components) {
      const merged = right.mergeHeads(ours, theirs, components)
      const { parts, type } = components.revision(ours)!
      return type === TYPE_FOLDER ? merged : { ...merged, revision: { ...merged.revision, parts } }
    },
  },
  'a merge tells no conflict': after(({ flags }) => ({ flags: flags & ~FLAG_CONFLICT })),
  'a removal wins over a change': after(({ flags, home }, a, b) => ({
    flags: home && (a.flags | b.flags) & FLAG_REMOVED ? flags | FLAG_REMOVED : flags,
  })),
  'a merged folder has what its first parent has': after((merged, a, b) => {
    if (merged.type !== TYPE_FOLDER) return {}
    const [first] = merged.parents
    const same = Buffer.compare(first, ridOf(encodeRevision(a))) === 0 ? a : b
    return { parts: same.parts }
  }),
  'the tree is not settled': { settleTree: async () => ({ repairs: [], together: [] }) },
  'a document may have several places': without('onePlace'),
  'folders may be in each other': without('noCircle'),
  'what was changed does not go home': without('goHome'),
  'what was moved stays removed': without('comeBack'),
  'repairs are made apart from what they rest on, and forgotten': {
    settleTree: async (facts, steps) => {
      const settlement = await right.settleTree(facts, steps)
      return { repairs: settlement.repairs.slice(0, -1), together: [] }
    },
  },
}

/** Runs `work` with wrong rules. */
export async function withBroken<T>(broken: Partial<Rules>, work: () => Promise<T>): Promise<T> {
  Object.assign(rules, broken)
  try {
    return await work()
  } finally {
    Object.assign(rules, right)
  }
}
