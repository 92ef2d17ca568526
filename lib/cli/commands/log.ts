// `peerdrive log FILE`: the versions of a file or folder, newest first.

import type { Command } from 'commander'
import { absolute, action, countOf, withNode } from '../connect.js'
import { bytes, printable, table, time } from '../format.js'

/** The node lists no more. */
const LOG_MAX = 10_000

export function register(program: Command): void {
  program
    .command('log')
    .description('list the versions of a file or folder, newest first')
    .argument('<file>')
    .option('-n, --limit <count>', 'how many at the most', '100')
    .option('--json', 'as JSON')
    .action(
      action(async (file: string, options: { limit: string; json?: boolean }) => {
        const limit = countOf(options.limit, LOG_MAX, 'versions')
        const versions = await withNode((node) => node.log(absolute(file), limit))
        if (options.json) return console.log(JSON.stringify(versions, null, 2))
        const rows = versions.map((v) => [
          v.version,
          time(v.modified),
          bytes(v.size),
          printable(v.device),
          [v.current && 'current', v.merge && 'merged', v.conflict && 'conflict', printable(v.comment)]
            .filter(Boolean)
            .join(', '),
        ])
        if (versions.length > 0 && !versions.some(({ current }) => current))
          console.log(`${printable(file)} is deleted; \`peerdrive restore FILE@VERSION\` brings it back.`)
        console.log(table([['VERSION', 'MODIFIED', 'SIZE', 'DEVICE', ''], ...rows]))
      }),
    )
}
