// What people decide of synchronization: conflicts ended in the command line and in the browser, a large removal allowed.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import path from 'node:path'
import type { Browser } from 'playwright-core'
import { BRAKE_ENTRIES } from '../../lib/sync/limits.js'
import { launchBrowser } from './browser.js'
import { eventually, hasFuse, info, inSync, NodeProcess, pairAndJoin, scratch } from './support.js'

describe('Two nodes, steered', function () {
  this.timeout(120_000)
  let directory: string
  let laptop: NodeProcess
  let desk: NodeProcess

  before(async function () {
    if (!hasFuse) {
      console.log('skipped: nodes need /dev/fuse')
      return this.skip()
    }
    directory = scratch()
    const node = (name: string) =>
      new NodeProcess({ home: path.join(directory, name), args: ['--no-discovery', '--name', name] })
    laptop = node('laptop')
    desk = node('desk')
    await Promise.all([laptop.start(), desk.start()])
    await pairAndJoin(laptop, desk)
  })
  after(async () => {
    await Promise.all([laptop?.stop(), desk?.stop()])
    if (directory) fs.rmSync(directory, { recursive: true, force: true })
  })

  /** What a command prints; it has to succeed. */
  async function cli(name: 'laptop' | 'desk', ...args: string[]): Promise<string> {
    const env = { ...process.env, PEERDRIVE_HOME: path.join(directory, name) }
    const main = path.resolve('dist/lib/cli/main.js')
    const child = spawn(process.execPath, [main, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    let said = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (said += data))
    const [code] = await once(child, 'close')
    assert.equal(code, 0, said)
    return said
  }

  const at = (node: NodeProcess, name: string) => path.join(node.mountPoint, name)
  const states = async (node: NodeProcess) => (await info(node)).sync.map(({ state }) => state)

  /** Files that both have, and that each has changed since without hearing of the other. */
  async function diverge(...names: string[]): Promise<void> {
    for (const name of names) fs.writeFileSync(at(laptop, name), Buffer.from([0, 1, 2]))
    await inSync(laptop, desk)
    await cli('laptop', 'sync', 'pause')
    await eventually(async () => assert.deepEqual(await states(laptop), ['paused']))
    for (const name of names) {
      fs.writeFileSync(at(laptop, name), Buffer.from('\0of laptop'))
      fs.writeFileSync(at(desk, name), Buffer.from('\0of desk, later'))
    }
    for (const node of [laptop, desk]) await node.with((api) => api.log(Buffer.from(node.mountPoint), 1))
    await cli('laptop', 'sync', 'resume')
    await inSync(laptop, desk)
    for (const node of [laptop, desk])
      await eventually(async () => assert.equal((await node.with((api) => api.conflicts())).length, names.length))
  }

  const contents = (name: string) => [laptop, desk].map((node) => fs.readFileSync(at(node, name), 'latin1').slice(1))

  it('end conflicts in the command line, one by one', async () => {
    await diverge('binary')
    const listed = await cli('desk', 'conflicts')
    assert.match(listed, /binary/)
    const [conflict] = await desk.with((api) => api.conflicts())
    const [shown] = contents('binary')
    const other = conflict.versions.find(({ device }) => !shown.startsWith(`of ${device}`) && device !== 'merged')
    await cli('desk', 'resolve', `${at(desk, 'binary')}@${other?.version}`)
    await inSync(laptop, desk)
    const [here, there] = contents('binary')
    assert.equal(here, there)
    assert.ok(here.startsWith(`of ${other?.device}`) && here !== shown)
    assert.match(await cli('laptop', 'conflicts'), /^No conflicts\./)
  })

  it('show them in the browser, and end them there', async function () {
    const browser: Browser | undefined = await launchBrowser()
    if (!browser) return this.skip()
    try {
      await diverge('one', 'two', 'three')
      const page = await browser.newPage()
      await page.goto(laptop.consoleUrl)
      const section = page.locator('#conflicts')
      await section.locator(`strong:has-text("${at(laptop, 'three')}")`).waitFor()
      const block = (name: string) => section.locator('> div', { has: page.locator(`strong:has-text("/${name}")`) })
      const shown = contents('two')[0]
      const hidden = contents('one')[0] === 'of laptop' ? 'desk' : 'laptop'
      await block('one').locator(`.row:has-text(", ${hidden}") button:has-text("keep this")`).click()
      await page.waitForSelector('#notice:has-text("Resolved")')
      await block('one').waitFor({ state: 'detached' })
      await block('two').locator('button:has-text("keep what is shown")').click()
      await block('two').waitFor({ state: 'detached' })
      await block('three').locator('button:has-text("side by side")').click()
      await section.waitFor({ state: 'detached' })
      await inSync(laptop, desk)
      assert.ok(contents('one').every((content) => content.startsWith(`of ${hidden}`)))
      assert.deepEqual(contents('two'), [shown, shown])
      const beside = fs.readdirSync(desk.mountPoint).filter((name) => name.startsWith('three'))
      assert.equal(beside.length, 2)
      assert.deepEqual(new Set(beside.map((name) => contents(name)[1])), new Set(['of laptop', 'of desk, later']))
    } finally {
      await browser.close()
    }
  })

  it('stop before most of a volume is removed, until it is allowed', async () => {
    const many = at(laptop, 'many')
    fs.mkdirSync(many)
    for (let i = 0; i <= BRAKE_ENTRIES; i++) fs.writeFileSync(path.join(many, `${i}`), `${i}`)
    await inSync(laptop, desk)
    fs.rmSync(many, { recursive: true })
    await eventually(async () => assert.deepEqual(await states(desk), ['halted']), 60_000)
    assert.match(await cli('desk', 'status'), /would remove/)
    // It comes in several batches, of which the one that would be too much is stopped.
    assert.ok(fs.readdirSync(at(desk, 'many')).length > 0)
    await cli('desk', 'sync', 'allow')
    await eventually(() => assert.ok(!fs.existsSync(at(desk, 'many'))))
    await inSync(laptop, desk)
    assert.deepEqual(await states(desk), await states(laptop))
  })
})
