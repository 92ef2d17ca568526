// The mount against bindfs (Debian's package, its defaults) and the bare disk below both, side by side in one run.

import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import { closeSync, fsyncSync, openSync, readSync, writeFileSync, writeSync } from 'node:fs'
import path from 'node:path'
import type { Place } from './places.js'
import { type Contender, measure, type Row } from './timing.js'

const FILES = 1000
const BLOCK = Buffer.alloc(4096, 'peerdrive')
const MIB = Buffer.alloc(1 << 20)
for (let i = 0; i < MIB.length; i += 4) MIB.writeUInt32LE((i * 2654435761) >>> 0, i)

/** Operation on file `i` of a directory prepared by `before`. */
interface Task {
  what: string
  before?(directory: string): void
  /** Forget what the kernel has cached before measuring. */
  cold?: boolean
  each(directory: string, i: number): void
}

const file = (directory: string, i: number) => path.join(directory, `file-${i}`)
const fill = (directory: string) => {
  for (let i = 0; i < FILES; i++) writeFileSync(file(directory, i), BLOCK)
}

const TASKS: Task[] = [
  { what: 'create + write 4 KiB + close', each: (d, i) => writeFileSync(file(d, i), BLOCK) },
  { what: 'lookup, uncached (lstat)', before: fill, cold: true, each: (d, i) => void fs.lstatSync(file(d, i)) },
  { what: 'lookup, cached (lstat)', before: fill, each: (d, i) => void fs.lstatSync(file(d, i)) },
  { what: 'open + read 4 KiB + close', before: fill, cold: true, each: (d, i) => void fs.readFileSync(file(d, i)) },
  { what: 'chmod', before: fill, each: (d, i) => fs.chmodSync(file(d, i), 0o600) },
  { what: 'utimens', before: fill, each: (d, i) => fs.utimesSync(file(d, i), 1e9, 1e9 + i) },
  {
    what: 'save by rename',
    before: fill,
    each: (d, i) => {
      writeFileSync(path.join(d, 'temporary'), BLOCK)
      fs.renameSync(path.join(d, 'temporary'), file(d, i))
    },
  },
  { what: 'rename', before: fill, each: (d, i) => fs.renameSync(file(d, i), path.join(d, `renamed-${i}`)) },
  { what: 'unlink', before: fill, each: (d, i) => fs.unlinkSync(file(d, i)) },
  { what: 'mkdir', each: (d, i) => fs.mkdirSync(file(d, i)) },
  {
    what: 'rmdir',
    before: (d) => {
      for (let i = 0; i < FILES; i++) fs.mkdirSync(file(d, i))
    },
    each: (d, i) => fs.rmdirSync(file(d, i)),
  },
]

/** Everything about the mount. `rounds` counted rounds; sizes of the sequential files in MiB. */
export async function benchMount(places: Place[], rounds: number, mebibytes: number): Promise<Row[]> {
  const rows: Row[] = []
  for (const task of TASKS) {
    const contenders: Contender[] = places.map(({ name, directory }) => ({
      name,
      async run(round) {
        const own = path.join(directory, `${task.what.replace(/\W+/g, '-')}-${round}`)
        fs.mkdirSync(own)
        task.before?.(own)
        if (task.cold) await settleAndDropCaches()
        const start = performance.now()
        for (let i = 0; i < FILES; i++) task.each(own, i)
        const micros = ((performance.now() - start) * 1000) / FILES
        fs.rmSync(own, { recursive: true })
        return micros
      },
    }))
    rows.push(await measure(task.what, 'µs', contenders, rounds))
  }
  const sequential = (what: string, run: (directory: string) => Promise<number> | number) =>
    measure(
      what,
      'MiB/s',
      places.map(({ name, directory }) => ({ name, run: async () => mebibytes / ((await run(directory)) / 1000) })),
      rounds,
      true,
    ).then((row) => rows.push(row))
  await sequential(`write ${mebibytes} MiB, then fsync`, (d) =>
    timed(() => writeLarge(path.join(d, 'large'), mebibytes)),
  )
  await sequential(`read ${mebibytes} MiB, cold`, async (d) => {
    await settleAndDropCaches()
    return timed(() => readLarge(path.join(d, 'large')))
  })
  await sequential(`read ${mebibytes} MiB, warm`, (d) => timed(() => readLarge(path.join(d, 'large'))))
  const random = (what: string, cold: boolean, flags: string, each: (fd: number, at: number) => void) =>
    measure(
      what,
      'µs',
      places.map(({ name, directory }) => ({
        name,
        async run() {
          if (cold) await settleAndDropCaches()
          const fd = openSync(path.join(directory, 'large'), flags)
          const micros = (timed(() => pages(mebibytes, (at) => each(fd, at))) * 1000) / FILES
          closeSync(fd)
          return micros
        },
      })),
      rounds,
    ).then((row) => rows.push(row))
  const page = Buffer.allocUnsafe(4096)
  await random('read 4 KiB anywhere, cold', true, 'r', (fd, at) => void readSync(fd, page, 0, 4096, at))
  await random('write 4 KiB anywhere', false, 'r+', (fd, at) => void writeSync(fd, BLOCK, 0, 4096, at))
  return rows
}

/** Visits FILES pages of a file, in no order, the same every time. */
function pages(mebibytes: number, each: (at: number) => void): void {
  for (let i = 0; i < FILES; i++) each(((i * 2654435761) % (mebibytes * 256)) * 4096)
}

export function timed(work: () => void): number {
  const start = performance.now()
  work()
  return performance.now() - start
}

function writeLarge(name: string, mebibytes: number): void {
  const fd = openSync(name, 'w')
  for (let i = 0; i < mebibytes; i++) {
    MIB.writeUInt32LE(i, 0)
    writeSync(fd, MIB)
  }
  fsyncSync(fd)
  closeSync(fd)
}

function readLarge(name: string): void {
  const fd = openSync(name, 'r')
  const into = Buffer.allocUnsafe(1 << 20)
  while (readSync(fd, into) > 0);
  closeSync(fd)
}

/** Lets background work end (a second without it is enough for every contender), then empties the kernel's caches. */
export async function settleAndDropCaches(): Promise<void> {
  spawnSync('sync')
  await new Promise((resolve) => setTimeout(resolve, 1000))
  try {
    writeFileSync('/proc/sys/vm/drop_caches', '3')
  } catch {
    throw new Error('Cold figures need root, to empty the caches of the kernel (/proc/sys/vm/drop_caches).')
  }
}
