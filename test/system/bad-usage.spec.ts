import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import * as fs from 'node:fs'
import { connect } from 'node:net'
import path from 'node:path'
import { eventually, hasFuse, info, inSync, isRoot, NodeProcess, pairAndJoin, scratch, volumeOf } from './support.js'

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

  it('mounts again after a lazy unmount; a file that is open goes on until it is closed', async () => {
    const first = node('a')
    await first.start()
    const fd = fs.openSync(path.join(first.mountPoint, 'open'), 'w+')
    fs.writeSync(fd, 'before, ')
    execFileSync('umount', ['-l', first.mountPoint])
    fs.writeSync(fd, 'after')
    assert.equal(fs.readFileSync(`/proc/self/fd/${fd}`, 'utf8'), 'before, after')
    fs.closeSync(fd)
    await eventually(() => assert.equal(fs.readFileSync(path.join(first.mountPoint, 'open'), 'utf8'), 'before, after'))
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
    assert.throws(() => fs.readFileSync(file), { code: 'EIO' })
    const { reports } = (await info(first)).volumes[0]
    assert.match(reports.join('\n'), /^bad: Chunk [0-9a-f]+ in .*\.pack is damaged/m)
    const [version] = await first.with((api) => api.log(Buffer.from(file), 1))
    await assert.rejects(
      first.with((api) => api.cat(Buffer.from(file), version.version, async () => {})),
      /damaged/i,
    )
    assert.ok(fs.readFileSync(path.join(first.mountPoint, 'good')).equals(Buffer.alloc(100_000, 'whole ')))
    await first.stop()
  })

  it('fetches a damaged chunk again from a paired device', async () => {
    const [first, second] = [node('a'), node('b')]
    await first.start()
    await second.start()
    const content = Buffer.alloc(100_000, 'damaged ')
    fs.writeFileSync(path.join(first.mountPoint, 'bad'), content)
    await pairAndJoin(first, second)
    const copy = path.join(second.mountPoint, 'bad')
    await eventually(() => assert.ok(fs.readFileSync(copy).equals(content)))
    await inSync(first, second)
    const { directory: volume } = volumeOf(second, await info(second))
    await second.stop()
    const packs = path.join(volume, 'packs')
    for (const pack of fs.readdirSync(packs)) {
      const bytes = fs.readFileSync(path.join(packs, pack))
      fs.writeFileSync(path.join(packs, pack), bytes.fill(0))
    }
    await second.start()
    // The first reading finds it; the devices are connected again soon, if they are not yet.
    try {
      fs.readFileSync(copy)
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'EIO')
    }
    await eventually(() => assert.ok(fs.readFileSync(copy).equals(content)), 60_000)
    assert.match(volumeOf(second, await info(second)).reports.join('\n'), /was damaged and is whole again/)
  })

  it('lives with garbage at its port, and takes an invitation once', async () => {
    const [first, second, third] = [node('a'), node('b'), node('c')]
    for (const one of [first, second, third]) await one.start()
    const { port } = JSON.parse(fs.readFileSync(path.join(directory, 'a/config/node.json'), 'utf8'))
    for (const garbage of [Buffer.alloc(0), Buffer.from('GET / HTTP/1.1\r\n\r\n'), randomBytes(100_000)]) {
      const socket = connect(port, '127.0.0.1')
      socket.on('error', () => {})
      socket.end(garbage)
      socket.resume()
      await new Promise((resolve) => socket.once('close', resolve))
    }
    const { token } = await first.with((api) => api.invite(10))
    await assert.rejects(
      second.with((api) => api.pair(`${token.slice(0, -4)}AAAA`)),
      /invitation/i,
    )
    await second.with((api) => api.pair(token))
    await assert.rejects(
      third.with((api) => api.pair(token)),
      /invitation/i,
    )
    assert.deepEqual(
      (await info(first)).peers.map(({ id }) => id),
      [(await info(second)).device.id],
    )
    assert.deepEqual((await info(third)).peers, [])
  })

  it('takes names that are not UTF-8: in log, cat and restore', async () => {
    const first = node('a')
    await first.start()
    const file = Buffer.from(`${first.mountPoint}/not-utf8-\xff\xfe`, 'latin1')
    fs.writeFileSync(file, 'one')
    // Through a shell: Node's own spawn would encode the name.
    const shell = (command: string, name = file, more = '') => {
      const script = Buffer.concat([Buffer.from(`"$NODE" "$MAIN" ${command} '`), name, Buffer.from(`${more}'\n`)])
      fs.writeFileSync(path.join(directory, 'script'), script)
      return spawnSync('sh', [path.join(directory, 'script')], {
        encoding: 'utf8',
        cwd: first.mountPoint,
        env: { ...process.env, NODE: process.execPath, MAIN, PEERDRIVE_HOME: path.join(directory, 'a') },
      })
    }
    const [{ version }] = JSON.parse(shell('log --json').stdout)
    assert.equal(shell('cat', Buffer.from('not-utf8-\xff\xfe', 'latin1'), `@${version}`).stdout, 'one')
    fs.writeFileSync(file, 'two')
    assert.match(shell('restore', file, `@${version}`).stdout, /Restored/)
    assert.equal(fs.readFileSync(file, 'utf8'), 'one')
    assert.equal(JSON.parse(shell('log --json').stdout).length, 3)
  })

  it('refuses a mount point where something is mounted, and remembers none that did not work', async function () {
    if (!isRoot) {
      console.log('skipped: needs root, to mount something')
      return this.skip()
    }
    const taken = path.join(directory, 'taken')
    fs.mkdirSync(taken)
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', taken])
    try {
      await assert.rejects(node('a', '--mount', taken).start(), /is mounted on .*taken already/)
    } finally {
      execFileSync('umount', [taken])
    }
    await assert.rejects(node('a', '--mount', '/proc/nothing').start(), /no directory \/proc\/nothing/)
    const first = node('a')
    await first.start()
    assert.equal((await info(first)).volumes[0].mountPoint, first.mountPoint)
    await first.stop()
    const moved = node('a', '--mount', taken)
    moved.volumeMounted(taken)
    await moved.start()
    assert.equal((await info(moved)).volumes[0].mountPoint, taken)
    assert.equal(await moved.stop(), 0)
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
      [['sync', 'explode'], /no command 'sync explode'/],
      [['rule', 'nonsense'], /no command 'rule nonsense'/],
      [['rule', 'add', 'sideways', '--to', 'home'], /its kind is none of two-way, backup, mirror/],
      [['rule', 'add', 'backup', '--to', 'nobody'], /No paired device is called 'nobody'/],
      [['rule', 'set', 'ffffffff', '--pause'], /no rule ffffffff/],
      [['rule', 'add', 'backup', '--to', 'nobody', '--limit', 'much'], /'much' is no rate/],
      [['backup', 'add', path.join(first.mountPoint, 'inside')], /inside itself/],
      [['backup', 'eject', 'nothing'], /no backup 'nothing'/],
      [['sync', 'skip', at('f')], /Nothing is connected/],
      [['why', at('nothing')], /nothing/],
      [['sync', 'allow'], /Nothing was stopped/],
      [['sync', 'pause', 'elsewhere'], /no volume 'elsewhere'/],
      [['log', '-n', 'many', at('f')], /'many' is not a number of versions/],
      [['explode'], /no command 'explode'/],
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
