// What is shown of sync workers, and in which state they are. Owns the list of those that live.

import type { PairTerms } from '../model/pair-terms.js'
import type { Volume } from '../volume/contract.js'
import type { Feeder } from './feeder.js'
import type { Fetcher } from './fetcher.js'
import type { WorkerArgs } from './worker.js'

/** What the console and the API show of a worker. */
export interface WorkerView {
  args: WorkerArgs
  feeder: Feeder
  fetcher: Fetcher
  /** By somebody on this device. */
  paused: boolean
  /** What the rules say. */
  terms: PairTerms
  /** Why it stands still, or what ended its last life. */
  readonly lastError?: string
}

/** The workers that live, for whoever lists them. */
const living = new Set<WorkerView>()

export function livingWorkers(volume: Volume): WorkerView[] {
  return [...living].filter((worker) => worker.args.volume.sid === volume.sid)
}

export const begun = (worker: WorkerView): void => void living.add(worker)
export const ended = (worker: WorkerView): void => void living.delete(worker)

/** Why nothing travels between the two now. */
export function waitsOf({ paused, terms }: Pick<WorkerView, 'paused' | 'terms'>): string | undefined {
  return paused ? 'paused on this device' : terms.waits
}

export function stateOf({
  feeder,
  fetcher,
  paused,
  terms,
}: Pick<WorkerView, 'feeder' | 'fetcher' | 'paused' | 'terms'>): string {
  if (paused || terms.rule?.paused) return 'paused'
  if (terms.waits) return 'waiting'
  if (fetcher.halted) return 'halted'
  if (terms.receives && (fetcher.working || fetcher.anchor < fetcher.lastSeq)) return 'receiving'
  if (terms.sends && feeder.following && feeder.acknowledged < feeder.sent) return 'sending'
  return 'idle'
}
