// Walks through histories that are no lines: against the definition, on random graphs.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { compare, hex } from '../../../lib/model/bytes.js'
import { makeClock } from '../../../lib/model/clock.js'
import { encodeRevision } from '../../../lib/model/codec.js'
import { encodeFolder } from '../../../lib/model/folder.js'
import { ridOf } from '../../../lib/model/hash.js'
import { type FolderEntry, PART_ENTRIES, type RId, TYPE_FOLDER } from '../../../lib/model/types.js'
import { ChunkMissingError } from '../../../lib/store/errors.js'
import { FolderNames } from '../../../lib/volume/history/folder-names.js'
import { MOMENT } from '../../../lib/volume/history/stays.js'
import { headAt, newestFirst, revisionAt } from '../../../lib/volume/history/timeline.js'

const DOCUMENT = new Uint8Array(16).fill(9)

interface Node {
  /** By number; smaller than the node's own. */
  parents: number[]
  /** Milliseconds after its latest parent. */
  later: number
  /** Which names (by bit) are in the folder. */
  names: number
  /** Of another document, which joined this one. */
  foreign: boolean
}

const node: fc.Arbitrary<Node> = fc.record({
  parents: fc.array(fc.nat(3), { maxLength: 2 }),
  later: fc.nat(3),
  names: fc.nat(2 ** 10 - 1),
  foreign: fc.constant(false),
})

/** A folder of many entries is in chunks, a small one inline: names 5 and up stand for 40 entries each. */
function entriesOf(names: number): FolderEntry[] {
  const entries: FolderEntry[] = []
  for (let bit = 0; bit < 10; bit++) {
    if (!(names & (1 << bit))) continue
    for (let i = 0; i < (bit < 5 ? 1 : 40); i++) {
      const document = new Uint8Array(16).fill(bit)
      entries.push({ name: Buffer.from(`${bit} ${i}`), document, type: bit === 4 ? 4 : 8, stamp: makeClock(1) })
    }
  }
  return entries.sort((a, b) => compare(a.name, b.name))
}

class Graph {
  readonly rids: RId[] = []
  readonly parents: number[][] = []
  readonly times: number[] = []
  readonly #revisions = new Map<string, Uint8Array>()
  readonly #chunks = new Map<string, Uint8Array>()
  head = 0

  constructor(nodes: Node[]) {
    for (const [i, { parents, later, names, foreign }] of nodes.entries()) {
      const above = i === 0 ? [] : [...new Set(parents.map((p) => Math.max(0, i - 1 - p)))]
      const time = Math.max(0, ...above.map((p) => this.times[p])) + (above.length > 0 ? 1 + later : later)
      const { content, chunks } = encodeFolder(entriesOf(names))
      for (const { id, bytes } of chunks) this.#chunks.set(hex(id), bytes)
      const encoded = encodeRevision({
        parents: above.map((p) => this.rids[p]).sort(compare),
        type: TYPE_FOLDER,
        flags: 0,
        created: { sec: foreign ? 2 : 1, nsec: 0 },
        modified: { sec: 0, nsec: 0 },
        author: new Uint8Array(32),
        clock: makeClock(time, i),
        comment: '',
        attributes: { mode: 0o40755, uid: 0, gid: 0, rdev: 0, xattrs: [] },
        metadata: new Map(),
        parts: new Map([[PART_ENTRIES, content]]),
      })
      this.rids.push(ridOf(encoded))
      this.parents.push(above)
      this.times.push(time)
      this.#revisions.set(hex(this.rids[i]), encoded)
    }
    this.head = nodes.length - 1
  }

  /** As on a device that does not have it. */
  forget(node: number): void {
    this.#revisions.delete(hex(this.rids[node]))
  }

  readonly store = {
    head: () => this.rids[this.head],
    encoded: (rid: RId) => this.#revisions.get(hex(rid)),
    source: (id: Uint8Array) => this.#chunks.get(hex(id))!,
  }

  ancestors(of = this.head, found = new Set<number>()): Set<number> {
    if (!found.has(of)) {
      found.add(of)
      for (const parent of this.parents[of]) this.ancestors(parent, found)
    }
    return found
  }

  numberOf(rid: RId | undefined): number {
    return rid ? this.rids.findIndex((one) => compare(one, rid) === 0) : -1
  }
}

const nodes = fc.array(node, { minLength: 1, maxLength: 15 })

describe('history: graphs of revisions', () => {
  it('are walked once each, children before parents, newest first', () => {
    fc.assert(
      fc.property(nodes, (given) => {
        const graph = new Graph(given)
        const walked = [...newestFirst(graph.store, graph.store.head())].map(({ rid }) => graph.numberOf(rid))
        assert.deepEqual(new Set(walked), graph.ancestors())
        assert.equal(new Set(walked).size, walked.length)
        for (const [at, n] of walked.entries())
          for (const parent of graph.parents[n]) assert.ok(walked.indexOf(parent) > at)
        const clocks = walked.map((n) => makeClock(graph.times[n], n))
        for (let i = 1; i < clocks.length; i++) assert.ok(compare(clocks[i - 1], clocks[i]) > 0)
      }),
    )
  })

  it('have the latest revision until a time', () => {
    fc.assert(
      fc.property(nodes, fc.nat(40), (given, ms) => {
        const graph = new Graph(given)
        const at = makeClock(ms, 0xffff)
        const until = [...graph.ancestors()].filter((n) => graph.times[n] <= ms)
        const latest = until.sort((a, b) => compare(makeClock(graph.times[a], a), makeClock(graph.times[b], b))).at(-1)
        assert.equal(graph.numberOf(headAt(graph.store, DOCUMENT, at)), latest ?? -1)
        const shown = graph.numberOf(revisionAt(graph.store, DOCUMENT, at))
        if (latest !== undefined) assert.equal(shown, latest)
        else assert.ok(graph.parents[shown].length === 0, 'a first one')
      }),
    )
  })

  it('do not take what was renamed over a document for the document', () => {
    // 0 and 1 are the document, 2 a temporary made after 1, 3 the document again, after 2 was renamed over it.
    const line = { names: 0, later: 0, foreign: false }
    const graph = new Graph([
      { ...line, parents: [] },
      { ...line, parents: [0] },
      { ...line, parents: [], later: 5, foreign: true },
      { ...line, parents: [0, 1] },
    ])
    assert.deepEqual(graph.parents[3], [2, 1])
    assert.equal(graph.numberOf(headAt(graph.store, DOCUMENT, makeClock(5, 0xffff))), 1)
    assert.equal([...newestFirst(graph.store, graph.store.head())].length, 4)
  })

  it('tell what they can where chunks of old folders are missing', () => {
    const graph = new Graph([
      { parents: [], later: 0, names: 0b1, foreign: false },
      { parents: [0], later: 0, names: 0b1_0000_0001, foreign: false },
      { parents: [0], later: 0, names: 0b10_0000_0010, foreign: false },
    ])
    const whole = new FolderNames(graph)
    whole.update(graph.store.head())
    assert.equal([...whole.names()].length, 82)
    const missing = (id: Uint8Array) => {
      throw new ChunkMissingError(id)
    }
    const index = new FolderNames({ store: { ...graph.store, source: missing } })
    index.update(graph.store.head())
    assert.deepEqual([...index.names()], ['0 0'])
    const damaged = new FolderNames({
      store: {
        ...graph.store,
        source: () => {
          throw new TypeError('a mistake')
        },
      },
    })
    assert.throws(() => damaged.update(graph.store.head()), TypeError)
  })

  it('list no file that was there for a moment only, but folders, what stayed, what is there, and what came before it is known', () => {
    const [brief, back, stayed, there, folder] = [0, 1, 2, 3, 4].map((bit) => 1 << bit)
    const line = [
      { later: 0, names: stayed },
      { later: 0, names: stayed | brief | back | folder },
      { later: MOMENT - 2, names: stayed },
      { later: 0, names: back },
      { later: MOMENT - 1, names: 0 },
      { later: 0, names: brief },
      { later: 0, names: there },
    ]
    const graph = new Graph(line.map((node, i) => ({ ...node, parents: i === 0 ? [] : [0], foreign: false })))
    const lasting = () => [...index.lasting()].map((name) => name[0]).sort()
    let index = new FolderNames(graph)
    index.update(graph.store.head())
    assert.deepEqual(lasting(), ['1', '2', '3', '4'])
    // The same when it grows.
    index = new FolderNames(graph)
    for (let n = 0; n < line.length; n++) {
      graph.head = n
      index.update(graph.store.head())
    }
    assert.deepEqual(lasting(), ['1', '2', '3', '4'])
    assert.equal(index.names().length, 5)
    // A folder that came from elsewhere without its past.
    const cut = new Graph(line.map((node, i) => ({ ...node, parents: i === 0 ? [] : [0], foreign: false })))
    cut.forget(0)
    index = new FolderNames(cut)
    index.update(cut.store.head())
    assert.deepEqual(lasting(), ['0', '1', '2', '3', '4'])
  })

  it('name every name that a folder ever had, with who had it last first, also when it grows', () => {
    fc.assert(
      fc.property(nodes, fc.array(fc.nat(14), { maxLength: 3 }), (given, stops) => {
        const graph = new Graph(given)
        const index = new FolderNames(graph)
        const last = graph.head
        for (const stop of [...stops.filter((n) => n < last).sort((a, b) => a - b), last]) {
          // Heads only go forward.
          if (stop !== last && !graph.ancestors(last).has(stop)) continue
          graph.head = stop
          index.update(graph.store.head())
        }
        const expected = new Set<string>()
        for (const n of graph.ancestors(last))
          for (const { name } of entriesOf(given[n].names)) expected.add(Buffer.from(name).toString('latin1'))
        assert.deepEqual(new Set(index.names()), expected)
        for (const name of expected) assert.deepEqual(index.documents(name), [new Uint8Array(16).fill(Number(name[0]))])
      }),
    )
  })
})
