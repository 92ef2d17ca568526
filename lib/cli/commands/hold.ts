// `peerdrive hold`, `pin` and `unpin`: what of a volume is held on this device.

import type { Command } from 'commander'
import type { HoldOptions } from '../../api/services.js'
import { absolute, action, withNode } from '../connect.js'
import { holdingText, printable, sizeOf, spanOf } from '../format.js'

export function register(program: Command): void {
  program
    .command('hold')
    .description('say what a volume holds on this device: everything, or contents when they are read')
    .argument('[what]', 'everything, or on-demand; without it: show what is held')
    .option('--budget <size>', 'on demand: what contents may take here, e.g. 10GB')
    .option('--retain <time>', 'how long old versions stay here, e.g. 30d, if another device keeps them; or forever')
    .option('--volume <name>', 'which volume, if there are several', '')
    .action(
      action(async (what: string | undefined, options: { budget?: string; retain?: string; volume: string }) => {
        const said: HoldOptions = {}
        if (what !== undefined) {
          if (what !== 'everything' && what !== 'on-demand')
            throw new Error(`Say what it holds: everything, or on-demand (got '${what}').`)
          said.hold = what
        }
        if (options.budget !== undefined) said.budget = sizeOf(options.budget)
        if (options.retain !== undefined) said.retainMs = options.retain === 'forever' ? 0 : spanOf(options.retain)
        const volume = await withNode((node) => node.hold(options.volume, said))
        console.log(`${printable(volume.label)} ${holdingText(volume.holding)}.`)
        for (const pin of volume.holding.pins) console.log(`  pinned: ${printable(pin)}`)
      }),
    )
  program
    .command('pin')
    .description('keep a file, or a folder with everything in it and everything that comes into it, on this device')
    .argument('<path>')
    .action(
      action(async (path: string) => {
        await withNode((node) => node.pin(absolute(path), true))
        console.log('Pinned. What is not here yet is fetched; `peerdrive status` shows what is lacking.')
      }),
    )
  program
    .command('unpin')
    .description('let what was pinned go again when room is needed')
    .argument('<path>')
    .action(
      action(async (path: string) => {
        await withNode((node) => node.pin(absolute(path), false))
        console.log('Not pinned any more.')
      }),
    )
}
