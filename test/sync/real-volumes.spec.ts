// Two real volumes, mounted, in one process; the link between them is in memory. The mounts are used without ever blocking this
// thread: it starts the threads again that serve them.

import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { equal, hex } from '../../lib/model/bytes.js'
import type { Volume } from '../../lib/volume/contract.js'
import { noise } from '../model/support.js'
import { VolumeFixture } from '../volume/volume-fixture.js'
import { MemoryLink } from './simulation/link.js'
import { Host } from './simulation/network.js'

describe('Synchronization of two mounted volumes', function () {
  this.timeout(60_000)
  let left: VolumeFixture
  let right: VolumeFixture
  let hosts: [Host, Host]
  let link: MemoryLink

  beforeEach(async () => {
    left = await new VolumeFixture().create()
    await left.open()
    right = await new VolumeFixture().create({ root: left.volume.root })
    await right.open()
    hosts = [new Host('left'), new Host('right')]
    hosts[0].volumes.push(left.volume)
    hosts[1].volumes.push(right.volume)
    for (const host of hosts) await host.start()
    connect()
  })

  afterEach(async () => {
    link.cut()
    for (const host of hosts) await host.stop()
    await left.destroy()
    await right.destroy()
  })

  function connect(): void {
    link = new MemoryLink('left', 'right')
    for (const [i, host] of hosts.entries()) {
      const end = link.ends[i]
      host.links.add(end)
      void link.closed.then(() => host.links.delete(end))
      host.look()
    }
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
      if (performance.now() > deadline) assert.fail(`not in time: ${what}\n${state()}`)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }

  /** Until the file has this content. */
  const shows = (file: string, content: string | Uint8Array) =>
    inTime(async () => equal(await readFile(file), Buffer.from(content)), file)

  const state = () =>
    hosts
      .flatMap((host) => [
        ...host.workers().map(({ feeder, fetcher, lastError }) => {
          const waiting = fetcher.pending.list().map(({ document, reason }) => `${hex(document)} ${reason}`)
          return `${host.id}: sent ${feeder.acknowledged}/${feeder.sent}, received ${fetcher.anchor}, ${lastError} ${waiting}`
        }),
        ...host.crashes,
        ...host.reports,
      ])
      .concat(left.reports, right.reports)
      .join('\n')

  const headsOf = (volume: Volume) =>
    volume
      .changes(0, 100_000)
      .map(({ document, head }) => `${hex(document)} ${hex(head)}`)
      .sort()
      .join()

  /** Until both have the same heads. Folders are sealed by the flush. */
  async function converged(): Promise<void> {
    await left.volume.flush()
    await right.volume.flush()
    await inTime(() => headsOf(left.volume) === headsOf(right.volume), 'the same heads')
    assert.deepEqual(
      hosts.flatMap((host) => host.crashes),
      [],
    )
  }

  it('shows files and folders of each on the other', async () => {
    await mkdir(left.path('folder'))
    await writeFile(left.path('folder', 'small'), 'hello')
    await writeFile(left.path('large'), noise(3_000_000))
    await writeFile(right.path('other'), 'from the right')
    await shows(right.path('folder', 'small'), 'hello')
    await shows(left.path('other'), 'from the right')
    await shows(right.path('large'), noise(3_000_000))
    await converged()
    assert.deepEqual((await readdir(left.path())).sort(), (await readdir(right.path())).sort())
  })

  it('passes on changes, moves and removals', async () => {
    await mkdir(left.path('a'))
    await mkdir(left.path('b'))
    await writeFile(left.path('a', 'file'), 'one')
    await writeFile(left.path('gone'), 'gone')
    await shows(right.path('a', 'file'), 'one')
    await converged()
    await rename(right.path('a', 'file'), right.path('b', 'moved'))
    await writeFile(right.path('b', 'moved'), 'two')
    await rm(right.path('gone'))
    await shows(left.path('b', 'moved'), 'two')
    await inTime(async () => (await readdir(left.path())).sort().join() === 'a,b', 'the removal')
    await converged()
    assert.deepEqual(await readdir(left.path('a')), [])
    const versions = (await left.contents('b', 'moved')).map(String)
    assert.deepEqual(versions, ['one', 'two'], 'the history goes on across devices and moves')
  })

  it('merges what both did while they were apart', async () => {
    await writeFile(left.path('text'), 'one\ntwo\nthree\n')
    await shows(right.path('text'), 'one\ntwo\nthree\n')
    await converged()
    link.cut()
    await inTime(() => hosts.every((host) => host.workers().length === 0), 'apart')
    await writeFile(left.path('text'), 'ONE\ntwo\nthree\n')
    await writeFile(right.path('text'), 'one\ntwo\nTHREE\n')
    await writeFile(left.path('left'), 'l')
    await writeFile(right.path('right'), 'r')
    await left.volume.flush()
    await right.volume.flush()
    connect()
    await shows(left.path('text'), 'ONE\ntwo\nTHREE\n')
    await shows(right.path('text'), 'ONE\ntwo\nTHREE\n')
    await converged()
    for (const side of [left, right]) assert.deepEqual((await readdir(side.path())).sort(), ['left', 'right', 'text'])
  })

  it('goes on after threads were killed on both sides', async () => {
    for (let i = 0; i < 200; i++) await writeFile(left.path(`file${i}`), noise(3000, i))
    await right.kill('engine')
    await left.kill('committer')
    await writeFile(left.path('last'), 'last')
    await shows(right.path('last'), 'last')
    await left.volume.flush()
    await right.volume.flush()
    await inTime(() => headsOf(left.volume) === headsOf(right.volume), 'the same heads')
    assert.equal((await readdir(right.path())).length, 201)
  })
})
