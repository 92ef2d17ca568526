// Rules: golden vector (kept for ever), laws of what holds between two volumes, merges field by field, times of the week.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  decodeRules,
  encodeRevision,
  equal,
  givingWay,
  hex,
  isOpen,
  LIMIT_MIN,
  latestHeads,
  mergeRevisions,
  parseSpan,
  RULE_KINDS,
  type Rule,
  ridOf,
  ruleFault,
  ruleFor,
  rulesDocument,
  rulesRevision,
  STRATEGIES,
  showsSame,
  termsOf,
  withoutRule,
  withRule,
} from '../../lib/model/index.js'
import { FLAG_CONFLICT, type MetadataValue, type Revision, type RId } from '../../lib/model/types.js'
import { revision as anyRevision, Chunks } from './support.js'

const volume = (n: number) => new Uint8Array(16).fill(n)
const author = new Uint8Array(32).fill(7)
const RULE: Rule = {
  id: '3f9a2c41',
  kind: 'backup',
  source: volume(1),
  target: volume(2),
  strategy: 'merge',
  paused: true,
  schedule: ['mon-fri 22:00-06:00', 'sat,sun'],
  limit: 1_000_000,
}

const made = (metadata: Map<string, MetadataValue>, nowMs = 1_700_000_000_123, before?: Revision) =>
  rulesRevision(before && { rid: ridOf(encodeRevision(before)), revision: before }, metadata, { author, nowMs })

const spans = fc.array(fc.constantFrom('mon-fri 22:00-06:00', 'sat,sun', '08:00-09:30', 'nonsense'), { maxLength: 3 })
const volumes = fc.nat(3).map(volume)
const anyRule: fc.Arbitrary<Rule> = fc
  .record(
    {
      id: fc.stringMatching(/^[0-9a-f]{8}$/),
      kind: fc.constantFrom(...RULE_KINDS, 'unknown' as const),
      source: fc.option(volumes, { nil: undefined }),
      target: fc.option(volumes, { nil: undefined }),
      strategy: fc.constantFrom(...STRATEGIES, 'unknown' as const),
      paused: fc.boolean(),
      schedule: spans,
      limit: fc.option(fc.integer({ min: LIMIT_MIN, max: 2 ** 40 }), { nil: undefined }),
    },
    { noNullPrototype: true },
  )
  .map(({ source, target, limit, ...rule }) => ({
    ...rule,
    ...(source && { source }),
    ...(target && { target }),
    ...(limit && { limit }),
  }))
const time = fc.record({ weekday: fc.nat(6), minute: fc.nat(1439) })

describe('Rules', () => {
  it('have bytes that stay for ever', () => {
    assert.equal(hex(rulesDocument(new Uint8Array(16).fill(9))), '0e879dde637c8e8d68a72d783da27573')
    const revision = made(withRule(new Map(), RULE))
    assert.equal(
      hex(ridOf(encodeRevision(revision))),
      '1288072bc00a02d9a6078eff10e180e8020e65fb56b4a0dd8b9d6574a0562ecb40',
    )
    assert.deepEqual(decodeRules(revision), [RULE])
  })

  it('are read as they were written', () => {
    fc.assert(
      fc.property(fc.uniqueArray(anyRule, { selector: ({ id }) => id, maxLength: 8 }), (rules) => {
        const metadata = rules.reduce(withRule, new Map<string, MetadataValue>())
        const sorted = [...rules].sort((a, b) => (a.id < b.id ? -1 : 1))
        assert.deepEqual(decodeRules(made(metadata)), sorted)
        const rest = rules.slice(1)
        const without = rules.length ? withoutRule(metadata, rules[0].id) : metadata
        assert.deepEqual(
          decodeRules(made(without)).map(({ id }) => id),
          rest.map(({ id }) => id).sort(),
        )
      }),
    )
  })

  it('are read out of anything, and keep what a later version wrote', () => {
    fc.assert(
      fc.property(anyRevision, (revision) => {
        decodeRules(revision)
      }),
    )
    const later = new Map<string, MetadataValue>([
      ['kind', { kind: 'text', value: 'teleport' }],
      ['news', { kind: 'integer', value: 1 }],
    ])
    const metadata = new Map<string, MetadataValue>([
      ['rules', { kind: 'map', value: new Map([['00000001', { kind: 'map', value: later } as MetadataValue]]) }],
    ])
    const [rule] = decodeRules(made(metadata))
    assert.equal(rule.kind, 'unknown')
    const terms = termsOf([rule], { local: volume(1), peer: volume(2) }, { weekday: 0, minute: 0 })
    assert.match(terms.waits!, /00000001 says something that this version does not know/)
    const changed = withRule(metadata, { ...rule, paused: true }).get('rules')
    const fields = changed?.kind === 'map' && changed.value.get('00000001')
    assert.ok(fields && fields.kind === 'map')
    assert.deepEqual([...fields.value.keys()].sort(), ['kind', 'news', 'paused'])
    assert.deepEqual(fields.value.get('kind'), { kind: 'text', value: 'teleport' })
  })

  it('say the same to both ends, whatever their order: one sends exactly if the other receives', () => {
    fc.assert(
      fc.property(fc.array(anyRule, { maxLength: 6 }), volumes, volumes, time, (rules, a, b, now) => {
        fc.pre(!equal(a, b))
        const [one, other] = [termsOf(rules, { local: a, peer: b }, now), termsOf(rules, { local: b, peer: a }, now)]
        assert.deepEqual(one.rule?.id, other.rule?.id)
        assert.equal(one.sends, other.receives)
        assert.equal(one.receives, other.sends)
        assert.equal(one.waits, other.waits)
        if (one.strategy === 'mirror') assert.ok(!(one.sends && one.receives))
        if (one.rule?.kind === 'backup') assert.ok(!(one.sends && one.receives))
        assert.deepEqual(ruleFor([...rules].reverse(), a, b)?.id, ruleFor(rules, b, a)?.id)
      }),
    )
  })

  it('of one way keep their target from sending to anybody, and a mirror from taking of others', () => {
    const now = { weekday: 0, minute: 0 }
    const [source, target, third] = [1, 2, 3].map(volume)
    const between = (rule: Rule, local: Uint8Array, peer: Uint8Array) => {
      const { sends, receives } = termsOf([rule], { local, peer }, now)
      return [sends, receives]
    }
    const backup: Rule = { ...RULE, paused: false, schedule: [] }
    assert.deepEqual(between(backup, target, third), [false, true])
    assert.deepEqual(between(backup, source, third), [true, true])
    assert.deepEqual(between({ ...backup, kind: 'mirror' }, target, third), [false, false])
    assert.deepEqual(between({ ...backup, kind: 'mirror' }, target, source), [false, true])
    const named: Rule = { ...backup, id: '00000000', kind: 'two-way', source: target, target: third }
    assert.equal(termsOf([backup, named], { local: target, peer: third }, now).sends, true)
  })

  it('that name a pair come before those that name one volume', () => {
    const any: Rule = { id: '00000000', kind: 'two-way', strategy: 'latest', paused: false, schedule: [] }
    const one: Rule = { ...any, id: '00000001', kind: 'backup', source: volume(1) }
    const pair: Rule = { ...any, id: '00000002', kind: 'mirror', source: volume(2), target: volume(1) }
    const rules = [any, one, pair]
    assert.equal(ruleFor(rules, volume(1), volume(2))?.id, pair.id)
    assert.equal(ruleFor(rules, volume(3), volume(1))?.id, one.id)
    assert.equal(ruleFor(rules, volume(3), volume(2))?.id, any.id)
  })

  it('are refused with a reason if they make no sense', () => {
    assert.equal(ruleFault(RULE), undefined)
    const wrong: [Partial<Rule>, RegExp][] = [
      [{ source: undefined, target: undefined }, /needs a source or a target/],
      [{ target: volume(1) }, /the same volume/],
      [{ limit: 10 }, /at least 8192/],
      [{ schedule: ['whenever'] }, /'whenever' is no time/],
      [{ id: 'x' }, /hexadecimal/],
      [{ kind: 'unknown' }, /none of two-way, backup, mirror/],
    ]
    for (const [change, why] of wrong) assert.match(ruleFault({ ...RULE, ...change }) ?? 'no fault', why)
  })

  it('are merged field by field; a change stays where the other side removed the rule', () => {
    const source = new Chunks().source
    const base = made(withRule(new Map(), { ...RULE, paused: false }), 1000)
    const merge = (a: Revision, b: Revision) => {
      const [one, other] = [mergeRevisions({ a, b, base, source }), mergeRevisions({ a: b, b: a, base, source })]
      assert.deepEqual(encodeRevision(one.revision), encodeRevision(other.revision))
      assert.equal(one.conflict, false)
      return decodeRules(one.revision)
    }
    const change = (rule: Partial<Rule>, nowMs: number) =>
      made(withRule(base.metadata, { ...RULE, paused: false, ...rule }), nowMs, base)
    const paused = change({ paused: true }, 2000)
    assert.deepEqual(merge(paused, change({ limit: 50_000 }, 3000)), [{ ...RULE, limit: 50_000 }])
    assert.equal(merge(change({ limit: 10_000 }, 2000), change({ limit: 50_000 }, 3000))[0].limit, 50_000)
    const spans = ['sat', '12:00-13:00']
    const added = merge(
      change({ schedule: [...RULE.schedule, 'sat'] }, 2000),
      change({ schedule: [...RULE.schedule, '12:00-13:00'] }, 3000),
    )
    assert.deepEqual(added[0].schedule.sort(), [...RULE.schedule, ...spans].sort())
    const removed = made(withoutRule(base.metadata, RULE.id), 3000, base)
    assert.deepEqual(merge(removed, paused), [RULE])
    assert.deepEqual(merge(removed, base), [])
    const other = made(withRule(base.metadata, { ...RULE, id: '00000001' }), 2000, base)
    assert.equal(merge(paused, other).length, 2)
  })
})

describe('Times of rules', () => {
  const at = (weekday: number, clock: string) => {
    const [hours, minutes] = clock.split(':').map(Number)
    return { weekday, minute: hours * 60 + minutes }
  }

  it('are open when they say so; over midnight they belong to the day they begin on', () => {
    const nights = ['mon-fri 22:00-06:00']
    assert.equal(isOpen(nights, at(1, '22:00')), true)
    assert.equal(isOpen(nights, at(1, '21:59')), false)
    assert.equal(isOpen(nights, at(1, '05:00')), false, 'Monday morning: the night began on Sunday')
    assert.equal(isOpen(nights, at(6, '05:59')), true, 'Saturday morning')
    assert.equal(isOpen(nights, at(6, '06:00')), false)
    assert.equal(isOpen(['sat,sun'], at(0, '12:00')), true)
    assert.equal(isOpen(['sat-mon'], at(1, '23:59')), true)
    assert.equal(isOpen(['sat-mon'], at(2, '00:00')), false)
    assert.equal(isOpen(['20:00-24:00'], at(3, '23:59')), true)
    assert.equal(isOpen([], at(3, '12:00')), true)
    assert.equal(isOpen(['nonsense'], at(3, '12:00')), false, 'what nobody understands is not taken for always')
  })

  it('of a day and the rest of it are open together all week', () => {
    fc.assert(
      fc.property(fc.nat(1439), fc.nat(1439), time, (from, to, now) => {
        fc.pre(from !== to)
        const text = (minute: number) => `${Math.floor(minute / 60)}:${String(minute % 60).padStart(2, '0')}`
        const [one, other] = [`${text(from)}-${text(to)}`, `${text(to)}-${text(from)}`]
        assert.ok(parseSpan(one))
        assert.notEqual(isOpen([one], now), isOpen([other], now))
        assert.ok(isOpen([one, other], now))
      }),
    )
  })

  it('are nothing else', () => {
    for (const text of [
      '',
      '25:00-26:00',
      '12:00',
      '12:00-12:00',
      'mon 12:60-13:00',
      'mon tue',
      'someday',
      'mon-tue-wed',
    ])
      assert.equal(parseSpan(text), undefined, text)
    fc.assert(fc.property(fc.string(), (text) => void parseSpan(text)))
  })
})

describe('Heads that a rule makes', () => {
  it('are the same on whichever side, show one side as a whole, and descend from both', () => {
    fc.assert(
      fc.property(anyRevision, anyRevision, (a, b) => {
        const [x, y] = [a, b].map((revision) => ({
          ...revision,
          type: 'text/plain',
          flags: 0,
          home: undefined,
          parents: [],
        }))
        const [ridX, ridY] = [x, y].map((revision) => ridOf(encodeRevision(revision)))
        fc.pre(!equal(ridX, ridY))
        const revisions = new Map([
          [hex(ridX), x],
          [hex(ridY), y],
        ])
        const components = { revision: (rid: RId) => revisions.get(hex(rid)), source: new Chunks().source }
        const [one, other] = [latestHeads(ridX, ridY, components), latestHeads(ridY, ridX, components)]
        assert.deepEqual(encodeRevision(one.revision), encodeRevision(other.revision))
        assert.equal(one.revision.flags & FLAG_CONFLICT, 0)
        assert.deepEqual(one.revision.parents.map(hex), [hex(ridX), hex(ridY)].sort())
        assert.ok(showsSame(one.revision, x) || showsSame(one.revision, y))
        const gives = givingWay({ rid: ridX, revision: x }, { rid: ridY, revision: y }, false)
        assert.ok(showsSame(gives, y))
        assert.deepEqual(gives.parents.map(hex), [hex(ridX), hex(ridY)].sort())
        encodeRevision(gives)
      }),
    )
  })
})
