// `peerdrive pair`, `unpair`, `join`: trusting a device, and taking part in its volumes.

import path from 'node:path'
import type { Command } from 'commander'
import { action, countOf, withNode } from '../connect.js'
import { printable } from '../format.js'

/** An invitation is no standing one: a day at most. */
const MINUTES_MAX = 1440

export function register(program: Command): void {
  program
    .command('pair')
    .description('without a token: make a one-time invitation; with one: accept it')
    .argument('[token]')
    .option('-m, --minutes <minutes>', 'how long the invitation is valid', '10')
    .action(
      action(async (token: string | undefined, options: { minutes: string }) => {
        if (token !== undefined) {
          const device = await withNode((node) => node.pair(token))
          console.log(
            `Paired with ${printable(device.name)}. \`peerdrive status\` shows its volumes, \`peerdrive join NAME\` takes part in one.`,
          )
          return
        }
        const minutes = countOf(options.minutes, MINUTES_MAX, 'minutes')
        const invitation = await withNode((node) => node.invite(minutes))
        console.log(`On the other device, within ${minutes} minutes:\n\n  peerdrive pair ${invitation.token}\n`)
      }),
    )
  program
    .command('unpair')
    .description('stop trusting a device; nothing is deleted')
    .argument('<device>', 'its name or id')
    .action(
      action(async (device: string) => {
        await withNode((node) => node.unpair(device))
        console.log('Unpaired. What was synchronized stays on both devices.')
      }),
    )
  program
    .command('join')
    .description('take part in a volume of a paired device: it is replicated here and kept in sync')
    .argument('[volume]', 'its name or the start of its id', 'home')
    .option('--from <device>', 'name or id of the device, when several offer it')
    .option('--label <label>', 'name of the volume here')
    .option('--mount <directory>', 'where to mount it')
    .option('--on-demand', 'only the tree comes; contents come when they are read')
    .action(
      action(async (volume: string, options: { from?: string; label?: string; mount?: string; onDemand?: boolean }) => {
        const mountPoint = options.mount === undefined ? undefined : path.resolve(options.mount)
        const joined = await withNode((node) =>
          node.join({ volume, peer: options.from, label: options.label, mountPoint, onDemand: options.onDemand }),
        )
        console.log(`Joined ${printable(joined.label)}. It is mounted at ${joined.mountPoint} and fills by itself.`)
      }),
    )
}
