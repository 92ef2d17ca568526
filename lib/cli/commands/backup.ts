// `peerdrive backup add|list|eject|remove`: backups of a volume on disks of this device.

import path from 'node:path'
import type { Command } from 'commander'
import { absolute, action, withNode } from '../connect.js'
import { printable, table } from '../format.js'

export function register(program: Command): void {
  const backup = program.command('backup').description('backups on disks of this device')
  backup
    .command('list', { isDefault: true })
    .description('list the backups')
    .action(
      action(async () => {
        const backups = await withNode((node) => node.backups())
        if (!backups.length) return console.log('No backups; `peerdrive backup add DIRECTORY` makes one.')
        console.log(
          table(
            backups.map(({ label, directory, state, problem }) => [
              printable(label),
              state,
              printable(directory) + (problem ? `: ${printable(problem)}` : ''),
            ]),
          ),
        )
      }),
    )
  backup
    .command('add')
    .description(
      'keep every version of a volume in a directory, of an external disk for example; it goes on whenever it is there',
    )
    .argument('<directory>', 'empty, or made; or with a backup of this volume in it')
    .option('--volume <name>', 'the volume (default: the only one, or home)')
    .option('--label <name>', 'what it is called (default: as the directory)')
    .option('--mount <directory>', 'mount it there, to look into it')
    .option('--only <paths...>', 'contents of these files and folders alone; of the others it has the names')
    .action(
      action(
        async (directory: string, options: { volume?: string; label?: string; mount?: string; only?: string[] }) => {
          const mountPoint = options.mount === undefined ? undefined : path.resolve(options.mount)
          const full = path.resolve(directory)
          const { volume, label } = options
          const only = options.only?.map(absolute)
          const added = await withNode((node) => node.addBackup({ directory: full, volume, label, mountPoint, only }))
          console.log(
            `${printable(added.label)} fills by itself, whenever ${printable(full)} is there.\n\`peerdrive log ${printable(full)}/FILE\` lists what it has; \`peerdrive backup eject ${printable(added.label)}\` before its disk is taken out.`,
          )
        },
      ),
    )
  backup
    .command('eject')
    .description('close a backup, so that its disk can be taken out')
    .argument('<backup>', 'its name or directory')
    .action(
      action(async (label: string) => {
        await withNode((node) => node.endBackup(label, 'eject'))
        console.log('Its disk can be taken out. It goes on when it is there again.')
      }),
    )
  backup
    .command('remove')
    .description('use a backup no more; its files stay where they are')
    .argument('<backup>', 'its name or directory')
    .action(
      action(async (label: string) => {
        await withNode((node) => node.endBackup(label, 'remove'))
        console.log('It is used no more. What it has stays; `peerdrive backup add` takes it up again.')
      }),
    )
}
