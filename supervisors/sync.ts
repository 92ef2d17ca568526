// Synchronization: one worker for each pair of a local volume and a peer's volume.
//
// Workers keep nothing that a restart loses (anchors are settings of the volume), so they are started again one by one.

import { type ChildSpec, supervisor } from '../lib/actors/index.js'

/** Name in the registry, for those who add workers. */
export const SYNC = 'sync'

/** `workers`: one for each pair known now, asked anew whenever this is started; more come by `startChild`. */
export function syncSupervisor(workers: () => ChildSpec[]): ChildSpec {
  return supervisor({
    id: 'sync',
    name: SYNC,
    strategy: 'one_for_one',
    children: workers,
  }) as ChildSpec
}
