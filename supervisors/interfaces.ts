// How people and programs look at the node and steer it.
//
// The client API and the console need nothing of each other: each is started again by itself.

import { type ChildSpec, supervisor } from '../lib/actors/index.js'

export interface InterfacesChildren {
  clientApi: ChildSpec
  console: ChildSpec
}

export function interfacesSupervisor({ clientApi, console }: InterfacesChildren): ChildSpec {
  return supervisor({
    id: 'interfaces',
    strategy: 'one_for_one',
    children: [clientApi, console],
  }) as ChildSpec
}
