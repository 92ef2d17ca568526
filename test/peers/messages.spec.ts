import assert from 'node:assert/strict'
import fc from 'fast-check'
import { describe, it } from 'mocha'
import { deviceIdOf } from '../../lib/peers/device-id.js'
import { ProtocolError } from '../../lib/peers/index.js'
import { deriveInvitation } from '../../lib/peers/invitations.js'
import {
  decodeBeat,
  decodeGreeting,
  decodePairMessage,
  encodeBeat,
  encodeGreeting,
  encodePairMessage,
  type PairMessage,
  RefusalCode,
} from '../../lib/peers/messages.js'
import { prove } from '../../lib/peers/pairing.js'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const filled = (length: number, byte: number): Uint8Array => new Uint8Array(length).fill(byte)
const hello = { version: 1, features: ['a', 'b'], required: ['a'], name: 'Anna', instance: filled(8, 1), port: 4001 }

describe('peers: messages', () => {
  it('have exactly the bytes of docs/peers.md', () => {
    assert.equal(hex(encodeGreeting({ hello })), GOLDEN.hello)
    assert.equal(hex(encodeGreeting({ refusal: { code: RefusalCode.FEATURE, detail: 'x' } })), GOLDEN.refusal)
    assert.equal(hex(encodeBeat({ answer: true, number: 300 })), GOLDEN.beat)
    const begin: PairMessage = { step: 'begin', version: 1, invitation: filled(8, 2), nonce: filled(32, 3) }
    assert.equal(hex(encodePairMessage(begin)), GOLDEN.begin)
    assert.equal(hex(encodePairMessage({ step: 'done' })), GOLDEN.done)
  })

  it('prove the secret exactly so', () => {
    const { id, key } = deriveInvitation(Uint8Array.from({ length: 16 }, (_, i) => 0xf0 + i))
    const [host, guest] = [deviceIdOf(filled(32, 4)), deviceIdOf(filled(32, 5))]
    const parties = { host, guest, hostNonce: filled(32, 6), guestNonce: filled(32, 7) }
    assert.deepEqual([id, key, prove('host', key, parties), prove('guest', key, parties)].map(hex), GOLDEN.proof)
  })

  it('come back as they were', () => {
    assert.deepEqual(decodeGreeting(encodeGreeting({ hello })), { hello })
    const messages: PairMessage[] = [
      { step: 'begin', version: 1, invitation: filled(8, 2), nonce: filled(32, 3) },
      { step: 'challenge', nonce: filled(32, 3), proof: filled(32, 4) },
      { step: 'proof', proof: filled(32, 4), name: 'Bert', port: 1 },
      { step: 'accept', name: 'Anna' },
      { step: 'done' },
      { step: 'refusal', refusal: { code: RefusalCode.USED, detail: '' } },
    ]
    for (const message of messages) assert.deepEqual(decodePairMessage(encodePairMessage(message)), message)
    assert.deepEqual(decodeBeat(encodeBeat({ answer: false, number: 2 ** 32 - 1 })), {
      answer: false,
      number: 2 ** 32 - 1,
    })
  })

  it('are refused when something is missing, too long or out of range', () => {
    const bad = [
      { ...hello, version: 0 },
      { ...hello, instance: filled(7, 1) },
      { ...hello, port: 65536 },
      { ...hello, features: Array(65).fill('x') },
      { ...hello, required: ['x'.repeat(65)] },
    ]
    for (const one of bad) assert.throws(() => decodeGreeting(encodeGreeting({ hello: one })), ProtocolError)
    const begin: PairMessage = { step: 'begin', version: 1, invitation: filled(9, 2), nonce: filled(32, 3) }
    assert.throws(() => decodePairMessage(encodePairMessage(begin)), ProtocolError)
    for (const decode of [decodeGreeting, decodePairMessage])
      assert.throws(() => decode(new Uint8Array(0)), ProtocolError)
  })

  it('never throw anything but ProtocolError, and never return what is out of bounds', () => {
    const valid = [
      encodeGreeting({ hello }),
      encodePairMessage({ step: 'accept', name: 'Anna' }),
      encodeBeat({ answer: true, number: 1 }),
    ]
    const changed = fc
      .tuple(fc.constantFrom(...valid), fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 4 }), fc.nat(80))
      .map(([bytes, edits, length]) => {
        const copy = Uint8Array.from(bytes)
        for (const [at, value] of edits) if (at < copy.length) copy[at] = value
        return copy.subarray(0, length)
      })
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), changed), (bytes) => {
        for (const decode of [decodeGreeting, decodePairMessage, decodeBeat]) {
          const decoded = attempt(() => decode(bytes))
          const text = JSON.stringify(decoded ?? null)
          assert.ok(text.length < 20_000)
          if (decoded && 'hello' in decoded)
            assert.ok(decoded.hello.instance.length === 8 && decoded.hello.name.length <= 128)
        }
      }),
      { numRuns: 2000 },
    )
  })
})

function attempt<T>(decode: () => T): T | undefined {
  try {
    return decode()
  } catch (error) {
    assert.ok(error instanceof ProtocolError, String(error))
    return undefined
  }
}

const GOLDEN = {
  hello: '0a1e08011201611201621a01612204416e6e612a08010101010101010130a11f',
  refusal: '12050802120178',
  beat: '080110ac02',
  begin: '0a2e0801120802020202020202021a200303030303030303030303030303030303030303030303030303030303030303',
  done: '2a00',
  proof: [
    'eb9bcd515e9c9778',
    '85a45b5b473c6d293a1751a0f3a90f35f38a7fe1405b22792195a5773d5b09fc',
    'b56d0aa2bbda8d1e442e7f3048a28cace438589dd493c2ace821b851f9f9ca54',
    '64d12d3bfbdc7d8f1cf25ac52698eb55768a97f7a3eb950da4a864d68bbdfb06',
  ],
}
