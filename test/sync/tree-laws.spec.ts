// Laws of the tree, without devices, links or time: some replicas of heads, changed at random, which hand each other heads of some
// documents in any order. Everything here is a function of revisions; histories that break a law are made small by fast-check.

import assert from 'node:assert/strict'
import fc from 'fast-check'
import { encodeContent } from '../../lib/model/content-tree.js'
import { decodeFolder, encodeFolder } from '../../lib/model/folder.js'
import {
  encodeRevision,
  equal,
  hex,
  isPlace,
  isRemoved,
  makeClock,
  mergeHeads,
  ridOf,
  successor,
} from '../../lib/model/index.js'
import { settleTree } from '../../lib/model/settle.js'
import { type Claim, entriesOf, type HeadStep, type TreeFacts } from '../../lib/model/tree-facts.js'
import {
  type Chunk,
  type Clock,
  type DId,
  FLAG_REMOVED,
  type FolderEntry,
  PART_CONTENT,
  PART_ENTRIES,
  type Revision,
  type RId,
  TYPE_FOLDER,
  TYPE_LINK,
} from '../../lib/model/types.js'
import { standingOf } from '../../lib/sync/standing.js'
import { Chunks } from '../model/support.js'

const did = (n: number): DId => new Uint8Array(16).fill(n)
const ROOT = did(255)
const text = (s: string) => new TextEncoder().encode(s)
const FILE = 0o100644
const FOLDER = 0o040755
const FILE_TYPE = FILE >> 12

/** Revisions that exist anywhere. Which of them a replica has is decided by its heads. */
class Revisions {
  readonly all = new Map<string, Revision>()
  readonly chunks = new Chunks()
  /** Documents that somebody removed, hex. */
  readonly removed = new Set<string>()
  /** Files that somebody gave a further name, hex. */
  readonly linked = new Set<string>()
  #time = 0

  look = (rid: RId): Revision | undefined => this.all.get(hex(rid))

  add(revision: Revision, chunks: Chunk[] = []): RId {
    this.chunks.add(chunks)
    const rid = ridOf(encodeRevision(revision))
    this.all.set(hex(rid), revision)
    return rid
  }

  clock(): Clock {
    return makeClock(1_000_000 + ++this.#time)
  }

  entries(rid: RId | undefined): FolderEntry[] {
    return decodeFolder(entriesOf(rid && this.look(rid)), this.chunks.source)
  }
}

class Replica {
  readonly heads = new Map<string, { document: DId; head: RId }>()

  constructor(
    readonly revisions: Revisions,
    readonly author: Uint8Array,
  ) {}

  copy(): Replica {
    const copy = new Replica(this.revisions, this.author)
    for (const [key, head] of this.heads) copy.heads.set(key, head)
    return copy
  }

  head(document: DId): RId | undefined {
    return this.heads.get(hex(document))?.head
  }

  *claims(): Iterable<Claim> {
    const seen = new Set<string>()
    const folders = [ROOT]
    for (let folder = folders.pop(); folder; folder = folders.pop()) {
      if (seen.has(hex(folder))) continue
      seen.add(hex(folder))
      for (const entry of this.revisions.entries(this.head(folder))) {
        yield { folder, entry }
        folders.push(entry.document)
      }
    }
  }

  facts(): TreeFacts {
    const claims = (document: DId) => [...this.claims()].filter(({ entry }) => equal(entry.document, document))
    return {
      ...{
        root: ROOT,
        head: (d: DId) => this.head(d),
        revision: this.revisions.look,
        source: this.revisions.chunks.source,
      },
      whereabouts: async (documents) =>
        documents.map((d) => ({ names: claims(d).length, parent: claims(d)[0]?.folder })),
      claims: async (document) => claims(document),
    }
  }

  /** Takes heads from elsewhere. Answers how much that changed. */
  async take(heads: Iterable<{ document: DId; head: RId }>): Promise<number> {
    const { revisions } = this
    const steps = [...heads].map(({ document, head }): HeadStep => {
      const before = this.head(document)
      if (!before) return { document, after: head }
      const standing = equal(before, head) ? 'nothing' : standingOf(before, head, revisions.look)
      if (standing !== 'merge') return { document, before, after: standing === 'nothing' ? before : head }
      const { revision, chunks } = mergeHeads(before, head, {
        revision: revisions.look,
        source: revisions.chunks.source,
      })
      return { document, before, after: revisions.add(revision, chunks) }
    })
    const { repairs } = await settleTree(this.facts(), steps)
    let changed = 0
    const set = (document: DId, head: RId) => {
      const before = this.head(document)
      if (before && equal(before, head)) return
      this.heads.set(hex(document), { document, head })
      changed++
    }
    for (const { document, after } of steps) set(document, after)
    for (const { document, revision, chunks } of repairs) set(document, revisions.add(revision, chunks))
    return changed
  }

  // What people do

  #revise(document: DId, change: Partial<Revision>, chunks: Chunk[] = []): void {
    const before = this.head(document)
    const old = before && this.revisions.look(before)
    const revision: Revision = {
      ...{ type: 'text/plain', flags: 0, comment: '', metadata: new Map(), parts: new Map() },
      ...{ created: { sec: 1, nsec: 0 }, modified: { sec: 1, nsec: 0 } },
      attributes: { mode: FILE, uid: 0, gid: 0, rdev: 0, xattrs: [] },
      ...old,
      ...{ flags: (old?.flags ?? 0) & ~FLAG_REMOVED, ...change },
      ...{ parents: before ? [before] : [], author: this.author, clock: this.revisions.clock() },
    }
    this.heads.set(hex(document), { document, head: this.revisions.add(revision, chunks) })
  }

  #setEntries(folder: DId, entries: FolderEntry[]): void {
    const { content, chunks } = encodeFolder(entries.sort((a, b) => Buffer.compare(a.name, b.name)))
    const attributes = { mode: FOLDER, uid: 0, gid: 0, rdev: 0, xattrs: [] }
    this.#revise(folder, { type: TYPE_FOLDER, attributes, parts: new Map([[PART_ENTRIES, content]]) }, chunks)
  }

  #link(folder: DId, entry: FolderEntry): void {
    const others = this.revisions.entries(this.head(folder)).filter(({ name }) => !equal(name, entry.name))
    this.#setEntries(folder, [...others, entry])
  }

  #unlink({ folder, entry }: Claim): void {
    this.#setEntries(
      folder,
      this.revisions.entries(this.head(folder)).filter(({ name }) => !equal(name, entry.name)),
    )
  }

  isFolder = (document: DId): boolean => this.revisions.look(this.head(document)!)?.type === TYPE_FOLDER

  #place(claims: Claim[], x: number): Claim | undefined {
    return claims.length ? claims[x % claims.length] : undefined
  }

  act({ kind, x, y, document }: Act): void {
    const claims = [...this.claims()]
    const folders = [ROOT, ...claims.map(({ entry }) => entry.document).filter(this.isFolder)]
    const folder = folders[y % folders.length]
    const claim = this.#place(claims, x)
    const name = text(`n${x % 4}`)
    const taken = this.revisions.entries(this.head(folder)).some((entry) => equal(entry.name, name))
    if (kind === 'create' || kind === 'mkdir') {
      if (taken) return
      if (kind === 'mkdir') this.#setEntries(document, [])
      else this.#write(document, x)
      this.#link(folder, { name, document, type: kind === 'mkdir' ? 4 : 8, stamp: this.revisions.clock() })
    } else if (!claim) return
    else if (kind === 'write') {
      if (!this.isFolder(claim.entry.document)) this.#write(claim.entry.document, y)
    } else if (kind === 'remove') this.#remove(claim)
    else if (kind === 'link') {
      if (taken || this.isFolder(claim.entry.document)) return
      const type = FILE_TYPE | TYPE_LINK
      this.revisions.linked.add(hex(claim.entry.document))
      this.#link(folder, { ...claim.entry, name, type, stamp: this.revisions.clock() })
    } else if (!taken && !this.#isBelow(folder, claim.entry.document)) {
      this.#unlink(claim)
      const clock = this.revisions.clock()
      const { stamp } = claim.entry
      const later = Buffer.compare(stamp, clock) >= 0 ? successor(stamp) : clock
      this.#link(folder, { ...claim.entry, name, stamp: later })
    }
  }

  #write(document: DId, x: number): void {
    const { content, chunks } = encodeContent(text(`content ${x}`))
    this.#revise(document, { parts: new Map([[PART_CONTENT, content]]) }, chunks)
  }

  #isBelow(document: DId, folder: DId): boolean {
    if (equal(document, folder)) return true
    return this.revisions.entries(this.head(folder)).some((entry) => this.#isBelow(document, entry.document))
  }

  #remove(claim: Claim): void {
    const { folder, entry } = claim
    for (const inside of this.revisions.entries(this.head(entry.document)))
      this.#remove({ folder: entry.document, entry: inside })
    this.#unlink(claim)
    this.revisions.removed.add(hex(entry.document))
    const names = [...this.claims()].filter(({ entry: { document } }) => equal(document, entry.document))
    if (names.length > 0) {
      // A further name becomes the place if it was that one.
      if (isPlace(entry)) this.#makePlace(names[0], names, entry.stamp)
      return
    }
    const { flags } = this.revisions.look(this.head(entry.document)!)!
    this.#revise(entry.document, {
      flags: flags | FLAG_REMOVED,
      home: { folder, name: entry.name, stamp: entry.stamp },
    })
  }

  #makePlace({ folder, entry }: Claim, names: Claim[], lost: Clock): void {
    const stamps = [lost, ...names.map(({ entry }) => entry.stamp)]
    const stamp = successor(stamps.reduce((x, y) => (Buffer.compare(x, y) > 0 ? x : y)))
    this.#link(folder, { ...entry, type: entry.type & ~TYPE_LINK, stamp })
  }

  /** Path → document and content, sorted. */
  tree(folder = ROOT, path = '', above: string[] = []): string[] {
    assert.ok(!above.includes(hex(folder)), `a circle at ${path}`)
    return this.revisions.entries(this.head(folder)).flatMap((entry) => {
      const at = `${path}/${Buffer.from(entry.name)}`
      const content = this.revisions.look(this.head(entry.document)!)!.parts.get(PART_CONTENT)?.inline
      const line = `${at} ${hex(entry.document).slice(0, 4)} ${content ? Buffer.from(content) : ''}`
      return [line, ...this.tree(entry.document, at, [...above, hex(folder)])]
    })
  }

  check(): void {
    const claims = [...this.claims()]
    const places = claims.filter(({ entry }) => isPlace(entry)).map(({ entry }) => hex(entry.document))
    assert.equal(new Set(places).size, places.length, 'a document has two places')
    const named = new Set(claims.map(({ entry }) => hex(entry.document)))
    for (const [key, { head }] of this.heads) {
      const there = named.has(key) || key === hex(ROOT)
      assert.ok(there || isRemoved(this.revisions.look(head)!), `${key} is nowhere`)
    }
  }
}

interface Act {
  kind: 'create' | 'mkdir' | 'write' | 'remove' | 'move' | 'link'
  replica: number
  x: number
  y: number
  document: DId
}
type Command = Act | { kind: 'deliver'; from: number; to: number; part: number }

const COUNT = 3

const act = fc.record({
  kind: fc.constantFrom(
    'create' as const,
    'mkdir' as const,
    'write' as const,
    'remove' as const,
    'move' as const,
    'move' as const,
    'link' as const,
  ),
  replica: fc.nat(COUNT - 1),
  x: fc.nat(7),
  y: fc.nat(7),
})
const deliver = fc.record({
  kind: fc.constant('deliver' as const),
  from: fc.nat(COUNT - 1),
  to: fc.nat(COUNT - 1),
  part: fc.nat(255),
})
const history: fc.Arbitrary<Command[]> = fc
  .array(fc.oneof({ arbitrary: act, weight: 3 }, { arbitrary: deliver, weight: 1 }), { minLength: 4, maxLength: 30 })
  .map((list) => list.map((one, i): Command => (one.kind === 'deliver' ? one : { ...one, document: did(i + 1) })))

async function replay(commands: Command[]): Promise<Replica[]> {
  const revisions = new Revisions()
  const replicas = Array.from({ length: COUNT }, (_, i) => new Replica(revisions, new Uint8Array(32).fill(i + 1)))
  const empty: Revision = {
    ...{ parents: [], type: TYPE_FOLDER, flags: 0, comment: '', metadata: new Map(), author: new Uint8Array(0) },
    ...{ created: { sec: 1, nsec: 0 }, modified: { sec: 1, nsec: 0 }, clock: makeClock(1) },
    attributes: { mode: FOLDER, uid: 0, gid: 0, rdev: 0, xattrs: [] },
    parts: new Map([[PART_ENTRIES, encodeFolder([]).content]]),
  }
  const root = { document: ROOT, head: revisions.add(empty) }
  for (const replica of replicas) replica.heads.set(hex(ROOT), root)
  for (const command of commands) {
    if (command.kind !== 'deliver') replicas[command.replica].act(command)
    else if (command.from !== command.to) {
      // Documents before the folders that name them, as devices do; of those only some.
      const heads = closure(replicas[command.from], command.part)
      await replicas[command.to].take(heads)
    }
  }
  return replicas
}

/** Some heads, and those of all documents that folders among them name. */
function closure(from: Replica, part: number): { document: DId; head: RId }[] {
  const heads = new Map<string, { document: DId; head: RId }>()
  const add = (one: { document: DId; head: RId }): void => {
    if (heads.has(hex(one.document))) return
    heads.set(hex(one.document), one)
    for (const { document } of from.revisions.entries(one.head)) add(from.heads.get(hex(document))!)
  }
  for (const [i, one] of [...from.heads.values()].entries()) if (part & (1 << (i % 8))) add(one)
  return [...heads.values()]
}

/** All tell each other everything, in this order, until nothing changes any more. */
async function exchange(replicas: Replica[], pairs: [number, number][]): Promise<void> {
  for (let round = 0; ; round++) {
    assert.ok(round < 30, 'they go on changing each other')
    let changed = 0
    for (const [from, to] of pairs) changed += await replicas[to].take([...replicas[from].heads.values()])
    if (changed === 0) return
  }
}

const PAIRS: [number, number][] = [
  [0, 1],
  [1, 2],
  [2, 0],
  [1, 0],
  [2, 1],
  [0, 2],
]
const SEED = process.env.PEERDRIVE_SEED ? { seed: Number(process.env.PEERDRIVE_SEED) } : {}
const RUNS = { numRuns: Number(process.env.PEERDRIVE_LAWS ?? 150), ...SEED }

describe('Trees of heads that were changed apart', function () {
  this.timeout(30_000 + RUNS.numRuns * 200)

  it('keep a file of which two removed one name each', async () => {
    const x = { replica: 0, x: 0, y: 0, document: did(1) }
    const told = [1, 2].map((to): Command => ({ kind: 'deliver', from: 0, to, part: 255 }))
    for (const [one, other] of [
      [0, 1],
      [1, 0],
    ]) {
      const replicas = await replay([
        { ...x, kind: 'create' },
        { ...x, kind: 'link', x: 1 },
        ...told,
        // Of the names n0 and n1 in the root the first is the place.
        { ...x, kind: 'remove', replica: one, x: 0 },
        { ...x, kind: 'remove', replica: other, x: 1 },
      ])
      await exchange(replicas, PAIRS)
      for (const replica of replicas) {
        replica.check()
        assert.deepEqual(replica.tree(), [`/n1 ${'01'.repeat(2)} content 0`])
      }
    }
  })

  it('are the same everywhere in the end, whatever the order, with one place for all that nobody removed', () =>
    fc.assert(
      fc.asyncProperty(history, fc.shuffledSubarray(PAIRS, { minLength: PAIRS.length }), async (commands, pairs) => {
        const replicas = await replay(commands)
        await exchange(replicas, pairs)
        const [first, ...others] = replicas
        first.check()
        for (const other of others) {
          assert.deepEqual(other.tree(), first.tree())
          assert.deepEqual(
            [...other.heads.values()].map(({ head }) => hex(head)).sort(),
            [...first.heads.values()].map(({ head }) => hex(head)).sort(),
          )
        }
      }),
      RUNS,
    ))

  // Which of two with the same name has the mark may: it is a name like others once a merge gave it.
  // And of what several removed while another one changed it, the order may decide whether it comes back; of a file with several
  // names, which of them stay, if it gets its place from several at once.
  it('do not depend on the order of delivery, but for marks in names', () =>
    fc.assert(
      fc.asyncProperty(history, fc.shuffledSubarray(PAIRS, { minLength: PAIRS.length }), async (commands, pairs) => {
        const replicas = await replay(commands)
        const copies = replicas.map((replica) => replica.copy())
        await exchange(replicas, PAIRS)
        await exchange(copies, pairs)
        const unmarked = (replica: Replica) =>
          [...replica.claims()]
            .filter(({ folder, entry }) => ![folder, entry.document].some((d) => replica.revisions.removed.has(hex(d))))
            .filter(({ entry }) => !replica.revisions.linked.has(hex(entry.document)))
            .map(({ folder, entry }) => {
              const content = replica.revisions.look(replica.head(entry.document)!)!.parts.get(PART_CONTENT)?.inline
              const name = Buffer.from(entry.name)
                .toString()
                .replace(/~[0-9a-f]{8}/g, '')
              return `${hex(folder)} ${name} ${hex(entry.document)} ${content ? Buffer.from(content) : ''}`
            })
            .sort()
        assert.deepEqual(unmarked(copies[0]), unmarked(replicas[0]))
      }),
      RUNS,
    ))

  it('have all that any of them shows, unless somebody removed it', () =>
    fc.assert(
      fc.asyncProperty(history, async (commands) => {
        const replicas = await replay(commands)
        const shown = replicas.flatMap((replica) => [...replica.claims()].map(({ entry }) => hex(entry.document)))
        const removals = [...replicas[0].revisions.all.values()].filter((r) => isRemoved(r) && r.author.length)
        await exchange(replicas, PAIRS)
        const there = new Set([...replicas[0].claims()].map(({ entry }) => hex(entry.document)))
        for (const key of shown) {
          const isGone =
            replicas[0].heads.get(key) && isRemoved(replicas[0].revisions.look(replicas[0].heads.get(key)!.head)!)
          assert.ok(there.has(key) || (isGone && removals.length > 0), `${key} was shown and is lost`)
        }
      }),
      RUNS,
    ))
})
