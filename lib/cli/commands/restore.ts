// `peerdrive restore FILE@VERSION`: brings a version back, as a new one on top of the history; a folder with all that was in it then.

import type { Command } from 'commander'
import type { RestoredInfo } from '../../api/services.js'
import { action, fileAndVersion, withNode } from '../connect.js'
import { printable } from '../format.js'

export function register(program: Command): void {
  program
    .command('restore')
    .description(
      'bring a version of a file back as a new version on top, or a folder with all that was in it then; VERSION may be a time',
    )
    .argument('<file@version>')
    .action(
      action(async (argument: string) => {
        const { file, version } = fileAndVersion(argument)
        const restored = await withNode((node) => node.restore(file, version))
        console.log(sentence(restored))
        for (const problem of restored.problems) console.error(`peerdrive: ${printable(problem)}`)
        if (restored.problems.length > 0) process.exitCode = 1
      }),
    )
}

function sentence({ version, files, same, later, problems }: RestoredInfo): string {
  if (version.type !== FOLDER) return `Restored; the new version is ${version.version}. What was there before is kept.`
  const said = [`Restored ${count(files, 'file')}; ${same} were as they had been.`]
  if (later > 0) said.push(`${count(later, 'entry', 'entries')} that came later ${later === 1 ? 'was' : 'were'} left.`)
  if (problems.length > 0) said.push(`${problems.length} could not be restored:`)
  return said.join(' ')
}

const FOLDER = 'inode/directory'
const count = (n: number, one: string, many = `${one}s`) => `${n} ${n === 1 ? one : many}`
