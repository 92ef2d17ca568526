import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import fc from 'fast-check'
import { hex } from '../../../lib/model/bytes.js'
import { encodeContent } from '../../../lib/model/content-tree.js'
import { hashOf } from '../../../lib/model/hash.js'
import type { ChunkSource, Content } from '../../../lib/model/types.js'
import type { HashJob } from '../../../lib/volume/hashing/hash-job.js'
import { hashSpool } from '../../../lib/volume/hashing/hash-spool.js'
import { noise } from '../noise.js'

interface Case {
  base: number
  baseSize: number
  size: number
  ranges: [number, number][]
  seed: number
}

describe('hashing a spool', () => {
  let directory: string
  let file: string

  before(() => {
    directory = mkdtempSync(path.join(tmpdir(), 'peerdrive-hashing-'))
    file = path.join(directory, 'spool')
  })
  after(() => rmSync(directory, { recursive: true }))

  const job = (values: Partial<HashJob> & { size: number }): HashJob => ({
    path: file,
    volume: directory,
    baseSize: 0,
    ranges: [],
    ...values,
  })
  const nothing: ChunkSource = (id) => {
    throw new Error(`asked for ${hex(id)}`)
  }

  it('gives a file without a base the content that its bytes have anywhere', () => {
    const bytes = noise(3_000_000, 7)
    writeFileSync(file, bytes)
    const { content, chunks, lists } = hashSpool(job({ size: bytes.length }), nothing)
    const expected = encodeContent(bytes)
    assert.deepEqual(content, expected.content)
    for (const chunk of chunks)
      assert.deepEqual(chunk.id, hashOf(bytes.subarray(chunk.offset, chunk.offset + chunk.length)))
    assert.equal(chunks.length + lists.length, expected.chunks.length)
  })

  it('reads what the file does not reach as zeros', () => {
    const bytes = new Uint8Array(1_000_000)
    bytes.set(noise(200_000, 3))
    writeFileSync(file, bytes.subarray(0, 200_000))
    assert.deepEqual(hashSpool(job({ size: bytes.length }), nothing).content, encodeContent(bytes).content)
  })

  it('is inline when it was cut short', () => {
    writeFileSync(file, 'abcdefgh')
    const { content, chunks } = hashSpool(job({ size: 5 }), nothing)
    assert.deepEqual(content, { size: 5, inline: new Uint8Array(Buffer.from('abcde')), levels: 0 })
    assert.equal(chunks.length, 0)
  })

  const cases: fc.Arbitrary<Case> = fc
    .record({
      base: fc.integer({ min: 600, max: 1_200_000 }),
      shown: fc.double({ min: 0, max: 1, noNaN: true }),
      size: fc.integer({ min: 1, max: 1_500_000 }),
      marks: fc.uniqueArray(fc.integer({ min: 0, max: 1_500_000 }), { maxLength: 8 }),
      seed: fc.integer({ min: 1, max: 1e6 }),
    })
    .map(({ base, shown, size, marks, seed }) => {
      const sorted = marks.filter((m) => m <= size).sort((a, b) => a - b)
      const ranges: [number, number][] = []
      for (let i = 0; i + 1 < sorted.length; i += 2) ranges.push([sorted[i], sorted[i + 1] - sorted[i]])
      return { base, baseSize: Math.min(size, Math.floor(base * shown)), size, ranges, seed }
    })

  it('is the same over a base, whatever was written, cut or extended', () => {
    fc.assert(
      fc.property(cases, ({ base, baseSize, size, ranges, seed }) => {
        const old = noise(base, seed)
        const { content, chunks } = encodeContent(old)
        const store = new Map(chunks.map((chunk) => [hex(chunk.id), chunk.bytes]))
        const own = noise(size, seed + 1)
        const file = new Uint8Array(size)
        const bytes = new Uint8Array(size)
        bytes.set(old.subarray(0, baseSize))
        for (const [offset, length] of ranges) {
          file.set(own.subarray(offset, offset + length), offset)
          bytes.set(own.subarray(offset, offset + length), offset)
        }
        checkOver(content, store, { file, bytes, baseSize, size, ranges })
      }),
      { numRuns: 40 },
    )
  })

  function checkOver(
    base: Content,
    store: Map<string, Uint8Array>,
    {
      file: own,
      bytes,
      ...values
    }: { file: Uint8Array; bytes: Uint8Array } & Pick<HashJob, 'baseSize' | 'size' | 'ranges'>,
  ): void {
    writeFileSync(file, own)
    const expected = encodeContent(bytes)
    const result = hashSpool(job({ ...values, base }), (id) => store.get(hex(id)) ?? nothing(id))
    assert.deepEqual(result.content, expected.content)
    const stored = new Set([
      ...store.keys(),
      ...result.chunks.map((c) => hex(c.id)),
      ...result.lists.map((l) => hex(l.id)),
    ])
    for (const { id } of expected.chunks)
      assert.ok(stored.has(hex(id)), 'a chunk of the content is not stored by anyone')
  }

  it('hashes only around what changed', () => {
    const old = noise(8_000_000, 5)
    const { content, chunks } = encodeContent(old)
    const store = new Map(chunks.map((chunk) => [hex(chunk.id), chunk.bytes]))
    const bytes = old.slice()
    bytes[4_000_000] ^= 1
    writeFileSync(file, bytes.subarray(0, 4_000_001))
    const { hashed, content: made } = hashSpool(
      job({ size: old.length, base: content, baseSize: old.length, ranges: [[4_000_000, 1]] }),
      (id) => store.get(hex(id)) ?? nothing(id),
    )
    assert.deepEqual(made, encodeContent(bytes).content)
    assert.ok(hashed < 1_000_000, `${hashed} bytes were hashed for one that changed`)
  })
})
