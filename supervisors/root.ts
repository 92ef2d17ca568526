// The root of the supervision tree.
//
// Parts find each other by name whenever they need each other, and what must outlive a crash is not kept in them: so the
// end of one part is nobody else's (one_for_one). Order: what is used is started before who uses it, and stopped after.

import { type ChildSpec, supervisor } from '../lib/actors/index.js'

export interface RootChildren {
  /** `volumesSupervisor` */
  volumes: ChildSpec
  /** `peersSupervisor` */
  peers: ChildSpec
  /** `syncSupervisor` */
  sync: ChildSpec
  /** `interfacesSupervisor` */
  interfaces: ChildSpec
}

export function rootSupervisor({ volumes, peers, sync, interfaces }: RootChildren): ChildSpec {
  return supervisor({
    id: 'root',
    strategy: 'one_for_one',
    children: [volumes, peers, sync, interfaces],
  }) as ChildSpec
}
