import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { Attributes } from '../../../lib/fuse/file-system.js'
import { Model, type ModelNode } from './model.js'
import { name, O_RDWR, ok, ROOT, Shell, TestVolume } from './support.js'

const NAMES = ['a', 'b', 'c', 'd\xff']
const KINDS: Record<string, string> = { '100000': 'file', '40000': 'folder', '120000': 'symlink' }

/** One step: what to do and numbers to choose with. */
interface Step {
  op: string
  folder: number
  name: number
  folder2: number
  name2: number
  number: number
  fill: number
}

const OPS = [
  ...[
    'mkdir',
    'mkdir',
    'create',
    'create',
    'write',
    'write',
    'write',
    'truncate',
    'unlink',
    'rmdir',
    'rename',
    'rename',
  ],
  ...['rename', 'link', 'symlink', 'chmod', 'mtime', 'punch', 'copy', 'hold', 'let', 'fold', 'crash', 'thread', 'idle'],
]

const step: fc.Arbitrary<Step> = fc.record({
  op: fc.constantFrom(...OPS),
  folder: fc.nat(50),
  name: fc.nat(3),
  folder2: fc.nat(50),
  name2: fc.nat(3),
  // Around the borders between content kinds, now and then large.
  number: fc.oneof(fc.nat(600), fc.nat(5000), fc.integer({ min: 65_000, max: 66_000 }), fc.nat(300_000)),
  fill: fc.integer({ min: 1, max: 255 }),
})

class Run {
  readonly model = new Model()
  readonly sh: Shell
  readonly held: { ino: number; handle: number; file: ModelNode }[] = []

  constructor(readonly volume: TestVolume) {
    this.sh = new Shell(volume)
  }

  do(s: Step): void {
    const folders = this.model.folders()
    const folder = folders[s.folder % folders.length]
    const folder2 = folders[s.folder2 % folders.length]
    const a = { folder, name: NAMES[s.name], path: `${this.model.pathOf(folder)}/${NAMES[s.name]}` }
    const b = { folder: folder2, name: NAMES[s.name2], path: `${this.model.pathOf(folder2)}/${NAMES[s.name2]}` }
    const method = this[s.op as 'mkdir'] as (step: Step, a: Place, b: Place) => void
    method.call(this, s, a, b)
  }

  #parent(place: Place): number {
    return this.sh.stat(this.model.pathOf(place.folder)).ino
  }

  #made(result: Attributes | number): number {
    if (typeof result === 'number') return result
    this.volume.fs.forget(result.ino, 1)
    return 0
  }

  mkdir(_s: Step, a: Place): void {
    const made = this.volume.fs.mkdir(ROOT, this.#parent(a), name(a.name), 0o755)
    assert.equal(this.#made(made), this.model.make(a.folder, a.name, 'folder'))
  }

  create(_s: Step, a: Place): void {
    const made = this.volume.fs.mknod(ROOT, this.#parent(a), name(a.name), 0o100644, 0)
    assert.equal(this.#made(made), this.model.make(a.folder, a.name, 'file'))
  }

  symlink(s: Step, a: Place): void {
    const target = Buffer.alloc((s.number % 1000) + 1, s.fill)
    const made = this.volume.fs.symlink(ROOT, this.#parent(a), name(a.name), target)
    assert.equal(this.#made(made), this.model.make(a.folder, a.name, 'symlink', target))
  }

  #file(place: Place): ModelNode | undefined {
    const found = place.folder.entries.get(place.name)
    return found?.kind === 'file' ? found : undefined
  }

  write(s: Step, a: Place): void {
    const file = this.#file(a)
    if (!file) return
    const data = Buffer.alloc((s.number % 9000) + 1, s.fill)
    const { ino, handle } = this.sh.open(a.path, O_RDWR)
    assert.equal(this.volume.fs.write(ROOT, ino, handle, s.number, data, false), data.length)
    this.volume.fs.release(ino, handle)
    this.model.write(file, s.number, data)
  }

  truncate(s: Step, a: Place): void {
    const file = this.#file(a)
    if (!file) return
    ok(this.volume.fs.setattr(ROOT, this.sh.stat(a.path).ino, { size: s.number }))
    this.model.truncate(file, s.number)
  }

  punch(s: Step, a: Place): void {
    const file = this.#file(a)
    if (!file) return
    const { ino, handle } = this.sh.open(a.path, O_RDWR)
    assert.equal(this.volume.fs.fallocate(ROOT, ino, handle, 3, s.number >> 1, 3000), 0)
    this.volume.fs.release(ino, handle)
    const size = file.bytes.length
    file.bytes = Buffer.from(file.bytes).fill(0, Math.min(s.number >> 1, size), Math.min((s.number >> 1) + 3000, size))
  }

  copy(s: Step, a: Place, b: Place): void {
    const from = this.#file(a)
    const to = this.#file(b)
    if (!from || !to || from === to) return
    const source = this.sh.open(a.path, 0)
    const target = this.sh.open(b.path, O_RDWR)
    const at = s.fill % 3 === 0 ? s.number : 0
    const done = this.volume.fs.copyFileRange(
      ROOT,
      source.ino,
      source.handle,
      0,
      target.ino,
      target.handle,
      at,
      2 ** 30,
    )
    assert.equal(done, from.bytes.length)
    this.volume.fs.release(source.ino, source.handle)
    this.volume.fs.release(target.ino, target.handle)
    if (done > 0) this.model.write(to, at, from.bytes)
  }

  /** A handle that stays open, written to. */
  hold(s: Step, a: Place): void {
    const file = this.#file(a)
    if (!file || this.held.length > 3) return
    const opened = this.sh.open(a.path, O_RDWR)
    const data = Buffer.alloc(100, s.fill)
    assert.equal(this.volume.fs.write(ROOT, opened.ino, opened.handle, s.number, data, false), 100)
    this.model.write(file, s.number, data)
    this.held.push({ ...opened, file })
  }

  /** … written to once more, and closed. */
  let(s: Step): void {
    const held = this.held.shift()
    if (!held) return
    const data = Buffer.alloc(50, s.fill)
    assert.equal(this.volume.fs.write(ROOT, held.ino, held.handle, s.number >> 1, data, false), 50)
    this.model.write(held.file, s.number >> 1, data)
    const { size } = ok<Attributes>(this.volume.fs.getattr(ROOT, held.ino))
    const into = Buffer.alloc(size)
    assert.equal(this.volume.fs.read(ROOT, held.ino, held.handle, 0, into), held.file.bytes.length)
    assert.ok(into.equals(held.file.bytes), 'content by handle')
    this.volume.fs.release(held.ino, held.handle)
  }

  unlink(_s: Step, a: Place): void {
    assert.equal(this.volume.fs.unlink(ROOT, this.#parent(a), name(a.name)), this.model.unlink(a.folder, a.name))
  }

  rmdir(_s: Step, a: Place): void {
    assert.equal(this.volume.fs.rmdir(ROOT, this.#parent(a), name(a.name)), this.model.rmdir(a.folder, a.name))
  }

  link(_s: Step, a: Place, b: Place): void {
    const from = a.folder.entries.get(a.name)
    if (!from) return
    const made = this.volume.fs.link(ROOT, this.sh.stat(a.path).ino, this.#parent(b), name(b.name))
    assert.equal(this.#made(made), this.model.link(from, b.folder, b.name))
  }

  rename(s: Step, a: Place, b: Place): void {
    const flags = s.fill % 3
    const done = this.volume.fs.rename(ROOT, this.#parent(a), name(a.name), this.#parent(b), name(b.name), flags)
    assert.equal(done, this.model.rename(a.folder, a.name, b.folder, b.name, flags))
  }

  chmod(s: Step, a: Place): void {
    const found = a.folder.entries.get(a.name)
    if (!found) return
    ok(this.volume.fs.setattr(ROOT, this.sh.stat(a.path).ino, { mode: s.number & 0o777 }))
    found.mode = s.number & 0o777
  }

  mtime(s: Step, a: Place): void {
    const found = a.folder.entries.get(a.name)
    if (!found) return
    const { ino } = this.sh.stat(a.path)
    ok(this.volume.fs.setattr(ROOT, ino, { mtime: { sec: -s.number, nsec: s.fill } }))
    assert.equal(this.sh.stat(a.path).mtimeSec, -s.number)
  }

  fold(s: Step): void {
    this.volume.fold(s.fill % 2 === 0)
  }

  idle(): void {
    this.volume.engine.idle()
  }

  /** Handles do not outlive a process. */
  crash(): void {
    this.held.length = 0
    this.volume.crash()
  }

  /** But they outlive a thread. */
  thread(): void {
    this.volume.engine.flush()
    this.volume.crashThread()
  }

  check(): void {
    this.#checkFolder(this.model.root, '')
  }

  #checkFolder(folder: ModelNode, path: string): void {
    const listed = this.sh.list(path)
    assert.deepEqual(listed.map((e) => e.name).sort(), [...folder.entries.keys()].sort(), `entries of ${path}`)
    for (const [name, child] of folder.entries) {
      const file = `${path}/${name}`
      const stat = this.sh.stat(file)
      assert.equal(KINDS[(stat.mode & 0o170000).toString(8)], child.kind, file)
      assert.equal(stat.mode & 0o7777, child.mode, file)
      assert.equal(stat.nlink, child.nlink, `links of ${file}`)
      assert.equal(listed.find((e) => e.name === name)!.ino, stat.ino)
      assert.equal(listed.find((e) => e.name === name)!.type, stat.mode >> 12)
      if (child.kind === 'folder') this.#checkFolder(child, file)
      else this.#checkBytes(child, file, stat)
    }
  }

  #checkBytes(child: ModelNode, file: string, stat: Attributes): void {
    assert.equal(stat.size, child.bytes.length, `size of ${file}`)
    const bytes = child.kind === 'file' ? this.sh.read(file) : ok<Buffer>(this.volume.fs.readlink(ROOT, stat.ino))
    assert.ok(bytes.equals(child.bytes), `content of ${file}`)
  }
}

interface Place {
  folder: ModelNode
  name: string
  path: string
}

/** All that stat shows of everything, for comparing before and after. */
function snapshot(sh: Shell, path = '', found: Record<string, unknown> = {}): Record<string, unknown> {
  const { ino, mode, nlink, uid, gid, size, mtimeSec, mtimeNsec, ctimeSec, ctimeNsec } = sh.stat(path)
  found[path] = { ino, mode, nlink, uid, gid, size, mtimeSec, mtimeNsec, ctimeSec, ctimeNsec }
  if ((mode & 0o170000) === 0o040000) for (const { name } of sh.list(path)) snapshot(sh, `${path}/${name}`, found)
  return found
}

describe('engine: compared with a model of POSIX', () => {
  it('shows the same tree, whatever is done, committed, or crashes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), async (steps) => {
        const volume = await TestVolume.create({ inodesMax: 5, entriesMax: 5, rotateAt: 200_000 })
        try {
          const run = new Run(volume)
          for (const s of steps) {
            run.do(s)
            volume.engine.tidy()
          }
          run.check()
          while (run.held.length > 0) run.let(steps[0])
          run.check()
          const before = snapshot(run.sh)
          volume.fold(true)
          assert.deepEqual(snapshot(run.sh), before, 'committed')
          run.check()
          volume.startEngine()
          assert.deepEqual(snapshot(run.sh), before, 'read again')
          volume.crash()
          assert.deepEqual(snapshot(run.sh), before, 'after a crash')
          run.check()
          const bad = volume.reports.filter((r) => !r.includes('was being written'))
          assert.deepEqual(bad, [])
        } finally {
          volume.remove()
        }
      }),
      { numRuns: Number(process.env.MODEL_RUNS ?? 20) },
    )
  })
})
