// All open volumes: one supervisor each, started when a volume is opened.
//
// A volume whose parts crash again and again gives up; it waits on its disk or on somebody who looks after it, so it is
// started again with growing delays and takes nobody with it. The list lives outside: whoever restarts this restarts all.

import { type ChildSpec, supervisor } from '../lib/actors/index.js'

/** Name in the registry, for those who open volumes. */
export const VOLUMES = 'volumes'

/** `open`: `volumeSupervisor` of each volume that is open now. */
export function volumesSupervisor(open: () => ChildSpec[]): ChildSpec {
  return supervisor({
    id: 'volumes',
    name: VOLUMES,
    strategy: 'one_for_one',
    children: open,
  }) as ChildSpec
}
