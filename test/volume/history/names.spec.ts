import assert from 'node:assert/strict'
import fc from 'fast-check'
import { compare } from '../../../lib/model/bytes.js'
import { clockCounter, clockTime, makeClock } from '../../../lib/model/clock.js'
import { DeviceNames } from '../../../lib/volume/history/devices.js'
import { extensionOf, VersionNames } from '../../../lib/volume/history/names.js'
import { Recent } from '../../../lib/volume/history/recent.js'
import { parseTime, timeName } from '../../../lib/volume/history/times.js'

const clocks = fc
  .tuple(fc.integer({ min: 0, max: Date.UTC(9999, 11, 31) }), fc.oneof(fc.constant(0), fc.nat(0xffff)))
  .map(([ms, counter]) => makeClock(ms, counter))

describe('history: names', () => {
  it('of times sort as the times do, bytewise, and are read back', () => {
    fc.assert(
      fc.property(clocks, clocks, (a, b) => {
        const [x, y] = [timeName(a), timeName(b)]
        assert.equal(Math.sign(compare(Buffer.from(x), Buffer.from(y))), Math.sign(compare(a, b)))
        const read = parseTime(x)!
        assert.equal(clockTime(read), clockTime(a))
        if (clockCounter(a) > 0) assert.deepEqual(read, a)
      }),
    )
    assert.equal(timeName(makeClock(Date.UTC(2026, 10, 25, 14, 3, 22, 123))), '2026-11-25 14.03.22.123Z')
    assert.equal(timeName(makeClock(Date.UTC(2026, 10, 25), 17)), '2026-11-25 00.00.00.000Z+00017')
  })

  it('of times mean the end of what they name', () => {
    const end = (text: string) => {
      const clock = parseTime(text)
      if (!clock) return undefined
      assert.equal(clockCounter(clock), 0xffff)
      return clockTime(clock)
    }
    const local = (y: number, m: number, d: number, h = 0, min = 0, s = 0, ms = 0) =>
      new Date(y, m, d, h, min, s, ms).getTime() - 1
    const utc = (...parts: [number, number, number, number?, number?, number?, number?]) => Date.UTC(...parts) - 1
    assert.equal(end('2026-11-25'), local(2026, 10, 26))
    assert.equal(end('2026-11-25T14:03'), local(2026, 10, 25, 14, 4))
    assert.equal(end('2026-11-25T14:03:22'), local(2026, 10, 25, 14, 3, 23))
    assert.equal(end('2026-11-25 14.03.22.1'), local(2026, 10, 25, 14, 3, 22, 200))
    assert.equal(end('2026-11-25T14:03:22.123Z'), utc(2026, 10, 25, 14, 3, 22, 124))
    assert.equal(end('2026-11-25Z'), utc(2026, 10, 26))
    assert.equal(end('2026-11-25T14:03+01:00'), utc(2026, 10, 25, 13, 4))
    assert.equal(end('2026-11-25T14:03-0530'), utc(2026, 10, 25, 19, 34))
    assert.equal(end('2024-02-29'), local(2024, 2, 1))
  })

  it('of times that are none are refused', () => {
    const none = [
      '',
      'yesterday',
      '2026',
      '2026-11',
      '2026-13-01',
      '2026-00-01',
      '2026-02-29',
      '2026-11-31',
      '2026-11-00',
    ]
    none.push('2026-11-25T', '2026-11-25T14', '2026-11-25T24:00', '2026-11-25T14:60', '2026-11-25T14:03:60')
    none.push('2026-11-25T14:03:22+16:00', ' 2026-11-25', '2026-11-25x', '2026-11-25 14.03.22.1234', '26-11-25')
    none.push('2026-11-25 14.03.22.123Z+99999', '2026-11-25\n')
    for (const text of none) assert.equal(parseTime(text), undefined, text)
  })

  it('keep the extension', () => {
    for (const [name, extension] of [
      ['letter.txt', '.txt'],
      ['archive.tar.gz', '.tar.gz'],
      ['.profile', ''],
      ['.tar.gz', '.gz'],
      ['noext', ''],
      ['a.b c', ''],
      ['a.', ''],
      ['dots..txt', '.txt'],
      ['x.an-extension-that-is-none-at-all', ''],
      ['\xff.\xfe', '.\xfe'],
    ])
      assert.equal(extensionOf(name), extension, name)
  })

  it('tell devices, and are never the same twice', () => {
    const devices = new DeviceNames()
    const author = new Uint8Array(32).fill(0xab)
    devices.set([{ author, name: 'my/lap\ntop ☃' }])
    const taken = new Map<string, unknown>()
    const names = new VersionNames({ devices, taken }, { name: 'a.txt', isFolder: false })
    const clock = makeClock(Date.UTC(2026, 10, 25), 0)
    const next = (rid: number, author: Uint8Array) => {
      const name = names.next({
        rid: new Uint8Array(33).fill(rid),
        clock,
        author,
        created: author,
        parents: [],
        flags: 0,
      })
      assert.ok(!taken.has(name))
      taken.set(name, 1)
      return Buffer.from(name, 'latin1').toString()
    }
    const time = '2026-11-25 00.00.00.000Z'
    assert.equal(next(1, author), `${time} my_lap_top ☃.txt`)
    assert.equal(next(2, new Uint8Array(32).fill(0xcd)), `${time} cdcdcdcd.txt`)
    assert.equal(next(3, new Uint8Array(0)), `${time} merged.txt`)
    assert.equal(next(4, new Uint8Array(0)), `${time} merged 04040404.txt`)
    assert.equal(next(4, new Uint8Array(0)), `${time} merged 0404040404040404.txt`)
    devices.set([{ author, name: 'x'.repeat(1000) }])
    assert.ok(devices.keyOf(author).length <= 64)
  })
})

describe('history: what is kept for a while', () => {
  it('is bounded by weight, oldest use first to go', () => {
    const recent = new Recent<number, string>({ limit: 10 })
    recent.set(1, 'a', 4)
    recent.set(2, 'b', 4)
    assert.equal(recent.get(1), 'a')
    recent.set(3, 'c', 4)
    assert.deepEqual([recent.get(1), recent.get(2), recent.get(3)], ['a', undefined, 'c'])
    recent.set(4, 'huge', 100)
    assert.deepEqual([recent.get(1), recent.get(3), recent.get(4), recent.weight], [undefined, undefined, 'huge', 100])
    recent.set(5, 'e', 1)
    assert.deepEqual([recent.get(4), recent.get(5), recent.weight], [undefined, 'e', 1])
    recent.delete(5)
    assert.equal(recent.weight, 0)
  })
})
