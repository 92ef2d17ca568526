// `npm run bench [-- mount|sync|scale] [--rounds N] [--mebibytes N] [--files N]`: side by side in one run, medians and ratios; the figures
// also go to bench-results.json. Needs root (bindfs, cold caches) and the packages bindfs and rsync.

import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import { cpus, release, tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { benchMount } from './mount.js'
import { NodeProcess } from './node-process.js'
import { benchScale } from './scale.js'
import { benchSync } from './sync.js'
import { once, type Row } from './timing.js'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '5' },
    mebibytes: { type: 'string', default: '512' },
    files: { type: 'string', default: '1000000' },
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
  const ticks = () => {
    const fields = fs.readFileSync(`/proc/${node.pid}/stat`, 'utf8').split(') ')[1].split(' ')
    return (Number(fields[11]) + Number(fields[12])) * 10
  }
  await new Promise((resolve) => setTimeout(resolve, 5000))
  const before = ticks()
  await new Promise((resolve) => setTimeout(resolve, 10_000))
  const used = ticks() - before
  return once('idle node', 'ms CPU in 10 s', { peerdrive: used })
}

async function sync(): Promise<void> {
  need('rsync', 'rsync')
  const a = new NodeProcess({ home: path.join(scratch, 'a') })
  const b = new NodeProcess({ home: path.join(scratch, 'b') })
  await a.start()
  await b.start()
  try {
    const { token } = await a.with((node) => node.invite(10))
    await b.with((node) => node.pair(token))
    const joined = await b.with((node) => node.join({ volume: 'home' }))
    b.volumeMounted(joined.mountPoint)
    rows.push(...(await benchSync({ a, b, scratch }, Math.min(rounds, 3), mebibytes)))
  } finally {
    await b.stop()
    await a.stop()
  }
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
