// `npm run bench [-- mount|sync|scale] [--rounds N] [--mebibytes N] [--files N]`: side by side in one run, medians and ratios; the figures
// also go to bench-results.json. Needs root (bindfs, cold caches) and the package bindfs. For `sync` see sync/compare.ts.

import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import { cpus, release, tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { benchMount } from './mount.js'
import { NodeProcess } from './node-process.js'
import { processorTime } from './processes.js'
import { benchScale } from './scale.js'
import { benchSync } from './sync/compare.js'
import { once, type Row } from './timing.js'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '5' },
    mebibytes: { type: 'string', default: '512' },
    files: { type: 'string', default: '1000000' },
    only: { type: 'string', default: '' },
    against: { type: 'string', default: 'syncthing,rsync' },
    profiles: { type: 'string' },
    directory: { type: 'string' },
  },
})
const rounds = Number(values.rounds)
const mebibytes = Number(values.mebibytes)
/** The scale takes many minutes: only if it is asked for. */
const wanted = (suite: string) => (positionals.length === 0 ? suite !== 'scale' : positionals.includes(suite))
const scratch = fs.mkdtempSync(path.join(values.directory ?? tmpdir(), 'peerdrive-bench-'))
const rows: Row[] = []

function need(command: string, install: string): void {
  if (spawnSync('which', [command]).status === 0) return
  throw new Error(`This benchmark compares with ${command}, which is missing: apt-get install ${install}`)
}

async function mount(): Promise<void> {
  need('bindfs', 'bindfs')
  const disk = path.join(scratch, 'disk')
  const below = path.join(scratch, 'below')
  const bindfs = path.join(scratch, 'bindfs')
  for (const directory of [disk, below, bindfs]) fs.mkdirSync(directory)
  const node = new NodeProcess({ home: path.join(scratch, 'node') })
  await node.start()
  spawnSync('bindfs', [below, bindfs])
  try {
    const places = [
      { name: 'peerdrive', directory: node.mountPoint },
      { name: 'bindfs', directory: bindfs },
      { name: 'disk', directory: disk },
    ]
    rows.push(...(await benchMount(places, rounds, mebibytes)))
    rows.push(await idle(node))
  } finally {
    spawnSync('umount', [bindfs])
    await node.stop()
  }
}

/** Processor time of the idle node over ten seconds. */
async function idle(node: NodeProcess): Promise<Row> {
  await new Promise((resolve) => setTimeout(resolve, 5000))
  const before = processorTime([node.pid])
  await new Promise((resolve) => setTimeout(resolve, 10_000))
  const used = processorTime([node.pid]) - before
  return once('idle node', 'ms CPU in 10 s', { peerdrive: used })
}

const names = (list: string) => list.split(',').filter((name) => name !== '')

async function sync(): Promise<void> {
  const asked = { only: names(values.only), against: names(values.against), profiles: values.profiles }
  const documents = Number(values.files)
  rows.push(...(await benchSync({ scratch, rounds: Math.min(rounds, 3), mebibytes, documents, ...asked })))
}

async function scale(): Promise<void> {
  const node = new NodeProcess({ home: path.join(scratch, 'scale') })
  await node.start()
  try {
    rows.push(...(await benchScale(node, Number(values.files), Math.min(rounds, 5))))
  } finally {
    await node.stop()
  }
}

try {
  console.log(`${cpus().length} × ${cpus()[0].model}, Linux ${release()}, Node ${process.version}; scratch ${scratch}`)
  if (wanted('mount')) await mount()
  if (wanted('sync')) await sync()
  if (wanted('scale')) await scale()
  fs.writeFileSync('bench-results.json', `${JSON.stringify({ at: new Date().toISOString(), rows }, null, 2)}\n`)
  console.log('Figures are in bench-results.json.')
} finally {
  fs.rmSync(scratch, { recursive: true, force: true })
}
