// The actor of one paired device: keeps its PeerConnection. A crash drops that connection and nothing else; the supervisor
// starts the actor again, and that dials again. Trust, discovery and the links of other devices are not in here.
import {
  type ActorRef,
  type Behaviour,
  type ChildSpec,
  type SupervisorMessage,
  startChild,
  stopChild,
} from '../actors/index.js'
import type { ConnectionsComponents } from './connections.js'
import type { DeviceId } from './device-id.js'
import { PeersError } from './errors.js'
import { PeerConnection, type PeerConnectionInit } from './peer-connection.js'
import type { Device } from './trust.js'

export type ConnectionMessage =
  /** Dial now instead of later. */
  | { type: 'retry' }
  /** Told by the connection; only for whoever watches the actor. */
  | { type: 'up'; address: string }
  | { type: 'down'; error?: string }
  | { type: 'attempt failed'; error: string }

export interface ConnectionActorArgs {
  components: ConnectionsComponents
  init: PeerConnectionInit
}

interface State {
  connection: PeerConnection
  components: ConnectionsComponents
}

const behaviour: Behaviour<State, ConnectionMessage, ConnectionActorArgs> = {
  init({ self }, { components, init }) {
    const connection = new PeerConnection(components, init)
    connection.on('up', (link) => self.cast({ type: 'up', address: link.address }))
    connection.on('down', (_link, error) => self.cast({ type: 'down', error: error?.message }))
    connection.on('failed', (error) => self.cast({ type: 'attempt failed', error: error.message }))
    components.links.follow(connection)
    connection.start()
    return { connection, components }
  },

  handle({ connection }, message) {
    if (message.type === 'retry') connection.retry()
  },

  async terminate({ connection, components }, reason) {
    if (reason.kind === 'crash' || reason.kind === 'killed') connection.abort(crashOf(reason))
    else await connection.stop()
    components.links.unfollow(connection)
  },

  summarize: ({ connection }) => {
    const { rtt, lastError, ...summary } = connection.summary()
    return { ...summary, rtt: rtt === undefined ? null : Math.round(rtt * 10) / 10, lastError: lastError ?? null }
  },
}

function crashOf(reason: { kind: string; error?: Error }): Error {
  return new PeersError(`The actor of the connection has ended (${reason.error?.message ?? reason.kind}).`)
}

/** The child of one paired device. */
export function connectionSpec(
  components: ConnectionsComponents,
  init: PeerConnectionInit,
): ChildSpec<ConnectionActorArgs> {
  return {
    id: init.id,
    behaviour,
    args: { components, init },
    restart: 'permanent',
    backoff: { minMs: 50, maxMs: 5000 },
  }
}

/** The children for all devices that are paired now. */
export function connectionSpecs(
  components: ConnectionsComponents,
  init: Omit<PeerConnectionInit, 'id'> = {},
): ChildSpec[] {
  return components.trust.list().map(({ id }) => connectionSpec(components, { ...init, id }) as ChildSpec)
}

/**
 * Starts a child when a device is paired and stops it when it is revoked. The supervisor's own start takes
 * `connectionSpecs`, so nothing is lost while there is none.
 * @param supervisor finds the supervisor of connections that runs now
 * @returns what ends this
 */
export function followTrust(
  components: ConnectionsComponents,
  supervisor: () => ActorRef<SupervisorMessage> | undefined,
  init: Omit<PeerConnectionInit, 'id'> = {},
): () => void {
  const quiet = (work: Promise<unknown> | undefined): void => void work?.catch(() => {})
  const onPaired = ({ id }: Readonly<Device>): void => {
    const found = supervisor()
    quiet(found && startChild(found, connectionSpec(components, { ...init, id })))
  }
  const onRevoked = ({ id }: { id: DeviceId }): void => {
    const found = supervisor()
    quiet(found && stopChild(found, id))
  }
  components.trust.on('paired', onPaired).on('revoked', onRevoked)
  return () => void components.trust.off('paired', onPaired).off('revoked', onRevoked)
}
