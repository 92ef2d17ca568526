import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { checkVolume } from '../../../lib/store/check.js'
import { createVolume, openVolume } from '../../../lib/store/volume-store.js'
import { CutDisk, type Fate } from '../../support/disk/power-cut.js'
import { RecordedDisk } from '../../support/disk/recorded-disk.js'
import type { DiskOp } from '../../support/disk/recording-file-system.js'
import { cannotMount } from '../../support/fuse-mount.js'
import { Model } from '../engine/model.js'
import { AUTHOR, Shell, TestVolume } from '../engine/support.js'
import { applyOp, difference, doOp, nextOp, Random, type Tree, treeOfModel, treeOfVolume } from './load.js'

/** How many cuts are looked at: some in the suite, thousands when asked for. */
const CUTS = Number(process.env.PEERDRIVE_CUTS ?? 250)
const SEED = Number(process.env.PEERDRIVE_SEED ?? Date.now() % 1_000_000)
const OPS = 150
const SMALL_MAX = 1 << 16
const SCRATCH = existsSync('/dev/shm') ? '/dev/shm' : os.tmpdir()

/**
 * Every content that a file of the load has had, and those of files that were where it was, whose history it may go on with: what
 * may be seen of one that was not synced, byte for byte.
 */
class Contents {
  readonly #paths = new Map<unknown, Set<string>>()
  readonly #files = new Map<string, Set<unknown>>()
  readonly #bytes = new Map<unknown, Set<Buffer>>()

  note(tree: Tree): void {
    for (const [at, { id, bytes, kind }] of tree) {
      if (kind !== 'file') continue
      this.#paths.set(id, (this.#paths.get(id) ?? new Set()).add(at))
      this.#files.set(at, (this.#files.get(at) ?? new Set()).add(id))
      this.#bytes.set(id, (this.#bytes.get(id) ?? new Set()).add(bytes))
    }
  }

  /** Nothing that this file never had; what was not written to the disk is zeros. */
  may(found: Buffer, id: unknown): boolean {
    // A document goes on from one file to the next where names are left and made again.
    const files = new Set([id])
    for (const file of files)
      for (const at of this.#paths.get(file) ?? []) for (const other of this.#files.get(at)!) files.add(other)
    const known = [...files].flatMap((file) => [...this.#bytes.get(file)!])
    return found.every((byte, i) => byte === 0 || known.some((bytes) => bytes[i] === byte))
  }
}

/** A load, and what was promised when. */
interface Recorded {
  log: DiskOp[]
  /** The tree after so many operations. */
  trees: Tree[]
  contents: Contents
  /** Bytes of large files that were synced (or are in packs) after so many operations: file and bytes. */
  safe: Map<unknown, Buffer>[]
}

async function record(random: Random): Promise<Recorded> {
  const disk = await RecordedDisk.create()
  try {
    const directory = path.join(disk.path, 'volume')
    const { root } = await createVolume({ directory, label: 'test', author: AUTHOR, uid: 0, gid: 0 })
    const volume = new TestVolume(directory, root, { rotateAt: 200_000 })
    volume.open()
    disk.note('made')
    const model = new Model()
    const trees = [treeOfModel(model)]
    const contents = new Contents()
    const safe = [new Map<unknown, Buffer>()]
    const sh = new Shell(volume)
    for (let i = 0; i < OPS; i++) {
      const op = nextOp(model, random)
      disk.note(`begins ${i}`)
      assert.equal(doOp(sh, op), applyOp(model, op), JSON.stringify(op))
      trees.push(treeOfModel(model))
      contents.note(trees[i + 1])
      safe.push(new Map(safe.at(-1)))
      volume.engine.tidy()
      const tree = trees[i + 1]
      if (op.op === 'fsync') {
        const file = tree.get(op.path)!
        safe[i + 1].set(file.id, file.bytes)
        disk.note(`durable ${i + 1}`)
        // What is safe now is said: nothing more may become safe under this number.
        continue
      }
      const roll = random.below(30)
      if (roll < 2) volume.fold(roll === 0)
      else if (roll === 2) volume.seal()
      else if (roll === 3) volume.crash()
      else continue
      if (roll === 2) for (const { id, bytes } of tree.values()) safe[i + 1].set(id, bytes)
      disk.note(`durable ${i + 1}`)
    }
    await volume.leave()
    return { log: await disk.takeLog(), trees, contents, safe }
  } finally {
    await disk.remove()
  }
}

describe('durability: power cuts', () => {
  const cannot = cannotMount()
  if (cannot) {
    it.skip(`cannot record a disk here: ${cannot}`)
    return
  }

  /** Opens what is left after a cut, and compares. `least`, `most`: operations that must and may have happened. */
  async function verify(
    recorded: Recorded,
    directory: string,
    least: number,
    most: number,
    told: string,
  ): Promise<void> {
    const { description, lock } = openVolume(directory)
    lock.free()
    const volume = new TestVolume(directory, description.root, {})
    try {
      const begun = performance.now()
      volume.open()
      assert.ok(performance.now() - begun < 10_000, told)
      const seen = treeOfVolume(new Shell(volume))
      const safe = recorded.safe[least]
      let why = ''
      const some = recorded.trees.slice(least, most + 1).some((tree, i) => {
        const differs = difference(seen, tree, (found, want) => {
          const synced = safe.get(want.id) === want.bytes
          if (want.kind === 'file' && want.bytes.length > SMALL_MAX && !synced)
            return recorded.contents.may(found.bytes, want.id)
          const is = found.bytes.equals(want.bytes)
          if (!is && safe.has(want.id)) why += `\n  synced, or committed: ${want.bytes.length} bytes`
          return is
        })
        why += differs === undefined ? '' : `\n  as after ${least + i}: ${differs}`
        return differs === undefined
      })
      assert.ok(some, `${told}: ${why}`)
      volume.fold(true)
      assert.deepEqual(
        checkVolume({ reader: volume.reader, layout: volume.layout }),
        [],
        `${told}\n${volume.reports.join('\n')}`,
      )
      // And it goes on.
      const sh = new Shell(volume)
      sh.write('/afterwards', 'it works')
      volume.crash()
      assert.equal(sh.read('/afterwards').toString(), 'it works', told)
    } catch (error) {
      ;(error as Error).message += `\n${told}\n${volume.reports.join('\n')}`
      throw error
    } finally {
      await volume.leave()
    }
  }

  it(`keeps what was synced or committed, and opens: ${CUTS} cuts`, async function () {
    this.timeout(60_000 + CUTS * 1000)
    const scratch = mkdtempSync(path.join(SCRATCH, 'peerdrive-power-'))
    const random = new Random(SEED)
    try {
      for (let cuts = 0; cuts < CUTS; ) {
        const recorded = await record(random)
        const { log } = recorded
        const disk = new CutDisk()
        let made = false
        let least = 0
        let most = 0
        // Of each load as many as make it worth recording.
        const density = Math.min(1, 250 / log.length)
        for (const [at, op] of log.entries()) {
          disk.feed(op)
          if (op.kind === 'note') {
            const [word, number] = op.text.split(' ')
            if (word === 'made') made = true
            else if (word === 'begins') most = Number(number) + 1
            else least = Number(number)
          }
          if (random.next() >= density * (op.kind === 'sync' ? 4 : 1) || cuts >= CUTS) continue
          cuts++
          const fate: Fate = random.pick(['all', 'nothing', 'some', 'some'])
          const directory = path.join(scratch, `cut-${cuts}`)
          const there = disk.writeTo(directory, 'volume', fate, () => random.next())
          const told = `seed ${SEED}, cut ${cuts} at ${at} of ${log.length} (${fate})`
          if (!there || !existsSync(path.join(directory, 'volume.json')))
            assert.ok(!made, `${told}: there is no volume`)
          else await verify(recorded, directory, least, most, told)
          rmSync(directory, { recursive: true, force: true })
        }
      }
    } finally {
      rmSync(scratch, { recursive: true, force: true })
    }
  })
})
