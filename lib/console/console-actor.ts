// The actor of the web console. Keeps the port over a restart, so that an open page finds it again.

import type { Behaviour, ChildSpec } from '../actors/index.js'
import { type ConsoleComponents, ConsoleServer } from './http-server.js'

export interface ConsoleArgs {
  components: ConsoleComponents
  token: string
  /** Port on loopback, 0: any; set to the one in use. */
  port: number
  /** Hears the address whenever the console is up. */
  onUrl(url: string): void
}

const behaviour: Behaviour<ConsoleServer, never, ConsoleArgs> = {
  async init(_context, args) {
    const server = await listen(args)
    args.port = server.port
    args.onUrl(server.url)
    return server
  },
  handle() {},
  terminate: (server) => server.stop(),
  summarize: (server) => ({ port: server.port, pages: server.streams }),
}

/** On the port it had; on any other if somebody else has it now. */
async function listen({ components, token, port }: ConsoleArgs): Promise<ConsoleServer> {
  const server = new ConsoleServer(components, { token, port })
  try {
    await server.start()
    return server
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || port === 0) throw error
    const other = new ConsoleServer(components, { token, port: 0 })
    await other.start()
    return other
  }
}

export function consoleSpec(args: ConsoleArgs): ChildSpec {
  return { id: 'console', behaviour, args, backoff: { minMs: 50, maxMs: 5000 } } as ChildSpec
}
