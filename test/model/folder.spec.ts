// Folders: golden vectors, canonical entries, chunks that depend on names alone, differences and updates of O(changes).
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { ModelError, NotCanonicalError } from '../../lib/model/errors.js'
import * as model from '../../lib/model/index.js'
import { compare, equal, hashOf, hex, makeClock } from '../../lib/model/index.js'
import { CHUNK_LIMIT, type FolderChange, type FolderEntry } from '../../lib/model/types.js'
import { peerdrive } from '../../proto/gen/model.js'
import { Chunks } from './support.js'

const utf8 = (text: string) => new TextEncoder().encode(text)
const did = (n: number) => hashOf(utf8(`document ${n}`)).slice(1, 17)
const entry = (name: string | Uint8Array, n = 0, stamp = 1000): FolderEntry => ({
  name: typeof name === 'string' ? utf8(name) : name,
  document: did(n),
  type: 8,
  stamp: makeClock(stamp),
})
const many = (count: number): FolderEntry[] =>
  Array.from({ length: count }, (_, i) => entry(`file ${String(i).padStart(7, '0')}.txt`, i))

function store(entries: FolderEntry[], chunks: Chunks) {
  const encoded = model.encodeFolder(entries)
  chunks.add(encoded.chunks)
  return encoded.content
}

const name = fc
  .oneof(fc.uint8Array({ minLength: 1, maxLength: 6 }), fc.uint8Array({ minLength: 1, maxLength: 255 }))
  .filter((n) => model.nameFault(n) === undefined)
const anyEntry: fc.Arbitrary<FolderEntry> = fc
  .tuple(name, fc.nat(20), fc.integer({ min: 1, max: 15 }), fc.constantFrom(0, 16), fc.nat(5))
  .map(([n, document, type, link, stamp]) => ({ ...entry(n, document, stamp), type: type | link }))
const sorted = (entries: FolderEntry[]) => entries.sort((a, b) => compare(a.name, b.name))

describe('folder', () => {
  it('marks further names of a file in the type', () => {
    const link = { ...entry('a', 1, 1), document: new Uint8Array(16).fill(3), type: 8 | 16 }
    assert.equal(
      hex(model.encodeFolderEntries([link])),
      '210a0161121003030303030303030303030303030303181822080000000000010000',
    )
    for (const type of [0, 16, 32, 40]) assert.throws(() => model.encodeFolderEntries([{ ...link, type }]))
  })

  it('has the bytes it always had', () => {
    const two = [entry('a', 1), { ...entry('ö.txt', 2, 1_700_000_000_000), type: 4 }]
    assert.equal(
      hex(model.encodeFolderEntries(two)),
      '210a01611210caa0c419ed4b5d7628d1ce29a28ca678180822080000000003e80000260a06c3b62e74787412107a89f07afb4d1b977149fc8b7f2a180018042208018bcfe568000000',
    )
    const { content } = model.encodeFolder(many(100_000))
    assert.equal(
      `${content.size} ${content.levels} ${hex(content.root!)}`,
      '4900000 2 1269e798b19a2c404c4f3a543fd2ff0bf3a9012661a47ae1ea912d294c506dadfe',
    )
    assert.deepEqual(model.encodeFolder([]).content, model.inlineContent(new Uint8Array(0)))
  })

  it('encodes entries as protobuf does', () => {
    fc.assert(
      fc.property(anyEntry, (value) => {
        const inner = peerdrive.model.FolderEntry.encode(value).finish()
        const length = inner.length < 128 ? [inner.length] : [(inner.length & 127) | 128, inner.length >> 7]
        assert.equal(hex(model.encodeFolderEntries([value])), hex(new Uint8Array([...length, ...inner])))
        assert.equal(model.entryLength(value), inner.length + length.length)
      }),
    )
  })

  it('gives back what was encoded; any other bytes are refused or mean something else', () => {
    const list = fc.uniqueArray(anyEntry, { selector: (e) => hex(e.name), maxLength: 6 }).map(sorted)
    fc.assert(
      fc.property(list, fc.nat(), fc.nat(7), (entries, at, bit) => {
        const bytes = model.encodeFolderEntries(entries)
        assert.deepEqual(model.decodeFolderEntries(bytes), entries)
        if (bytes.length === 0) return
        const other = new Uint8Array(bytes)
        other[at % bytes.length] ^= 1 << bit
        try {
          assert.equal(hex(model.encodeFolderEntries(model.decodeFolderEntries(other))), hex(other))
        } catch (error) {
          assert.ok(error instanceof NotCanonicalError, String(error))
        }
      }),
      { numRuns: 1000 },
    )
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        try {
          assert.equal(hex(model.encodeFolderEntries(model.decodeFolderEntries(bytes))), hex(bytes))
        } catch (error) {
          assert.ok(error instanceof NotCanonicalError, String(error))
        }
      }),
    )
  })

  const wrong: [string, FolderEntry[]][] = [
    ['a slash', [entry('a/b')]],
    ['NUL', [entry('a\0')]],
    ['no name', [entry('')]],
    ['..', [entry('..')]],
    ['a long name', [entry('x'.repeat(256))]],
    ['no type', [{ ...entry('a'), type: 0 }]],
    ['half a document id', [{ ...entry('a'), document: new Uint8Array(8) }]],
    ['a name twice', [entry('a'), entry('a', 1)]],
    ['another order', [entry('b'), entry('a')]],
  ]
  for (const [what, entries] of wrong) {
    it(`refuses ${what}`, () => {
      assert.throws(() => model.encodeFolder(entries), ModelError)
    })
  }

  it('keeps chunks within bounds, whatever the names', () => {
    const silent: FolderEntry[] = []
    for (let i = 0; silent.length < 2000; i++) {
      const long = entry(`${String(i).padStart(7, '0')}${'x'.repeat(248)}`, i)
      if (!model.endsChunk(long.name)) silent.push(long)
    }
    const { chunks } = model.encodeFolder(silent)
    assert.ok(chunks.every(({ bytes }) => bytes.length <= CHUNK_LIMIT))
    const chunks2 = new Chunks()
    assert.equal(model.decodeFolder(store(silent, chunks2), chunks2.source).length, 2000)
  })

  it('reads a large folder back, and refuses chunks in the wrong order', () => {
    const chunks = new Chunks()
    const entries = many(5000)
    assert.deepEqual(model.decodeFolder(store(entries, chunks), chunks.source), entries)
    const cuts = [...model.cutEntries(entries)].map(model.folderChunk)
    chunks.add(cuts)
    const { content, lists } = model.buildContent(cuts.reverse().map(({ id, bytes }) => ({ id, size: bytes.length })))
    chunks.add(lists)
    assert.throws(() => model.decodeFolder(content, chunks.source), NotCanonicalError)
  })

  it('changes kilobytes when one entry of 100,000 changes, and reads no more to know it', () => {
    const chunks = new Chunks()
    const entries = many(100_000)
    const old = store(entries, chunks)
    const after = entry('file 0050000.txt', 7, 9000)
    const changes: FolderChange[] = [{ name: after.name, before: entries[50_000], after }]
    const updated = model.updateFolder(old, changes, chunks.source)
    chunks.add(updated.chunks)
    entries[50_000] = after
    assert.deepEqual(updated.content, model.encodeFolder(entries).content)
    const bytes = updated.chunks.reduce((sum, chunk) => sum + chunk.bytes.length, 0)
    assert.ok(updated.chunks.length <= 4 && bytes < 64 * 1024, `${updated.chunks.length} chunks, ${bytes} bytes`)
    chunks.reads.length = 0
    assert.deepEqual(model.diffFolder(old, updated.content, chunks.source), changes)
    assert.ok(chunks.reads.length <= 6, `${chunks.reads.length} reads`)
  })

  it('finds entries by name', () => {
    const chunks = new Chunks()
    const entries = many(3000)
    const folder = store(entries, chunks)
    fc.assert(
      fc.property(fc.nat(3001), fc.boolean(), (i, exact) => {
        const wanted = utf8(`file ${String(i).padStart(7, '0')}.txt${exact ? '' : '~'}`)
        const found = model.lookupFolder(folder, wanted, chunks.source)
        assert.deepEqual(found, exact ? entries[i] : undefined)
      }),
    )
    assert.equal(model.lookupFolder(folder, utf8('a'), chunks.source), undefined)
    assert.deepEqual(model.lookupFolder(model.encodeFolder([entry('a')]).content, utf8('a'), chunks.source), entry('a'))
  })

  const base = many(2500).filter((_, i) => i % 3 !== 2)
  // Names before, among and behind those of the base; single ones and whole stretches.
  const change = fc.tuple(fc.nat(2600), fc.constantFrom(1, 1, 1, 40, 900), fc.constantFrom('remove', 'set'), fc.nat(9))
  const edits = fc.array(change, { maxLength: 5 }).map((list) => {
    const changes = new Map<string, FolderChange>()
    for (const [first, count, action, n] of list) {
      for (let i = first; i < first + count; i++) {
        const value = entry(`file ${String(i).padStart(7, '0')}.txt`, n, 2000 + n)
        changes.set(hex(value.name), { name: value.name, after: action === 'set' ? value : undefined })
      }
    }
    return [...changes.values()]
  })

  it('updates to what encoding the result gives, and tells the difference', () => {
    fc.assert(
      fc.property(edits, fc.constantFrom(base, base.slice(0, 9), base.slice(0, 300), []), (changes, from) => {
        const chunks = new Chunks()
        const old = store(from, chunks)
        const oldChunks = new Set(chunks.keys())
        const byName = new Map(from.map((e) => [hex(e.name), e]))
        for (const { name: n, after } of changes) {
          if (after) byName.set(hex(n), after)
          else byName.delete(hex(n))
        }
        const expected = sorted([...byName.values()])
        const updated = model.updateFolder(old, changes, chunks.source)
        const whole = model.encodeFolder(expected)
        assert.deepEqual(updated.content, whole.content)
        assert.deepEqual(
          updated.chunks.map(({ id }) => hex(id)).sort(),
          whole.chunks
            .map(({ id }) => hex(id))
            .filter((id) => !oldChunks.has(id))
            .sort(),
        )
        chunks.add(updated.chunks)
        const difference = model.diffFolder(old, updated.content, chunks.source)
        assert.deepEqual(model.applyChanges(from, difference), expected)
        const real = difference.every(({ before, after }) => !model.sameEntry(before, after))
        assert.ok(real)
        const back = difference.map(({ name: n, before, after }) => ({ name: n, before: after, after: before }))
        assert.deepEqual(model.diffFolder(updated.content, old, chunks.source), back)
      }),
      { numRuns: 150 },
    )
  })

  it('refuses two changes of one name, and a change with the entry of another', () => {
    const folder = model.encodeFolder([entry('a')]).content
    const none = new Chunks().source
    assert.throws(() => model.updateFolder(folder, [{ name: utf8('a') }, { name: utf8('a') }], none), ModelError)
    assert.throws(() => model.updateFolder(folder, [{ name: utf8('a'), after: entry('b') }], none), ModelError)
    assert.ok(equal(model.updateFolder(folder, [], none).content.inline!, folder.inline!))
  })
})
