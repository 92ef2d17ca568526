// `peerdrive start`: runs a node in the foreground until Ctrl-C. Says in a few lines where everything is.

import path from 'node:path'
import type { Command } from 'commander'
import { nodePaths } from '../../node/paths.js'
import { action } from '../connect.js'

export function register(program: Command): void {
  program
    .command('start', { isDefault: true })
    .description('run a node until Ctrl-C')
    .option('--mount <directory>', 'where to mount the home volume, from now on (default at first: ~/PeerDrive)')
    .option('--name <name>', 'name of this device (default: its host name)')
    .option('--port <port>', 'TCP port for other devices (default: chosen once and kept)')
    .option('--console-port <port>', 'port of the web console on this machine (default: any)')
    .option('--fuse-driver <driver>', 'kernel or fuse-native', 'kernel')
    .option('--no-discovery', 'find and be found by nobody; static addresses still work')
    .action(action(start))
}

interface Options {
  mount?: string
  name?: string
  port?: string
  consolePort?: string
  fuseDriver: string
  discovery: boolean
}

async function start(options: Options): Promise<void> {
  const paths = nodePaths(process.env, process.getuid?.() ?? 0)
  // Only here: the other commands answer in a fraction of the time without all of the node.
  const { startNode } = await import('../../node/node.js')
  const node = await startNode({
    paths,
    mountPoint: options.mount === undefined ? undefined : path.resolve(options.mount),
    name: options.name,
    port: portOf(options.port),
    consolePort: portOf(options.consolePort) ?? 0,
    driver: driverOf(options.fuseDriver),
    discovery: options.discovery,
  })
  console.log(`PeerDrive is running on ${node.name}.

  Your files   ${node.mountPoint ?? 'not mounted'}
  Console      ${node.consoleUrl}

  peerdrive log FILE    the versions of a file
  peerdrive pair        invite another device
  peerdrive status      volumes, devices, sync

Press Ctrl-C to stop.`)

  let asked = 0
  const stop = () => {
    asked++
    if (asked === 1) {
      console.log('\nStopping: writing what is left and unmounting …')
      node.stop().catch(failed)
    } else console.log('Still at it. What was acknowledged is safe even if the process is killed.')
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  process.on('SIGHUP', stop)
  const error = await node.ended
  if (error) return failed(error)
  console.log('Stopped. Everything is on disk.')
  process.exit(0)
}

function failed(error: Error): never {
  console.error(`peerdrive: ${error.message}`)
  process.exit(1)
}

function portOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const port = Number(text)
  if (!Number.isInteger(port) || port < 0 || port > 65535) throw new Error(`'${text}' is not a port: 0 to 65535.`)
  return port
}

function driverOf(name: string): 'kernel' | 'fuse-native' {
  if (name === 'kernel' || name === 'fuse-native') return name
  throw new Error(`There is no FUSE driver '${name}': kernel or fuse-native.`)
}
