// Clocks, bytes and ids.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { InvalidValueError } from '../../lib/model/errors.js'
import * as model from '../../lib/model/index.js'
import { clockCounter, clockTime, compare, hex, makeClock, receive, tick, unhex } from '../../lib/model/index.js'

const time = fc.nat(2 ** 31).map((s) => s * 1000 + (s % 1000))
const clock = fc.tuple(time, fc.nat(65535)).map(([ms, counter]) => makeClock(ms, counter))

describe('clock', () => {
  it('has the bytes it always had', () => {
    assert.equal(hex(makeClock(1_700_000_000_123, 258)), '018bcfe5687b0102')
    assert.equal(clockTime(unhex('018bcfe5687b0102')), 1_700_000_000_123)
    assert.equal(clockCounter(unhex('018bcfe5687b0102')), 258)
    assert.equal(hex(makeClock(2 ** 48 - 1, 65535)), 'ffffffffffffffff')
  })

  it('is later with every tick, and never before the wall clock', () => {
    fc.assert(
      fc.property(clock, time, (last, now) => {
        const next = tick(last, now)
        assert.ok(compare(next, last) > 0)
        assert.ok(clockTime(next) >= now)
        assert.ok(clockTime(next) <= Math.max(now, clockTime(last) + 1))
      }),
    )
  })

  it('is later than what was seen, unless that is too far in the future', () => {
    fc.assert(
      fc.property(clock, clock, time, (last, seen, now) => {
        const next = receive(last, seen, now)
        assert.ok(compare(next, last) > 0)
        const believed = clockTime(seen) <= now + model.MAX_DRIFT_MS
        if (believed) assert.ok(compare(next, seen) > 0)
        else assert.deepEqual(next, tick(last, now))
      }),
    )
  })

  it('carries the counter into the milliseconds', () => {
    assert.deepEqual(tick(makeClock(5, 65535), 0), makeClock(6, 0))
  })

  it('is not broken by clocks that are years wrong', () => {
    const end = makeClock(2 ** 48 - 1, 65535)
    let last = makeClock(1000)
    last = receive(last, end, 2000)
    assert.equal(clockTime(last), 2000)
    assert.deepEqual(tick(end, 5), end)
    for (const now of [Number.NaN, -5, Number.POSITIVE_INFINITY]) assert.equal(tick(makeClock(3), now).length, 8)
    assert.throws(() => tick(new Uint8Array(7), 0), InvalidValueError)
  })
})

describe('bytes', () => {
  it('reads its own hexadecimal text, and no other', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        assert.equal(hex(bytes), Buffer.from(bytes).toString('hex'))
        assert.deepEqual(unhex(hex(bytes)), bytes)
      }),
    )
    for (const text of ['1', 'zz', '0x11', '12 4']) assert.throws(() => unhex(text), InvalidValueError)
  })

  it('orders as memcmp does', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 4 }), fc.uint8Array({ maxLength: 4 }), (a, b) => {
        assert.equal(Math.sign(compare(a, b)), Buffer.compare(a, b))
        assert.equal(model.equal(a, b), Buffer.compare(a, b) === 0)
      }),
    )
  })

  it('knows ids by their form', () => {
    assert.ok(model.isChunkId(model.hashOf(new Uint8Array(0))))
    assert.equal(
      hex(model.hashOf(new Uint8Array(0))),
      '12e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    )
    assert.ok(!model.isRId(new Uint8Array(33)))
    assert.ok(model.isDId(new Uint8Array(16)))
    assert.ok(!model.isDId('0123456789abcdef'))
  })
})
