// The graph of revisions: how two heads are related, their merge bases, and the order of a log. Walks parents through a
// callback, no further than it must and never more than a bound. Knows nothing of what is in a revision but its clock.
//
// A revision whose parents are not known (`undefined`: dropped by retention, or never received) counts as one without any.

import { compare, equal, hex } from './bytes.js'
import { HistoryLimitError } from './errors.js'
import type { Clock, RId } from './types.js'

export type ParentsOf = (rid: RId) => readonly RId[] | undefined

/** Of the first head to the second: `behind`: it is an ancestor of the second; `ahead`: the second is its ancestor. */
export type Relation = 'equal' | 'behind' | 'ahead' | 'diverged' | 'unrelated'

export interface HistoryOptions {
  /** Most revisions to look at; beyond that HistoryLimitError. Default 100,000. */
  maxVisited?: number
}

const VISITED_MAX = 100_000
const BELOW_A = 1
const BELOW_B = 2
const BOTH = 3
/** A proper ancestor of a common ancestor: no merge base. */
const STALE = 4

interface Node {
  rid: RId
  flags: number
  /** Once looked at. */
  parents?: Node[]
}

/**
 * Paints the graph from both heads, alternately, until no frontier is left outside of what both reach. Every merge base
 * is then painted by both: on a path from a head down to a merge base nothing else is common, so all of it is walked.
 */
class Painter {
  readonly #nodes = new Map<string, Node>()
  readonly #parentsOf: ParentsOf
  readonly #limit: number
  readonly #queues: [Node[], Node[]] = [[], []]
  readonly a: Node
  readonly b: Node
  #looked = 0

  constructor(a: RId, b: RId, parentsOf: ParentsOf, options: HistoryOptions) {
    this.#parentsOf = parentsOf
    this.#limit = options.maxVisited ?? VISITED_MAX
    this.a = this.#node(a)
    this.b = this.#node(b)
    this.#paint(this.a, BELOW_A)
    this.#paint(this.b, BELOW_B)
  }

  #node(rid: RId): Node {
    const key = hex(rid)
    let node = this.#nodes.get(key)
    if (!node) this.#nodes.set(key, (node = { rid, flags: 0 }))
    return node
  }

  #look(node: Node): Node[] {
    if (!node.parents) {
      if (++this.#looked > this.#limit) throw new HistoryLimitError(this.#limit)
      node.parents = (this.#parentsOf(node.rid) ?? []).map((rid) => this.#node(rid))
    }
    return node.parents
  }

  /** Adds flags to a node and to all that were painted below it; queues it if it was never met. */
  #paint(start: Node, flags: number): void {
    const stack: [Node, number][] = [[start, flags]]
    for (let top = stack.pop(); top; top = stack.pop()) {
      const [node, added] = top
      const before = node.flags
      node.flags |= added
      if (node.flags === before) continue
      if (before === 0) this.#queues[added & BELOW_A ? 0 : 1].push(node)
      // What is below a common one and was never met need not be: it could only be stale.
      const below = (node.flags & BOTH) === BOTH ? node.flags | STALE : node.flags
      for (const parent of node.parents ?? []) if (parent.flags !== 0 || below < BOTH) stack.push([parent, below])
    }
  }

  #step(queue: Node[], from: number): number {
    let index = from
    while (index < queue.length && (queue[index].flags & BOTH) === BOTH) index++
    if (index >= queue.length) return index
    const node = queue[index]
    for (const parent of this.#look(node)) this.#paint(parent, node.flags)
    return index + 1
  }

  run(): void {
    const [queueA, queueB] = this.#queues
    let a = 0
    let b = 0
    while (a < queueA.length || b < queueB.length) {
      if (this.a.flags & BELOW_B || this.b.flags & BELOW_A) return
      a = this.#step(queueA, a)
      b = this.#step(queueB, b)
    }
  }

  /** Painted by both and not known to be stale; every merge base is among them. */
  candidates(): Node[] {
    return [...this.#nodes.values()].filter((node) => (node.flags & BOTH) === BOTH && !(node.flags & STALE))
  }

  /** Those of the nodes that are no proper ancestors of others of them. */
  lowest(nodes: Node[]): Node[] {
    if (nodes.length < 2) return nodes
    const ancestors = new Set<Node>()
    const stack = nodes.flatMap((node) => this.#look(node))
    for (let node = stack.pop(); node; node = stack.pop()) {
      if (ancestors.has(node)) continue
      ancestors.add(node)
      stack.push(...this.#look(node))
    }
    return nodes.filter((node) => !ancestors.has(node))
  }
}

/**
 * All lowest common ancestors of two revisions, sorted bytewise: those that no other common ancestor descends from. None
 * if they are unrelated, [a] if a is an ancestor of b. Cost: about the revisions since, but where there is more than one
 * candidate (criss-cross merges) and where histories are unrelated all of their history. Throws HistoryLimitError.
 */
export function mergeBases(a: RId, b: RId, parentsOf: ParentsOf, options: HistoryOptions = {}): RId[] {
  if (equal(a, b)) return [a]
  const painter = new Painter(a, b, parentsOf, options)
  painter.run()
  for (const head of [painter.a, painter.b]) if ((head.flags & BOTH) === BOTH) return [head.rid]
  const lowest = painter.lowest(painter.candidates())
  return lowest.map((node) => node.rid).sort(compare)
}

/** How `a` is related to `b`. Cost and errors as of `mergeBases`. */
export function relationOf(a: RId, b: RId, parentsOf: ParentsOf, options: HistoryOptions = {}): Relation {
  if (equal(a, b)) return 'equal'
  const bases = mergeBases(a, b, parentsOf, options)
  if (bases.length === 0) return 'unrelated'
  if (equal(bases[0], a)) return 'behind'
  return equal(bases[0], b) ? 'ahead' : 'diverged'
}

export interface LogNode {
  parents: readonly RId[]
  clock: Clock
}

interface LogEntry {
  rid: RId
  clock: Clock
  parents: LogEntry[]
  /** Children that are not listed yet. */
  children: number
}

/** Later clock first, then the larger id. */
function before(a: LogEntry, b: LogEntry): boolean {
  return (compare(a.clock, b.clock) || compare(a.rid, b.rid)) > 0
}

/** Binary heap: the entry that comes first in the log on top. */
class LogHeap {
  readonly #items: LogEntry[] = []

  push(entry: LogEntry): void {
    const items = this.#items
    let i = items.push(entry) - 1
    for (let up = (i - 1) >> 1; i > 0 && before(entry, items[up]); up = (i - 1) >> 1) {
      items[i] = items[up]
      i = up
    }
    items[i] = entry
  }

  pop(): LogEntry | undefined {
    const items = this.#items
    const top = items[0]
    const last = items.pop()
    if (!last || items.length === 0) return top
    let i = 0
    for (let down = 1; down < items.length; down = 2 * i + 1) {
      if (down + 1 < items.length && before(items[down + 1], items[down])) down++
      if (!before(items[down], last)) break
      items[i] = items[down]
      i = down
    }
    items[i] = last
    return top
  }
}

function collect(heads: readonly RId[], revision: (rid: RId) => LogNode | undefined, limit: number): LogEntry[] {
  const entries = new Map<string, LogEntry>()
  const enter = (rid: RId): LogEntry | undefined => {
    const known = entries.get(hex(rid))
    if (known) return known
    const node = revision(rid)
    if (!node) return
    if (entries.size >= limit) throw new HistoryLimitError(limit)
    const entry = { rid, clock: node.clock, parents: [], children: 0 }
    entries.set(hex(rid), entry)
    stack.push([entry, node.parents])
    return entry
  }
  const stack: [LogEntry, readonly RId[]][] = []
  for (const head of heads) enter(head)
  for (let top = stack.pop(); top; top = stack.pop()) {
    for (const rid of top[1]) {
      const parent = enter(rid)
      if (!parent) continue
      top[0].parents.push(parent)
      parent.children++
    }
  }
  return [...entries.values()]
}

/**
 * The history of some heads, newest first: a revision always before its parents, and otherwise by clock. Revisions that
 * `revision` does not know are left out, with what is below them. Throws HistoryLimitError.
 */
export function* logOf(
  heads: readonly RId[],
  revision: (rid: RId) => LogNode | undefined,
  options: HistoryOptions = {},
): Generator<RId> {
  const ready = new LogHeap()
  for (const entry of collect(heads, revision, options.maxVisited ?? VISITED_MAX)) {
    if (entry.children === 0) ready.push(entry)
  }
  for (let next = ready.pop(); next; next = ready.pop()) {
    yield next.rid
    for (const parent of next.parents) if (--parent.children === 0) ready.push(parent)
  }
}
