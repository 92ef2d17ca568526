// `peerdrive restore FILE@VERSION`: brings a version back, as a new one on top of the history.

import type { Command } from 'commander'
import { action, fileAndVersion, withNode } from '../connect.js'

export function register(program: Command): void {
  program
    .command('restore')
    .description('bring a version of a file back, as a new version on top')
    .argument('<file@version>')
    .action(
      action(async (argument: string) => {
        const { file, version } = fileAndVersion(argument)
        const now = await withNode((node) => node.restore(file, version))
        console.log(`Restored; the new version is ${now.version}. What was there before is kept.`)
      }),
    )
}
