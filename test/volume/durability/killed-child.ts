// Child process of kill.spec.ts: the engine over a real volume with its committer in the real thread. Says "ready" and waits for a
// plan; opens the volume, does what is planned, and says after each operation which one it was, until it is killed. On
// standard output: "opening", "working", then the number of each operation that was acknowledged. Not a spec.

import fs from 'node:fs'
import { Worker } from 'node:worker_threads'
import type { Content } from '../../../lib/model/types.js'
import type { CommitterMethods, CommitterThreadInit } from '../../../lib/store/committer-thread.js'
import { JournalWriter } from '../../../lib/store/journal.js'
import { PackReader } from '../../../lib/store/packs.js'
import { PROGRESS_SLOTS } from '../../../lib/store/records.js'
import { StoreReader } from '../../../lib/store/tables.js'
import { openVolume } from '../../../lib/store/volume-store.js'
import { Engine } from '../../../lib/volume/engine/engine.js'
import { SharedProgress } from '../../../lib/volume/engine/progress.js'
import { hashSpool } from '../../../lib/volume/hashing/hash-spool.js'
import { spoolWork } from '../../../lib/volume/spool-job.js'
import { AUTHOR, Shell } from '../engine/support.js'
import { doOp, type Op } from './load.js'

export interface Plan {
  directory: string
  ops: Op[]
  answers: number[]
}

const say = (text: string | number) => fs.writeSync(1, `${text}\n`)

async function run({ directory, ops, answers }: Plan): Promise<void> {
  const { layout, description } = openVolume(directory)
  const shared = new SharedArrayBuffer(PROGRESS_SLOTS * 8)
  const workerData: CommitterThreadInit = {
    directory,
    author: AUTHOR,
    root: description.root,
    progress: shared,
    lazyMs: 5,
  }
  say('opening')
  const thread = new Worker(new URL('../../../lib/store/committer-thread.js', import.meta.url), { workerData })
  const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>()
  let last = 0
  const call = (method: keyof CommitterMethods, ...args: unknown[]) =>
    new Promise<unknown>((resolve, reject) => {
      waiting.set(++last, { resolve, reject })
      thread.postMessage({ id: last, method, args })
    })
  const end = await new Promise<number>((resolve, reject) => {
    thread.on('message', ({ ready, failed, id, result, error }) => {
      if (ready) resolve(ready.end)
      else if (failed) reject(new Error(failed.message))
      else if (error) waiting.get(id)?.reject(new Error(error.message))
      else if (id) waiting.get(id)?.resolve(result)
    })
  })

  const reader = StoreReader.open(layout.db)
  const packs = new PackReader({ reader, layout })
  const progress = new SharedProgress({ shared, wake: () => thread.postMessage({ method: 'wake' }), report: () => {} })
  const journal = new JournalWriter({ directory: layout.journal, end, rotateAt: 1 << 20 })
  let sealing: Promise<unknown> = Promise.resolve()
  const engine = new Engine(
    {
      ...{ durable: reader, journal, progress },
      packPath: (pack) => layout.pack(pack),
      spoolPath: (spool) => layout.spool(spool),
      onSealed: ({ spool }) => {
        sealing = sealing.then(() => seal(spool))
      },
    },
    { directory },
  )
  engine.resume({ journal: layout.journal, from: reader.meta('replayFrom'), end })

  async function seal(spool: number): Promise<void> {
    engine.flush()
    await call('flush')
    const work = spoolWork({ reader, layout }, spool)
    if (work.kind !== 'hash') return
    const { content, chunks, lists } = hashSpool(work.job, packs.source)
    await call('commitContent', { spool, content, chunks, lists })
    engine.spoolCommitted(spool, content as Content)
  }
  reader.refresh()
  for (const { id, spool } of reader.spools()) if (spool.state === 'closed') sealing = sealing.then(() => seal(id))

  const shell = new Shell({ fs: engine.live })
  say('working')
  for (const [index, op] of ops.entries()) {
    const done = doOp(shell, op)
    if (done !== answers[index]) throw new Error(`${JSON.stringify(op)} answered ${done}, not ${answers[index]}`)
    say(index)
    engine.tidy()
    if (index % 16 === 15) {
      engine.idle()
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  await sealing
  say('done')
}

process.once('message', (plan: Plan) => {
  run(plan).catch((error) => {
    say(`failed ${(error as Error).stack}`)
    process.exit(1)
  })
})
process.on('disconnect', () => process.exit(0))
process.send!('ready')
