// `peerdrive console`: the node, live, in this terminal; prints one picture where the output is no terminal.

import { readFileSync } from 'node:fs'
import path from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import type { Command } from 'commander'
import type { ApiClient } from '../../api/client.js'
import { renderScreen, runTerminal, type Snapshot } from '../../console/terminal.js'
import { nodePaths } from '../../node/paths.js'
import { action, withNode } from '../connect.js'

export function register(program: Command): void {
  program
    .command('console')
    .description('watch volumes, devices, sync and actors live')
    .option('--url', "print the web console's address")
    .option('--kill <actor>', 'kill an actor by its path and leave')
    .action(
      action(async (options: { url?: boolean; kill?: string }) => {
        if (options.url) return printUrl()
        const { kill } = options
        if (kill) {
          await withNode((node) => node.kill(kill))
          return console.log(`Killed ${kill}.`)
        }
        await withNode(show)
      }),
    )
}

/** The node leaves the address, which holds the token, in a file that only its user may read. */
function printUrl(): void {
  const file = path.join(nodePaths(process.env, process.getuid?.() ?? 0).runtime, 'console-url')
  try {
    console.log(readFileSync(file, 'utf8').trim())
  } catch {
    throw new Error('No PeerDrive node is running. Start one with `peerdrive start`.')
  }
}

async function show(node: ApiClient): Promise<void> {
  const snapshot = async (): Promise<Snapshot> => ({ info: await node.info(), actors: await node.actors() })
  if (process.stdin.isTTY && process.stdout.isTTY)
    return runTerminal({ input: process.stdin, output: process.stdout, snapshot, kill: (actor) => node.kill(actor) })
  const view = { width: 120, height: 10_000, selected: -1, notice: ' ' }
  console.log(stripVTControlCharacters(renderScreen(await snapshot(), view).join('\n')).trimEnd())
}
