import assert from 'node:assert/strict'
import fc from 'fast-check'
import { hex } from '../../lib/model/bytes.js'
import { makeClock } from '../../lib/model/clock.js'
import type { Revision, RId } from '../../lib/model/types.js'
import { standingOf } from '../../lib/sync/standing.js'

const author = new Uint8Array(32).fill(1)

/** A history of revisions named by numbers: number → parents. Those of `merges` have no author. */
function history(parents: Record<number, number[]>, merges: number[] = []) {
  const rid = (n: number): RId => Uint8Array.from([0x12, ...new Uint8Array(31), n])
  const revisions = new Map<string, Revision>()
  for (const [n, above] of Object.entries(parents)) {
    const revision = { parents: above.map(rid), author: merges.includes(Number(n)) ? new Uint8Array(0) : author }
    revisions.set(hex(rid(Number(n))), { ...revision, clock: makeClock(Number(n)) } as Revision)
  }
  const look = (id: RId) => revisions.get(hex(id))
  return (ours: number, theirs: number) => standingOf(rid(ours), rid(theirs), look)
}

describe('How heads stand to each other', () => {
  it('goes by the graph', () => {
    const of = history({ 1: [], 2: [1], 3: [2], 4: [1], 5: [] })
    assert.equal(of(2, 2), 'nothing')
    assert.equal(of(1, 3), 'forward')
    assert.equal(of(3, 1), 'nothing')
    assert.equal(of(3, 4), 'merge')
    assert.equal(of(3, 5), 'merge', 'unrelated')
  })

  it('takes the smaller id of two merges of the same versions, on both sides', () => {
    const of = history({ 1: [], 2: [1], 3: [1], 4: [1], 5: [2, 3], 6: [3, 4], 7: [4, 5], 8: [2, 6] }, [5, 6, 7, 8])
    assert.equal(of(7, 8), 'nothing')
    assert.equal(of(8, 7), 'forward')
  })

  it('takes the merge that knows more versions', () => {
    const of = history({ 1: [], 2: [1], 3: [1], 4: [1], 5: [2, 3], 6: [2, 3], 7: [4, 6] }, [5, 6, 7])
    assert.equal(of(5, 7), 'forward')
    assert.equal(of(7, 5), 'nothing')
    assert.equal(of(5, 6), 'nothing')
  })

  it('merges when both know a version that the other does not', () => {
    const of = history({ 1: [], 2: [1], 3: [1], 4: [1], 5: [1], 6: [2, 3], 7: [4, 5] }, [6, 7])
    assert.equal(of(6, 7), 'merge')
    const edited = history({ 1: [], 2: [1], 3: [1], 4: [2, 3], 5: [2, 3], 6: [4] }, [4, 5])
    assert.equal(edited(6, 5), 'nothing', 'somebody went on from one of the merges')
    assert.equal(edited(5, 6), 'forward')
  })

  it('never loses a version: what is taken knows all that is given up', () => {
    const graphs = fc.array(fc.tuple(fc.nat(), fc.nat(), fc.boolean()), { minLength: 4, maxLength: 24 })
    fc.assert(
      fc.property(graphs, (choices) => {
        const parents: Record<number, number[]> = { 1: [] }
        const merges: number[] = []
        choices.forEach(([a, b, merge], i) => {
          const n = i + 2
          const one = (a % (n - 1)) + 1
          const other = (b % (n - 1)) + 1
          const isMerge = merge && one !== other
          parents[n] = isMerge ? [one, other].sort() : [one]
          if (isMerge) merges.push(n)
        })
        const versions = (n: number, seen = new Set<number>()): Set<number> => {
          if (seen.has(n)) return seen
          seen.add(n)
          for (const parent of parents[n]) versions(parent, seen)
          return seen
        }
        const authored = (n: number) => [...versions(n)].filter((v) => !merges.includes(v))
        const of = history(parents, merges)
        const last = choices.length + 1
        for (let ours = 1; ours <= last; ours++) {
          const standing = of(ours, last)
          const back = of(last, ours)
          if (ours === last) continue
          const [lost, kept] = standing === 'forward' ? [ours, last] : [last, ours]
          if (standing === 'merge') assert.equal(back, 'merge')
          else {
            assert.notEqual(back, standing, 'both sides decide alike')
            const known = versions(kept)
            for (const version of authored(lost)) assert.ok(known.has(version), `${version} of ${lost} in ${kept}`)
          }
        }
      }),
      { numRuns: 300 },
    )
  })
})
