// The client API: one listener, one session for each connected client.
//
// Sessions are temporary: a client whose session crashed connects again. The listener is independent of them.

import { type ChildSpec, supervisor } from '../lib/actors/index.js'

/** Name in the registry, for the listener, which adds sessions. */
export const SESSIONS = 'sessions'

export function clientApiSupervisor(listener: ChildSpec): ChildSpec {
  return supervisor({
    id: 'client api',
    strategy: 'one_for_one',
    children: [supervisor({ id: 'sessions', name: SESSIONS, strategy: 'one_for_one', children: [] }), listener],
  }) as ChildSpec
}
