// Two real volumes, mounted, in one process; the link between them is in memory. The mounts are used without ever blocking this
// thread: it starts the threads again that serve them.

import assert from 'node:assert/strict'
import { link as linkFile, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
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

  /** What both do while they are apart; then they meet. */
  async function apart(doLeft: () => Promise<void>, doRight: () => Promise<void>): Promise<void> {
    link.cut()
    await inTime(() => hosts.every((host) => host.workers().length === 0), 'apart')
    await doLeft()
    await doRight()
    await left.volume.flush()
    await right.volume.flush()
    connect()
    await converged()
  }

  /** Every path below the mount point, and the contents of files. */
  async function tree(side: VolumeFixture, ...below: string[]): Promise<Record<string, string>> {
    const all: Record<string, string> = {}
    for (const entry of await readdir(side.path(...below), { withFileTypes: true })) {
      const names = [...below, entry.name]
      if (entry.isDirectory()) Object.assign(all, { [`${names.join('/')}/`]: '' }, await tree(side, ...names))
      else all[names.join('/')] = String(await readFile(side.path(...names)))
    }
    return all
  }

  async function bothShow(expected: Record<string, string>): Promise<void> {
    for (const side of [left, right]) assert.deepEqual(await tree(side), expected)
  }

  it('keeps a file that one removed and the other changed', async () => {
    await writeFile(left.path('file'), 'old')
    await writeFile(left.path('gone'), 'gone')
    await shows(right.path('file'), 'old')
    await shows(right.path('gone'), 'gone')
    await converged()
    await apart(
      async () => {
        await rm(left.path('file'))
        await rm(left.path('gone'))
      },
      () => writeFile(right.path('file'), 'changed'),
    )
    await bothShow({ file: 'changed' })
    assert.deepEqual((await left.contents('file')).map(String), ['old', 'changed'])
    await rm(right.path('file'))
    await inTime(async () => (await readdir(left.path())).length === 0, 'the removal')
    await converged()
    await bothShow({})
  })

  it('keeps what one changed and made in folders that the other removed', async () => {
    await mkdir(left.path('a', 'b'), { recursive: true })
    await writeFile(left.path('a', 'b', 'changed'), 'old')
    await writeFile(left.path('a', 'b', 'as it was'), 'old')
    await writeFile(left.path('a', 'too'), 'old')
    await shows(right.path('a', 'too'), 'old')
    await shows(right.path('a', 'b', 'as it was'), 'old')
    await converged()
    await apart(
      () => rm(left.path('a'), { recursive: true }),
      async () => {
        await writeFile(right.path('a', 'b', 'changed'), 'new')
        await mkdir(right.path('a', 'c'))
        await writeFile(right.path('a', 'c', 'made'), 'made')
      },
    )
    await bothShow({ 'a/': '', 'a/b/': '', 'a/b/changed': 'new', 'a/c/': '', 'a/c/made': 'made' })
  })

  it('keeps a file of which each removed another one of its names', async () => {
    await mkdir(left.path('folder'))
    await writeFile(left.path('file'), 'content')
    await linkFile(left.path('file'), left.path('folder', 'further'))
    await shows(right.path('file'), 'content')
    await shows(right.path('folder', 'further'), 'content')
    await converged()
    await apart(
      () => rm(left.path('file')),
      () => rm(right.path('folder', 'further')),
    )
    await bothShow({ 'folder/': '', 'folder/further': 'content' })
  })

  it('keeps one place of what both moved, and what one moved and the other removed', async () => {
    for (const name of ['x', 'y', 'z']) await mkdir(left.path(name))
    for (const name of ['both', 'links', 'removed']) await writeFile(left.path(name), name)
    await mkdir(left.path('folder'))
    await writeFile(left.path('folder', 'inside'), 'inside')
    await linkFile(left.path('links'), left.path('z', 'further'))
    for (const name of ['both', 'links', 'removed']) await shows(right.path(name), name)
    await shows(right.path('folder', 'inside'), 'inside')
    await shows(right.path('z', 'further'), 'links')
    await converged()
    await apart(
      async () => {
        await rename(left.path('both'), left.path('x', 'left'))
        await rename(left.path('folder'), left.path('x', 'folder'))
        await rm(left.path('removed'))
      },
      async () => {
        await rename(right.path('both'), right.path('y', 'right'))
        await rename(right.path('folder'), right.path('y', 'folder'))
        await rename(right.path('removed'), right.path('y', 'removed'))
      },
    )
    await bothShow({
      links: 'links',
      'x/': '',
      'y/': '',
      'y/folder/': '',
      'y/folder/inside': 'inside',
      'y/removed': 'removed',
      'y/right': 'both',
      'z/': '',
      'z/further': 'links',
    })
  })

  it('never loses folders that are moved into each other', async () => {
    for (const name of ['a', 'b']) {
      await mkdir(left.path(name))
      await writeFile(left.path(name, 'file'), name)
      await shows(right.path(name, 'file'), name)
    }
    await converged()
    await apart(
      () => rename(left.path('a'), left.path('b', 'a')),
      () => rename(right.path('b'), right.path('a', 'b')),
    )
    await bothShow({ 'b/': '', 'b/a/': '', 'b/a/file': 'a', 'b/file': 'b' })
  })

  it('keeps both of two that get one name, under the same names on both', async () => {
    await apart(
      async () => {
        await mkdir(left.path('folder'))
        await writeFile(left.path('folder', 'left'), 'left')
        await writeFile(left.path('file.txt'), 'left')
      },
      async () => {
        await mkdir(right.path('folder'))
        await writeFile(right.path('folder', 'right'), 'right')
        await writeFile(right.path('file.txt'), 'right')
      },
    )
    const shown = await tree(left)
    assert.deepEqual(await tree(right), shown)
    const values = Object.values(shown).filter(Boolean).sort()
    assert.deepEqual(values, ['left', 'left', 'right', 'right'])
    assert.equal(Object.keys(shown).filter((name) => /^(folder|folder~[0-9a-f]{8})\/$/.test(name)).length, 2)
    assert.equal(Object.keys(shown).filter((name) => /^file(~[0-9a-f]{8})?\.txt$/.test(name)).length, 2)
    assert.ok('file.txt' in shown && 'folder/' in shown, 'one keeps the name')
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
