// Rules: what travels between which volumes of one root, how and when. All rules of a volume are one document, whose id follows
// from that of the root; each rule is a map in its metadata, so that devices that change them at once are merged field by field
// (merge-values.ts). Pure. What cannot be understood (a later version wrote it) makes its pair wait, and is never dropped.

import { compareText, equal } from './bytes.js'
import { CLOCK_ZERO, tick } from './clock.js'
import { hashOf } from './hash.js'
import { isSId } from './ids.js'
import { parseSpan } from './schedule.js'
import { DID_BYTES, type DId, type MetadataValue, type Revision, type RId, type SId } from './types.js'

export const TYPE_RULES = 'application/vnd.peerdrive.rules'
/** Rules of a volume; further ones are not looked at. */
export const RULES_MAX = 256
/** Slowest limit, bytes per second: below it a chunk takes longer than a minute. */
export const LIMIT_MIN = 8 << 10
export const SPANS_MAX = 64

/** Both ways; source to target, which keeps all for ever; source to target, which shows just what the source shows. */
export const RULE_KINDS = ['two-way', 'backup', 'mirror'] as const
export type RuleKind = (typeof RULE_KINDS)[number]
/** Of two versions that parted: merge them; show the later one; let them wait. */
export const STRATEGIES = ['merge', 'latest', 'ff'] as const
export type Strategy = (typeof STRATEGIES)[number]

export interface Rule {
  /** 8 hexadecimal digits. */
  id: string
  /** `unknown`: a later version's. */
  kind: RuleKind | 'unknown'
  /** Volumes; absent: any. Of `two-way` the order means nothing; the others have at least one of them. */
  source?: SId
  target?: SId
  strategy: Strategy | 'unknown'
  paused: boolean
  /** Spans of time (schedule.ts) in which it works, in local time of the device; none: always. */
  schedule: string[]
  /** Bytes of content per second that each side sends at most. */
  limit?: number
}

const RULES = 'rules'
const ID = /^[0-9a-f]{8}$/

/** The document of the rules of all volumes that share this root. */
export function rulesDocument(root: DId): DId {
  return hashOf(Buffer.concat([root, Buffer.from('peerdrive rules')])).slice(1, 1 + DID_BYTES)
}

/** Why it is no rule that anybody may make; undefined if it is one. */
export function ruleFault(rule: Rule): string | undefined {
  if (!ID.test(rule.id)) return 'an id of 8 hexadecimal digits is needed'
  if (rule.kind === 'unknown') return `its kind is none of ${RULE_KINDS.join(', ')}`
  if (rule.strategy === 'unknown') return `its strategy is none of ${STRATEGIES.join(', ')}`
  if (rule.kind !== 'two-way' && !rule.source && !rule.target) return `a ${rule.kind} needs a source or a target`
  if (rule.source && rule.target && equal(rule.source, rule.target)) return 'source and target are the same volume'
  if (rule.limit !== undefined && !(Number.isSafeInteger(rule.limit) && rule.limit >= LIMIT_MIN))
    return `the limit is at least ${LIMIT_MIN} bytes a second`
  if (rule.schedule.length > SPANS_MAX) return `it has more than ${SPANS_MAX} times`
  const wrong = rule.schedule.find((span) => !parseSpan(span))
  if (wrong !== undefined) return `'${wrong}' is no time: write it as 'mon-fri 22:00-06:00', 'sat,sun' or '22:00-06:00'`
  return undefined
}

type Fields = Map<string, MetadataValue>

function mapOf(value: MetadataValue | undefined): Fields {
  return value?.kind === 'map' ? value.value : new Map()
}

/** The rules that a revision of the rules document holds, in the order of their ids. Never throws. */
export function decodeRules({ metadata }: Revision): Rule[] {
  return [...mapOf(metadata.get(RULES))]
    .filter(([id]) => ID.test(id))
    .sort(([a], [b]) => compareText(a, b))
    .slice(0, RULES_MAX)
    .map(([id, value]) => decodeRule(id, mapOf(value)))
}

function decodeRule(id: string, fields: Fields): Rule {
  const [kind, strategy, paused, schedule, limit] = ['kind', 'strategy', 'paused', 'schedule', 'limit'].map((key) =>
    fields.get(key),
  )
  const spans = schedule?.kind === 'list' ? schedule.value : []
  const [source, target] = ['source', 'target'].map((key) => volumeOf(fields.get(key)))
  return {
    id,
    kind: RULE_KINDS.find((known) => kind?.kind === 'text' && known === kind.value) ?? 'unknown',
    ...(source && { source }),
    ...(target && { target }),
    strategy: STRATEGIES.find((known) => strategy?.kind === 'text' && known === strategy.value) ?? 'unknown',
    paused: paused?.kind === 'boolean' && paused.value,
    schedule: spans.flatMap((span) => (span.kind === 'text' ? [span.value] : [])),
    ...(limit?.kind === 'integer' && { limit: Math.max(limit.value, LIMIT_MIN) }),
  }
}

const volumeOf = (value: MetadataValue | undefined): SId | undefined =>
  value?.kind === 'data' && isSId(value.value) ? value.value : undefined

/** Metadata with this rule in it; fields of it that are not known here stay. */
export function withRule(metadata: Fields, rule: Rule): Fields {
  const rules = new Map(mapOf(metadata.get(RULES)))
  const fields = new Map(mapOf(rules.get(rule.id)))
  const set = (key: string, value: MetadataValue | undefined) => (value ? fields.set(key, value) : fields.delete(key))
  if (rule.kind !== 'unknown') set('kind', { kind: 'text', value: rule.kind })
  if (rule.strategy !== 'unknown') set('strategy', { kind: 'text', value: rule.strategy })
  set('source', rule.source && { kind: 'data', value: rule.source })
  set('target', rule.target && { kind: 'data', value: rule.target })
  set('paused', rule.paused ? { kind: 'boolean', value: true } : undefined)
  const schedule = rule.schedule.map((value): MetadataValue => ({ kind: 'text', value }))
  set('schedule', schedule.length ? { kind: 'list', value: schedule } : undefined)
  set('limit', rule.limit === undefined ? undefined : { kind: 'integer', value: rule.limit })
  rules.set(rule.id, { kind: 'map', value: fields })
  return new Map([...metadata, [RULES, { kind: 'map', value: rules }]])
}

export function withoutRule(metadata: Fields, id: string): Fields {
  const rules = new Map(mapOf(metadata.get(RULES)))
  rules.delete(id)
  return new Map([...metadata, [RULES, { kind: 'map', value: rules }]])
}

/** The revision that has these rules, on top of the one that is there. `nowMs`: milliseconds since the epoch. */
export function rulesRevision(
  before: { rid: RId; revision: Revision } | undefined,
  metadata: Fields,
  made: { author: Uint8Array; nowMs: number },
): Revision {
  const now = { sec: Math.floor(made.nowMs / 1000), nsec: (Math.floor(made.nowMs) % 1000) * 1_000_000 }
  return {
    parents: before ? [before.rid] : [],
    type: TYPE_RULES,
    flags: 0,
    created: before?.revision.created ?? now,
    modified: now,
    author: made.author,
    clock: tick(before?.revision.clock ?? CLOCK_ZERO, made.nowMs),
    comment: '',
    attributes: { mode: 0o100600, uid: 0, gid: 0, rdev: 0, xattrs: [] },
    metadata,
    parts: new Map(),
  }
}

/**
 * The rule that holds between two volumes: of those that name them, the one that names most; of several, the one with the smallest
 * id. The same whichever of the two asks.
 */
export function ruleFor(rules: Rule[], one: SId, other: SId): Rule | undefined {
  const fits = rules.filter((rule) => holds(rule, one, other) || holds(rule, other, one))
  const names = (rule: Rule) => Number(rule.source !== undefined) + Number(rule.target !== undefined)
  return fits.sort((a, b) => names(b) - names(a) || compareText(a.id, b.id))[0]
}

function holds({ kind, source, target }: Rule, from: SId, to: SId): boolean {
  // A one way of which nobody knows which: only a broken one is.
  if (!source && !target) return kind === 'two-way' || kind === 'unknown'
  return (!source || equal(source, from)) && (!target || equal(target, to))
}

/** Whether the volume is the one that gives, by a rule of one way that holds for the two. */
export const isSource = (rule: Rule, volume: SId, other: SId): boolean => holds(rule, volume, other)
