// `peerdrive conflicts` and `peerdrive resolve`: what was changed on two devices at once, and the end of it.

import type { Command } from 'commander'
import { absolute, action, fileAndVersion, withNode } from '../connect.js'
import { bytes, printable, table, time } from '../format.js'

export function register(program: Command): void {
  program
    .command('conflicts')
    .description('list files that were changed on two devices at once')
    .action(
      action(async () => {
        const conflicts = await withNode((node) => node.conflicts())
        if (!conflicts.length) return console.log('No conflicts.')
        for (const conflict of conflicts) {
          console.log(printable(conflict.path || conflict.document))
          const rows = conflict.versions.map((v) => [
            `  ${v.version}`,
            time(v.modified),
            bytes(v.size),
            printable(v.device),
            v.current ? 'shown now' : '',
          ])
          console.log(table(rows))
        }
        console.log(
          '\nKeep one with `peerdrive resolve FILE@VERSION`, or what is shown now with `peerdrive resolve FILE`;\nwith `--both` the others become files beside it.',
        )
      }),
    )
  program
    .command('resolve')
    .description('end a conflict: keep the version shown now, or another one')
    .argument('<file[@version]>')
    .option('--both', 'keep the other versions, too, as files beside it', false)
    .action(
      action(async (argument: string, { both }: { both: boolean }) => {
        const chosen = /@[0-9a-f]{4,66}$/.test(argument) ? fileAndVersion(argument) : undefined
        const now = await withNode((node) => node.resolve(chosen?.file ?? absolute(argument), chosen?.version, both))
        console.log(
          `Resolved; the version is ${now.version}. ${both ? 'The others are files beside it.' : 'The others stay in the history.'}`,
        )
      }),
    )
}
