// Content trees: golden roots, every read path against plain arrays, differences, hostile lists.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { ModelError } from '../../lib/model/errors.js'
import * as model from '../../lib/model/index.js'
import { hashOf, hex } from '../../lib/model/index.js'
import type { ChunkRef, Content } from '../../lib/model/types.js'
import { Chunks, noise } from './support.js'

const refs = (count: number, seed = 0): ChunkRef[] =>
  Array.from({ length: count }, (_, i) => ({
    id: hashOf(new TextEncoder().encode(`${seed} ${i}`)),
    size: 600 + (i % 7),
  }))

function build(chunks: ChunkRef[], store: Chunks): Content {
  const { content, lists } = model.buildContent(chunks)
  store.add(lists)
  return content
}

describe('content tree', () => {
  it('has the roots it always had', () => {
    const roots = [1, 2, 2000].map((count) => model.buildContent(refs(count)).content)
    assert.deepEqual(
      roots.map((content) => `${content.size} ${content.levels} ${hex(content.root!)}`),
      [
        '600 0 12933305f987bcf5fb6c250018e35a6eee1528f06013807a4136ec13622909af97',
        '1201 1 1225fede647875b14f974c6f64a867a02fd2a16273abefafee006ba587bedc9a42',
        '1205995 2 1233089f11ac0d6b3b67a4c5ce0bb3ee8a1c7d96790dba03b8c9d005a2ce06bd14',
      ],
    )
    assert.equal(
      hex(model.encodeList(refs(2))),
      '12933305f987bcf5fb6c250018e35a6eee1528f06013807a4136ec13622909af970000000000000258125cc3a6551605a0b4e9c3334f5eb5554c404973daf0b1a58655fa29c0ba3d47b00000000000000259',
    )
  })

  it('takes small bytes inline, and only those', () => {
    assert.deepEqual(model.encodeContent(noise(512)), { content: model.inlineContent(noise(512)), chunks: [] })
    assert.equal(model.encodeContent(noise(513)).content.levels, 0)
    assert.throws(() => model.inlineContent(noise(513)), ModelError)
    assert.throws(() => model.buildContent([]), ModelError)
    assert.throws(() => model.buildContent([{ id: refs(1)[0].id, size: 512 }]), ModelError)
  })

  it('names the leaves of a range without reading other lists', () => {
    const store = new Chunks()
    const chunks = refs(5000)
    const content = build(chunks, store)
    assert.equal(content.levels, 2)
    const all = [...model.leaves(content, store.source)]
    assert.deepEqual(
      all.map(({ id, size }) => ({ id: hex(id), size })),
      chunks.map(({ id, size }) => ({ id: hex(id), size })),
    )
    fc.assert(
      fc.property(fc.nat(content.size), fc.nat(5000), (from, length) => {
        const to = Math.min(from + length, content.size)
        const expected = all.filter((leaf) => from < to && leaf.offset < to && leaf.offset + leaf.size > from)
        store.reads.length = 0
        assert.deepEqual([...model.leaves(content, store.source, from, to)], expected)
        assert.ok(store.reads.length <= 3)
      }),
    )
  })

  it('reads back what was written, any range', () => {
    const bytes = noise(1_000_000)
    const store = new Chunks()
    const { content, chunks } = model.encodeContent(bytes)
    store.add(chunks)
    fc.assert(
      fc.property(fc.nat(bytes.length + 10), fc.nat(bytes.length + 10), (from, to) => {
        assert.ok(
          model.equal(model.readContent(content, store.source, from, to), bytes.subarray(from, Math.max(from, to))),
        )
      }),
      { numRuns: 50 },
    )
  })

  it('shares most lists after a change, whatever its place', () => {
    const store = new Chunks()
    const chunks = refs(5000)
    const a = build(chunks, store)
    for (const place of [0, 2500, 4999]) {
      const changed = [...chunks]
      changed.splice(place, 1, ...refs(2, 7))
      const b = build(changed, store)
      const fresh = model.diffContent(a, b, store.source)
      assert.ok(fresh.length <= 2 + 4, `${fresh.length} chunks`)
    }
  })

  it('names exactly the chunks that the other does not have, where no data repeats', () => {
    const edits = fc.array(fc.tuple(fc.nat(2999), fc.nat(3), fc.nat(3)), { maxLength: 4 })
    fc.assert(
      fc.property(edits, fc.integer({ min: 1, max: 3000 }), (changes, count) => {
        const store = new Chunks()
        const before = refs(3000)
        const after = refs(count)
        changes.forEach(([at, remove, add], i) => {
          after.splice(Math.min(at, after.length), remove, ...refs(add, i + 1))
        })
        if (after.length === 0) return
        const [a, b] = [build(before, store), build(after, store)]
        const has = new Set([...model.allChunks(a, store.source)].map(({ id }) => hex(id)))
        const wanted = [...model.allChunks(b, store.source)].map(({ id }) => hex(id)).filter((id) => !has.has(id))
        assert.deepEqual(model.diffContent(a, b, store.source).map(hex).sort(), wanted.sort())
        assert.deepEqual(model.diffContent(b, b, store.source), [])
      }),
      { numRuns: 40 },
    )
  })

  it('knows everything of a content that repeats itself', () => {
    const store = new Chunks()
    const one = refs(1)[0]
    const zeros = build(new Array(5000).fill(one), store)
    const chunks = [...model.allChunks(zeros, store.source)]
    assert.equal(new Set(chunks.map(({ id }) => hex(id))).size, chunks.length)
    assert.deepEqual(
      model
        .diffContent(model.inlineContent(new Uint8Array(0)), zeros, store.source)
        .map(hex)
        .sort(),
      chunks.map(({ id }) => hex(id)).sort(),
    )
  })

  it('is not led astray by lists that repeat without end', () => {
    // Ten levels of 1000 equal entries each: 10^30 leaves, in eleven chunks.
    const store = new Chunks()
    let below: ChunkRef = { id: refs(1)[0].id, size: 1 }
    for (let level = 1; level <= 5; level++) {
      const bytes = model.encodeList(new Array(1000).fill(below))
      const list = { id: hashOf(bytes), bytes }
      store.add([list])
      below = { id: list.id, size: below.size * 1000 }
    }
    const content = { size: below.size, root: below.id, levels: 5 }
    assert.equal([...model.allChunks(content, store.source)].length, 6)
    assert.equal(model.diffContent(model.inlineContent(new Uint8Array(0)), content, store.source).length, 6)
    assert.equal([...model.leaves(content, store.source, 5, 7)].length, 2)
  })

  it('refuses lists whose sizes do not add up, at any level', () => {
    const store = new Chunks()
    const content = build(refs(3000), store)
    for (const size of [content.size - 1, content.size + 1]) {
      assert.throws(() => [...model.leaves({ ...content, size }, store.source)], ModelError)
    }
    assert.throws(() => [...model.leaves({ ...content, levels: content.levels + 1 }, store.source)])
  })

  it('never throws anything untyped for any list', () => {
    const list = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc
        .array(fc.uint8Array({ minLength: 40, maxLength: 40 }), { maxLength: 5 })
        .map((es) => new Uint8Array(es.flatMap((e) => [0x12, ...e]))),
    )
    fc.assert(
      fc.property(list, fc.option(fc.nat(), { nil: undefined }), (bytes, size) => {
        try {
          assert.equal(hex(model.encodeList(model.decodeList(bytes, size))), hex(bytes))
        } catch (error) {
          assert.ok(error instanceof ModelError, String(error))
        }
      }),
      { numRuns: 500 },
    )
    assert.throws(() => model.decodeList(new Uint8Array(41 * 1025).fill(0x12)), ModelError)
  })
})
