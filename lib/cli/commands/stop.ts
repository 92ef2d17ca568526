// `peerdrive stop`: stops the node cleanly and waits until it is gone.

import type { Command } from 'commander'
import { action, withNode } from '../connect.js'

export function register(program: Command): void {
  program
    .command('stop')
    .description('stop the node cleanly')
    .action(
      action(async () => {
        await withNode(async (node) => {
          await node.stop()
          await node.closed()
        })
        console.log('Stopped.')
      }),
    )
}
