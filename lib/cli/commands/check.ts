// `peerdrive check`: reads a whole volume and says whether everything that it refers to is there and whole. Changes nothing.

import type { Command } from 'commander'
import type { CheckCountsInfo, CheckInfo } from '../../api/services.js'
import { action, withNode } from '../connect.js'
import { bytes, printable } from '../format.js'

export function register(program: Command): void {
  program
    .command('check')
    .description('read a whole volume and say whether everything in it is there and whole')
    .argument('[volume]', 'name of the volume (default: all)', '')
    .action(
      action(async (volume: string) => {
        const shows = process.stderr.isTTY
        const progress = (counts: CheckCountsInfo) => shows && process.stderr.write(`\r\x1b[K${amount(counts)} …`)
        const checked = await withNode((node) => node.check(volume, progress))
        if (shows) process.stderr.write('\r\x1b[K')
        for (const one of checked) say(one)
        if (checked.some(({ findings }) => findings.length > 0)) process.exitCode = 1
      }),
    )
}

function say({ counts, findings }: CheckInfo): void {
  const found = findings.length === 0 ? 'All is there and whole.' : 'Found:'
  console.log(`${amount(counts)}. ${found}`)
  for (const text of findings) console.log(`  ${printable(text)}`)
  if (findings.length > 0)
    console.log(
      '  What is damaged is fetched from a connected device that has it; `peerdrive status` says when it is whole again.',
    )
}

function amount({ volume, chunks, bytes: size, documents, inodes }: CheckCountsInfo): string {
  return `${printable(volume)}: checked ${chunks} chunks (${bytes(size)}), ${documents} documents, ${inodes} files and folders`
}
