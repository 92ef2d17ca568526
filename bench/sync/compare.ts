// `npm run bench -- sync [--only NAMES] [--against NAMES] [--rounds N] [--mebibytes N]`: PeerDrive beside Syncthing and rsync on the
// same trees in one run. Of each scenario: time, bytes sent, processor time of both devices until they rest, and the most memory
// that one of them took.

import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import path from 'node:path'
import { memoryOf, pause, processorTime, resting } from '../processes.js'
import { median, type Row, told } from '../timing.js'
import { bare } from './bare.js'
import { latency } from './latency.js'
import { type Pair, PeerDrivePair } from './pair.js'
import { reconnect } from './reconnect.js'
import { RsyncPair } from './rsync.js'
import { type Scenario, scenarios } from './scenarios.js'
import { SyncthingPair } from './syncthing.js'

export interface SyncBenchInit {
  scratch: string
  rounds: number
  mebibytes: number
  /** Documents that the devices have when they meet again. */
  documents: number
  /** Names of scenarios; all but `reconnect` if empty. */
  only: string[]
  /** What to compare with. */
  against: string[]
  /** Where to leave profiles of PeerDrive's threads. */
  profiles?: string
}

/** Of one run of one scenario. */
interface Figures {
  time: number
  sent: number
  /** Not of what runs only now and then. */
  processor?: number
  memory?: number
}

const UNITS: Record<keyof Figures, string> = { time: 's', sent: 'KiB', processor: 's', memory: 'MiB' }
const LIMIT_MS = 600_000

const STARTED: Record<string, (init: SyncBenchInit) => Promise<Pair>> = {
  syncthing: ({ scratch }) => SyncthingPair.start(scratch),
  rsync: ({ scratch }) => RsyncPair.start(scratch),
}

export async function benchSync(init: SyncBenchInit): Promise<Row[]> {
  const { only, rounds } = init
  const wants = (name: string) => only.length === 0 || only.includes(name)
  const peerdrive = await PeerDrivePair.start(init.scratch, init.profiles)
  const pairs: Pair[] = [peerdrive]
  const rows: Row[] = []
  try {
    for (const name of init.against.filter((name) => name in STARTED)) {
      if (spawnSync('which', [name]).status === 0) pairs.push(await STARTED[name](init))
      else console.log(`Not compared with ${name}: it is not installed (apt-get install ${name}).`)
    }
    for (const { name } of scenarios(init.mebibytes, 0))
      if (wants(name)) rows.push(...(await compare(name, pairs, rounds, init.mebibytes)))
    if (wants('bare')) rows.push(...(await bare(init.scratch, init.mebibytes)))
    if (wants('latency')) rows.push(...(await latency(pairs, init.mebibytes)))
    if (only.includes('reconnect')) rows.push(...(await reconnect(peerdrive, init.documents)))
    return rows
  } finally {
    for (const pair of pairs) await pair.stop().catch((error) => console.log(`${pair.name} did not stop: ${error}`))
  }
}

async function compare(name: string, pairs: Pair[], rounds: number, mebibytes: number): Promise<Row[]> {
  const figures = new Map<string, Figures[]>(pairs.map((pair) => [pair.name, []]))
  let what = name
  for (let round = 0; round < rounds; round++)
    for (const pair of pairs) {
      const scenario = scenarios(mebibytes, round).find((one) => one.name === name)!
      what = scenario.what
      figures.get(pair.name)!.push(await run(pair, scenario, `round-${round}`))
    }
  return Object.entries(UNITS).map(([kind, unit]) => {
    const lists = pairs
      .map((pair) => [pair.name, figures.get(pair.name)!.map((f) => f[kind as keyof Figures] ?? Number.NaN)] as const)
      .filter(([, list]) => list.every(Number.isFinite))
    const medians = Object.fromEntries(lists.map(([pair, list]) => [pair, median(list)]))
    const label = kind === 'time' ? what : `  ${kind}`
    return told({ what: label, unit, medians, rounds: Object.fromEntries(lists), higherIsBetter: false })
  })
}

async function run(pair: Pair, scenario: Scenario, directory: string): Promise<Figures> {
  const from = path.join(pair.from, directory)
  const to = path.join(pair.to, directory)
  fs.mkdirSync(from, { recursive: true })
  await scenario.before?.(from)
  pair.push?.()
  await until(`${scenario.name}: what is there before`, () => fs.existsSync(to) && (scenario.ready?.(to) ?? true), 250)
  await resting(pair.pids())
  const watch = new MemoryWatch(pair.pids())
  const [sent, cpu] = [await pair.sent(), processorTime(pair.pids())]
  let begin = performance.now()
  await scenario.change(from)
  if (scenario.clock === 'last write' || pair.push) begin = performance.now()
  pair.push?.()
  if (scenario.removes) await pair.allow?.()
  await until(`${scenario.name} with ${pair.name}`, () => scenario.arrived(to), scenario.lookMs)
  const time = (performance.now() - begin) / 1000
  await resting(pair.pids())
  const figures = { time, sent: ((await pair.sent()) - sent) / 1024 }
  const memory = watch.end()
  return pair.push ? figures : { ...figures, processor: (processorTime(pair.pids()) - cpu) / 1000, memory }
}

/** Looks again and again: the other side is a foreign mount. */
async function until(what: string, ready: () => boolean, lookMs: number): Promise<void> {
  const end = performance.now() + LIMIT_MS
  while (!ready()) {
    if (performance.now() > end) throw new Error(`${what} did not happen within ${LIMIT_MS / 1000} s`)
    await pause(lookMs)
  }
}

class MemoryWatch {
  #most = 0
  readonly #timer: NodeJS.Timeout

  constructor(pids: number[]) {
    const look = () => {
      for (const pid of pids) this.#most = Math.max(this.#most, memoryOf(pid))
    }
    look()
    this.#timer = setInterval(look, 50)
  }

  end(): number {
    clearInterval(this.#timer)
    return this.#most
  }
}
