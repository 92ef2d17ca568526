import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import path from 'node:path'
import { hasFuse, info, isRoot, NodeProcess, scratch } from './support.js'

const MAIN = path.resolve('dist/lib/cli/main.js')

describe('A node that is used badly', function () {
  this.timeout(120_000)
  let directory: string

  before(function () {
    if (hasFuse) return
    console.log('skipped: nodes need /dev/fuse')
    this.skip()
  })
  beforeEach(() => {
    directory = scratch()
  })
  afterEach(async () => {
    for (const one of nodes.splice(0)) {
      await one.stop('SIGKILL')
      spawnSync('umount', ['-l', one.mountPoint], { stdio: 'ignore' })
    }
    fs.rmSync(directory, { recursive: true, force: true })
  })

  const nodes: NodeProcess[] = []
  const node = (name: string, ...args: string[]) => {
    const made = new NodeProcess({ home: path.join(directory, name), args: ['--no-discovery', ...args] })
    nodes.push(made)
    return made
  }
  const cli = (home: string, ...args: string[]) =>
    spawnSync(process.execPath, [MAIN, ...args], {
      encoding: 'utf8',
      env: { ...process.env, PEERDRIVE_HOME: path.join(directory, home) },
    })

  it('refuses a second node of the same user, and says so', async () => {
    const first = node('a')
    await first.start()
    await assert.rejects(node('a').start(), /running already \(pid \d+\)/)
    assert.equal((await info(first)).volumes.length, 1)
    assert.equal(await first.stop(), 0)
  })

  it('refuses a volume that another node has open, and tells which process', async () => {
    const first = node('a')
    await first.start()
    fs.mkdirSync(path.join(directory, 'b'))
    fs.cpSync(path.join(directory, 'a/config'), path.join(directory, 'b/config'), { recursive: true })
    await assert.rejects(node('b', '--port', '0').start(), new RegExp(`${first.pid}|open`))
    fs.writeFileSync(path.join(first.mountPoint, 'still'), 'writable')
    await first.stop()
  })

  it('refuses a mount point with files in it, and touches nothing', async () => {
    fs.mkdirSync(path.join(directory, 'a/PeerDrive'), { recursive: true })
    fs.writeFileSync(path.join(directory, 'a/PeerDrive/precious'), 'mine')
    await assert.rejects(node('a').start(), /PeerDrive.*(not empty|empty)/s)
    assert.equal(fs.readFileSync(path.join(directory, 'a/PeerDrive/precious'), 'utf8'), 'mine')
  })

  it('recovers its mount point after kill -9, and everything acknowledged is there', async () => {
    const first = node('a')
    await first.start()
    for (let i = 0; i < 200; i++) fs.writeFileSync(path.join(first.mountPoint, `f${i}`), `content ${i}`)
    const open = fs.openSync(path.join(first.mountPoint, 'open'), 'w')
    fs.writeSync(open, 'written, never closed')
    await first.stop('SIGKILL')
    try {
      fs.closeSync(open)
    } catch {
      // the mount is gone
    }
    await first.start()
    for (let i = 0; i < 200; i++)
      assert.equal(fs.readFileSync(path.join(first.mountPoint, `f${i}`), 'utf8'), `content ${i}`)
    assert.equal(fs.readFileSync(path.join(first.mountPoint, 'open'), 'utf8'), 'written, never closed')
    await first.stop()
  })

  it('stops cleanly while a file is open, and keeps what was written', async () => {
    const first = node('a')
    await first.start()
    const fd = fs.openSync(path.join(first.mountPoint, 'busy'), 'w')
    fs.writeSync(fd, 'before the stop')
    assert.equal(await first.stop(), 0)
    fs.closeSync(fd)
    assert.ok(!fs.readFileSync('/proc/mounts', 'utf8').includes(first.mountPoint))
    await first.start()
    assert.equal(fs.readFileSync(path.join(first.mountPoint, 'busy'), 'utf8'), 'before the stop')
    await first.stop()
  })

  it('says what is wrong when the database is damaged, and overwrites nothing', async () => {
    const first = node('a')
    await first.start()
    fs.writeFileSync(path.join(first.mountPoint, 'f'), 'x')
    await first.stop()
    const data = path.join(directory, 'a/data/volumes/home/db/data.mdb')
    assert.ok(fs.existsSync(data))
    const bytes = fs.readFileSync(data)
    const damaged = Buffer.from(bytes)
    damaged.fill(0x5a, 0, 8192)
    fs.writeFileSync(data, damaged)
    await assert.rejects(node('a').start(), /damaged|database/i)
    assert.ok(fs.readFileSync(data).equals(damaged))
    fs.writeFileSync(data, bytes)
    await first.start()
    assert.equal(fs.readFileSync(path.join(first.mountPoint, 'f'), 'utf8'), 'x')
    await first.stop()
  })

  it('answers EIO for a damaged pack, names the damage, and serves everything else', async () => {
    const first = node('a')
    await first.start()
    fs.writeFileSync(path.join(first.mountPoint, 'bad'), Buffer.alloc(100_000, 'damaged '))
    await first.with((api) => api.log(Buffer.from(path.join(first.mountPoint, 'bad')), 1))
    fs.writeFileSync(path.join(first.mountPoint, 'good'), Buffer.alloc(100_000, 'whole '))
    await first.stop()
    const packs = path.join(directory, 'a/data/volumes/home/packs')
    const [pack] = fs.readdirSync(packs)
    const bytes = fs.readFileSync(path.join(packs, pack))
    bytes.fill(0, 1000, 2000)
    fs.writeFileSync(path.join(packs, pack), bytes)
    await first.start()
    const file = path.join(first.mountPoint, 'bad')
    const [version] = await first.with((api) => api.log(Buffer.from(file), 1))
    await assert.rejects(
      first.with((api) => api.cat(Buffer.from(file), version.version, async () => {})),
      /damaged/i,
    )
    assert.ok(fs.readFileSync(path.join(first.mountPoint, 'good')).equals(Buffer.alloc(100_000, 'whole ')))
    await first.stop()
  })

  it('answers ENOSPC when the disk is full, loses nothing, and goes on when there is room again', async function () {
    if (!isRoot) {
      console.log('skipped: a full disk needs root, to mount a small one')
      return this.skip()
    }
    const small = path.join(directory, 'a')
    fs.mkdirSync(small)
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=160m', 'tmpfs', small])
    const first = node('a')
    try {
      await first.start()
      fs.writeFileSync(path.join(first.mountPoint, 'before'), 'kept')
      const filler = path.join(first.mountPoint, 'filler')
      assert.throws(
        () => {
          for (let i = 0; i < 200; i++) fs.appendFileSync(filler, Buffer.alloc(1 << 20, i))
        },
        { code: 'ENOSPC' },
      )
      assert.equal(fs.readFileSync(path.join(first.mountPoint, 'before'), 'utf8'), 'kept')
      fs.unlinkSync(filler)
      assert.deepEqual(fs.readdirSync(first.mountPoint), ['before'])
      execFileSync('mount', ['-o', 'remount,size=400m', small])
      fs.writeFileSync(path.join(first.mountPoint, 'after'), 'written')
      await first.stop()
      await first.start()
      assert.deepEqual(fs.readdirSync(first.mountPoint).sort(), ['after', 'before'])
      assert.equal(fs.readFileSync(path.join(first.mountPoint, 'after'), 'utf8'), 'written')
      await first.stop()
    } finally {
      await first.stop('SIGKILL')
      spawnSync('umount', ['-l', first.mountPoint])
      spawnSync('umount', ['-l', small])
    }
  })

  it('answers commands in one sentence: no node, no such file, no such version, bad arguments', async () => {
    assert.match(cli('a', 'status').stderr, /No PeerDrive node is running/)
    assert.equal(cli('a', 'status').status, 1)
    const first = node('a')
    await first.start()
    fs.writeFileSync(path.join(first.mountPoint, 'f'), 'x')
    const at = (name: string) => path.join(first.mountPoint, name)
    for (const [args, message] of [
      [['log', at('nothing')], /nothing/],
      [['log', '/etc/passwd'], /not in a PeerDrive volume|no volume/i],
      [['cat', at('f')], /Say which version/],
      [['cat', `${at('f')}@ffffffff`], /no version ffffffff/],
      [['pair', 'pd1garbage'], /invitation|token/i],
      [['join', 'elsewhere'], /No connected device offers/],
      [['unpair', 'nobody'], /No paired device is called 'nobody'/],
      [['sync', 'explode'], /no action 'explode'/],
      [['console', '--kill', 'root/nobody'], /no actor/],
    ] as const) {
      const done = cli('a', ...args)
      assert.match(done.stderr, message, args.join(' '))
      assert.equal(done.status, 1, args.join(' '))
    }
    assert.match(cli('a', 'status').stdout, /home/)
    assert.match(cli('a', 'console').stdout, /root/)
    cli('a', 'stop')
    await first.stop()
  })

  it('keeps its socket, key and console to this user', async () => {
    const first = node('a')
    await first.start()
    for (const file of ['run/api.sock', 'run/console-url', 'config/device.key', 'config/node.json'])
      assert.equal(fs.statSync(path.join(directory, 'a', file)).mode & 0o077, 0, file)
    for (const folder of ['run', 'config', 'data'])
      assert.equal(fs.statSync(path.join(directory, 'a', folder)).mode & 0o077, 0, folder)
    await first.stop()
  })
})
