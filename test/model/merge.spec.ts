// Merges: symmetric, deterministic, nothing lost. Rules by example, laws on random revisions and folders.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import * as model from '../../lib/model/index.js'
import { encodeRevision, equal, hashOf, hex, makeClock, mergeRevisions, ridOf } from '../../lib/model/index.js'
import {
  FLAG_CONFLICT,
  FLAG_STICKY,
  type FolderEntry,
  type MetadataValue,
  type Revision,
  type RId,
  TYPE_FOLDER,
  TYPE_SYMLINK,
} from '../../lib/model/types.js'
import { revision as anyRevision, Chunks, noise } from './support.js'

const utf8 = (text: string) => new TextEncoder().encode(text)
const did = (n: number) => hashOf(utf8(`document ${n}`)).slice(1, 17)

/** A little world: revisions by id, and their chunks. */
class World {
  readonly chunks = new Chunks()
  readonly revisions = new Map<string, Revision>()
  readonly components = { revision: (rid: RId) => this.revisions.get(hex(rid)), source: this.chunks.source }

  content(bytes: Uint8Array | string) {
    const { content, chunks } = model.encodeContent(typeof bytes === 'string' ? utf8(bytes) : bytes)
    this.chunks.add(chunks)
    return new Map([['content', content]])
  }

  folder(entries: FolderEntry[]) {
    const sorted = [...entries].sort((a, b) => model.compare(a.name, b.name))
    const { content, chunks } = model.encodeFolder(sorted)
    this.chunks.add(chunks)
    return new Map([['entries', content]])
  }

  make(change: Partial<Revision>, ...parents: RId[]): RId {
    const value: Revision = {
      parents: parents.sort(model.compare),
      type: 'text/plain',
      flags: 0,
      created: { sec: 5, nsec: 0 },
      modified: { sec: 10, nsec: 0 },
      author: new Uint8Array(32).fill(1),
      clock: makeClock(1000),
      comment: 'made',
      attributes: { mode: 0o100644, uid: 1, gid: 1, rdev: 0, xattrs: [] },
      metadata: new Map(),
      parts: new Map(),
      ...change,
    }
    return this.put(value)
  }

  put(value: Revision): RId {
    const rid = ridOf(encodeRevision(value))
    this.revisions.set(hex(rid), value)
    return rid
  }

  /** Merges both ways round, checks that they are the same, keeps the result. */
  merge(a: RId, b: RId): Revision {
    const one = model.mergeHeads(a, b, this.components)
    const other = model.mergeHeads(b, a, this.components)
    assert.equal(hex(encodeRevision(one.revision)), hex(encodeRevision(other.revision)))
    assert.equal(one.conflict, (one.revision.flags & FLAG_CONFLICT) !== 0)
    this.chunks.add(one.chunks)
    this.put(one.revision)
    return one.revision
  }

  text(value: Revision): string {
    return new TextDecoder().decode(model.readContent(value.parts.get('content')!, this.chunks.source))
  }

  names(value: Revision): Record<string, number> {
    const entries = model.decodeFolder(value.parts.get('entries')!, this.chunks.source)
    const known = Array.from({ length: 20 }, (_, n) => hex(did(n)))
    return Object.fromEntries(entries.map((e) => [Buffer.from(e.name).toString(), known.indexOf(hex(e.document))]))
  }
}

const lines = (n: number, change: Record<number, string> = {}) =>
  Array.from({ length: n }, (_, i) => `${change[i] ?? `line ${i}`}\n`).join('')

describe('merge: files', () => {
  it('makes a revision without author and time of its own', () => {
    const world = new World()
    const base = world.make({ parts: world.content('x') })
    const a = world.make({ comment: 'a', clock: makeClock(3000), created: { sec: 4, nsec: 9 } }, base)
    const b = world.make({ comment: 'b', clock: makeClock(2000) }, base)
    const merged = world.merge(a, b)
    assert.deepEqual(merged.parents, [a, b].sort(model.compare))
    assert.equal(merged.author.length, 0)
    assert.equal(merged.comment, '')
    assert.deepEqual(merged.clock, makeClock(3000))
    assert.deepEqual(merged.created, { sec: 4, nsec: 9 })
  })

  it('takes what one side changed, field by field', () => {
    const world = new World()
    const xattr = (name: string, value: string) => ({ name: utf8(name), value: utf8(value) })
    const attributes = {
      mode: 0o100644,
      uid: 1,
      gid: 1,
      rdev: 0,
      xattrs: [xattr('a', '1'), xattr('b', '1'), xattr('c', '1')],
    }
    const base = world.make({ parts: world.content('old'), attributes, flags: FLAG_CONFLICT })
    const a = world.make(
      {
        parts: world.content('new'),
        modified: { sec: 20, nsec: 0 },
        attributes: { ...attributes, xattrs: [xattr('a', '1'), xattr('b', '2'), xattr('d', '1')] },
        flags: FLAG_CONFLICT | FLAG_STICKY,
      },
      base,
    )
    const b = world.make(
      {
        parts: world.content('old'),
        modified: { sec: 99, nsec: 0 },
        attributes: { ...attributes, mode: 0o100600, xattrs: [xattr('b', '1'), xattr('c', '1')] },
      },
      base,
    )
    const merged = world.merge(a, b)
    assert.equal(world.text(merged), 'new')
    assert.deepEqual(merged.modified, { sec: 20, nsec: 0 })
    assert.equal(merged.attributes.mode, 0o100600)
    assert.deepEqual(merged.attributes.xattrs, [xattr('b', '2'), xattr('d', '1')])
    // One side dismissed the conflict, the other made it sticky.
    assert.equal(merged.flags, FLAG_STICKY)
  })

  it('merges texts whose changes do not touch, of any length', () => {
    for (const n of [9, 5000]) {
      const world = new World()
      const base = world.make({ parts: world.content(lines(n)) })
      const a = world.make({ parts: world.content(lines(n, { 1: 'A' })), modified: { sec: 30, nsec: 0 } }, base)
      const b = world.make({ parts: world.content(lines(n, { [n - 2]: 'B' })), modified: { sec: 20, nsec: 0 } }, base)
      const merged = world.merge(a, b)
      assert.equal(world.text(merged), lines(n, { 1: 'A', [n - 2]: 'B' }))
      assert.equal(merged.flags, 0)
      assert.deepEqual(merged.modified, { sec: 30, nsec: 0 })
    }
  })

  it('takes the later one where changes overlap, and says so', () => {
    const world = new World()
    const base = world.make({ parts: world.content(lines(9)) })
    const a = world.make({ parts: world.content(lines(9, { 3: 'A' })), clock: makeClock(3000) }, base)
    const b = world.make({ parts: world.content(lines(9, { 3: 'B' })), clock: makeClock(2000) }, base)
    const merged = world.merge(a, b)
    assert.equal(world.text(merged), lines(9, { 3: 'A' }))
    assert.equal(merged.flags, FLAG_CONFLICT)
  })

  it('decides by id where the clocks are equal', () => {
    const world = new World()
    const base = world.make({ parts: world.content(noise(3)) })
    const a = world.make({ parts: world.content('A\0'), comment: '1' }, base)
    const b = world.make({ parts: world.content('B\0'), comment: '2' }, base)
    assert.equal(world.text(world.merge(a, b)), model.compare(a, b) > 0 ? 'A\0' : 'B\0')
  })

  it('does not merge bytes or symlinks as texts', () => {
    for (const [type, old, left, right] of [
      ['application/x', 'a\n\0\nb\n', 'A\n\0\nb\n', 'a\n\0\nB\n'],
      [TYPE_SYMLINK, 'a\nx\ny\nb\n', 'A\nx\ny\nb\n', 'a\nx\ny\nB\n'],
    ]) {
      const world = new World()
      const base = world.make({ type, parts: world.content(old) })
      const a = world.make({ type, parts: world.content(left), clock: makeClock(3000) }, base)
      const b = world.make({ type, parts: world.content(right), clock: makeClock(2000) }, base)
      const merged = world.merge(a, b)
      assert.equal(world.text(merged), left)
      assert.equal(merged.flags, FLAG_CONFLICT)
    }
  })

  it('takes unrelated heads for changes of nothing', () => {
    const world = new World()
    const a = world.make({ parts: world.content('A'), clock: makeClock(3000) })
    const b = world.make({ parts: world.content('B'), clock: makeClock(2000) })
    const merged = world.merge(a, b)
    assert.equal(world.text(merged), 'A')
    assert.equal(merged.flags, FLAG_CONFLICT)
    const same = world.merge(a, world.make({ parts: world.content('A'), clock: makeClock(7) }))
    assert.equal(same.flags, 0)
  })

  it('takes one of them as a whole where a folder became a file', () => {
    const world = new World()
    const a = world.make({ type: TYPE_FOLDER, parts: world.folder([]), clock: makeClock(2000) })
    const b = world.make({ parts: world.content('B'), clock: makeClock(3000) })
    const merged = world.merge(a, b)
    assert.equal(merged.type, 'text/plain')
    assert.deepEqual([...merged.parts.keys()], ['content'])
    assert.equal(merged.flags, FLAG_CONFLICT)
  })

  it('merges the bases of a criss-cross first', () => {
    const world = new World()
    const root = world.make({ parts: world.content(lines(20)) })
    const x = world.make({ parts: world.content(lines(20, { 2: 'X' })), clock: makeClock(2000) }, root)
    const y = world.make({ parts: world.content(lines(20, { 17: 'Y' })), clock: makeClock(2001) }, root)
    const both = { 2: 'X', 17: 'Y' }
    const a = world.make({ parts: world.content(lines(20, { ...both, 8: 'A' })), clock: makeClock(3000) }, x, y)
    const b = world.make({ parts: world.content(lines(20, { ...both, 12: 'B' })), clock: makeClock(3001) }, x, y)
    const merged = world.merge(a, b)
    assert.equal(world.text(merged), lines(20, { ...both, 8: 'A', 12: 'B' }))
    assert.equal(merged.flags, 0)
  })

  it('merges a criss-crossed folder, and hands back all that is needed to read it', () => {
    const world = new World()
    const entries = Array.from({ length: 600 }, (_, i) => entry(`file ${i}`, i % 20))
    const folder = (...more: FolderEntry[]) => ({ type: TYPE_FOLDER, parts: world.folder([...entries, ...more]) })
    const root = world.make(folder())
    const x = world.make({ ...folder(entry('x', 1)), comment: 'x' }, root)
    const y = world.make({ ...folder(entry('y', 2)), comment: 'y' }, root)
    const a = world.make({ ...folder(entry('x', 1), entry('a', 3)) }, x, y)
    const b = world.make({ ...folder(entry('y', 2), entry('b', 4)) }, x, y)
    const names = world.names(world.merge(a, b))
    // a lacks y and b lacks x although both descend from both: taken for removals.
    assert.equal(Object.keys(names).length, 602)
    assert.ok('a' in names && 'b' in names)
  })
})

function entry(name: string, n: number, stamp = 1000, type = 8): FolderEntry {
  return { name: utf8(name), document: did(n), type, stamp: makeClock(stamp) }
}

describe('merge: folders', () => {
  const merge = (base: FolderEntry[] | undefined, left: FolderEntry[], right: FolderEntry[]) => {
    const world = new World()
    const folder = (entries: FolderEntry[], comment: string) => ({
      type: TYPE_FOLDER,
      parts: world.folder(entries),
      comment,
    })
    const parents = base ? [world.make(folder(base, 'base'))] : []
    const merged = world.merge(world.make(folder(left, 'a'), ...parents), world.make(folder(right, 'b'), ...parents))
    assert.equal(merged.flags, 0)
    return world.names(merged)
  }
  const short = (n: number) => hex(did(n)).slice(0, 8)

  it('keeps additions of both, takes removals of what the other left alone', () => {
    const base = [entry('kept', 1), entry('left', 2), entry('right', 3)]
    const left = [entry('kept', 1), entry('right', 3), entry('new a', 4)]
    const right = [entry('kept', 1), entry('left', 2), entry('new b', 5)]
    assert.deepEqual(merge(base, left, right), { kept: 1, 'new a': 4, 'new b': 5 })
  })

  it('keeps both documents of one name; the elder entry has the name', () => {
    assert.deepEqual(merge([], [entry('n.txt', 1, 2000)], [entry('n.txt', 2, 3000)]), {
      'n.txt': 1,
      [`n~${short(2)}.txt`]: 2,
    })
    assert.deepEqual(merge(undefined, [entry('n', 1, 5, 4)], [entry('n', 2, 3, 4)]), { n: 2, [`n~${short(1)}`]: 1 })
  })

  it('does not take a name that is taken for the second document', () => {
    const other = `n~${short(2)}.txt`
    const long = `n~${hex(did(2)).slice(0, 16)}.txt`
    assert.deepEqual(
      merge([entry(other, 7)], [entry('n.txt', 1, 2000), entry(other, 7)], [entry('n.txt', 2, 3000), entry(other, 7)]),
      {
        'n.txt': 1,
        [other]: 7,
        [long]: 2,
      },
    )
  })

  it('takes the later of two renames, and a rename over a removal', () => {
    const base = [entry('old', 1)]
    assert.deepEqual(merge(base, [entry('a', 1, 2000)], [entry('b', 1, 3000)]), { b: 1 })
    assert.deepEqual(merge(base, [], [entry('b', 1, 3000)]), { b: 1 })
    assert.deepEqual(merge(base, [entry('a', 1, 2000)], [entry('old', 1)]), { a: 1 })
  })

  it('follows two documents that swapped their names', () => {
    const base = [entry('x', 1), entry('y', 2)]
    const swapped = [entry('x', 2, 2000), entry('y', 1, 2000)]
    assert.deepEqual(merge(base, swapped, [...base, entry('z', 3)]), { x: 2, y: 1, z: 3 })
  })

  it('treats hard links name by name, but gives a folder one place', () => {
    const base = [entry('x', 1), entry('y', 1)]
    assert.deepEqual(merge(base, [entry('x', 1)], [entry('x', 1), entry('y', 1), entry('z', 1)]), { x: 1, z: 1 })
    const folder = [entry('x', 1, 5, 4)]
    assert.deepEqual(merge(folder, [entry('x', 1, 5, 4), entry('y', 1, 7, 4)], [entry('x', 1, 9, 4)]), { x: 1 })
  })

  const side = fc.uniqueArray(
    fc.tuple(fc.constantFrom('a', 'b', 'c', 'd.txt', 'e.txt'), fc.nat(5), fc.nat(4)).map(([n, d, s]) => entry(n, d, s)),
    { selector: (e) => hex(e.name), maxLength: 5 },
  )

  it('never loses a document that a side has and the other did not remove, nor names one that neither has', () => {
    fc.assert(
      fc.property(side, side, side, (base, left, right) => {
        const merged = merge(base, left, right)
        const found = new Set(Object.values(merged))
        const of = (entries: FolderEntry[]) => new Set(entries.map((e) => merge(undefined, [e], []) && indexOf(e)))
        const [inBase, inLeft, inRight] = [of(base), of(left), of(right)]
        for (const n of inLeft) if (inRight.has(n) || !inBase.has(n)) assert.ok(found.has(n), `document ${n} is lost`)
        for (const n of inRight) if (!inBase.has(n)) assert.ok(found.has(n), `document ${n} is lost`)
        for (const n of found) assert.ok(inLeft.has(n) || inRight.has(n))
      }),
      { numRuns: 200 },
    )
  })

  it('takes everything from one side if the other changed nothing', () => {
    fc.assert(
      fc.property(side, side, (base, left) => {
        const expected = Object.fromEntries(left.map((e) => [Buffer.from(e.name).toString(), indexOf(e)]))
        assert.deepEqual(merge(base, left, base), expected)
        assert.deepEqual(merge(base, left, left), expected)
      }),
      { numRuns: 100 },
    )
  })

  it('merges a large folder by its changes', () => {
    const world = new World()
    const entries = Array.from({ length: 30_000 }, (_, i) => entry(`file ${i}`, i % 20))
    const make = (list: FolderEntry[], comment: string, ...parents: RId[]) =>
      world.make({ type: TYPE_FOLDER, parts: world.folder(list), comment }, ...parents)
    const base = make(entries, 'base')
    const a = make([...entries, entry('a', 1)], 'a', base)
    const b = make(entries.slice(1), 'b', base)
    world.chunks.reads.length = 0
    const merged = model.mergeHeads(a, b, world.components)
    assert.ok(new Set(world.chunks.reads).size < 30, `${new Set(world.chunks.reads).size} chunks read`)
    world.chunks.add(merged.chunks)
    assert.equal(Object.keys(world.names(merged.revision)).length, 30_000)
  })
})

function indexOf(e: FolderEntry): number {
  return Array.from({ length: 20 }, (_, n) => n).findIndex((n) => equal(did(n), e.document))
}

describe('merge: names', () => {
  it('stay within 255 bytes and whole characters, and are given once', () => {
    const long = { ...entry('x', 1), name: utf8(`${'ä'.repeat(125)}.txt`) }
    const name = model.markedName(long, '12345678')
    assert.ok(name.length <= 255 && Buffer.from(name).toString().endsWith('ä~12345678.txt'))
    assert.equal(Buffer.from(model.markedName(entry('.profile', 1), 'm')).toString(), '.profile~m')
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom('n', 'n.c'), fc.nat(8), fc.nat(2)), { maxLength: 9 }), (list) => {
        const unique = new Map(list.map(([n, d, s]) => [`${n} ${d}`, entry(n, d, s)]))
        const entries = [...unique.values()]
        const named = model.separateNames(entries, () => false)
        assert.equal(new Set(named.map((e) => hex(e.name))).size, entries.length)
        assert.deepEqual(
          model.separateNames([...entries].reverse(), () => false),
          named,
        )
      }),
    )
  })
})

describe('merge: metadata', () => {
  const t = (value: string): MetadataValue => ({ kind: 'text', value })
  const list = (...values: string[]): MetadataValue => ({ kind: 'list', value: values.map(t) })
  const map = (o: Record<string, MetadataValue>) => new Map(Object.entries(o))
  const merge = (
    base: Record<string, MetadataValue>,
    a: Record<string, MetadataValue>,
    b: Record<string, MetadataValue>,
  ) => Object.fromEntries(model.mergeMetadata({ a: map(a), b: map(b), base: map(base), winner: 'a' }))

  it('goes key by key, down into maps', () => {
    assert.deepEqual(
      merge({ x: t('1'), y: t('1'), z: t('1') }, { x: t('2'), y: t('1') }, { x: t('1'), y: t('3'), z: t('1') }),
      { x: t('2'), y: t('3') },
    )
    const inner = (o: Record<string, MetadataValue>): MetadataValue => ({ kind: 'map', value: map(o) })
    assert.deepEqual(merge({}, { m: inner({ a: t('1') }) }, { m: inner({ b: t('2') }) }), {
      m: inner({ a: t('1'), b: t('2') }),
    })
    assert.deepEqual(merge({ x: t('1') }, {}, { x: t('2') }), { x: t('2') })
    assert.deepEqual(merge({}, { x: t('1') }, { x: t('2') }), { x: t('1') })
  })

  it('takes lists of texts for sets', () => {
    assert.deepEqual(
      merge({ tags: list('old', 'both') }, { tags: list('both', 'a') }, { tags: list('old', 'both', 'b') }),
      { tags: list('both', 'a', 'b') },
    )
    assert.deepEqual(merge({}, { tags: list('z', 'a') }, { tags: list('b', 'a') }), { tags: list('z', 'a', 'b') })
    const numbers: MetadataValue = { kind: 'list', value: [{ kind: 'integer', value: 1 }] }
    assert.deepEqual(merge({}, { tags: list('z') }, { tags: numbers }), { tags: list('z') })
  })
})

describe('merge: texts', () => {
  const merge = (a: string, base: string, b: string) => {
    const merged = model.mergeText(utf8(a), utf8(base), utf8(b))
    return merged && new TextDecoder().decode(merged)
  }

  it('keeps line ends as they are', () => {
    assert.equal(merge('A\r\nx\r\nb', 'a\r\nx\r\nb', 'a\r\nx\r\nB'), 'A\r\nx\r\nB')
    assert.equal(merge('', 'a\n', 'a\n'), '')
    assert.equal(merge('x\ny\n', 'x\n', 'x'), undefined)
    assert.equal(model.mergeText(new Uint8Array([0xff]), utf8('a'), utf8('a')), undefined)
  })

  it('gives what one side did if the other did nothing, for any text', () => {
    const text = fc.array(fc.constantFrom('a\n', 'b\n', 'c\n', '\n', 'd'), { maxLength: 12 }).map((l) => l.join(''))
    fc.assert(
      fc.property(text, text, text, (base, a, b) => {
        assert.equal(merge(a, base, base), a)
        assert.equal(merge(base, base, b), b)
        assert.equal(merge(a, base, a), a)
        assert.equal(merge(a, base, b), merge(b, base, a))
      }),
      { numRuns: 500 },
    )
  })

  it('does not hang on many equal lines or on many different ones', () => {
    assert.equal(merge(`x${'\n'.repeat(500_000)}y`, '\n'.repeat(400_000), `y${'\n'.repeat(300_000)}x`), undefined)
    const n = 60_000
    assert.equal(merge(lines(n, { 0: 'A' }), lines(n), lines(n, { [n - 1]: 'B' })), lines(n, { 0: 'A', [n - 1]: 'B' }))
  })
})

describe('merge: laws', () => {
  it('is symmetric, gives a valid revision, and is the head itself for one head', () => {
    const none = () => {
      throw new Error('no chunks here')
    }
    fc.assert(
      fc.property(anyRevision, anyRevision, fc.option(anyRevision, { nil: undefined }), (x, y, base) => {
        // Contents of their own trees cannot be read here: inline ones only, and no folders.
        const plain = (r: Revision): Revision => ({
          ...r,
          type: 'x',
          parts: new Map(
            [...r.parts].map(([name, content]) => [
              name,
              { size: 0, inline: new Uint8Array(0), levels: 0, ...(content.inline ? content : {}) },
            ]),
          ),
        })
        const [a, b, o] = [plain(x), plain(y), base && plain(base)]
        const one = mergeRevisions({ a, b, base: o, source: none })
        const other = mergeRevisions({ a: b, b: a, base: o, source: none })
        assert.equal(hex(encodeRevision(one.revision)), hex(encodeRevision(other.revision)))
        assert.deepEqual(mergeRevisions({ a, b: a, base: o, source: none }).revision, a)
        // Changes on one side only come through whole.
        const forward = mergeRevisions({ a, b, base: a, source: none }).revision
        for (const key of ['type', 'flags', 'attributes', 'metadata', 'parts'] as const) {
          assert.deepEqual(sortMaps(forward[key]), sortMaps(b[key]), key)
        }
      }),
      { numRuns: 500 },
    )
  })
})

function sortMaps(value: unknown): unknown {
  return value instanceof Map
    ? [...value].sort(([x], [y]) => model.compareText(x, y)).map(([k, v]) => [k, sortMaps(v)])
    : value
}
