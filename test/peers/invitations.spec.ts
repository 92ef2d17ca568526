import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import fc from 'fast-check'
import { afterEach, describe, it } from 'mocha'
import { deviceIdOf } from '../../lib/peers/device-id.js'
import { decodeToken, InvitationMalformedError, Invitations, TooManyInvitationsError } from '../../lib/peers/index.js'
import { encodeToken, type Token } from '../../lib/peers/invitation-token.js'
import { deriveInvitation } from '../../lib/peers/invitations.js'
import { cleanAll, directory } from './support.js'

const golden: Token = {
  device: deviceIdOf(Uint8Array.from({ length: 32 }, (_, i) => i)),
  expires: 1_800_000_000_000,
  secret: Uint8Array.from({ length: 16 }, (_, i) => 0xf0 + i),
  addresses: ['/ip4/192.168.1.5/tcp/4001', '/ip6/2001:db8::1/tcp/4002'],
}
const GOLDEN_TEXT =
  'pd1aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypwwsosadypd4xt6t27n57y7h5px7h5737qebgavaaqkd5bayqacdnyaaaaaaaaaaaaaaaaaaaq7ixltjndc'

describe('peers: invitation text', () => {
  it('is exactly this for ever', () => {
    assert.equal(encodeToken(golden), GOLDEN_TEXT)
    assert.deepEqual(decodeToken(GOLDEN_TEXT), golden)
  })

  it('may be folded, spaced and in capitals', () => {
    const text = GOLDEN_TEXT.toUpperCase().replace(/(.{10})/g, '$1 \n-')
    assert.deepEqual(decodeToken(` ${text}\n`), golden)
  })

  it('notices any wrong, missing or swapped character', () => {
    for (let i = 0; i < GOLDEN_TEXT.length; i++) {
      const other = GOLDEN_TEXT[i] === 'a' ? 'b' : 'a'
      const swapped = GOLDEN_TEXT.slice(0, i) + (GOLDEN_TEXT[i + 1] ?? '') + GOLDEN_TEXT[i] + GOLDEN_TEXT.slice(i + 2)
      const wrong = [
        GOLDEN_TEXT.slice(0, i) + other + GOLDEN_TEXT.slice(i + 1),
        GOLDEN_TEXT.slice(0, i) + GOLDEN_TEXT.slice(i + 1),
        swapped,
      ]
      for (const text of wrong)
        if (text !== GOLDEN_TEXT) assert.throws(() => decodeToken(text), InvitationMalformedError, text)
    }
  })

  it('carries any token, at most eight addresses', () => {
    const bytes = (n: number) => fc.uint8Array({ minLength: n, maxLength: n })
    const address = fc.oneof(
      fc.tuple(fc.ipV4(), fc.integer({ min: 1, max: 65535 })).map(([ip, port]) => `/ip4/${ip}/tcp/${port}`),
      fc.constantFrom('/ip6/::1/tcp/1', '/ip6/fe80::1:2/tcp/65535'),
    )
    const seconds = fc.integer({ min: 0, max: 2 ** 32 - 1 }).map((s) => s * 1000)
    fc.assert(
      fc.property(seconds, bytes(16), fc.array(address, { maxLength: 12 }), (expires, secret, addresses) => {
        const token = decodeToken(encodeToken({ device: golden.device, expires, secret, addresses }))
        assert.deepEqual(token, { device: golden.device, expires, secret, addresses: addresses.slice(0, 8) })
      }),
    )
  })

  it('is nothing that crashes when it is garbage', () => {
    const garbage = fc.oneof(
      fc.string({ maxLength: 300 }),
      fc
        .string({ unit: fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz234567'), maxLength: 300 })
        .map((text) => `pd1${text}`),
    )
    fc.assert(fc.property(garbage, (text) => assert.throws(() => decodeToken(text), InvitationMalformedError)))
    assert.throws(() => decodeToken('pd1'.repeat(100_000)), InvitationMalformedError)
  })
})

describe('peers: invitations', () => {
  afterEach(cleanAll)
  const from = { device: golden.device, addresses: golden.addresses }

  it('are kept over a restart without their secret, until they expire', () => {
    let now = 1_000_000
    const file = path.join(directory(), 'invitations.json')
    const components = { clock: () => now }
    const { token, invitation } = new Invitations(components, { file }).create(from)
    assert.equal(invitation.expires, 1_600_000)
    const { secret, expires } = decodeToken(token)
    assert.equal(expires, 1_600_000)
    const text = readFileSync(file, 'utf8')
    for (const encoding of ['hex', 'base64'] as const) assert.ok(!text.includes(Buffer.from(secret).toString(encoding)))
    const again = new Invitations(components, { file })
    assert.equal(again.find(deriveInvitation(secret).id)?.id, invitation.id)
    assert.ok(again.isOpen())
    now = 1_600_000
    assert.equal(again.isOpen(), false)
    assert.equal(again.find(deriveInvitation(secret).id), undefined)
  })

  it('are used by one device, which may repeat it', () => {
    const file = path.join(directory(), 'invitations.json')
    const { invitation } = new Invitations({}, { file }).create(from)
    assert.equal(new Invitations({}, { file }).claim(invitation.id, 'a'), true)
    const again = new Invitations({}, { file })
    assert.deepEqual(
      [again.claim(invitation.id, 'b'), again.claim(invitation.id, 'a'), again.claim('00', 'a')],
      [false, true, false],
    )
  })

  it('are limited in number and life', () => {
    const invitations = new Invitations({}, { file: path.join(directory(), 'invitations.json') })
    for (let i = 0; i < 16; i++) invitations.create(from)
    assert.throws(() => invitations.create(from), TooManyInvitationsError)
    for (const life of [0, -1, Number.NaN, 8 * 24 * 3600_000])
      assert.throws(() => invitations.create(from, life), RangeError)
  })
})
