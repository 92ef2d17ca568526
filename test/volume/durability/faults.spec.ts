import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { hex } from '../../../lib/model/bytes.js'
import { checkVolume } from '../../../lib/store/check.js'
import { createVolume } from '../../../lib/store/volume-store.js'
import { RecordedDisk } from '../../support/disk/recorded-disk.js'
import { cannotMount } from '../../support/fuse-mount.js'
import { Model } from '../engine/model.js'
import { AUTHOR, Shell, TestVolume } from '../engine/support.js'
import type { FailedChildInit } from './failed-child.js'
import { FaultLoad, steps } from './fault-load.js'
import { applyOp, cloneModel, difference, type Op, treeOfModel, treeOfVolume } from './load.js'

/** Each so many points of the load are made to fail; 1: every one of them. */
const EVERY = Number(process.env.PEERDRIVE_FAULTS_EVERY ?? 9)
const SEED = Number(process.env.PEERDRIVE_SEED ?? Date.now() % 1_000_000)
const ENOSPC = -28
const EIO = -5
const STEPS = steps()

interface Fault {
  /** For the disk. */
  told: string
  errno: number
}

describe('durability: a disk that fails at any write', () => {
  const cannot = cannotMount()
  if (cannot) {
    it.skip(`cannot make a disk fail here: ${cannot}`)
    return
  }
  let disk: RecordedDisk
  let runs = 0
  before(async () => {
    disk = await RecordedDisk.create({ fails: true })
  })
  after(() => disk.remove())

  async function made(): Promise<FailedChildInit> {
    const directory = path.join(disk.path, `volume-${runs++}`)
    const { root } = await createVolume({ directory, label: 'test', author: AUTHOR, uid: 0, gid: 0 })
    return { directory, root: hex(root), errno: 0 }
  }

  const volumeOf = ({ directory, root }: FailedChildInit) =>
    new TestVolume(directory, Buffer.from(root, 'hex'), { rotateAt: 100_000 })

  /** Answers how many changes of the disk there were, and what failed. */
  async function run(fault?: Fault): Promise<{ count: number; failed: string }> {
    const volume = volumeOf(await made())
    try {
      volume.open()
      disk.note(fault ? fault.told : 'count')
      const load = new FaultLoad({ volume }, { errno: fault?.errno })
      for (const step of STEPS) load.take(step)
      const counted = await disk.counted()
      disk.note('heal')
      const told = `${fault?.told}: ${counted.failed}\n${volume.reports.join('\n')}`
      same(volume, [load.model], `${told}: as it goes on`)
      volume.batch.close()
      await volume.leave()
      opened(volume, [load.model], told)
      return counted
    } finally {
      disk.note('heal')
      await volume.leave()
    }
  }

  /** It may be any of these. */
  function same(volume: TestVolume, models: Model[], told: string): void {
    const seen = treeOfVolume(new Shell(volume))
    const differ = models.map((model) => difference(seen, treeOfModel(model)))
    assert.ok(
      differ.some((text) => text === undefined),
      `${told}: ${differ.join('; or ')}`,
    )
  }

  /** As by another process, on a disk that works. */
  function opened(volume: TestVolume, models: Model[], told: string): void {
    volume.open()
    same(volume, models, `${told}: opened again`)
    volume.fold(true)
    volume.seal()
    volume.fold(true)
    volume.reader.refresh()
    assert.deepEqual(checkVolume({ reader: volume.reader, layout: volume.layout }), [], told)
  }

  /** In a process of its own, which LMDB may end. Answers as `run` does. */
  async function runApart(fault: Fault): Promise<{ count: number; failed: string }> {
    const init = { ...(await made()), errno: fault.errno }
    const child = fork(path.join(import.meta.dirname, 'failed-child.js'), [JSON.stringify(init)], {
      execArgv: [],
      stdio: ['ignore', 'pipe', 'ignore', 'ipc'],
    })
    const model = new Model()
    let last = -1
    let failed: string | undefined
    createInterface({ input: child.stdout! }).on('line', (line) => {
      if (line.startsWith('failed')) failed = line
      if (!/^\d+$/.test(line)) return
      last = Number(line)
      applyOp(model, STEPS[last] as Op)
    })
    const over = once(child, 'close')
    await once(child, 'message')
    disk.note(`${fault.told} db`)
    child.send('go')
    await over
    const counted = await disk.counted()
    disk.note('heal')
    const told = `${fault.told} db: ${counted.failed}`
    assert.equal(failed, undefined, told)
    // The one that was under way when it ended may have been done.
    const under = STEPS.slice(last + 1).find((step) => typeof step !== 'string')
    const changed = cloneModel(model)
    if (under) applyOp(changed, under)
    const volume = volumeOf(init)
    try {
      opened(volume, [model, changed], told)
    } catch (error) {
      ;(error as Error).message += `\n${told}\n${volume.reports.join('\n')}`
      throw error
    } finally {
      await volume.leave()
    }
    return counted
  }

  const points = (count: number, every: number) =>
    Array.from({ length: Math.ceil(count / every) }, (_, i) => 1 + (SEED % every) + i * every).filter(
      (at) => at <= count,
    )

  for (const [name, errno, how] of [
    ['ENOSPC once', ENOSPC, 'once'],
    ['ENOSPC from then on', ENOSPC, 'on'],
    ['EIO once', EIO, 'once'],
    ['EIO from then on', EIO, 'on'],
    ['a short write', ENOSPC, 'short'],
  ] as const) {
    it(`${name}: at each ${EVERY}th change of journal, packs, spools and folders`, async function () {
      const { count } = await run()
      this.timeout(60_000 + (count / EVERY) * 3000)
      let failures = 0
      for (const at of points(count, EVERY)) {
        const told = how === 'short' ? `short ${at}` : `fail ${at} ${errno} ${how}`
        const { failed } = await run({ told, errno })
        if (failed) failures++
      }
      assert.ok(failures > 5, `only ${failures} of them failed`)
    })
  }

  for (const how of ['once', 'on']) {
    it(`EIO ${how === 'on' ? 'from then on' : how}: at each ${2 * EVERY}th change of the database`, async function () {
      this.timeout(600_000)
      const { count } = await runApart({ told: 'fail 1000000 -5 once', errno: EIO })
      let failures = 0
      for (const at of points(count, 2 * EVERY)) {
        const { failed } = await runApart({ told: `fail ${at} -5 ${how}`, errno: EIO })
        if (failed) failures++
      }
      assert.ok(failures > 1, `only ${failures} of them failed`)
    })
  }
})
