// Arbitrary values of the data model for properties, and a place to keep chunks. Test support only.

import fc from 'fast-check'
import { equal, hashOf, hex, makeClock } from '../../lib/model/index.js'
import type { Attributes, Chunk, ChunkSource, Content, MetadataValue, Revision } from '../../lib/model/types.js'

/** A ChunkSource over a Map, which counts what is read and checks every chunk against its id. */
export class Chunks {
  readonly #chunks = new Map<string, Uint8Array>()
  readonly reads: string[] = []

  add(chunks: Iterable<Chunk>): void {
    for (const { id, bytes } of chunks) {
      if (!equal(hashOf(bytes), id)) throw new Error(`chunk ${hex(id)} is not what its id says`)
      this.#chunks.set(hex(id), bytes)
    }
  }

  keys(): string[] {
    return [...this.#chunks.keys()]
  }

  readonly source: ChunkSource = (id) => {
    this.reads.push(hex(id))
    const bytes = this.#chunks.get(hex(id))
    if (!bytes) throw new Error(`no chunk ${hex(id)}`)
    return bytes
  }
}

/** Pseudo-random bytes that are the same in every run (xorshift). */
export function noise(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length)
  let x = (seed * 2654435761) | 1
  for (let i = 0; i < length; i++) {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    bytes[i] = x >>> 11
  }
  return bytes
}

const bytes = (minLength: number, maxLength = minLength) => fc.uint8Array({ minLength, maxLength })
/** Plain objects, as ours are. */
const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record<T>(model, { noNullPrototype: true })
const mapOf = <V>(key: fc.Arbitrary<string>, value: fc.Arbitrary<V>, maxLength: number): fc.Arbitrary<Map<string, V>> =>
  fc.array(fc.tuple(key, value), { maxLength }).map((entries) => new Map(entries))
const hash = bytes(32).map((b) => new Uint8Array([0x12, ...b]))
const clock = fc.tuple(fc.nat(2 ** 31 - 1), fc.nat(65535)).map(([ms, counter]) => makeClock(ms * 1000, counter))
const text = (maxLength: number) => fc.string({ unit: 'binary', maxLength }).filter((s) => s.isWellFormed())
const time = record({ sec: fc.maxSafeInteger(), nsec: fc.nat(999_999_999) })
const unsigned = fc.nat(0xffffffff)

const attributes: fc.Arbitrary<Attributes> = record({
  mode: unsigned,
  uid: unsigned,
  gid: unsigned,
  rdev: fc.constant(0),
  xattrs: fc
    .uniqueArray(record({ name: bytes(1, 8).filter((b) => !b.includes(0)), value: bytes(0, 8) }), {
      selector: (x) => hex(x.name),
      maxLength: 4,
    })
    .map((xs) => xs.sort((a, b) => (hex(a.name) < hex(b.name) ? -1 : 1))),
})

export const metadataValue: fc.Arbitrary<MetadataValue> = fc.letrec<{ value: MetadataValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constant<MetadataValue>({ kind: 'null' }),
    record({ kind: fc.constant('boolean' as const), value: fc.boolean() }),
    record({ kind: fc.constant('integer' as const), value: fc.maxSafeInteger() }),
    record({ kind: fc.constant('number' as const), value: fc.double({ noNaN: true }) }),
    record({ kind: fc.constant('text' as const), value: text(12) }),
    record({ kind: fc.constant('data' as const), value: bytes(0, 12) }),
    record({ kind: fc.constant('time' as const), value: time }),
    record({ kind: fc.constant('document' as const), value: bytes(16) }),
    record({ kind: fc.constant('revision' as const), value: hash }),
    record({ kind: fc.constant('list' as const), value: fc.array(tie('value'), { maxLength: 3 }) }),
    record({
      kind: fc.constant('map' as const),
      value: mapOf(
        text(6).filter((s) => s.length > 0),
        tie('value'),
        3,
      ),
    }),
  ),
})).value

export const metadata: fc.Arbitrary<Map<string, MetadataValue>> = mapOf(
  text(8).filter((s) => s.length > 0),
  metadataValue,
  4,
)

export const content: fc.Arbitrary<Content> = fc.oneof(
  bytes(0, 40).map((inline): Content => ({ size: inline.length, inline, levels: 0 })),
  record({ size: fc.integer({ min: 513, max: 256 * 1024 }), root: hash, levels: fc.constant(0) }),
  record({
    size: fc.integer({ min: 513, max: Number.MAX_SAFE_INTEGER }),
    root: hash,
    levels: fc.integer({ min: 1, max: 10 }),
  }),
)

export const revision: fc.Arbitrary<Revision> = record({
  parents: fc
    .uniqueArray(hash, { selector: hex, maxLength: 3 })
    .map((ids) => ids.sort((a, b) => (hex(a) < hex(b) ? -1 : 1))),
  type: fc.constantFrom('text/plain', 'inode/directory', 'x'),
  flags: fc.nat(15),
  created: time,
  modified: time,
  author: fc.oneof(bytes(0), bytes(32)),
  clock,
  comment: text(20),
  attributes,
  metadata,
  parts: mapOf(fc.constantFrom('content', 'entries', 'preview', 'ä'), content, 3),
  home: fc.option(
    record({ folder: bytes(16), name: bytes(1, 20).map((name) => name.map((b) => b | 64)), stamp: clock }),
    {
      nil: undefined,
    },
  ),
}).map(({ home, ...value }): Revision => (home ? { ...value, home } : { ...value, flags: value.flags & 7 }))
