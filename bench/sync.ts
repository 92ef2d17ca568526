// Two nodes on loopback against rsync (daemon-less, over a local pipe) on the same trees: how long until what was
// written on one side is whole on the other. Also how soon a single closed file is readable there.

import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import path from 'node:path'
import type { NodeProcess } from './node-process.js'
import { measure, median, type Row } from './timing.js'

const SMALL = 10_000

export interface SyncPlaces {
  a: NodeProcess
  b: NodeProcess
  /** Scratch on the same disk, for rsync. */
  scratch: string
}

/** Calls `ready` until it holds; throws after `limitMs` with `what`. Polls, since the other side is a foreign mount. */
async function until(what: string, ready: () => boolean, limitMs: number, stepMs = 1): Promise<void> {
  const end = performance.now() + limitMs
  while (!ready()) {
    if (performance.now() > end) throw new Error(`${what} did not happen within ${limitMs / 1000} s`)
    await new Promise((resolve) => setTimeout(resolve, stepMs))
  }
}

const exists = (name: string) => fs.existsSync(name)

function writeSmallTree(directory: string, round: number): void {
  fs.mkdirSync(directory)
  for (let i = 0; i < SMALL; i++) {
    if (i % 100 === 0) fs.mkdirSync(path.join(directory, `d${i / 100}`))
    const bytes = Buffer.alloc(4096, `${round} ${i} `)
    fs.writeFileSync(path.join(directory, `d${Math.floor(i / 100)}`, `f${i}`), bytes)
  }
}

function countFiles(directory: string): number {
  let count = 0
  for (let i = 0; i < SMALL / 100; i++) {
    try {
      count += fs.readdirSync(path.join(directory, `d${i}`)).length
    } catch {
      return count
    }
  }
  return count
}

function rsync(from: string, to: string): number {
  const start = performance.now()
  const done = spawnSync('rsync', ['-a', '--inplace', `${from}/`, `${to}/`])
  if (done.status !== 0) throw new Error(`rsync failed: ${done.stderr}`)
  return (performance.now() - start) / 1000
}

export async function benchSync({ a, b, scratch }: SyncPlaces, rounds: number, mebibytes: number): Promise<Row[]> {
  const rows: Row[] = []
  const peerdrive = (round: number, what: string) => [
    path.join(a.mountPoint, `${what}-${round}`),
    path.join(b.mountPoint, `${what}-${round}`),
  ]

  rows.push(
    await measure(
      `${SMALL} files of 4 KiB`,
      's',
      [
        {
          name: 'peerdrive (from first write)',
          async run(round) {
            const [here, there] = peerdrive(round, 'small')
            const start = performance.now()
            writeSmallTree(here, round)
            // Rarely: counting costs the receiving node a hundred listings each time.
            await until('the small tree', () => countFiles(there) === SMALL, 120_000, 250)
            return (performance.now() - start) / 1000
          },
        },
        {
          name: 'rsync (tree in place)',
          run(round) {
            const from = path.join(scratch, `from-${round}`)
            writeSmallTree(from, round)
            return rsync(from, path.join(scratch, `to-${round}`))
          },
        },
      ],
      rounds,
    ),
  )

  const large = Buffer.alloc(1 << 20)
  const writeLarge = (name: string, round: number) => {
    const fd = fs.openSync(name, 'w')
    for (let i = 0; i < mebibytes; i++) {
      for (let at = 0; at < large.length; at += 4)
        large.writeUInt32LE(Math.imul(at + 1, 2654435761 + i * 40503 + round) >>> 0, at)
      fs.writeSync(fd, large)
    }
    fs.closeSync(fd)
  }
  rows.push(
    await measure(
      `one file of ${mebibytes} MiB`,
      's',
      [
        {
          name: 'peerdrive (from last write)',
          async run(round) {
            const [here, there] = peerdrive(round, 'large')
            writeLarge(here, round)
            const start = performance.now()
            await until(
              'the large file',
              () => exists(there) && fs.statSync(there).size === mebibytes << 20,
              300_000,
              10,
            )
            return (performance.now() - start) / 1000
          },
        },
        {
          name: 'rsync (file in place)',
          run(round) {
            const from = path.join(scratch, `large-from-${round}`)
            fs.mkdirSync(from)
            writeLarge(path.join(from, 'large'), round)
            return rsync(from, path.join(scratch, `large-to-${round}`))
          },
        },
      ],
      Math.min(rounds, 3),
    ),
  )

  const latencies: number[] = []
  for (let i = 0; i < 100; i++) {
    const [here, there] = peerdrive(i, 'single')
    const start = performance.now()
    fs.writeFileSync(here, `single ${i}`)
    await until('a single file', () => exists(there) && fs.readFileSync(there, 'utf8') === `single ${i}`, 10_000, 0)
    latencies.push(performance.now() - start)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  const sorted = [...latencies].sort((x, y) => x - y)
  console.log(
    `close → readable on the other node  median ${median(latencies).toFixed(1)} ms, p99 ${sorted[98].toFixed(1)} ms`,
  )
  rows.push({
    what: 'close → readable on the other node',
    unit: 'ms',
    medians: { peerdrive: median(latencies), 'peerdrive p99': sorted[98] },
    rounds: { peerdrive: latencies },
    higherIsBetter: false,
  })
  return rows
}
