// Why a document is, or is not, the same on the other side of each pair: asks the other side for its head, and where that differs,
// says what it waits for. Reads only.

import type { WhyInfo } from '../api/services.js'
import { equal, hex } from '../model/bytes.js'
import { FLAG_CONFLICT } from '../model/types.js'
import { knownPairs } from '../sync/known-pairs.js'
import { livingWorkers, type WorkerView, waitsOf } from '../sync/worker-view.js'
import type { Head, Volume } from '../volume/contract.js'

/** Milliseconds that another device may take to say which version it has. */
const PATIENCE_MS = 3000

type Reason = Pick<WhyInfo, 'state' | 'reason'> & { since?: number }

/** One for each pair of the volume, those that cannot be reached included. */
export async function whyOf(volume: Volume, head: Head): Promise<WhyInfo[]> {
  const workers = livingWorkers(volume)
  const met = workers.map(async (worker): Promise<WhyInfo> => {
    const { state, reason, since = 0 } = await reasonOf(worker, head)
    return { volume: volume.label, peerName: worker.args.peerName, state, reason, since }
  })
  const living = new Set(workers.map(({ args }) => hex(args.peerVolume)))
  const away = knownPairs(volume)
    .filter(({ peerVolume }) => !living.has(peerVolume))
    .map(({ name, seen, paused }): WhyInfo => {
      const reason = paused ? 'it is not connected, and paused on this device' : 'it is not connected'
      return { volume: volume.label, peerName: name, state: 'not reachable', reason, since: seen }
    })
  return [...(await Promise.all(met)), ...away]
}

async function reasonOf(worker: WorkerView, head: Head): Promise<Reason> {
  const { args, fetcher, feeder, terms } = worker
  const theirs = await headThere(worker, head)
  if (theirs && equal(theirs, head.head)) {
    const isConflict = ((args.volume.revision(head.head)?.flags ?? 0) & FLAG_CONFLICT) !== 0
    if (isConflict) return { state: 'conflict', reason: 'both have it, and a conflict to be resolved' }
    return { state: 'in sync', reason: '' }
  }
  const waiting = fetcher.pending.list().find(({ document }) => equal(document, head.document))
  if (waiting) {
    const { skipped, reason, since } = waiting
    return { state: skipped ? 'skipped' : 'pending', reason, since }
  }
  const waits = waitsOf(worker)
  if (waits) return { state: worker.paused || terms.rule?.paused ? 'paused' : 'waiting', reason: waits }
  if (theirs === undefined) return { state: 'not reachable', reason: 'the device does not answer' }
  if (fetcher.halted) return { state: 'halted', reason: fetcher.halted }
  if (!terms.sends)
    return {
      state: 'not sent',
      reason: `rule ${terms.rule?.id}: a ${terms.rule?.kind} takes from there, and sends nothing`,
    }
  const reason = theirs ? 'another version is there' : 'it is not there yet'
  // What was acknowledged and is not the head there is on the other device's own list.
  if (feeder.acknowledged < head.seq) return { state: 'on its way', reason }
  return { state: 'pending', reason: `${reason}; \`peerdrive why\` on that device says what it waits for` }
}

/** Its head there; null: it has none; undefined: it does not answer. */
async function headThere({ args }: WorkerView, { document }: Head): Promise<Uint8Array | null | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), PATIENCE_MS)
  })
  const asked = args.session.ask(args.volume.root, { documents: [document] }).then(
    ({ documents }) => documents[0]?.head ?? null,
    () => undefined,
  )
  try {
    return await Promise.race([asked, late])
  } finally {
    clearTimeout(timer)
  }
}
