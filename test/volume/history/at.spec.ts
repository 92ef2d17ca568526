import assert from 'node:assert/strict'
import fc from 'fast-check'
import { name, ROOT, Shell, TestVolume } from '../engine/support.js'
import { momentOf, settle, Walk } from './support.js'

const NAMES = ['a', 'b.txt', 'c', '.d']

interface Step {
  op: string
  folder: number
  name: number
  folder2: number
  name2: number
  number: number
}

const OPS = [
  ...['mkdir', 'write', 'write', 'write', 'unlink', 'rmdir', 'rename', 'rename', 'link', 'symlink', 'chmod', 'chown'],
  ...['mtime', 'xattr', 'fold', 'seal', 'moment', 'moment', 'thread', 'crash'],
]

const step: fc.Arbitrary<Step> = fc.record({
  op: fc.constantFrom(...OPS),
  folder: fc.nat(20),
  name: fc.nat(3),
  folder2: fc.nat(20),
  name2: fc.nat(3),
  // Inline, in chunks, and in a spool.
  number: fc.oneof(fc.nat(500), fc.nat(5000), fc.integer({ min: 66_000, max: 400_000 })),
})

/** Does things to a volume, and remembers what it looked like. What the file system refuses is no matter here. */
class Run {
  readonly sh: Shell
  readonly moments: { at: string; tree: Record<string, string> }[] = []

  constructor(readonly volume: TestVolume) {
    this.sh = new Shell(volume)
  }

  #folders(path = '', found = ['']): string[] {
    for (const { name, type } of this.sh.list(path)) {
      if (type !== 4) continue
      found.push(`${path}/${name}`)
      this.#folders(`${path}/${name}`, found)
    }
    return found
  }

  do(s: Step): void {
    const { fs } = this.volume
    const folders = this.#folders()
    const a = `${folders[s.folder % folders.length]}/${NAMES[s.name]}`
    const b = `${folders[s.folder2 % folders.length]}/${NAMES[s.name2]}`
    const [parent, last] = this.sh.split(a)
    const found = this.sh.find(a)
    const there = typeof found === 'number' ? undefined : found
    switch (s.op) {
      case 'mkdir':
        return void fs.mkdir(ROOT, parent, last, 0o755)
      case 'write':
        if (!there || there.mode >> 12 === 8) this.sh.write(a, Buffer.alloc(s.number, `${s.number} `))
        return
      case 'unlink':
        return void fs.unlink(ROOT, parent, last)
      case 'rmdir':
        return void fs.rmdir(ROOT, parent, last)
      case 'rename':
        return void fs.rename(ROOT, parent, last, ...this.sh.split(b), s.number % 3)
      case 'link':
        return there && void fs.link(ROOT, there.ino, ...this.sh.split(b))
      case 'symlink':
        return void fs.symlink(ROOT, parent, last, Buffer.alloc((s.number % 4000) + 1, 'to'))
      case 'chmod':
        return there && void fs.setattr(ROOT, there.ino, { mode: s.number & 0o7777 })
      case 'chown':
        return there && void fs.setattr(ROOT, there.ino, { uid: s.number, gid: s.number + 1 })
      case 'mtime':
        return there && void fs.setattr(ROOT, there.ino, { mtime: { sec: -s.number, nsec: s.number } })
      case 'xattr':
        return there && void fs.setxattr(ROOT, there.ino, name(`user.x${s.name2}`), Buffer.from('v'), 0)
      case 'fold':
        return this.volume.fold(false)
      case 'seal':
        return settle(this.volume)
      case 'thread':
        this.volume.engine.flush()
        return this.volume.crashThread()
      case 'crash':
        return this.volume.crash()
      case 'moment':
        return this.moment()
    }
  }

  moment(): void {
    settle(this.volume)
    const walk = new Walk(this.volume)
    this.moments.push({ at: momentOf(this.volume), tree: walk.tree('') })
    walk.letGo()
  }

  check(): void {
    const walk = new Walk(this.volume)
    for (const { at, tree } of this.moments) assert.deepEqual(walk.tree(`.peerdrive/at/${at}`), tree, at)
    walk.letGo()
  }
}

describe('history: .peerdrive/at', () => {
  it('shows the tree as it was at each moment, whatever was done before and after', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), async (steps) => {
        const volume = await TestVolume.create()
        try {
          const run = new Run(volume)
          for (const s of steps) {
            run.do(s)
            volume.engine.tidy()
          }
          run.moment()
          run.check()
          volume.crash()
          run.check()
        } finally {
          volume.remove()
        }
      }),
      { numRuns: Number(process.env.MODEL_RUNS ?? 20) },
    )
  })
})
