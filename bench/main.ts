// `npm run bench [-- mount|trees|sync|scale] [--rounds N] [--mebibytes N] [--files N]`: side by side in one run, medians and ratios; the figures
// also go to bench-results.json. Needs root (bindfs, cold caches) and the packages bindfs, gocryptfs, rclone; what is missing is left out. For `sync` see sync/compare.ts.

import * as fs from 'node:fs'
import { cpus, release, tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { benchMount } from './mount.js'
import { NodeProcess } from './node-process.js'
import { Places } from './places.js'
import { processorTime } from './processes.js'
import { benchScale } from './scale.js'
import { benchSync } from './sync/compare.js'
import { once, type Row } from './timing.js'
import { benchTrees } from './trees.js'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '5' },
    mebibytes: { type: 'string', default: '512' },
    files: { type: 'string', default: '1000000' },
    only: { type: 'string', default: '' },
    against: { type: 'string', default: 'bindfs,gocryptfs,rclone,syncthing,rsync' },
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

async function mount(): Promise<void> {
  const places = await Places.open(scratch, names(values.against))
  try {
    if (wanted('mount')) {
      rows.push(...(await benchMount(places.list, rounds, mebibytes)))
      rows.push(await idle(places.node))
    }
    if (wanted('trees')) rows.push(...(await benchTrees(scratch, places.list, Math.min(rounds, 3), 10_000, 50_000)))
  } finally {
    await places.close()
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
  if (wanted('mount') || wanted('trees')) await mount()
  if (wanted('sync')) await sync()
  if (wanted('scale')) await scale()
  fs.writeFileSync('bench-results.json', `${JSON.stringify({ at: new Date().toISOString(), rows }, null, 2)}\n`)
  console.log('Figures are in bench-results.json.')
} finally {
  fs.rmSync(scratch, { recursive: true, force: true })
}
