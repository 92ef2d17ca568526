// Whole trees handled by the programs that people use: unpacked, copied, searched, removed, put under git.

import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import path from 'node:path'
import { settleAndDropCaches, timed } from './mount.js'
import type { Place } from './places.js'
import { type Contender, measure, type Row } from './timing.js'

/** Files of a directory. */
const WIDTH = 100

function run(cwd: string, command: string, ...args: string[]): void {
  const { status, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'ignore', 'pipe'] })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} in ${cwd} failed: ${stderr}`)
}

/** A tree of `files` files of 100 bytes to 8 KiB, the same every time. */
function makeTree(directory: string, files: number): void {
  let seed = 1
  for (let i = 0; i < files; i++) {
    const folder = path.join(directory, `folder-${Math.floor(i / WIDTH)}`)
    if (i % WIDTH === 0) fs.mkdirSync(folder, { recursive: true })
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0
    fs.writeFileSync(path.join(folder, `file-${i}`), `${seed} `.repeat(10 + (seed % 700)))
  }
}

type Before = (directory: string) => Promise<void> | void

/** `files`: of the trees that are unpacked; `gitFiles`: of the repository. */
export async function benchTrees(
  scratch: string,
  places: Place[],
  rounds: number,
  files: number,
  gitFiles: number,
): Promise<Row[]> {
  const source = path.join(scratch, 'tree')
  const archive = path.join(scratch, 'tree.tar')
  makeTree(source, files)
  run(scratch, 'tar', 'cf', archive, '-C', source, '.')
  const rows: Row[] = []
  const each = async (what: string, rounds: number, work: (directory: string) => void, before?: Before) => {
    const contenders: Contender[] = places.map(({ name, directory }) => ({
      name,
      async run() {
        await before?.(directory)
        return timed(() => work(directory)) / 1000
      },
    }))
    rows.push(await measure(what, 's', contenders, rounds))
  }
  const unpacked = (d: string) => path.join(d, 'unpacked')
  const copied = (d: string) => path.join(d, 'copied')
  const remove = (name: string) => run('/', 'rm', '-rf', name)
  const afresh = (d: string) => {
    remove(unpacked(d))
    fs.mkdirSync(unpacked(d))
  }
  await each(`tar x, ${files} files`, rounds, (d) => run(unpacked(d), 'tar', 'xf', archive), afresh)
  await each('find, cold', rounds, (d) => run(unpacked(d), 'find', '.', '-newer', '/'), settleAndDropCaches)
  await each('grep -r, cold', rounds, (d) => run(unpacked(d), 'grep', '-rcF', '1', '.'), settleAndDropCaches)
  const copy = (d: string) => run('/', 'cp', '-a', unpacked(d), copied(d))
  await each('cp -a', rounds, copy, (d) => remove(copied(d)))
  await each(
    'rm -rf',
    rounds,
    (d) => remove(copied(d)),
    (d) => {
      if (!fs.existsSync(copied(d))) copy(d)
    },
  )
  for (const { directory } of places) remove(unpacked(directory))
  const repository = (d: string) => path.join(d, 'repository')
  for (const { directory } of places) {
    makeTree(repository(directory), gitFiles)
    run(repository(directory), 'git', 'init', '-q')
  }
  const index = (d: string) => path.join(repository(d), '.git', 'index')
  await each(
    `git add, ${gitFiles} files`,
    1,
    (d) => run(repository(d), 'git', 'add', '.'),
    (d) => fs.rmSync(index(d), { force: true }),
  )
  await each('git status, cold', rounds, (d) => run(repository(d), 'git', 'status'), settleAndDropCaches)
  await each('git status', rounds, (d) => run(repository(d), 'git', 'status'))
  for (const { directory } of places) remove(repository(directory))
  return rows
}
