// One volume with very many files: how long a start takes, how much memory the idle node keeps, and whether operations cost more than
// in a small volume. And one folder with very many entries.

import * as fs from 'node:fs'
import path from 'node:path'
import type { NodeProcess } from './node-process.js'
import { memoryOf } from './processes.js'
import { median, once, type Row } from './timing.js'

const PER_FOLDER = 1000
const PROBES = 1000
const CONTENT = Buffer.alloc(100, 'one of very many ')

/** Milliseconds of `work`. */
async function timed(work: () => Promise<unknown> | unknown): Promise<number> {
  const start = performance.now()
  await work()
  return performance.now() - start
}

/** Waits until everything is committed. */
async function committed(node: NodeProcess): Promise<void> {
  await node.with((api) => api.log(Buffer.from(node.mountPoint), 1))
}

/** Microseconds per operation on fresh names in a small folder of its own, and per uncached lookup. */
function probe(root: string, name: string): { create: number; lookup: number } {
  const folder = path.join(root, name)
  fs.mkdirSync(folder)
  const file = (i: number) => path.join(folder, `f${i}`)
  const each = (work: (i: number) => void) => {
    const start = performance.now()
    for (let i = 0; i < PROBES; i++) work(i)
    return ((performance.now() - start) * 1000) / PROBES
  }
  const create = each((i) => fs.writeFileSync(file(i), CONTENT))
  fs.writeFileSync('/proc/sys/vm/drop_caches', '2')
  const lookup = each((i) => void fs.lstatSync(file(i)))
  return { create, lookup }
}

export async function benchScale(node: NodeProcess, files: number, rounds: number): Promise<Row[]> {
  const rows: Row[] = []
  const root = node.mountPoint
  const probes = (when: string) => Array.from({ length: rounds }, (_, i) => probe(root, `${when} ${i}`))
  const small = probes('small')
  const filling = await timed(async () => {
    for (let i = 0; i < files; i++) {
      const folder = path.join(root, `d${Math.floor(i / PER_FOLDER)}`)
      if (i % PER_FOLDER === 0) fs.mkdirSync(folder)
      fs.writeFileSync(path.join(folder, `f${i}`), CONTENT)
      if (i % 100_000 === 99_999) console.log(`  ${i + 1} files`)
    }
    await committed(node)
  })
  rows.push(once(`${files} files, created and committed`, 's', { peerdrive: filling / 1000 }))
  const large = probes('large')
  for (const kind of ['create', 'lookup'] as const)
    rows.push(
      once(`${kind} beside ${files} files`, 'µs', {
        peerdrive: median(large.map((p) => p[kind])),
        'in a small volume': median(small.map((p) => p[kind])),
      }),
    )
  await committed(node)
  await node.stop()
  const start = await timed(() => node.start())
  rows.push(once(`start to mounted, ${files} files`, 's', { peerdrive: start / 1000 }))
  fs.readdirSync(root)
  await new Promise((resolve) => setTimeout(resolve, 5000))
  rows.push(once(`memory of the idle node, ${files} files`, 'MiB', { peerdrive: memoryOf(node.pid) }))
  return [...rows, ...(await benchFolder(node, 100_000))]
}

/** Creating and renaming in a folder of `entries`, against the same in a small one. */
async function benchFolder(node: NodeProcess, entries: number): Promise<Row[]> {
  const folder = path.join(node.mountPoint, 'one folder')
  fs.mkdirSync(folder)
  const batch = (name: string, count: number, work: (file: string, i: number) => void) => {
    const start = performance.now()
    for (let i = 0; i < count; i++) work(path.join(folder, `${name}${i}`), i)
    return ((performance.now() - start) * 1000) / count
  }
  const measure = (name: string) => ({
    create: batch(name, PROBES, (file) => fs.writeFileSync(file, CONTENT)),
    rename: batch(name, PROBES, (file) => fs.renameSync(file, `${file} renamed`)),
  })
  const small = measure('small')
  batch('filler', entries, (file) => fs.writeFileSync(file, CONTENT))
  const large = measure('large')
  await committed(node)
  return (['create', 'rename'] as const).map((kind) =>
    once(`${kind} in a folder of ${entries}`, 'µs', { peerdrive: large[kind], 'in a small folder': small[kind] }),
  )
}
