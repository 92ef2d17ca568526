// Why discovery cannot work here, in words that say what to do. libp2p's mDNS swallows a missing multicast route (and all
// other send errors), so this asks the kernel itself: by sending one empty query to the group. Keeps no state.
import dgram from 'node:dgram'
import os from 'node:os'
import { asError } from './errors.js'

export const MDNS_GROUP = '224.0.0.251'

export type ProblemCode =
  /** Only the loopback interface is up. */
  | 'only-loopback'
  /** The kernel has no route for the multicast group. */
  | 'no-multicast-route'
  /** A firewall or sandbox forbids sending. */
  | 'not-permitted'
  /** The UDP port cannot be used. */
  | 'socket'
  /** Sending works, but not even our own queries come back. */
  | 'deaf'
  /** Nothing is wrong here, but nobody is heard: perhaps another subnet or an isolated Wi-Fi. */
  | 'nobody-heard'

export interface Problem {
  code: ProblemCode
  /** Is it certain that devices cannot find each other? Else it is a hint. */
  fatal: boolean
  message: string
}

/** @param seen what Discovery has observed over some intervals */
export async function diagnose(seen: { port: number; deaf: boolean; alone: boolean }): Promise<Problem[]> {
  if (onlyLoopback()) {
    return [
      problem('only-loopback', 'This machine is connected to no network; only devices on this machine can be found.'),
    ]
  }
  const error = await probe(seen.port)
  if (error) return [sendProblem(error)]
  if (seen.deaf) {
    return [
      problem(
        'deaf',
        `Queries are sent but do not come back: a firewall blocks incoming UDP port ${seen.port}. Open it.`,
      ),
    ]
  }
  if (!seen.alone) return []
  const message =
    'No other device is heard. If there are some: they must be in the same subnet, and the Wi-Fi must not isolate its ' +
    'clients (guest networks do). Else give the address of the other device, or pair with an invitation.'
  return [{ code: 'nobody-heard', fatal: false, message }]
}

export function socketProblem(error: Error, port: number): Problem {
  return problem(
    'socket',
    `UDP port ${port} cannot be used for discovery: ${error.message}. Another program may hold it alone.`,
  )
}

export function sendProblem(error: Error): Problem {
  const code = (error as NodeJS.ErrnoException).code ?? ''
  if (['ENETUNREACH', 'EHOSTUNREACH', 'ENETDOWN', 'EADDRNOTAVAIL'].includes(code)) {
    const message =
      `The network has no route for multicast (${code}), so devices cannot find each other. Add one, for example: ` +
      'ip route add 224.0.0.0/4 dev <interface>. Or give the address of the other device.'
    return problem('no-multicast-route', message)
  }
  if (code === 'EPERM' || code === 'EACCES') {
    return problem(
      'not-permitted',
      `Sending to the multicast group is forbidden (${code}); look at firewall and sandbox.`,
    )
  }
  return problem('socket', `Sending to the multicast group failed: ${error.message}.`)
}

function problem(code: ProblemCode, message: string): Problem {
  return { code, fatal: true, message }
}

function onlyLoopback(): boolean {
  return !Object.values(os.networkInterfaces()).some((addresses) => addresses?.some((address) => !address.internal))
}

/** A DNS header without questions: nobody answers it. */
const EMPTY_QUERY = new Uint8Array(12)

/** Sends one datagram to the group. @returns what the kernel said against it */
export async function probe(port: number): Promise<Error | undefined> {
  const socket = dgram.createSocket('udp4')
  try {
    return await new Promise((resolve) => {
      socket.once('error', resolve)
      socket.send(EMPTY_QUERY, port, MDNS_GROUP, (error) => resolve(error ?? undefined))
    })
  } catch (error) {
    return asError(error)
  } finally {
    socket.close()
  }
}
