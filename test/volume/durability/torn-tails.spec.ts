import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { checkVolume } from '../../../lib/store/check.js'
import { FRAME_HEADER, listSegments, SEGMENT_HEADER } from '../../../lib/store/journal-segments.js'
import { O_RDWR, ok, ROOT, Shell, TestVolume } from '../engine/support.js'
import { bytesOf, difference, type Tree, treeOfVolume } from './load.js'

/** Each so many lengths, and those next to the ends of frames; 1: every one. */
const EVERY = Number(process.env.PEERDRIVE_TORN_EVERY ?? 37)
const SCRATCH = fs.existsSync('/dev/shm') ? '/dev/shm' : os.tmpdir()

/** What may lie behind the cut: nothing, the zeros of reserved space, what a disk had there before. */
const BEHIND: Record<string, (length: number) => Buffer> = {
  nothing: () => Buffer.alloc(0),
  zeros: (length) => Buffer.alloc(length),
  garbage: (length) => bytesOf(0xa5, 4711, length),
}

describe('durability: torn tails', function () {
  this.timeout(300_000)
  let directory: string
  /** A volume that was left without a word, to be copied. */
  let original: string
  let root: Uint8Array

  beforeEach(() => {
    directory = fs.mkdtempSync(path.join(SCRATCH, 'peerdrive-torn-'))
    original = path.join(directory, 'original')
  })
  afterEach(() => fs.rmSync(directory, { recursive: true, force: true }))

  /** `work` in a volume whose process ends then, and what was there before. */
  async function left(work: (volume: TestVolume, sh: Shell) => void): Promise<void> {
    const volume = await TestVolume.create()
    root = volume.root
    const sh = new Shell(volume)
    sh.mkdir('d')
    sh.write('d/kept', 'committed')
    sh.write('d/large', bytesOf(1, 0, 20_000))
    volume.fold(true)
    work(volume, sh)
    volume.engine.flush()
    fs.cpSync(volume.directory, original, { recursive: true })
    await volume.leave()
    volume.remove()
  }

  /** Opens a copy of which `tear` changed something. Answers what is in it, and what was said. */
  async function opened(tear: (copy: string) => void): Promise<{ tree: Tree; reports: string[] }> {
    const copy = path.join(directory, 'copy')
    fs.cpSync(original, copy, { recursive: true })
    tear(copy)
    const volume = new TestVolume(copy, root, {})
    try {
      volume.open()
      const sh = new Shell(volume)
      const tree = treeOfVolume(sh)
      assert.deepEqual(checkVolume({ reader: volume.reader, layout: volume.layout }), [])
      const reports = volume.reports.splice(0)
      // It goes on, and is whole from now on.
      sh.write('afterwards', 'it works')
      volume.crash()
      assert.equal(sh.read('afterwards').toString(), 'it works')
      assert.deepEqual(
        volume.reports.filter((text) => !/was being written/.test(text)),
        [],
      )
      return { tree, reports }
    } finally {
      await volume.leave()
      fs.rmSync(copy, { recursive: true, force: true })
    }
  }

  const segmentOf = (copy: string) => listSegments(path.join(copy, 'journal')).at(-1)!.file

  /** Where frames end in a segment file. */
  function frameEnds(file: string): number[] {
    const bytes = fs.readFileSync(file)
    const ends = [SEGMENT_HEADER]
    for (let at = SEGMENT_HEADER; at + FRAME_HEADER <= bytes.length; ) {
      const length = bytes.readUInt32LE(at)
      if (length === 0) break
      at += FRAME_HEADER + length
      ends.push(at)
    }
    return ends
  }

  for (const [what, behind] of Object.entries(BEHIND)) {
    it(`a journal cut at any byte, with ${what} behind: all frames before it count, and none behind`, async () => {
      /** The tree when the journal's file had this many bytes. */
      const trees: { length: number; tree: Tree }[] = []
      await left((volume, sh) => {
        const note = () => {
          volume.engine.flush()
          const length = frameEnds(listSegments(volume.layout.journal).at(-1)!.file).at(-1)!
          trees.push({ length, tree: treeOfVolume(sh) })
        }
        note()
        const steps: (() => unknown)[] = [
          () => sh.mkdir('e'),
          () => sh.write('e/small', 'some bytes'),
          () => ok(sh.rename('d/kept', 'e/moved')),
          () => sh.write('d/middle', bytesOf(7, 0, 300)),
          () => ok(sh.unlink('d/large')),
        ]
        for (const step of steps) {
          step()
          note()
        }
        const { ino, handle } = sh.open('e/small', O_RDWR)
        ok(volume.fs.write(ROOT, ino, handle, 4, Buffer.from('!'), false))
        note()
      })
      const whole = fs.statSync(segmentOf(original)).size
      const end = frameEnds(segmentOf(original)).at(-1)!
      assert.ok(end <= whole)
      const boundaries = new Set(frameEnds(segmentOf(original)))
      const first = frameEnds(segmentOf(original)).findLast((at) => at <= trees[0].length)!
      const around = [...boundaries].flatMap((at) => [at - 1, at, at + 1])
      for (let length = first; length <= end; length++) {
        if ((length - first) % EVERY !== 0 && !around.includes(length)) continue
        const { tree, reports } = await opened((copy) => {
          const file = segmentOf(copy)
          fs.truncateSync(file, length)
          fs.appendFileSync(file, behind(1000))
        })
        // Between two steps there are several frames: the tree is as before or after one that is not whole.
        const before = trees.findLastIndex((step) => step.length <= length)
        const candidates = trees.slice(before, before + 2).map((step) => difference(tree, step.tree))
        assert.ok(isBetween(tree, trees, before), `cut at ${length}: ${candidates.join('; or ')}`)
        if (trees[before].length === length) assert.equal(candidates[0], undefined, `cut at ${length}`)
        const said = reports.some((text) => /^Cut \d+ bytes off the journal/.test(text))
        const torn = !boundaries.has(length) || what === 'garbage' || what === 'zeros'
        assert.equal(said, torn, `cut at ${length}: ${reports.join('\n')}`)
      }
    })
  }

  /** What both steps have alike is there; the rest as in one of them, or on its way (an empty file, say). */
  function isBetween(tree: Tree, trees: { tree: Tree }[], before: number): boolean {
    const a = trees[before].tree
    const b = trees[before + 1]?.tree ?? a
    for (const [at, want] of a) {
      const then = b.get(at)
      if (!then?.bytes.equals(want.bytes)) continue
      if (!tree.get(at)?.bytes.equals(want.bytes)) return false
    }
    for (const at of tree.keys()) if (!a.has(at) && !b.has(at)) return false
    return true
  }

  it('a segment header cut at any byte: what is committed is there', async () => {
    let tree: Tree | undefined
    await left((_volume, sh) => {
      tree = treeOfVolume(sh)
    })
    for (let length = 0; length <= SEGMENT_HEADER; length++) {
      const { tree: seen } = await opened((copy) => fs.truncateSync(segmentOf(copy), length))
      assert.equal(difference(seen, tree!), undefined, `header of ${length} bytes`)
    }
  })

  it('a pack with a tail of any length that no commit knows: it is cut off, and said', async () => {
    let tree: Tree | undefined
    await left((volume, sh) => {
      sh.write('d/small', bytesOf(3, 0, 3000))
      tree = treeOfVolume(sh)
      volume.engine.flush()
    })
    const tail = bytesOf(9, 0, 3000)
    for (let length = 0; length <= tail.length; length += 5 * EVERY) {
      const { tree: seen, reports } = await opened((copy) =>
        fs.appendFileSync(path.join(copy, 'packs/00000000.pack'), tail.subarray(0, length)),
      )
      assert.equal(difference(seen, tree!), undefined, `a tail of ${length} bytes`)
      assert.equal(
        reports.join(),
        length > 0 ? `Cut ${length} bytes off the end of a pack: they were not committed.` : '',
      )
    }
  })

  it('a pack that lost its end at any byte: what was in it is told as damaged, all else is there and goes on', async () => {
    await left((_volume, sh) => sh.write('d/other', 'inline'))
    const size = fs.statSync(path.join(original, 'packs/00000000.pack')).size
    for (let length = 0; length < size; length += 97 * EVERY) {
      const copy = path.join(directory, 'copy')
      fs.cpSync(original, copy, { recursive: true })
      fs.truncateSync(path.join(copy, 'packs/00000000.pack'), length)
      const volume = new TestVolume(copy, root, {})
      try {
        volume.open()
        assert.match(volume.reports.join('\n'), new RegExp(`has ${length} bytes instead of ${size}`))
        const sh = new Shell(volume)
        assert.equal(sh.read('d/kept').toString(), 'committed')
        assert.equal(sh.read('d/other').toString(), 'inline')
        sh.write('d/new', bytesOf(5, 0, 30_000))
        volume.fold(true)
        volume.crash()
        assert.ok(sh.read('d/new').equals(bytesOf(5, 0, 30_000)))
        volume.reader.refresh()
        const found = checkVolume({ reader: volume.reader, layout: volume.layout })
        assert.ok(found.length > 0 && found.every(({ kind }) => kind === 'chunk-damaged'), JSON.stringify(found))
      } finally {
        await volume.leave()
        fs.rmSync(copy, { recursive: true, force: true })
      }
    }
  })
})
