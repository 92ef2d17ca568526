import assert from 'node:assert/strict'
import fc from 'fast-check'
import '../../lib/model/protobuf-numbers.js'
import { SyncProtocolError } from '../../lib/sync/errors.js'
import { BATCH_CHANGES, MAX_FIELDS, MAX_OFFERS } from '../../lib/sync/limits.js'
import { decodeFrame, encodeFrame, type FrameBody } from '../../lib/sync/messages.js'
import { scanFrame } from '../../lib/sync/scan.js'
import { peerdrive } from '../../proto/gen/sync.js'

const wire = peerdrive.sync

const id = (fill: number) => new Uint8Array(16).fill(fill)
const hash = (fill: number) => Uint8Array.from([0x12, ...new Uint8Array(32).fill(fill)])
const EMPTY = new Uint8Array(0)

/** Bytes that must never change: devices of other versions read them. */
const GOLDEN: [string, FrameBody, string][] = [
  [
    'offers',
    { offers: { offers: [{ sid: id(1), root: id(2), label: 'home', lastSeq: 300 }] } },
    `0a2f0a2d0a10${'01'.repeat(16)}1210${'02'.repeat(16)}1a04686f6d6520ac02`,
  ],
  [
    'follow',
    { follow: { root: id(1), sid: id(2), after: 7, number: 3 } },
    `12280a10${'01'.repeat(16)}1210${'02'.repeat(16)}18072003`,
  ],
  [
    'changes',
    {
      changes: {
        root: id(1),
        sid: id(2),
        seq: 8,
        lastSeq: 9,
        changes: [{ document: id(3), head: hash(4), revision: Uint8Array.of(5) }],
        chunks: [Uint8Array.of(6)],
        number: 3,
      },
    },
    `1a670a10${'01'.repeat(16)}1210${'02'.repeat(16)}180820092a380a10${'03'.repeat(16)}122112${'04'.repeat(32)}1a010532010638` +
      '03',
  ],
  ['ack', { ack: { root: id(1), seq: 8, number: 3 } }, `22160a10${'01'.repeat(16)}10081803`],
  [
    'get',
    {
      get: {
        root: id(1),
        id: 2,
        revisions: [hash(3)],
        depth: 64,
        chunks: [hash(4)],
        documents: [id(5)],
        have: [hash(6)],
      },
    },
    `2a91010a10${'01'.repeat(16)}10021a2112${'03'.repeat(32)}20402a2112${'04'.repeat(32)}3210${'05'.repeat(16)}` +
      `3a2112${'06'.repeat(32)}`,
  ],
  [
    'answer',
    {
      answer: {
        id: 2,
        done: true,
        revisions: [Uint8Array.of(1)],
        chunks: [Uint8Array.of(2)],
        documents: [{ document: id(3), head: hash(4), revision: EMPTY }],
      },
    },
    `3241080210011a01012201022a350a10${'03'.repeat(16)}122112${'04'.repeat(32)}`,
  ],
  [
    'offers of one that keeps everything',
    { offers: { offers: [{ sid: id(1), root: id(2), label: 'home', lastSeq: 300, keeps: true }] } },
    `0a310a2f0a10${'01'.repeat(16)}1210${'02'.repeat(16)}1a04686f6d6520ac022801`,
  ],
  [
    'follow without chunks',
    { follow: { root: id(1), sid: id(2), after: 7, number: 3, bare: true } },
    `122a0a10${'01'.repeat(16)}1210${'02'.repeat(16)}180720032801`,
  ],
  [
    'get, what is kept',
    { get: { root: id(1), id: 2, revisions: [], depth: 0, chunks: [], documents: [], have: [], keeps: [hash(7)] } },
    `2a370a10${'01'.repeat(16)}10024a2112${'07'.repeat(32)}`,
  ],
  [
    'answer, what is kept',
    { answer: { id: 2, done: true, revisions: [], chunks: [], documents: [], keeps: [hash(7)] } },
    `322708021001322112${'07'.repeat(32)}`,
  ],
]

const asHex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const fromHex = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'))

/** Plain objects of plain arrays, to be compared. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return asHex(value)
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  const prototype = Object.getPrototypeOf(value)
  const keys = [...new Set([...Object.keys(value), ...(prototype === Object.prototype ? [] : Object.keys(prototype))])]
  const fields = keys.map((key): [string, unknown] => [key, plain((value as Record<string, unknown>)[key])])
  return Object.fromEntries(fields.filter(([, v]) => typeof v !== 'function' && v !== undefined && v !== false))
}

describe('Sync messages', () => {
  for (const [name, body, bytes] of GOLDEN) {
    it(`${name}: golden bytes, both ways`, () => {
      assert.equal(asHex(encodeFrame(body)), bytes)
      const decoded = decodeFrame(fromHex(bytes)) as unknown as Record<string, unknown>
      const kind = Object.keys(body)[0]
      const expected = plain((body as Record<string, unknown>)[kind]) as Record<string, unknown>
      const actual = plain(decoded[kind]) as Record<string, unknown>
      for (const key of Object.keys(expected)) assert.deepEqual(actual[key], expected[key], key)
    })
  }

  const refused = (bytes: Uint8Array | string, why?: RegExp) =>
    assert.throws(
      () => decodeFrame(typeof bytes === 'string' ? fromHex(bytes) : bytes),
      (error) => error instanceof SyncProtocolError && (!why || why.test(error.message)),
    )

  it('refuses anything else, with its own error and nothing else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        try {
          decodeFrame(bytes)
        } catch (error) {
          assert.ok(error instanceof SyncProtocolError, String(error))
        }
      }),
      { numRuns: 500 },
    )
  })

  it('refuses or understands messages with any byte changed, cut at any place', () => {
    fc.assert(
      fc.property(fc.constantFrom(...GOLDEN), fc.nat(), fc.nat(255), fc.nat(), ([, , golden], at, byte, cut) => {
        const bytes = fromHex(golden)
        bytes[at % bytes.length] = byte
        for (const attempt of [bytes, bytes.subarray(0, cut % bytes.length)]) {
          try {
            const body = decodeFrame(attempt)
            assert.equal(asHex(encodeFrame(body)), asHex(attempt), 'one message has one encoding')
          } catch (error) {
            assert.ok(error instanceof SyncProtocolError, String(error))
          }
        }
      }),
      { numRuns: 2000 },
    )
  })

  it('accepts exactly what would be encoded alike again', () => {
    const frames = GOLDEN.map(([, , golden]) => fromHex(golden))
    let accepted = 0
    let refused = 0
    fc.assert(
      fc.property(fc.constantFrom(...frames), fc.array(edit, { minLength: 1, maxLength: 3 }), (frame, edits) => {
        const bytes = edits.reduce<Uint8Array>((edited, one) => one(edited), frame)
        const strict = understands(() => scanFrame(bytes, MAX_FIELDS))
        assert.equal(strict, isEncodedAlike(bytes), asHex(bytes))
        if (strict) accepted++
        else refused++
      }),
      { numRuns: Number(process.env.PEERDRIVE_MUTATIONS ?? 5000) },
    )
    assert.ok(accepted > 100 && refused > 100, `${accepted} accepted, ${refused} refused`)
  })

  it('refuses fields that it does not know, defaults on the wire, and several messages in a frame', () => {
    const ack = GOLDEN[3][2]
    refused(`${ack}${ack}`, /not one message/)
    refused(`2218${ack.slice(4)}4801`, /not encoded/)
    refused(`22160a10${'01'.repeat(16)}10001803`, /not encoded/)
    refused('')
    refused('3a00')
  })

  it('refuses ids of other lengths and numbers that are none', () => {
    const follow = { root: id(1), sid: id(2), after: 7, number: 3 }
    refused(encodeFrame({ follow: { ...follow, root: new Uint8Array(15) } }), /ids in Follow/)
    refused(encodeFrame({ follow: { ...follow, after: 2 ** 53 } }))
    const changes = { root: id(1), sid: id(2), seq: 9, lastSeq: 8, changes: [], chunks: [], number: 1 }
    refused(encodeFrame({ changes }), /numbers in Changes/)
  })

  it('bounds how many there are of anything', () => {
    const offer = { sid: id(1), root: id(2), label: '', lastSeq: 0 }
    refused(encodeFrame({ offers: { offers: Array.from({ length: MAX_OFFERS + 1 }, () => offer) } }), /too many offers/)
    const change = { document: id(1), head: hash(2), revision: EMPTY }
    const changes = Array.from({ length: BATCH_CHANGES + 1 }, () => change)
    const batch = { root: id(1), sid: id(2), seq: 8, lastSeq: 8, changes, chunks: [], number: 1 }
    refused(encodeFrame({ changes: batch }), /too many changes/)
  })

  it('does not make objects of a frame of millions of empty fields', () => {
    const count = 1_000_000
    // Changes with nothing but empty chunks.
    const body = Uint8Array.from([0x1a, ...varint(2 * count)])
    const frame = new Uint8Array(body.length + 2 * count)
    frame.set(body)
    for (let i = body.length; i < frame.length; i += 2) frame[i] = 0x32
    const before = process.memoryUsage().heapUsed
    refused(frame, new RegExp(`more than ${MAX_FIELDS} fields`))
    assert.ok(process.memoryUsage().heapUsed - before < 16 << 20)
  })
})

const understands = (work: () => void): boolean => {
  try {
    work()
    return true
  } catch {
    return false
  }
}

/** The meaning of what `scanFrame` looks for, the slow way: decode, encode, compare. */
function isEncodedAlike(bytes: Uint8Array): boolean {
  return understands(() => {
    const frame = wire.Frame.decode(bytes)
    assert.equal(
      [frame.offers, frame.follow, frame.changes, frame.ack, frame.get, frame.answer].filter(Boolean).length,
      1,
    )
    assert.equal(asHex(wire.Frame.encode(frame).finish()), asHex(bytes))
    const numbers = [frame.follow?.after, frame.changes?.seq, frame.changes?.lastSeq, frame.ack?.seq]
    for (const n of [...numbers, ...(frame.offers?.offers ?? []).map(({ lastSeq }) => lastSeq)])
      assert.ok(Number.isSafeInteger(n ?? 0))
    for (const { label } of frame.offers?.offers ?? []) assert.ok(!/\ufffd|[\ud800-\udfff]/.test(label ?? ''))
  })
}

/** Changes of bytes that look for trouble: others, fewer, more, twice the same; small numbers and tags more often. */
const byte = fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 2, 8, 10, 16, 18, 24, 26, 32, 34, 42, 50, 56, 127, 128, 129))
const edit = fc.oneof(
  fc.tuple(fc.nat(), byte).map(
    ([at, value]) =>
      (bytes: Uint8Array) =>
        splice(bytes, at, 1, [value]),
  ),
  fc.tuple(fc.nat(), fc.array(byte, { maxLength: 3 })).map(
    ([at, more]) =>
      (bytes: Uint8Array) =>
        splice(bytes, at, 0, more),
  ),
  fc.tuple(fc.nat(), fc.nat(20)).map(
    ([at, count]) =>
      (bytes: Uint8Array) =>
        splice(bytes, at, count, []),
  ),
  fc.tuple(fc.nat(), fc.nat(60)).map(([at, count]) => (bytes: Uint8Array) => {
    const from = at % bytes.length || 0
    return splice(bytes, from, 0, [...bytes.subarray(from, from + count)])
  }),
  // A field more, or none, with the length in front put right.
  fc.tuple(fc.nat(), fc.nat(3), fc.array(byte, { maxLength: 4 })).map(([at, count, more]) => (bytes: Uint8Array) => {
    if (bytes.length < 3 || bytes[1] > 127) return bytes
    const body = splice(bytes.subarray(2), at, count, more)
    return Uint8Array.from([bytes[0], ...varint(body.length), ...body])
  }),
)

function splice(bytes: Uint8Array, at: number, count: number, more: number[]): Uint8Array {
  const list = [...bytes]
  list.splice(bytes.length ? at % bytes.length : 0, count, ...more)
  return Uint8Array.from(list)
}

function varint(value: number): number[] {
  const bytes: number[] = []
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest]
    bytes.push((rest % 128) | 128)
  }
}
