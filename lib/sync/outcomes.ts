// What to do with a document that could not be brought here at once: try again, or let it wait, and why. Pure.

import type { Outcome } from './reconcile.js'

/** How often a busy document is looked at again at once, after the volume has committed its own changes. */
const BUSY_ROUNDS = 3
/** How often documents that a folder names are fetched before the folder has to wait, and how deep in folders of folders. */
const MISSING_ROUNDS = 3
const MISSING_DEPTH = 64
const BUSY = 'it is open for writing here, or being committed'
const MISSING = 'the folder names documents that the other device does not have'

/** Whether it is worth while at once: `round` of this batch, `depth` of folders in folders. */
export function mayTryAgain({ result }: Outcome, round: number, depth: number): boolean {
  if (result === 'busy') return round < BUSY_ROUNDS
  return result === 'missing' && round < MISSING_ROUNDS && depth < MISSING_DEPTH
}

/** Why the document has to wait, in words. */
export function reasonOf(outcome: Outcome): string {
  if (outcome.result === 'failed') return outcome.reason
  return outcome.result === 'busy' ? BUSY : MISSING
}
