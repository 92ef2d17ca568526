// `peerdrive cat FILE@VERSION`: the bytes of a version, to standard output.

import type { Command } from 'commander'
import { action, fileAndVersion, withNode } from '../connect.js'

export function register(program: Command): void {
  program
    .command('cat')
    .description('print a version of a file')
    .argument('<file@version>')
    .action(
      action(async (argument: string) => {
        const { file, version } = fileAndVersion(argument)
        await withNode((node) =>
          node.cat(file, version, async (bytes) => {
            if (!process.stdout.write(bytes)) await new Promise((resolve) => process.stdout.once('drain', resolve))
          }),
        )
      }),
    )
}
