// `peerdrive sync pause|resume|skip|retry|allow`: steering the synchronization of a volume with a device.

import type { Command } from 'commander'
import type { SteerAction } from '../../api/services.js'
import { absolute, action, withNode } from '../connect.js'

const ACTIONS: [SteerAction, string, string][] = [
  ['pause', 'nothing travels until `resume`, also after a restart', 'Paused on this device.'],
  ['resume', 'go on after `pause`', 'It goes on.'],
  ['retry', 'try what waits now, also what was skipped', 'Trying again.'],
  ['allow', 'let a removal go on that was stopped since it is most of what is here', 'Allowed.'],
]

export function register(program: Command): void {
  const sync = program.command('sync').description('steer a synchronization')
  for (const [what, description, done] of ACTIONS)
    sync
      .command(what)
      .description(description)
      .argument('[volume]', 'name of the volume (default: all)', '')
      .argument('[device]', 'name or id of the device, or name of the backup (default: all)', '')
      .action(
        action(async (volume: string, device: string) => {
          await withNode((node) => node.steer(volume, device, what))
          console.log(done)
        }),
      )
  sync
    .command('skip')
    .description('leave a file out, or what a folder lists, until `retry`; others go on')
    .argument('<file>')
    .argument('[device]', 'name or id of the device (default: all that are connected)', '')
    .action(
      action(async (file: string, device: string) => {
        await withNode((node) => node.steer('', device, 'skip', absolute(file)))
        console.log('Skipped on this device, until `peerdrive sync retry`.')
      }),
    )
}
