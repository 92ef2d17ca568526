// Other devices: finding them, and one connection each.
//
// What fails here waits on the network: children come with a back-off of their own, so that no absent peer counts as a
// crash of the node.

import { type ChildSpec, supervisor } from '../lib/actors/index.js'

/** Name in the registry of the supervisor of connections. */
export const CONNECTIONS = 'connections'

export interface PeersChildren {
  discovery: ChildSpec
  /** One for each paired device, asked anew whenever connections are started; more come by `startChild`. */
  connections: () => ChildSpec[]
}

export function peersSupervisor({ discovery, connections }: PeersChildren): ChildSpec {
  return supervisor({
    id: 'peers',
    strategy: 'one_for_one',
    children: [
      discovery,
      supervisor({
        id: 'connections',
        name: CONNECTIONS,
        strategy: 'one_for_one',
        children: connections,
      }),
    ],
  }) as ChildSpec
}
