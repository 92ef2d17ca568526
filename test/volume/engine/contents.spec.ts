import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import fc from 'fast-check'
import type { Attributes } from '../../../lib/fuse/file-system.js'
import { O_RDWR, ok, ROOT, Shell, TestVolume } from './support.js'

/** What a file is before it is written to, by the kind of its content. */
const BASES = {
  empty: 0,
  bytes: 300,
  journal: 5000,
  'small committed': 40_000,
  'large committed': 400_000,
  'closed spool': 400_000,
  'spool on a spool': 500_000,
  'committed spool': 3_000_000,
}
type Base = keyof typeof BASES

interface Change {
  op: 'write' | 'truncate' | 'punch' | 'read' | 'close' | 'fold' | 'seal'
  at: number
  length: number
  fill: number
}

const near = (size: number) =>
  fc.oneof(fc.nat(size + 70_000), fc.integer({ min: Math.max(0, size - 5), max: size + 5 }))

const changes = (base: Base): fc.Arbitrary<Change[]> =>
  fc.array(
    fc.record({
      op: fc.constantFrom<Change['op']>(
        'write',
        'write',
        'write',
        'truncate',
        'punch',
        'read',
        'close',
        'fold',
        'seal',
      ),
      at: near(BASES[base]),
      length: fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 100_000 })),
      fill: fc.nat(255),
    }),
    { minLength: 1, maxLength: 12 },
  )

describe('engine: working copies over every kind of content', () => {
  let volume: TestVolume
  let sh: Shell
  let files = 0
  before(async () => {
    volume = await TestVolume.create({ cacheBytes: 100_000 })
    sh = new Shell(volume)
  })
  after(() => volume.remove())

  function make(base: Base): { file: string; bytes: Buffer } {
    const file = `f${++files}`
    const bytes = Buffer.alloc(BASES[base])
    for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 31 + (i >> 8) * 7 + files) & 0xff
    sh.write(file, bytes)
    if (base.includes('committed')) volume.seal()
    if (base === 'spool on a spool') {
      const { ino, handle } = sh.open(file, O_RDWR)
      ok(volume.fs.write(ROOT, ino, handle, 1000, Buffer.alloc(9, 9), false))
      bytes.fill(9, 1000, 1009)
      volume.fs.release(ino, handle)
    }
    return { file, bytes }
  }

  function change(file: string, bytes: Buffer, open: { ino: number; handle: number }, c: Change): Buffer {
    const { ino } = open
    const end = c.at + c.length
    switch (c.op) {
      case 'write': {
        const data = Buffer.alloc(c.length, c.fill)
        assert.equal(volume.fs.write(ROOT, ino, open.handle, c.at, data, false), c.length)
        const grown = Buffer.alloc(Math.max(bytes.length, end))
        bytes.copy(grown)
        data.copy(grown, c.at)
        return grown
      }
      case 'truncate': {
        ok(volume.fs.setattr(ROOT, ino, { size: c.at, handle: open.handle }))
        const cut = Buffer.alloc(c.at)
        bytes.copy(cut)
        return cut
      }
      case 'punch':
        assert.equal(volume.fs.fallocate(ROOT, ino, open.handle, 3, c.at, c.length), 0)
        return bytes.fill(0, Math.min(c.at, bytes.length), Math.min(end, bytes.length))
      case 'read': {
        const into = Buffer.alloc(c.length, 0xee)
        const n = volume.fs.read(ROOT, ino, open.handle, c.at, into)
        assert.ok(into.subarray(0, n).equals(bytes.subarray(c.at, end)), 'part')
        return bytes
      }
      case 'close':
        volume.fs.release(ino, open.handle)
        open.handle = sh.open(file, O_RDWR).handle
        return bytes
      default:
        if (c.op === 'fold') volume.fold()
        else volume.seal()
        return bytes
    }
  }

  for (const base of Object.keys(BASES) as Base[]) {
    it(base, () => {
      fc.assert(
        fc.property(changes(base), (list) => {
          const made = make(base)
          const { file } = made
          let { bytes } = made
          const same = (when: string) => {
            assert.equal(sh.stat(file).size, bytes.length, `size ${when}`)
            assert.ok(sh.read(file).equals(bytes), `content ${when}`)
          }
          same('at first')
          const open = sh.open(file, O_RDWR)
          for (const c of list) bytes = change(file, bytes, open, c)
          same('while it is open')
          volume.fs.release(open.ino, open.handle)
          same('closed')
          volume.seal()
          same('committed')
          const { content } = volume.engine.state.inode(open.ino)!
          if (content.kind !== 'bytes') volume.startEngine()
          same('read by another thread')
          ok(sh.unlink(file))
        }),
        { numRuns: Number(process.env.MODEL_RUNS ?? 8) },
      )
    })
  }

  it('leaves no spool files behind', () => {
    volume.engine.idle()
    volume.seal()
    volume.fold(true)
    volume.fold(true)
    assert.deepEqual(readdirSync(volume.layout.spools), [])
  })

  it('is found in packs by an inode that was only looked at while it was in a spool', () => {
    sh.write('looked at', Buffer.alloc(400_000, 'x'))
    volume.crash()
    assert.equal(sh.stat('looked at').size, 400_000)
    volume.seal()
    volume.fold()
    assert.equal(sh.read('looked at').length, 400_000)
  })

  it('is as it was after a crash with handles open', () => {
    const want = new Map<string, Buffer>()
    for (const base of Object.keys(BASES) as Base[]) {
      const { file, bytes } = make(base)
      const { ino, handle } = sh.open(file, O_RDWR)
      const data = Buffer.alloc(10_000, 0x77)
      ok(volume.fs.write(ROOT, ino, handle, bytes.length >> 1, data, false))
      const { size } = ok<Attributes>(volume.fs.getattr(ROOT, ino))
      const grown = Buffer.alloc(size)
      bytes.copy(grown)
      data.copy(grown, bytes.length >> 1)
      want.set(file, grown)
    }
    const same = () => {
      for (const [file, bytes] of want) assert.ok(sh.read(file).equals(bytes), file)
    }
    same()
    volume.engine.flush()
    volume.crashThread()
    same()
    volume.crash()
    same()
  })
})
