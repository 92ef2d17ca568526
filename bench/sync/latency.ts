// How soon a small file that was closed on one device can be read on the other; with nothing else to do, and while a large file
// is on its way.

import * as fs from 'node:fs'
import path from 'node:path'
import { pause, resting } from '../processes.js'
import { median, type Row, told } from '../timing.js'
import type { Pair } from './pair.js'
import { writeLarge } from './scenarios.js'

const FILES = 100
const LIMIT_MS = 60_000

export async function latency(pairs: Pair[], mebibytes: number): Promise<Row[]> {
  const alone: [string, number[]][] = []
  const beside: [string, number[]][] = []
  for (const pair of pairs) {
    // What has to be started is no match here.
    if (pair.push) continue
    await resting(pair.pids())
    alone.push([pair.name, await latencies(pair, 'alone', () => false)])
    const bulk = path.join('bulk', 'bulk')
    fs.mkdirSync(path.join(pair.from, 'bulk'))
    while (!fs.existsSync(path.join(pair.to, 'bulk'))) await pause(50)
    await resting(pair.pids())
    await writeLarge(path.join(pair.from, bulk), mebibytes, 77)
    beside.push([pair.name, await latencies(pair, 'beside', () => fs.existsSync(path.join(pair.to, bulk)))])
    await resting(pair.pids())
  }
  return [...row('close → readable there', alone), ...row(`the same beside ${mebibytes} MiB`, beside)]
}

/** Until there are enough, or `over`. */
async function latencies(pair: Pair, prefix: string, over: () => boolean): Promise<number[]> {
  const found: number[] = []
  for (let i = 0; i < FILES && !over(); i++) {
    const name = `${prefix}-${i}`
    const there = path.join(pair.to, name)
    const begin = performance.now()
    fs.writeFileSync(path.join(pair.from, name), name)
    while (!(fs.existsSync(there) && fs.readFileSync(there, 'utf8') === name)) {
      if (performance.now() - begin > LIMIT_MS) throw new Error(`${there} did not come within ${LIMIT_MS / 1000} s`)
      await pause(1)
    }
    found.push(performance.now() - begin)
    await pause(20)
  }
  return found
}

function row(what: string, lists: [string, number[]][]): Row[] {
  const some = lists.filter(([, list]) => list.length > 0)
  const rounds = Object.fromEntries(some)
  const of = (pick: (list: number[]) => number) => Object.fromEntries(some.map(([name, list]) => [name, pick(list)]))
  const p99 = (list: number[]) => [...list].sort((a, b) => a - b)[Math.ceil(list.length * 0.99) - 1]
  return [
    told({ what, unit: 'ms', medians: of(median), rounds, higherIsBetter: false }),
    told({ what: '  99 of 100', unit: 'ms', medians: of(p99), rounds, higherIsBetter: false }),
  ]
}
