// A volume that holds contents on demand, mounted, beside one that keeps everything; the link is in memory.

import assert from 'node:assert/strict'
import { copyFile, mkdir, open, readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { equal, hex } from '../../lib/model/bytes.js'
import { leaves } from '../../lib/model/content-tree.js'
import type { Content, RId } from '../../lib/model/types.js'
import { checkVolume } from '../../lib/store/check.js'
import type { HoldingMessage } from '../../lib/volume/holding-actor.js'
import { fileContent } from '../../lib/volume/survey.js'
import { noise } from '../model/support.js'
import { VolumeFixture } from '../volume/volume-fixture.js'
import { MemoryLink } from './simulation/link.js'
import { Host } from './simulation/network.js'

const MIB = 1 << 20

describe('Contents on demand', function () {
  this.timeout(60_000)
  let keeper: VolumeFixture
  let lean: VolumeFixture
  let hosts: [Host, Host]
  let link: MemoryLink | undefined

  beforeEach(async () => {
    keeper = await new VolumeFixture().create()
    await keeper.open()
    lean = await new VolumeFixture().create({ root: keeper.volume.root })
    await lean.open()
    await lean.volume.holding.set({ hold: 'on-demand' })
    hosts = [new Host('keeper'), new Host('lean')]
    hosts[0].volumes.push(keeper.volume)
    hosts[1].volumes.push(lean.volume)
    for (const host of hosts) await host.start()
    connect()
  })

  afterEach(async () => {
    link?.cut()
    for (const host of hosts) await host.stop()
    await lean.destroy()
    await keeper.destroy()
  })

  function connect(): void {
    const made = new MemoryLink('keeper', 'lean')
    link = made
    for (const [i, host] of hosts.entries()) {
      const end = made.ends[i]
      host.links.add(end)
      void made.closed.then(() => host.links.delete(end))
      host.look()
    }
  }

  async function apart(): Promise<void> {
    link?.cut()
    await inTime(() => hosts.every((host) => host.workers().length === 0), 'apart')
  }

  const inTime = async (condition: () => boolean | Promise<boolean>, what: string) => {
    const deadline = performance.now() + 40_000
    const holds = async () => {
      try {
        return await condition()
      } catch {
        return false
      }
    }
    while (!(await holds())) {
      const told = [...hosts.flatMap((host) => [...host.crashes, ...host.reports]), ...keeper.reports, ...lean.reports]
      if (performance.now() > deadline) assert.fail(`not in time: ${what}\n${told.join('\n')}`)
      await setTimeout(5)
    }
  }

  /** Until it is there, with this size. */
  const shown = (name: string, size: number) =>
    inTime(async () => (await stat(lean.path(name))).size === size, `${name} of ${size} bytes`)

  async function packBytes(volume: VolumeFixture): Promise<number> {
    const directory = path.join(volume.store, 'packs')
    const sizes = (await readdir(directory)).map(async (name) => (await stat(path.join(directory, name))).size)
    return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0)
  }

  const headsOf = ({ volume }: VolumeFixture) =>
    volume
      .changes(0, 100_000)
      .map(({ document, head }) => `${hex(document)} ${hex(head)}`)
      .sort()
      .join()

  async function converged(): Promise<void> {
    await keeper.volume.flush()
    await lean.volume.flush()
    await inTime(() => headsOf(keeper) === headsOf(lean), 'the same heads')
    assert.deepEqual(
      hosts.flatMap((host) => host.crashes),
      [],
    )
  }

  it('shows the tree at once, without the bytes, and fetches what is read', async () => {
    const large = noise(5 * MIB)
    await mkdir(keeper.path('folder'))
    await writeFile(keeper.path('folder', 'small'), noise(4000))
    await writeFile(keeper.path('large'), large, { mode: 0o640 })
    await keeper.volume.flush()
    await shown('folder/small', 4000)
    await shown('large', large.length)
    await converged()
    assert.ok((await packBytes(lean)) < 100_000, 'only lists came')
    assert.equal((await stat(lean.path('large'))).mode & 0o777, 0o640)
    assert.equal((await stat(lean.path('large'))).mtimeMs, (await stat(keeper.path('large'))).mtimeMs)
    assert.ok(equal(await readFile(lean.path('folder', 'small')), noise(4000)))
    assert.ok((await packBytes(lean)) < 200_000, 'only what was read came')
    assert.ok(equal(await readFile(lean.path('large')), large))
    assert.ok((await packBytes(lean)) >= large.length)
    assert.deepEqual(checkVolume(lean.resources), [])
  })

  it('fetches ahead of who reads on, and no more than that of who does not', async () => {
    const large = noise(40 * MIB)
    await writeFile(keeper.path('large'), large)
    await keeper.volume.flush()
    await shown('large', large.length)
    const file = await open(lean.path('large'))
    try {
      const piece = Buffer.alloc(4096)
      await file.read(piece, 0, 4096, 20 * MIB)
      assert.ok(equal(piece, large.subarray(20 * MIB, 20 * MIB + 4096)))
      await inTime(() => lean.volume.wants.size === 0, 'fetched')
      assert.ok((await packBytes(lean)) < 4 * MIB, `${await packBytes(lean)} bytes for one page`)
      const whole = Buffer.alloc(10 * MIB)
      for (let at = 0; at < whole.length; at += MIB) await file.read(whole, at, MIB, at)
      assert.ok(equal(whole, large.subarray(0, whole.length)))
      await inTime(() => lean.volume.wants.size === 0, 'fetched')
      assert.ok((await packBytes(lean)) > 14 * MIB, 'read-ahead')
    } finally {
      await file.close()
    }
  })

  it('fails with an errno of its own and says who has it when nobody is there; reads on when they are back', async () => {
    await writeFile(keeper.path('file'), noise(100_000))
    await keeper.volume.flush()
    await shown('file', 100_000)
    await apart()
    const started = performance.now()
    await assert.rejects(readFile(lean.path('file')), { code: 'EHOSTUNREACH' })
    assert.ok(performance.now() - started < 15_000)
    assert.match(lean.reports.join('\n'), /^file: Its content is not on this device.*keeper/m)
    assert.equal((await stat(lean.path('file'))).size, 100_000)
    const reading = readFile(lean.path('file'))
    connect()
    assert.ok(equal(await reading, noise(100_000)), 'waits for a device that comes back in time')
  })

  it('serves others while a read waits', async () => {
    await writeFile(keeper.path('file'), noise(100_000))
    await keeper.volume.flush()
    await shown('file', 100_000)
    await apart()
    const reading = readFile(lean.path('file')).catch((error) => error.code)
    await inTime(() => lean.resources.demand.waiting > 0, 'a read that waits')
    await writeFile(lean.path('other'), 'meanwhile')
    assert.equal(await readFile(lean.path('other'), 'utf8'), 'meanwhile')
    assert.equal(lean.resources.demand.waiting, 1)
    assert.equal(await reading, 'EHOSTUNREACH')
  })

  it('writes into, cuts, copies and appends to files whose bytes are elsewhere', async () => {
    const sizes = { small: 30_000, large: 3 * MIB }
    for (const [name, size] of Object.entries(sizes))
      for (const what of ['inside', 'cut', 'append', 'copy', 'empty'])
        await writeFile(keeper.path(`${name}-${what}`), noise(size))
    await keeper.volume.flush()
    await shown('large-empty', sizes.large)
    await shown('small-empty', sizes.small)
    await converged()
    for (const [name, size] of Object.entries(sizes)) {
      const before = Buffer.from(noise(size))
      const file = await open(lean.path(`${name}-inside`), 'r+')
      await file.write(Buffer.from('XXXX'), 0, 4, size - 10_000)
      await file.close()
      await truncate(lean.path(`${name}-cut`), size - 5000)
      await writeFile(lean.path(`${name}-append`), 'more', { flag: 'a' })
      await copyFile(lean.path(`${name}-copy`), lean.path(`${name}-copied`))
      await truncate(lean.path(`${name}-empty`), 0)
      await lean.volume.flush()
      const inside = Buffer.from(before)
      inside.write('XXXX', size - 10_000)
      for (const [what, bytes] of [
        ['inside', inside],
        ['cut', before.subarray(0, size - 5000)],
        ['append', Buffer.concat([before, Buffer.from('more')])],
        ['copied', before],
        ['empty', Buffer.alloc(0)],
      ] as const)
        for (const side of [lean, keeper])
          await inTime(
            async () => equal(await readFile(side.path(`${name}-${what}`)), bytes),
            `${name}-${what} ${side === lean ? 'here' : 'there'}`,
          )
    }
    await converged()
  })

  it('keeps what is written while nobody is there, and makes versions of it when they are', async () => {
    await writeFile(keeper.path('small'), noise(30_000))
    await writeFile(keeper.path('large'), noise(3 * MIB))
    await keeper.volume.flush()
    await shown('large', 3 * MIB)
    await shown('small', 30_000)
    await converged()
    await apart()
    const file = await open(lean.path('large'), 'r+')
    await file.write(Buffer.from('XXXX'), 0, 4, MIB)
    await file.close()
    await assert.rejects(writeFile(lean.path('small'), 'x', { flag: 'a' }), { code: 'EHOSTUNREACH' })
    assert.equal((await stat(lean.path('small'))).size, 30_000, 'a refused write changes nothing')
    await writeFile(lean.path('small'), 'new')
    await lean.volume.flush()
    connect()
    const large = Buffer.from(noise(3 * MIB))
    large.write('XXXX', MIB)
    await inTime(async () => equal(await readFile(keeper.path('large')), large), 'the large one there')
    await inTime(async () => (await readFile(keeper.path('small'), 'utf8')) === 'new', 'the small one there')
    await converged()
  })

  it('shows versions of long ago, and merges texts', async () => {
    const text = (lines: string[]) => `${lines.join('\n')}\n${'padding '.repeat(400)}\n`
    await writeFile(keeper.path('text'), text(['one', 'two', 'three']))
    await keeper.volume.flush()
    const { size } = await stat(keeper.path('text'))
    await shown('text', size)
    await converged()
    await writeFile(keeper.path('text'), text(['one', 'two', 'THREE']))
    await keeper.volume.flush()
    await converged()
    const versions = await readdir(lean.path('.versions', 'text'))
    assert.equal(versions.length, 2)
    assert.equal(await readFile(lean.path('.versions', 'text', versions[0]), 'utf8'), text(['one', 'two', 'three']))
    await apart()
    await writeFile(keeper.path('text'), text(['ONE', 'two', 'THREE']))
    await writeFile(lean.path('text'), text(['one', 'two', 'THREE', 'four']))
    await keeper.volume.flush()
    await lean.volume.flush()
    connect()
    for (const side of [lean, keeper])
      await inTime(
        async () => (await readFile(side.path('text'), 'utf8')) === text(['ONE', 'two', 'THREE', 'four']),
        'the merge',
      )
    await converged()
  })

  /** The actor has looked once more, for everything. */
  async function madeRoom({ system, resources }: VolumeFixture): Promise<void> {
    const actor = system.whereis<HoldingMessage>(resources.name('holding'))!
    await actor.call<void>((reply) => ({ type: 'policy', reply }), 40_000)
  }

  const document = async ({ volume }: VolumeFixture, ...names: string[]) =>
    (await volume.walk(names.map((name) => Buffer.from(name)))).document

  /** Data chunks of the newest content that are not here. */
  async function lacks(volume: VolumeFixture, ...names: string[]): Promise<number> {
    const head = volume.volume.head(await document(volume, ...names))!
    const content = fileContent(volume.volume.revision(head.head)!)
    return content ? volume.resources.reads.missingLeaves(content).length : 0
  }

  it('fetches what is pinned, and what comes into it later', async () => {
    await mkdir(keeper.path('music'))
    await mkdir(keeper.path('music', 'deep'))
    await writeFile(keeper.path('music', 'deep', 'one'), noise(300_000))
    await writeFile(keeper.path('other'), noise(200_000, 4))
    await keeper.volume.flush()
    await shown('music/deep/one', 300_000)
    await shown('other', 200_000)
    await lean.volume.holding.pin(await document(lean, 'music'))
    await inTime(async () => (await lacks(lean, 'music', 'deep', 'one')) === 0, 'fetched')
    await writeFile(keeper.path('music', 'two'), noise(100_000, 3))
    await keeper.volume.flush()
    await inTime(async () => (await lacks(lean, 'music', 'two')) === 0, 'fetched as well')
    assert.ok((await lacks(lean, 'other')) > 0)
    await apart()
    assert.ok(equal(await readFile(lean.path('music', 'deep', 'one')), noise(300_000)))
    assert.ok(equal(await readFile(lean.path('music', 'two')), noise(100_000, 3)))
  })

  it('stays within its budget: what was not read lately and is kept elsewhere goes, pinned and new things stay', async () => {
    const bytes = (i: number) => noise(MIB, i + 2)
    await mkdir(keeper.path('pinned'))
    await writeFile(keeper.path('pinned', 'file'), bytes(99))
    for (let i = 0; i < 12; i++) await writeFile(keeper.path(`file${i}`), bytes(i))
    await keeper.volume.flush()
    for (let i = 0; i < 12; i++) await shown(`file${i}`, MIB)
    await shown('pinned/file', MIB)
    await converged()
    await lean.volume.holding.pin(await document(lean, 'pinned'))
    for (let i = 0; i < 12; i++) assert.ok(equal(await readFile(lean.path(`file${i}`)), bytes(i)))
    await inTime(async () => (await lacks(lean, 'pinned', 'file')) === 0, 'pinned')
    assert.ok((await packBytes(lean)) >= 13 * MIB)
    await apart()
    await writeFile(lean.path('new'), bytes(50))
    await lean.volume.flush()
    await lean.volume.holding.set({ budget: 6 * MIB })
    await madeRoom(lean)
    assert.ok((await packBytes(lean)) >= 14 * MIB, 'nothing goes while nobody says that it is kept')
    // What was read just now stays: as if that was a while ago.
    const real = lean.resources.engine.lately.bind(lean.resources.engine)
    lean.resources.engine.lately = async () => (await real()).map((one) => ({ ...one, ago: one.ago + 100_000 }))
    connect()
    await converged()
    await madeRoom(lean)
    const left = await packBytes(lean)
    assert.ok(left <= 6 * MIB, `${left} bytes`)
    assert.equal(await lacks(lean, 'pinned', 'file'), 0, 'pinned')
    assert.ok((await lacks(lean, 'file0')) > 0, 'what was read first is gone')
    assert.equal(await lacks(lean, 'file11'), 0, 'what was read last is here')
    assert.deepEqual(checkVolume(lean.resources), [])
    assert.deepEqual(checkVolume(keeper.resources), [])
    for (let i = 0; i < 12; i++) assert.ok(equal(await readFile(lean.path(`file${i}`)), bytes(i)), `file${i} again`)
    assert.ok(equal(await readFile(lean.path('new')), bytes(50)))
    assert.deepEqual(
      lean.reports.filter((text) => /damaged|failed/.test(text)),
      [],
    )
  })

  it('gives nothing away on the word of a device that may give it away itself', async () => {
    const budget = { hold: 'on-demand' as const, budget: MIB }
    await writeFile(keeper.path('file'), noise(4 * MIB))
    await keeper.volume.flush()
    await shown('file', 4 * MIB)
    assert.ok(equal(await readFile(lean.path('file')), noise(4 * MIB)))
    lean.resources.engine.lately = async () => []
    await keeper.volume.holding.set(budget)
    await lean.volume.holding.set(budget)
    await madeRoom(keeper)
    await madeRoom(lean)
    assert.equal(await lacks(keeper, 'file'), 0)
    assert.equal(await lacks(lean, 'file'), 0)
    await keeper.volume.holding.set({ hold: 'everything' })
    await inTime(() => lean.volume.wants.suppliers.some(({ keeps }) => keeps), 'a keeper')
    await madeRoom(lean)
    assert.ok((await lacks(lean, 'file')) > 0)
    assert.equal(await lacks(keeper, 'file'), 0)
  })

  it('lets go of old versions only, where it retains them for a time, and shows them when the keeper is there', async () => {
    await lean.volume.holding.set({ hold: 'everything' })
    const version = (i: number) => noise(MIB, i + 2)
    for (let i = 0; i < 3; i++) {
      await writeFile(keeper.path('file'), version(i))
      await keeper.volume.flush()
      await converged()
    }
    await shown('file', MIB)
    await inTime(() => !lean.volume.holding.partial, 'filled up')
    assert.deepEqual(checkVolume(lean.resources), [])
    const before = await packBytes(lean)
    await lean.volume.holding.set({ retain: 1 })
    await madeRoom(lean)
    assert.equal(await lacks(lean, 'file'), 0, 'the newest is here')
    assert.ok((await packBytes(lean)) < before - 1.5 * MIB, `${await packBytes(lean)} of ${before}`)
    const names = await readdir(lean.path('.versions', 'file'))
    assert.equal(names.length, 3, 'all are listed')
    assert.ok(equal(await readFile(lean.path('.versions', 'file', names[0])), version(0)), 'and can be read')
    await apart()
    assert.ok(equal(await readFile(lean.path('file')), version(2)))
    await assert.rejects(readFile(lean.path('.versions', 'file', names[1])), { code: 'EHOSTUNREACH' })
    connect()
    await inTime(async () => equal(await readFile(lean.path('.versions', 'file', names[1])), version(1)), 'it is back')
    await lean.volume.holding.set({ retain: undefined })
    await inTime(() => !lean.volume.holding.partial, 'whole again')
    assert.deepEqual(checkVolume(lean.resources), [])
  })

  it('keeps a small file that is being written whole, though what it lies on is given away, through crashes', async () => {
    const before = Buffer.from(noise(30_000))
    for (const name of ['thread', 'process']) await writeFile(keeper.path(name), before)
    await keeper.volume.flush()
    await shown('process', before.length)
    await converged()
    const after = Buffer.from(before)
    after.write('XXXX', 20_000)
    // The base is given away as soon as it may be.
    const giveAway = async (name: string) => {
      const head = lean.volume.head(await document(lean, name))!
      const content = fileContent(lean.volume.revision(head.head)!)!
      await lean.resources.committer.dropChunks([...leaves(content, lean.volume.source)].map(({ id }) => id))
      assert.ok((await lacks(lean, name)) > 0)
    }
    const written = await open(lean.path('thread'), 'r+')
    await written.write(Buffer.from('XXXX'), 0, 4, 20_000)
    await giveAway('thread')
    await apart()
    await lean.kill('engine')
    await written.close().catch(() => {})
    await inTime(async () => equal(await readFile(lean.path('thread')), after), 'after the death of the thread')
    connect()
    await inTime(async () => equal(await readFile(keeper.path('thread')), after), 'and over there')
    await converged()
    const begun = await open(lean.path('process'), 'r+')
    await begun.write(Buffer.from('XXXX'), 0, 4, 20_000)
    await giveAway('process')
    await apart()
    // Recovery by the committer, with no volume thread.
    await lean.kill('committer')
    await lean.kill('engine')
    await begun.close().catch(() => {})
    await inTime(async () => equal(await readFile(lean.path('process')), after), 'after the death of both')
    assert.deepEqual(
      lean.reports.filter((text) => /not kept|lost/.test(text)),
      [],
    )
  })

  it('passes on to others what a keeper that is connected has', async () => {
    const third = await new VolumeFixture().create({ root: keeper.volume.root })
    await third.open()
    const host = new Host('third')
    host.volumes.push(third.volume)
    await host.start()
    const second = new MemoryLink('lean', 'third')
    for (const [i, one] of [hosts[1], host].entries()) {
      one.links.add(second.ends[i])
      void second.closed.then(() => one.links.delete(second.ends[i]))
      one.look()
    }
    try {
      await writeFile(keeper.path('file'), noise(2 * MIB))
      await writeFile(keeper.path('small'), noise(5000, 9))
      await keeper.volume.flush()
      await inTime(async () => equal(await readFile(third.path('file')), noise(2 * MIB)), 'the third has it')
      await inTime(async () => equal(await readFile(third.path('small')), noise(5000, 9)), 'and the small one')
      assert.equal(third.volume.holding.keeps, true)
    } finally {
      second.cut()
      await host.stop()
      await third.destroy()
    }
  })

  it('gives away and writes packs anew while everything is being read', async () => {
    const bytes = (i: number) => noise(MIB / 2, i + 2)
    for (let i = 0; i < 10; i++) await writeFile(keeper.path(`file${i}`), bytes(i))
    await keeper.volume.flush()
    for (let i = 0; i < 10; i++) await shown(`file${i}`, MIB / 2)
    await lean.volume.holding.set({ budget: 2 * MIB })
    await inTime(() => lean.volume.wants.suppliers.some(({ keeps }) => keeps), 'a keeper')
    lean.resources.engine.lately = async () => []
    let reading = true
    const wrong: string[] = []
    const readers = [0, 1, 2].map(async (reader) => {
      for (let n = reader; reading; n++) {
        const i = n % 10
        // As the kernel would ask after it has forgotten its pages.
        const read = await lean.resources.engine.fileSystem
          .read({ uid: 0, gid: 0, pid: 1 }, (await stat(lean.path(`file${i}`))).ino, 1e6 + i, 0, MIB / 2)
          .catch((error) => error)
        if (!(read instanceof Uint8Array) || !equal(read, bytes(i))) wrong.push(`file${i}: ${read}`.slice(0, 80))
      }
    })
    const given = () => lean.resources.held?.givenAway ?? 0
    const enough = given() + 16 * MIB
    await inTime(async () => {
      await madeRoom(lean)
      return given() > enough || wrong.length > 0
    }, 'enough given away')
    reading = false
    await Promise.all(readers)
    assert.deepEqual(wrong, [])
    await madeRoom(lean)
    assert.deepEqual(checkVolume(lean.resources), [])
  })

  it('of an old version that came without its bytes are fetched from whoever has them', async () => {
    await writeFile(keeper.path('letter'), noise(100_000, 1))
    await keeper.volume.flush()
    await shown('letter', 100_000)
    await apart()
    await writeFile(lean.path('letter'), noise(90_000, 2))
    await lean.volume.flush()
    const third = await new VolumeFixture().create({ root: keeper.volume.root })
    await third.open()
    const host = new Host('third')
    host.volumes.push(third.volume)
    await host.start()
    const links: MemoryLink[] = []
    const meet = (other: Host) => {
      const made = new MemoryLink(other.id, 'third')
      links.push(made)
      for (const [i, end] of [other, host].entries()) {
        end.links.add(made.ends[i])
        void made.closed.then(() => end.links.delete(made.ends[i]))
        end.look()
      }
    }
    try {
      assert.equal(third.volume.holding.partial, false)
      meet(hosts[1])
      await inTime(() => headsOf(third) === headsOf(lean), 'the same heads')
      assert.equal(lackingOf(third), 1)
      assert.ok(third.volume.holding.partial)
      meet(hosts[0])
      await inTime(() => !third.volume.holding.partial, 'it has everything')
      assert.equal(lackingOf(third), 0)
    } finally {
      for (const one of links) one.cut()
      await host.stop()
      await third.destroy()
    }
  })
})

/** Contents, of any version, of which some bytes are not there. */
function lackingOf({ volume, resources }: VolumeFixture): number {
  const contents = new Map<string, Content>()
  const visit = (rid: RId) => {
    const revision = volume.revision(rid)
    const content = revision && fileContent(revision)
    if (content) contents.set(hex(rid), content)
    for (const parent of revision?.parents ?? []) visit(parent)
  }
  for (const { head } of volume.changes(0, 1000)) visit(head)
  return [...contents.values()].filter((content) => resources.reads.missingLeaves(content).length > 0).length
}
