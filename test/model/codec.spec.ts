// Canonical encoding of revisions: golden vectors (kept for ever), round trip, and that nothing else is accepted.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { InvalidRevisionError, NotCanonicalError } from '../../lib/model/errors.js'
import {
  compareText,
  decodeRevision,
  encodeRevision,
  hashOf,
  hex,
  makeClock,
  ridOf,
  unhex,
} from '../../lib/model/index.js'
import { METADATA_DEPTH_MAX } from '../../lib/model/metadata.js'
import type { MetadataValue, Revision } from '../../lib/model/types.js'
import { revision as anyRevision, metadata } from './support.js'

const text = (s: string) => new TextEncoder().encode(s)

const smallest = (): Revision => ({
  parents: [],
  type: 'text/plain',
  flags: 0,
  created: { sec: 0, nsec: 0 },
  modified: { sec: 0, nsec: 0 },
  author: new Uint8Array(0),
  clock: makeClock(1, 2),
  comment: '',
  attributes: { mode: 0, uid: 0, gid: 0, rdev: 0, xattrs: [] },
  metadata: new Map(),
  parts: new Map(),
})

const full = (): Revision => ({
  parents: [hashOf(text('b')), hashOf(text('a'))].sort((a, b) => (hex(a) < hex(b) ? -1 : 1)),
  type: 'text/plain',
  flags: 5,
  created: { sec: -1, nsec: 999_999_999 },
  modified: { sec: 1_700_000_000, nsec: 1 },
  author: new Uint8Array(32).fill(0xaa),
  clock: makeClock(1_700_000_000_000, 7),
  comment: 'fünf',
  attributes: {
    mode: 0o100644,
    uid: 1000,
    gid: 100,
    rdev: 0,
    xattrs: [
      { name: text('user.a'), value: text('1') },
      { name: text('user.b'), value: new Uint8Array(0) },
    ],
  },
  metadata: new Map<string, MetadataValue>([
    ['bool', { kind: 'boolean', value: false }],
    ['data', { kind: 'data', value: text('x') }],
    ['doc', { kind: 'document', value: new Uint8Array(16).fill(1) }],
    ['int', { kind: 'integer', value: -3 }],
    ['list', { kind: 'list', value: [{ kind: 'text', value: 'tag' }, { kind: 'null' }] }],
    ['map', { kind: 'map', value: new Map([['k', { kind: 'number', value: 0.5 }]]) }],
    ['rev', { kind: 'revision', value: hashOf(text('r')) }],
    ['time', { kind: 'time', value: { sec: 1, nsec: 2 } }],
  ]),
  parts: new Map([
    ['content', { size: 5, inline: text('hello'), levels: 0 }],
    ['preview', { size: 1_000_000, root: hashOf(text('root')), levels: 1 }],
  ]),
})

const GOLDEN: [string, () => Revision, string, string][] = [
  [
    'the smallest revision',
    smallest,
    '08011a0a746578742f706c61696e2a003200420800000000000100025200',
    '1222cb016532f213ae8f9e3e453e5c3d864162cf77b0aa446ba9155024d5e4a85c',
  ],
  [
    'a revision with everything',
    full,
    '08011221123e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d122112ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb1a0a746578742f706c61696e20052a08080110ff93ebdc0332080880c49fd50c10013a20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa4208018bcfe5680000074a0566c3bc6e66522008a4830210e80718642a0b0a06757365722e611201312a080a06757365722e625a0a0a04626f6f6c120210005a0b0a046461746112033201785a190a03646f6312125210010101010101010101010101010101015a090a03696e74120218055a150a046c697374120d420b0a052a037461670a0208015a190a036d617012124a100a0e0a016b120921000000000000e03f5a2a0a0372657612235a2112454349e422f05297191ead13e21d3db520e5abef52055e4964b82fb213f593a15a0e0a0474696d6512063a040802100262140a07636f6e74656e7412090805120568656c6c6f62340a0770726576696577122908c0843d1a21124813494d137e1631bba301d5acab6e7bb7aa74ce1185d456565ef51d737677b22001',
    '12d334440b3940a9588b762536697dd9d5700a281ec0a31a1353554e024c649e42',
  ],
  [
    'a removal',
    () => ({
      ...smallest(),
      flags: 8,
      home: { folder: new Uint8Array(16).fill(3), name: text('a'), stamp: makeClock(1, 1) },
    }),
    '08021a0a746578742f706c61696e20082a0032004208000000000001000252006a1f0a10030303030303030303030303030303031201611a080000000000010001',
    '12cdbb19e700d70052b6fd897d5516cd7b008045f2baa3853cc696f8bc24e7837b',
  ],
]

describe('codec: revisions', () => {
  for (const [name, value, encoded, rid] of GOLDEN) {
    it(`encodes ${name} as it always did`, () => {
      assert.equal(hex(encodeRevision(value())), encoded)
      assert.equal(hex(ridOf(encodeRevision(value()))), rid)
      assert.deepEqual(decodeRevision(unhex(encoded)), value())
    })
  }

  it('gives back what was encoded, of any revision', () => {
    fc.assert(
      fc.property(anyRevision, (value) => {
        const bytes = encodeRevision(value)
        assert.deepEqual(hex(encodeRevision(decodeRevision(bytes))), hex(bytes))
        assert.deepEqual(decodeRevision(bytes).parts, value.parts)
        assert.deepEqual(decodeRevision(bytes).metadata, value.metadata)
        assert.deepEqual(decodeRevision(bytes).attributes, value.attributes)
      }),
      { numRuns: 300 },
    )
  })

  it('encodes a value one way, whatever the order of its maps', () => {
    fc.assert(
      fc.property(metadata, (fields) => {
        const forth = { ...smallest(), metadata: fields }
        const back = { ...smallest(), metadata: new Map([...fields].reverse()) }
        assert.equal(hex(encodeRevision(forth)), hex(encodeRevision(back)))
      }),
    )
  })

  it('orders keys by their UTF-8 bytes', () => {
    const sign = (x: number) => Math.sign(x)
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (a, b) => {
        assert.equal(sign(compareText(a, b)), sign(Buffer.compare(Buffer.from(a), Buffer.from(b))))
      }),
      { examples: [['\uffee', '\u{1f600}']] },
    )
  })

  it('takes a flipped bit for another revision or refuses it, and never throws anything untyped', () => {
    const bytes = encodeRevision(full())
    let accepted = 0
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const other = new Uint8Array(bytes)
      other[bit >> 3] ^= 1 << (bit & 7)
      try {
        assert.equal(hex(encodeRevision(decodeRevision(other))), hex(other))
        accepted++
      } catch (error) {
        assert.ok(error instanceof NotCanonicalError, String(error))
      }
    }
    assert.ok(accepted > 100)
  })

  it('refuses truncated and extended encodings', () => {
    const bytes = encodeRevision(full())
    let accepted = 0
    for (let length = 0; length < bytes.length; length++) {
      const short = bytes.subarray(0, length)
      try {
        assert.equal(hex(encodeRevision(decodeRevision(short))), hex(short))
        accepted++
      } catch (error) {
        assert.ok(error instanceof NotCanonicalError, String(error))
      }
    }
    // Without its last metadata fields and parts it is another revision.
    assert.equal(accepted, full().metadata.size + full().parts.size)
    assert.throws(() => decodeRevision(new Uint8Array([...bytes, 0])), NotCanonicalError)
  })

  it('refuses or understands any bytes', () => {
    const start = encodeRevision(smallest())
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(start.length), (tail, keep) => {
        const bytes = new Uint8Array([...start.subarray(0, keep), ...tail])
        try {
          assert.equal(hex(encodeRevision(decodeRevision(bytes))), hex(bytes))
        } catch (error) {
          assert.ok(error instanceof NotCanonicalError, String(error))
        }
      }),
      { numRuns: 2000 },
    )
  })

  const refused: [string, string][] = [
    ['a default on the wire', '@+2000'],
    ['an unknown field', '@+f80101'],
    ['fields out of order', '@>'],
    ['a varint that is longer than needed', '@08>8100'],
    ['another version', '@08>02'],
  ]
  for (const [name, edit] of refused) {
    it(`refuses ${name}`, () => {
      const good = hex(encodeRevision(smallest()))
      const bad = edit.startsWith('@+')
        ? good + edit.slice(2)
        : edit === '@>'
          ? good.slice(4) + good.slice(0, 4)
          : `08${edit.slice(4)}${good.slice(4)}`
      assert.throws(() => decodeRevision(unhex(bad)), NotCanonicalError)
    })
  }

  it('refuses metadata keys that are not sorted', () => {
    const two = {
      ...smallest(),
      metadata: new Map<string, MetadataValue>([
        ['a', { kind: 'null' }],
        ['b', { kind: 'null' }],
      ]),
    }
    const good = hex(encodeRevision(two))
    assert.ok(good.includes('0161') && good.includes('0162'))
    const bad = good.replace('0161', '0163')
    assert.throws(() => decodeRevision(unhex(bad)), NotCanonicalError)
    assert.throws(() => decodeRevision(unhex(good.replace('0161', '0162'))), NotCanonicalError)
  })

  it('bounds the depth of metadata', () => {
    const nested = (depth: number): MetadataValue =>
      depth === 1 ? { kind: 'null' } : { kind: 'map', value: new Map([['k', nested(depth - 1)]]) }
    const lists = (depth: number): MetadataValue =>
      depth === 1 ? { kind: 'null' } : { kind: 'list', value: [lists(depth - 1)] }
    for (const make of [nested, lists]) {
      const deepest = { ...smallest(), metadata: new Map([['m', make(METADATA_DEPTH_MAX)]]) }
      assert.deepEqual(decodeRevision(encodeRevision(deepest)), deepest)
      const deeper = { ...smallest(), metadata: new Map([['m', make(METADATA_DEPTH_MAX + 1)]]) }
      assert.throws(() => encodeRevision(deeper), InvalidRevisionError)
    }
  })

  it('refuses hostile depth and counts without an untyped error', () => {
    let value = '0801'
    for (let i = 0; i < 2000; i++) value = lengthDelimited('42', lengthDelimited('0a', value))
    const start = hex(encodeRevision(smallest()))
    const field = lengthDelimited('5a', `0a016d${lengthDelimited('12', value)}`)
    assert.throws(() => decodeRevision(unhex(start + field)), NotCanonicalError)
    assert.throws(() => decodeRevision(unhex(start + '5a00'.repeat(200_000))), NotCanonicalError)
    assert.throws(() => decodeRevision(new Uint8Array(600 * 1024)), NotCanonicalError)
  })

  const invalid: [string, Partial<Revision>][] = [
    ['parents out of order', { parents: full().parents.reverse() }],
    ['a parent twice', { parents: [hashOf(text('a')), hashOf(text('a'))] }],
    ['a parent of another algorithm', { parents: [new Uint8Array(33)] }],
    ['no type', { type: '' }],
    ['a lone surrogate', { comment: '\ud800' }],
    ['nanoseconds of a whole second', { modified: { sec: 0, nsec: 1e9 } }],
    ['seconds that are no integer', { created: { sec: 0.5, nsec: 0 } }],
    ['half an author', { author: new Uint8Array(16) }],
    ['a short clock', { clock: new Uint8Array(7) }],
    ['a negative mode', { attributes: { ...smallest().attributes, mode: -1 } }],
    ['NaN', { metadata: new Map([['x', { kind: 'number', value: Number.NaN }]]) }],
    ['an integer beyond 2^53', { metadata: new Map([['x', { kind: 'integer', value: 2 ** 53 }]]) }],
    ['too much inline', { parts: new Map([['content', { size: 513, inline: new Uint8Array(513), levels: 0 }]]) }],
    ['little content with a root', { parts: new Map([['content', { size: 5, root: hashOf(text('a')), levels: 0 }]]) }],
    [
      'a size that is not that of the bytes',
      { parts: new Map([['content', { size: 5, inline: text('abc'), levels: 0 }]]) },
    ],
    [
      'one chunk of a gigabyte',
      { parts: new Map([['content', { size: 2 ** 30, root: hashOf(text('a')), levels: 0 }]]) },
    ],
    ['too many levels', { parts: new Map([['content', { size: 2 ** 30, root: hashOf(text('a')), levels: 11 }]]) }],
    [
      'too many parents',
      { parents: Array.from({ length: 65 }, (_, i) => new Uint8Array(33).fill(i).fill(0x12, 0, 1)) },
    ],
  ]
  for (const [name, change] of invalid) {
    it(`does not encode ${name}`, () => {
      assert.throws(() => encodeRevision({ ...smallest(), ...change }), InvalidRevisionError)
    })
  }

  it('does not keep the bytes it was given', () => {
    const bytes = Buffer.from(encodeRevision(full()))
    const value = decodeRevision(bytes)
    bytes.fill(0)
    assert.deepEqual(value, full())
  })
})

function lengthDelimited(tag: string, body: string): string {
  let length = body.length / 2
  let varint = ''
  for (; length > 127; length >>>= 7) varint += ((length & 127) | 128).toString(16).padStart(2, '0')
  return tag + varint + length.toString(16).padStart(2, '0') + body
}
