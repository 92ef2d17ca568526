// `peerdrive sync pause|resume|retry|allow`: steering the synchronization of a volume with a device.

import type { Command } from 'commander'
import { STEER_ACTIONS, steerAction } from '../../api/services.js'
import { action, withNode } from '../connect.js'

export function register(program: Command): void {
  program
    .command('sync')
    .description('steer a synchronization: pause, resume, retry what waits, allow a removal that was stopped')
    .argument('<action>', STEER_ACTIONS.join(', '))
    .argument('[volume]', 'name of the volume (default: all)', '')
    .argument('[device]', 'name or id of the device (default: all)', '')
    .action(
      action(async (what: string, volume: string, device: string) => {
        const chosen = steerAction(what)
        await withNode((node) => node.steer(volume, device, chosen))
        console.log('Done.')
      }),
    )
}
