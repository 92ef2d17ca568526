import assert from 'node:assert/strict'
import fs from 'node:fs/promises'
import { checkVolume } from '../../../lib/store/check.js'
import { cannotMount } from '../../support/fuse-mount.js'
import type { CrashAt } from '../engine/crashing-thread.js'
import { Model } from '../engine/model.js'
import { MountedVolume } from '../engine/mounted.js'
import {
  applyOp,
  bytesOf,
  cloneModel,
  difference,
  halfDone,
  nextOp,
  type Op,
  Random,
  type Tree,
  treeOfModel,
} from './load.js'

/** How many threads end themselves: some in the suite, more when asked for. */
const CRASHES = Number(process.env.PEERDRIVE_CRASHES ?? 12)
const SEED = Number(process.env.PEERDRIVE_SEED ?? Date.now() % 1_000_000)
const PLACES: CrashAt[] = ['request', 'before frame', 'after frame', 'answer']
/** Requests, or frames, until then. */
const COUNT_MAX = 120
const EIO = -5

describe('durability: a volume thread that dies at any request', () => {
  const cannot = cannotMount()
  if (cannot) {
    it.skip(`cannot mount here: ${cannot}`)
    return
  }
  let volume: MountedVolume
  before(async () => {
    volume = await MountedVolume.create()
  })
  after(() => volume.remove())

  const at = (path: string) => Buffer.from(volume.mountPoint + path, 'latin1')

  async function opened(path: string, flags: string, use: (file: fs.FileHandle) => Promise<unknown>): Promise<void> {
    const file = await fs.open(at(path), flags, 0o644)
    await use(file).finally(() => file.close())
  }

  /** Through the mount. */
  async function act(op: Op): Promise<void> {
    switch (op.op) {
      case 'mkdir':
        return fs.mkdir(at(op.path), 0o755)
      case 'create':
        return opened(op.path, 'wx', async () => {})
      case 'symlink':
        return fs.symlink(op.target, at(op.path))
      case 'unlink':
        return fs.unlink(at(op.path))
      case 'rmdir':
        return fs.rmdir(at(op.path))
      case 'rename':
        return fs.rename(at(op.path), at(op.to))
      case 'link':
        return fs.link(at(op.path), at(op.to))
      case 'chmod':
        return fs.chmod(at(op.path), op.mode)
      case 'truncate':
        return fs.truncate(at(op.path), op.size)
      case 'write':
        return opened(op.path, 'r+', async (file) => {
          const bytes = bytesOf(op.fill, op.at, op.length)
          for (let done = 0; done < bytes.length; )
            done += (await file.write(bytes, done, bytes.length - done, op.at + done)).bytesWritten
        })
      case 'fsync':
        return opened(op.path, 'r+', (file) => file.sync())
    }
  }

  const answerOf = (op: Op) =>
    act(op).then(
      () => 0,
      (error: NodeJS.ErrnoException) => error.errno ?? Number.NaN,
    )

  async function treeOfMount(path = '', found: Tree = new Map()): Promise<Tree> {
    for (const name of await fs.readdir(at(path), { encoding: 'buffer' })) {
      const below = `${path}/${name.toString('latin1')}`
      const { ino, mode, nlink } = await fs.lstat(at(below))
      const kind = mode >> 12 === 4 ? 'folder' : mode >> 12 === 8 ? 'file' : 'symlink'
      let bytes: Buffer = Buffer.alloc(0)
      if (kind === 'file') bytes = await fs.readFile(at(below))
      if (kind === 'symlink') bytes = await fs.readlink(at(below), { encoding: 'buffer' })
      found.set(below, { kind, mode: mode & 0o7777, nlink, bytes, id: ino, xattrs: '' })
      if (kind === 'folder') await treeOfMount(below, found)
    }
    return found
  }

  /** One that Node can do, and a model without extended attributes. */
  function next(model: Model, random: Random): Op {
    for (;;) {
      const op = nextOp(model, random)
      if (op.op === 'xattr' || (op.op === 'rename' && op.flags !== 0)) continue
      // chmod(2) follows links.
      if (op.op !== 'chmod' || treeOfModel(model).get(op.path)?.kind !== 'symlink') return op
    }
  }

  /** Answers what the model has to be: without or with the operation that got EIO. */
  async function settled(model: Model, op: Op, told: string): Promise<Model> {
    const seen = await treeOfMount()
    const before = treeOfModel(model)
    const lost = difference(seen, before)
    if (lost === undefined) return model
    const changed = cloneModel(model)
    applyOp(changed, op)
    const after = treeOfModel(changed)
    const other = difference(seen, after)
    if (other === undefined) return changed
    const half = op.op === 'write' ? halfDone(before.get(op.path), after.get(op.path)!) : undefined
    assert.ok(half && difference(seen, after, half) === undefined, `${told}: ${lost}; or ${other}`)
    ;(after.get(op.path)!.id as { bytes: Buffer }).bytes = seen.get(op.path)!.bytes
    return changed
  }

  it(`leaves the mount up; what was answered is there: ${CRASHES} threads`, async function () {
    this.timeout(60_000 + CRASHES * 5000)
    let model = new Model()
    let refused = 0
    for (let crash = 0; crash < CRASHES; crash++) {
      const random = new Random(SEED + crash)
      const place = { at: random.pick(PLACES), count: 1 + random.below(COUNT_MAX) }
      await volume.killThread(place)
      let ended = false
      const followed = volume.threadEnd.then(() => {
        ended = true
        return volume.recoverThread()
      })
      while (!ended) {
        const op = next(model, random)
        const changed = cloneModel(model)
        const want = applyOp(changed, op)
        const told = `seed ${SEED + crash}, ${JSON.stringify(place)}: ${JSON.stringify(op)}`
        const done = await answerOf(op)
        // Which of several errors it is the kernel says, for some.
        if (done === want || (want < 0 && done < 0 && done !== EIO)) {
          model = changed
          continue
        }
        assert.equal(done, EIO, `${told} answered ${done}, not ${want}`)
        refused++
        await followed
        model = await settled(model, op, told)
      }
      await followed
      const differs = difference(await treeOfMount(), treeOfModel(model))
      assert.equal(differs, undefined, `seed ${SEED + crash}, ${JSON.stringify(place)}`)
    }
    assert.ok(refused > 0, 'no request was in flight when a thread died')
    await volume.flush()
    volume.reader.refresh()
    assert.deepEqual(checkVolume({ reader: volume.reader, layout: volume.layout }), [])
    assert.deepEqual(
      volume.reports.filter((text) => !/was being written|Removed spool/.test(text)),
      [],
    )
  })
})
