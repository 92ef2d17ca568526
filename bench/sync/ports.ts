// TCP ports on loopback for the programs that are compared.

import { connect, createServer } from 'node:net'
import { pause } from '../processes.js'

export async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}

/** Resolves when somebody listens. */
export async function listening(port: number, limitMs = 20_000): Promise<void> {
  const end = performance.now() + limitMs
  const knock = () =>
    new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1')
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
      socket.once('connect', () => socket.destroy())
    })
  while (!(await knock())) {
    if (performance.now() > end) throw new Error(`Nobody listens on port ${port}.`)
    await pause(50)
  }
}
