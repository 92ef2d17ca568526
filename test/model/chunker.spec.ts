// Chunker: golden cuts (kept for ever), both implementations alike, pieces do not matter, changes stay local.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { InvalidContentError } from '../../lib/model/errors.js'
import { GEAR } from '../../lib/model/gear.js'
import { CHUNK_MAX, CHUNK_MIN, Chunker, concat, cut, hashOf, hex, rechunk } from '../../lib/model/index.js'
import type { ChunkRef } from '../../lib/model/types.js'
import { noise } from './support.js'

const refsOf = (bytes: Uint8Array): ChunkRef[] => {
  let offset = 0
  return cut(bytes).map((size) => {
    const id = hashOf(bytes.subarray(offset, offset + size))
    offset += size
    return { id, size }
  })
}

/** Contents that matter to a chunker: random, constant, repeating, mixed. */
const contents: [string, Uint8Array][] = [
  ['random', noise(3_000_000)],
  ['zeros', new Uint8Array(1_000_000)],
  ['repeating', concat(new Array(300).fill(noise(5000)))],
  ['mixed', concat([noise(400_000, 3), new Uint8Array(600_000), noise(400_000, 4)])],
  ['empty', new Uint8Array(0)],
  ['one byte', new Uint8Array(1)],
  ['exactly the minimum', noise(CHUNK_MIN)],
  ['one more', noise(CHUNK_MIN + 1)],
  ['exactly the maximum', new Uint8Array(CHUNK_MAX)],
]

describe('chunker', () => {
  it('cuts where it always did', () => {
    assert.equal(
      hex(hashOf(new Uint8Array(GEAR.buffer))),
      '12b0f629ff5621c3f23330ce1e14a9a213d145d91176364364b5e6a7ff31fa2d59',
    )
    assert.deepEqual(GEAR.slice(0, 2), new Int32Array([-1126402733, 394245686]))
    assert.deepEqual(cut(noise(300_000)), [16936, 36685, 55645, 46283, 32941, 44227, 32933, 34350])
  })

  for (const [name, bytes] of contents) {
    it(`cuts alike in WebAssembly and in JavaScript, within bounds: ${name}`, () => {
      const lengths = cut(bytes)
      assert.deepEqual(cut(bytes, { implementation: 'js' }), lengths)
      assert.equal(
        lengths.reduce((a, b) => a + b, 0),
        bytes.length,
      )
      assert.ok(lengths.every((n) => n <= CHUNK_MAX))
      assert.ok(lengths.slice(0, -1).every((n) => n > CHUNK_MIN))
    })

    it(`does not care about the pieces: ${name}`, () => {
      const whole = cut(bytes)
      fc.assert(
        fc.property(
          fc.array(fc.integer({ min: 1, max: 400_000 }), { maxLength: 12 }),
          fc.constantFrom('wasm' as const, 'js' as const),
          (sizes, implementation) => {
            const chunker = new Chunker({ implementation })
            const lengths: number[] = []
            let offset = 0
            for (const size of [...sizes, bytes.length]) {
              lengths.push(...chunker.push(bytes.subarray(offset, offset + size)))
              offset = Math.min(offset + size, bytes.length)
            }
            assert.deepEqual([...lengths, ...chunker.flush()], whole)
          },
        ),
        { numRuns: 10 },
      )
    })
  }

  it('is about 37 KiB on average, and shares all but the chunk that changed', () => {
    const bytes = noise(8_000_000, 9)
    const before = refsOf(bytes)
    assert.ok(before.length > 180 && before.length < 260, `${before.length} chunks`)
    const after = refsOf(concat([noise(5, 2), bytes]))
    const known = new Set(before.map((chunk) => hex(chunk.id)))
    assert.ok(after.filter((chunk) => !known.has(hex(chunk.id))).length <= 2)
  })

  it('may be used again after a flush', () => {
    const chunker = new Chunker()
    const bytes = noise(200_000)
    for (let i = 0; i < 2; i++) assert.deepEqual([...chunker.push(bytes), ...chunker.flush()], cut(bytes))
  })
})

describe('rechunk', () => {
  const base = concat([noise(700_000, 5), new Uint8Array(500_000), noise(600_000, 6)])
  const old = refsOf(base)

  /** Applies the writes to the base, cut or extended to `size`; tells what changed. */
  function edit(writes: [number, number][], size: number) {
    const bytes = new Uint8Array(size)
    bytes.set(base.subarray(0, size))
    const touched = new Uint8Array(size)
    for (const [offset, length] of writes) {
      const end = Math.min(offset + length, size)
      if (offset < end) bytes.set(noise(end - offset, offset + 11), offset)
      touched.fill(1, offset, end)
    }
    const changed: { offset: number; length: number }[] = []
    for (let i = 0; i < size; i++) {
      if (!touched[i]) continue
      const offset = i
      while (touched[i]) i++
      changed.push({ offset, length: i - offset })
    }
    return { bytes, changed }
  }

  const run = (bytes: Uint8Array, changed: { offset: number; length: number }[]) => {
    let read = 0
    const source = (offset: number, length: number) => {
      read += length
      return bytes.slice(offset, offset + length)
    }
    return { chunks: [...rechunk({ old, changed, size: bytes.length, read: source })], read: () => read }
  }

  it('gives what chunking the whole gives', () => {
    const write = fc.tuple(fc.nat(2_000_000), fc.oneof(fc.nat(10), fc.nat(300_000)))
    const size = fc.oneof(fc.constant(base.length), fc.nat(2_200_000), fc.constantFrom(...boundaries(old)))
    fc.assert(
      fc.property(fc.array(write, { maxLength: 4 }), size, (writes, length) => {
        const { bytes, changed } = edit(writes, length)
        const { chunks } = run(bytes, changed)
        let offset = 0
        const found = chunks.map((chunk) => {
          assert.equal(chunk.offset, offset)
          offset += chunk.size
          if (chunk.bytes) assert.equal(chunk.bytes.length, chunk.size)
          return { id: hex(chunk.id ?? hashOf(chunk.bytes)), size: chunk.size }
        })
        assert.deepEqual(
          found,
          refsOf(bytes).map(({ id, size }) => ({ id: hex(id), size })),
        )
      }),
      { numRuns: 120 },
    )
  })

  it('reads nothing where nothing changed, and little where little did', () => {
    assert.equal(run(base, []).read(), 0)
    const one = edit([[300_000, 1]], base.length)
    const { chunks, read } = run(one.bytes, one.changed)
    assert.ok(chunks.filter((chunk) => chunk.bytes).length <= 3)
    assert.ok(read() <= 4 * CHUNK_MAX, `${read()} bytes`)
  })

  it('sees a change of the first and of the last byte of a chunk', () => {
    for (const boundary of boundaries(old).filter((_, i) => i % 3 === 0)) {
      for (const offset of [boundary - 1, boundary]) {
        const bytes = base.slice()
        bytes[offset] ^= 1
        const ids = run(bytes, [{ offset, length: 1 }]).chunks.map((chunk) => hex(chunk.id ?? hashOf(chunk.bytes)))
        assert.deepEqual(
          ids,
          refsOf(bytes).map(({ id }) => hex(id)),
        )
      }
    }
  })

  it('reads the tail when something is appended', () => {
    const longer = edit([], base.length + 10)
    const { chunks, read } = run(longer.bytes, [])
    assert.ok(chunks.filter((chunk) => chunk.bytes).length <= 2)
    assert.ok(read() <= 2 * CHUNK_MAX)
  })

  it('refuses ranges out of order and short reads', () => {
    const read = () => new Uint8Array(0)
    const changed = [
      { offset: 10, length: 5 },
      { offset: 12, length: 1 },
    ]
    assert.throws(() => [...rechunk({ old, changed, size: 100, read })], InvalidContentError)
    assert.throws(() => [...rechunk({ old: [], changed: [], size: 100, read })], InvalidContentError)
  })
})

function boundaries(chunks: ChunkRef[]): number[] {
  let offset = 0
  return chunks.map((chunk) => (offset += chunk.size))
}
