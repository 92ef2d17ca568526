import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import path from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { launchBrowser } from './browser.js'
import { eventually, hasFuse, NodeProcess, scratch } from './support.js'

describe('The console', function () {
  this.timeout(120_000)
  let directory: string
  let node: NodeProcess

  before(async function () {
    if (!hasFuse) {
      console.log('skipped: a node needs /dev/fuse')
      return this.skip()
    }
    directory = scratch()
    node = new NodeProcess({ home: path.join(directory, 'a'), args: ['--name', 'laptop', '--no-discovery'] })
    await node.start()
  })

  after(async () => {
    await node?.stop()
    if (directory) fs.rmSync(directory, { recursive: true, force: true })
  })

  describe('in a browser', () => {
    let browser: Browser | undefined
    let page: Page

    before(async function () {
      browser = await launchBrowser()
      if (!browser) return this.skip()
      page = await browser.newPage()
    })
    after(() => browser?.close())

    it('shows volume, actors and mount, live', async () => {
      await page.goto(node.consoleUrl)
      await page.waitForSelector('text=laptop')
      await page.waitForSelector('#connection:has-text("live")')
      const text = await page.innerText('main')
      for (const part of ['home', node.mountPoint, 'root', 'volumes', 'peers', 'sync', 'interfaces', 'running'])
        assert.ok(text.includes(part), part)
      assert.ok(!page.url().includes('token'), 'the token does not stay in the address')
      fs.writeFileSync(path.join(node.mountPoint, 'seen'), 'x')
      await page.waitForFunction(() => /[2-9] documents/.test(document.body.innerText))
    })

    it('shows a file that is open', async () => {
      const fd = fs.openSync(path.join(node.mountPoint, 'still open'), 'w')
      fs.writeSync(fd, 'bytes')
      await page.waitForSelector('text=still open')
      fs.closeSync(fd)
      await page.waitForFunction(() => !document.body.innerText.includes('open: still open'))
    })

    it('kills an actor, shows its restart, and the mount keeps answering', async () => {
      const row = page.locator('tr[data-actor$="/engine"]')
      await row.locator('button').click()
      await page.waitForSelector('#notice:has-text("Killed")')
      await page.waitForFunction(() => {
        const cells = document.querySelector('tr[data-actor$="/engine"]')?.querySelectorAll('td')
        return cells?.[1].textContent === 'running' && Number(cells?.[4].textContent) >= 1
      })
      await page.waitForSelector('tr.crash:has-text("killed")')
      await eventually(() => assert.equal(fs.readFileSync(path.join(node.mountPoint, 'seen'), 'utf8'), 'x'))
    })

    it('invites a device', async () => {
      await page.click('text=invite a device')
      await page.waitForSelector('code:has-text("peerdrive pair pd1")')
    })

    it('says so when the node is gone, and goes on when it is back', async () => {
      await node.stop()
      await page.waitForSelector('text=the node does not answer')
      await node.start()
      await page.goto(node.consoleUrl)
      await page.waitForSelector('#connection:has-text("live")')
    })
  })

  it('in a terminal: shows the tree, kills what is chosen, gives the terminal back', async function () {
    if (spawnSync('tmux', ['-V']).error) {
      console.log('skipped: the terminal console is tested in tmux, which is not installed')
      return this.skip()
    }
    const socket = path.join(directory, 'tmux')
    const tmux = (...args: string[]) => execFileSync('tmux', ['-S', socket, ...args], { encoding: 'utf8' })
    const home = path.join(directory, 'a')
    const command = `PEERDRIVE_HOME='${home}' '${process.execPath}' '${path.resolve('dist/lib/cli/main.js')}' console; echo left with $?; sleep 60`
    tmux('-f', '/dev/null', 'new-session', '-d', '-x', '130', '-y', '50', command)
    try {
      const screen = () => tmux('capture-pane', '-p')
      await eventually(() => assert.match(screen(), /laptop[\s\S]*ACTOR[\s\S]*root[\s\S]*engine/))
      const lines = screen().split('\n')
      const first = lines.findIndex((l) => l.startsWith('ACTOR'))
      const wanted = lines.findIndex((l) => l.trim().startsWith('retention'))
      for (let i = first + 1; i < wanted; i++) tmux('send-keys', 'Down')
      tmux('send-keys', 'k')
      await eventually(() => assert.match(screen(), /Killed .*retention/))
      await eventually(() => assert.match(screen(), /retention +running +\d+ +\d+ +1/))
      tmux('send-keys', 'q')
      await eventually(() => assert.match(screen(), /left with 0/))
    } finally {
      tmux('kill-server')
    }
  })
})
