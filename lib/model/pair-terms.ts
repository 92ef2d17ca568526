// What holds between two volumes at a moment, from the rules that both have. Pure; both ends come to answers that fit each other:
// one sends exactly if the other receives.

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
  if (!rule) return { sends: true, receives: true, strategy: 'merge' }
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
