import assert from 'node:assert/strict'
import { Shell, TestVolume } from './support.js'

describe('engine: a volume from end to end', () => {
  let volume: TestVolume
  let sh: Shell
  beforeEach(async () => {
    volume = await TestVolume.create()
    sh = new Shell(volume)
  })
  afterEach(() => volume.remove())

  it('shows what was written before and after the commit, and after a crash', () => {
    sh.mkdir('a')
    sh.write('a/small', 'hello')
    const middle = Buffer.alloc(40_000, 'xyz')
    sh.write('a/middle', middle)
    const large = Buffer.alloc(3_000_000)
    for (let i = 0; i < large.length; i++) large[i] = (i * 7919) >> 3
    sh.write('a/large', large)
    const look = () => {
      assert.deepEqual(sh.read('a/small').toString(), 'hello')
      assert.ok(sh.read('a/middle').equals(middle))
      assert.ok(sh.read('a/large').equals(large))
      assert.deepEqual(
        sh.list('a').map((e) => e.name),
        ['large', 'middle', 'small'],
      )
    }
    look()
    volume.fold(true)
    look()
    volume.startEngine()
    look()
    volume.crash()
    look()
    assert.deepEqual(volume.reports, [])
  })
})
