// History: merge bases and relations against the definition, on random graphs; order of a log.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { HistoryLimitError } from '../../lib/model/errors.js'
import { compare, hashOf, hex, logOf, makeClock, mergeBases, relationOf } from '../../lib/model/index.js'
import type { RId } from '../../lib/model/types.js'

const rid = (n: number): RId => hashOf(new Uint8Array([n >> 8, n & 255]))

/** Parents by number; a parent's number is smaller than its child's. */
type Graph = number[][]

const graph: fc.Arbitrary<Graph> = fc
  .array(fc.array(fc.nat(1000), { maxLength: 3 }), { minLength: 2, maxLength: 14 })
  .map((nodes) =>
    nodes.map((parents, i) => [...new Set(i === 0 ? [] : parents.map((p) => Math.max(0, i - 1 - (p % 4))))]),
  )

function index(nodes: Graph) {
  const byId = new Map(nodes.map((parents, i) => [hex(rid(i)), parents]))
  let asked = 0
  return {
    parentsOf: (id: RId) => {
      asked++
      return byId.get(hex(id))?.map(rid)
    },
    asked: () => asked,
  }
}

function ancestors(nodes: Graph, of: number, seen = new Set<number>()): Set<number> {
  if (!seen.has(of)) {
    seen.add(of)
    for (const parent of nodes[of]) ancestors(nodes, parent, seen)
  }
  return seen
}

function basesByDefinition(nodes: Graph, a: number, b: number): number[] {
  const common = [...ancestors(nodes, a)].filter((n) => ancestors(nodes, b).has(n))
  return common.filter((n) => !common.some((other) => other !== n && ancestors(nodes, other).has(n)))
}

const line = (length: number): Graph => Array.from({ length }, (_, i) => (i === 0 ? [] : [i - 1]))

describe('history', () => {
  it('finds exactly the lowest common ancestors, and the relation', () => {
    fc.assert(
      fc.property(graph, fc.nat(), fc.nat(), (nodes, x, y) => {
        const a = x % nodes.length
        const b = y % nodes.length
        const { parentsOf } = index(nodes)
        const expected = basesByDefinition(nodes, a, b).map(rid).sort(compare)
        assert.deepEqual(mergeBases(rid(a), rid(b), parentsOf), expected)
        assert.deepEqual(mergeBases(rid(b), rid(a), parentsOf), expected)
        const relation =
          a === b
            ? 'equal'
            : ancestors(nodes, b).has(a)
              ? 'behind'
              : ancestors(nodes, a).has(b)
                ? 'ahead'
                : expected.length
                  ? 'diverged'
                  : 'unrelated'
        assert.equal(relationOf(rid(a), rid(b), parentsOf), relation)
      }),
      { numRuns: 3000 },
    )
  })

  it('knows both bases of a criss-cross', () => {
    const nodes = [[], [0], [0], [1, 2], [1, 2]]
    assert.deepEqual(mergeBases(rid(3), rid(4), index(nodes).parentsOf), [rid(1), rid(2)].sort(compare))
  })

  it('looks at what happened since, not at all of history', () => {
    const nodes = [...line(5000), [4999], [5000], [4999]]
    const diverged = index(nodes)
    assert.equal(relationOf(rid(5001), rid(5002), diverged.parentsOf), 'diverged')
    assert.ok(diverged.asked() <= 8, `${diverged.asked()} revisions`)
    const behind = index(nodes)
    assert.equal(relationOf(rid(4900), rid(5001), behind.parentsOf), 'behind')
    assert.ok(behind.asked() <= 210, `${behind.asked()} revisions`)
  })

  it('is bounded', () => {
    const { parentsOf } = index([...line(500), []])
    assert.throws(() => relationOf(rid(499), rid(500), parentsOf, { maxVisited: 100 }), HistoryLimitError)
    assert.equal(relationOf(rid(499), rid(500), parentsOf), 'unrelated')
  })

  it('takes revisions that are not known for ones without parents', () => {
    assert.equal(
      relationOf(rid(1), rid(2), () => undefined),
      'unrelated',
    )
    assert.equal(
      relationOf(rid(1), rid(2), (id) => (hex(id) === hex(rid(2)) ? [rid(1)] : undefined)),
      'behind',
    )
  })

  it('logs children before parents, and by clock where the graph leaves a choice', () => {
    fc.assert(
      fc.property(graph, fc.array(fc.nat(5), { minLength: 14, maxLength: 14 }), (nodes, clocks) => {
        const byId = new Map(
          nodes.map((parents, i) => [hex(rid(i)), { parents: parents.map(rid), clock: makeClock(clocks[i]) }]),
        )
        const numbers = new Map(nodes.map((_, i) => [hex(rid(i)), i]))
        const head = nodes.length - 1
        const log = [...logOf([rid(head)], (id) => byId.get(hex(id)))].map((id) => numbers.get(hex(id))!)
        assert.deepEqual(
          [...log].sort((a, b) => a - b),
          [...ancestors(nodes, head)].sort((a, b) => a - b),
        )
        const listed = new Set<number>()
        for (const n of log) {
          const ready = log.filter(
            (m) => !listed.has(m) && log.every((child) => listed.has(child) || !nodes[child].includes(m)),
          )
          assert.ok(ready.includes(n))
          assert.ok(ready.every((m) => clocks[m] <= clocks[n]))
          listed.add(n)
        }
      }),
      { numRuns: 300 },
    )
    assert.throws(
      () => [...logOf([rid(9)], () => ({ parents: [rid(1), rid(2)], clock: makeClock(0) }), { maxVisited: 2 })],
      HistoryLimitError,
    )
  })
})
