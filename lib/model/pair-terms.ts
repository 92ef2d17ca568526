// What holds between two volumes at a moment, from the rules that both have. Pure; both ends come to answers that fit each other:
// one sends exactly if the other receives.
//
// The target of a rule of one way sends nothing to anybody, or what is changed there would come back to the source by others; and
// what a mirror's target takes back is nobody else's business, so it takes from its source alone. A rule that names both volumes of
// a pair says otherwise for that pair.

import { compareText, equal } from './bytes.js'
import { isSource, type Rule, ruleFor, type Strategy } from './rule.js'
import { isOpen, type WeekTime } from './schedule.js'
import type { SId } from './types.js'

export interface PairTerms {
  /** The rule that says so; none: both ways, merging, all of it. */
  rule?: Rule
  sends: boolean
  receives: boolean
  /** What becomes of versions that parted; `mirror`: the other side's is shown, always. */
  strategy: Strategy | 'mirror'
  /** Why nothing travels at this moment, though it should. */
  waits?: string
  /** Bytes of content per second. */
  limit?: number
}

export function termsOf(rules: Rule[], { local, peer }: { local: SId; peer: SId }, now: WeekTime): PairTerms {
  const rule = ruleFor(rules, local, peer)
  const own = rule ? termsBy(rule, local, peer, now) : BOTH_WAYS
  if (rule?.source && rule.target) return own
  const [ours, theirs] = [targetBy(rules, local), targetBy(rules, peer)]
  const sends = own.sends && !ours && !takesFromOthers(theirs, local)
  const receives = own.receives && !theirs && !takesFromOthers(ours, peer)
  if (sends === own.sends && receives === own.receives) return own
  const [because] = [ours, theirs].flatMap((one) => one ?? []).sort((a, b) => compareText(a.id, b.id))
  return { ...own, rule: because, sends, receives }
}

const BOTH_WAYS: PairTerms = { sends: true, receives: true, strategy: 'merge' }

/** The rule of one way that names this volume as its target; a mirror's, if there is one. */
function targetBy(rules: Rule[], volume: SId): Rule | undefined {
  const found = rules
    .filter(({ kind, target }) => isOneWay(kind) && target && equal(target, volume))
    .sort((a, b) => compareText(a.id, b.id))
  return found.find(({ kind }) => kind === 'mirror') ?? found[0]
}

const isOneWay = (kind: Rule['kind']) => kind === 'backup' || kind === 'mirror'

/** Whether the target of this rule has another source than this volume, and takes from that alone. */
const takesFromOthers = (rule: Rule | undefined, volume: SId): boolean =>
  rule?.kind === 'mirror' && rule.source !== undefined && !equal(rule.source, volume)

function termsBy(rule: Rule, local: SId, peer: SId, now: WeekTime): PairTerms {
  const { kind, strategy, limit } = rule
  const both = kind === 'two-way' || kind === 'unknown'
  const gives = both || isSource(rule, local, peer)
  const waits = reasonToWait(rule, now)
  return {
    rule,
    sends: gives,
    receives: both || !gives,
    strategy: kind === 'mirror' ? 'mirror' : strategy === 'unknown' ? 'ff' : strategy,
    ...(waits && { waits }),
    ...(limit !== undefined && { limit }),
  }
}

function reasonToWait(rule: Rule, now: WeekTime): string | undefined {
  const { id, kind, strategy, paused, schedule } = rule
  if (kind === 'unknown' || strategy === 'unknown')
    return `rule ${id} says something that this version does not know; update PeerDrive`
  if (paused) return `paused by rule ${id}`
  if (!isOpen(schedule, now)) return `rule ${id} waits for its time: ${schedule.join('; ')}`
  return undefined
}
