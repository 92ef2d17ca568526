// The actor that listens on the client API's socket, and the actor of each connection. The socket may be opened by this user
// only. Clients of a killed listener stay connected; a killed session costs its client the connection.

import { chmodSync, mkdirSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import path from 'node:path'
import { type ActorRef, type Behaviour, type ChildSpec, type SupervisorMessage, startChild } from '../actors/index.js'
import { Session, type SessionComponents } from './session.js'

export interface ListenerArgs extends SessionComponents {
  socketPath: string
  /** The supervisor of sessions that runs now. */
  sessions(): ActorRef<SupervisorMessage> | undefined
}

interface ListenerState {
  server: Server
  args: ListenerArgs
  accepted: number
}

let lastSession = 0

const listener: Behaviour<ListenerState, { type: 'accepted'; socket: Socket }, ListenerArgs> = {
  async init(context, args) {
    mkdirSync(path.dirname(args.socketPath), { recursive: true, mode: 0o700 })
    // Whoever is called holds the lock of the node: a socket that is there is left from a node that was killed.
    rmSync(args.socketPath, { force: true })
    const server = createServer((socket) => {
      if (!context.self.cast({ type: 'accepted', socket })) socket.destroy()
    })
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(args.socketPath, () => {
        chmodSync(args.socketPath, 0o600)
        resolve()
      })
    })
    server.on('error', (error) => context.exit(error))
    return { server, args, accepted: 0 }
  },

  async handle(state, { socket }) {
    const sessions = state.args.sessions()
    state.accepted++
    if (!sessions) socket.destroy()
    else await startChild(sessions, sessionSpec(state.args, socket))
  },

  terminate({ server }) {
    server.close()
  },

  summarize: ({ args, accepted }) => ({ socket: args.socketPath, accepted }),
}

export function listenerSpec(args: ListenerArgs): ChildSpec {
  return { id: 'listener', behaviour: listener, args, backoff: { minMs: 50, maxMs: 5000 } } as ChildSpec
}

const sessionBehaviour: Behaviour<Session, never, { components: SessionComponents; socket: Socket }> = {
  init(context, { components, socket }) {
    const session = new Session(components, socket)
    session.run().then(
      () => context.exit(),
      (error) => context.exit(error),
    )
    return session
  },
  handle() {},
  terminate: (session) => session.close(),
  summarize: (session) => ({ answered: session.answered }),
}

function sessionSpec(components: SessionComponents, socket: Socket): ChildSpec {
  const id = `session ${++lastSession}`
  return { id, behaviour: sessionBehaviour, args: { components, socket }, restart: 'temporary' } as ChildSpec
}
