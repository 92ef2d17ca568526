// `peerdrive why FILE`: whether a file or folder is the same on every other device, and why not.

import type { Command } from 'commander'
import { absolute, action, withNode } from '../connect.js'
import { printable, span, table } from '../format.js'

export function register(program: Command): void {
  program
    .command('why')
    .description('say whether a file is in sync with each device, and what it waits for')
    .argument('<file>')
    .option('--json', 'as JSON')
    .action(
      action(async (file: string, { json }: { json?: boolean }) => {
        const whys = await withNode((node) => node.why(absolute(file)))
        if (json) return console.log(JSON.stringify(whys, null, 2))
        if (!whys.length)
          return console.log('It is on this device only: no device takes part in this volume, and there is no backup.')
        const rows = whys.map(({ peerName, state, reason, since }) => [
          printable(peerName),
          state,
          [printable(reason), since ? `for ${span(Date.now() - since)}` : ''].filter(Boolean).join(', '),
        ])
        console.log(table(rows))
      }),
    )
}
