// What a volume holds on this device: everything for ever, or less. Pure: the policy as a value, what follows from it, and its
// durable form. Who may give a chunk away, and who may be trusted to have it, is decided by these few functions
// (docs/on-demand.md has the argument).

export interface Holding {
  /** `on-demand`: contents come when they are read, and go again when room is needed. */
  hold: 'everything' | 'on-demand'
  /** On demand: bytes that contents may take here, as far as they may be given away. */
  budget: number
  /** Milliseconds after which versions that are not the newest may be given away; undefined: never. */
  retain?: number
  /** Contents may be missing here: now, or since some time when it was so and was not filled up again. */
  partial: boolean
}

/** The setting of a volume that says it. */
export const HOLDING_SETTING = 'holding'

export const DEFAULT_BUDGET = 10 * 1024 ** 3
export const BUDGET_MIN = 1 << 20

export const EVERYTHING: Holding = { hold: 'everything', budget: DEFAULT_BUDGET, partial: false }

/** Never gives anything away: what it has, others may rely on. */
export function keeps({ hold, retain }: Pick<Holding, 'hold' | 'retain'>): boolean {
  return hold === 'everything' && retain === undefined
}

/** A version, as far as it matters for what may be given away. */
export interface HeldVersion {
  /** It is the head of its document. */
  newest: boolean
  /** Somebody said that it stays. */
  pinned: boolean
  /** Milliseconds since another version took its place; 0 for the newest. */
  outdated: number
}

/** Whether the content of a version may be given away, if somebody else keeps it. */
export function mayGo(holding: Holding, version: HeldVersion): boolean {
  if (keeps(holding)) return false
  if (version.newest && version.pinned) return false
  if (holding.hold === 'on-demand') return true
  return !version.newest && version.outdated > (holding.retain ?? Number.POSITIVE_INFINITY)
}

/** Whether the content of a version has to be here, and is fetched if it is not. */
export function mustBeHere(holding: Holding, version: HeldVersion): boolean {
  if (version.newest && version.pinned) return true
  return holding.hold === 'everything' && !mayGo(holding, version)
}

export function encodeHolding(holding: Holding): Uint8Array {
  return Buffer.from(JSON.stringify({ version: 1, ...holding }))
}

/** What cannot be understood counts as: it may be missing something, and keeps nothing for others. */
export function decodeHolding(bytes: Uint8Array | undefined): Holding {
  if (!bytes) return EVERYTHING
  try {
    const { version, hold, budget, retain, partial } = JSON.parse(Buffer.from(bytes).toString())
    const known = version === 1 && (hold === 'everything' || hold === 'on-demand')
    const counts = Number.isSafeInteger(budget) && (retain === undefined || Number.isSafeInteger(retain))
    if (known && counts)
      return { hold, budget, ...(retain === undefined ? {} : { retain }), partial: partial !== false }
  } catch {
    // As below.
  }
  return { hold: 'everything', budget: DEFAULT_BUDGET, retain: Number.MAX_SAFE_INTEGER, partial: true }
}
