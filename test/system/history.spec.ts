import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import path from 'node:path'
import type { ActorNode } from '../../lib/actors/index.js'
import { differences, manifest } from './manifest.js'
import { eventually, hasFuse, inSync, NodeProcess, pairAndJoin, scratch, writeNoise, writeZoo } from './support.js'

describe('History in the mount', function () {
  this.timeout(120_000)
  let directory: string
  let node: NodeProcess
  let mount: string

  before(async function () {
    if (!hasFuse) {
      console.log('skipped: history in the mount needs /dev/fuse')
      return this.skip()
    }
    directory = scratch()
    node = new NodeProcess({ home: path.join(directory, 'node'), args: ['--no-discovery', '--name', 'laptop'] })
    await node.start()
    mount = node.mountPoint
  })

  after(async () => {
    await node?.stop()
    if (directory) fs.rmSync(directory, { recursive: true, force: true })
  })

  const at = (name: string) => path.join(mount, name)
  const run = (command: string, ...args: string[]) =>
    execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 1 << 26 })
  const fails = (command: string, ...args: string[]) => {
    const { status, stderr } = spawnSync(command, args, { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } })
    assert.notEqual(status, 0, `${command} ${args.join(' ')}`)
    return stderr
  }
  const lines = (text: string) => text.split('\n').filter((line) => line)
  it('ls, cat, cp and diff work on versions', async () => {
    fs.writeFileSync(at('letter.txt'), 'Dear reader\n')
    await settled(node)
    fs.writeFileSync(at('letter.txt'), 'Dear reader,\nI am well.\n')
    fs.chmodSync(at('letter.txt'), 0o640)
    await settled(node)
    const versions = lines(run('ls', at('.versions/letter.txt')))
    assert.equal(versions.length, 2)
    for (const version of versions)
      assert.match(version, /^\d{4}-\d\d-\d\d \d\d\.\d\d\.\d\d\.\d{3}Z(\+\d{5})? laptop\.txt$/)
    const [first, second] = versions.map((version) => at(`.versions/letter.txt/${version}`))
    assert.equal(run('cat', first), 'Dear reader\n')
    run('diff', second, at('letter.txt'))
    assert.match(spawnSync('diff', [first, at('letter.txt')], { encoding: 'utf8' }).stdout, /> I am well\./)
    run('cp', '-a', first, at('copy of the first.txt'))
    assert.equal(fs.readFileSync(at('copy of the first.txt'), 'utf8'), 'Dear reader\n')
    const now = fs.statSync(at('letter.txt'))
    const then = fs.statSync(second)
    assert.deepEqual([then.mode & 0o777, then.mtimeMs, then.uid], [0o440, now.mtimeMs, now.uid])
  })

  it('a whole tree as it was: cp -a, diff -r, grep -r, rsync, find', async () => {
    writeZoo(at('zoo'))
    const time = await settled(node)
    const before = path.join(directory, 'before')
    run('cp', '-a', at('zoo'), before)
    fs.rmSync(at('zoo/folder'), { recursive: true })
    fs.writeFileSync(at('zoo/small'), 'other bytes')
    fs.renameSync(at('zoo/medium'), at('zoo/page'))
    fs.writeFileSync(at('zoo/new'), 'new')
    await settled(node)
    const past = at(`.peerdrive/at/${time}`)
    run('diff', '-r', '--no-dereference', before, `${past}/zoo`)
    const copy = path.join(directory, 'copy')
    run('cp', '-a', `${past}/zoo`, copy)
    const plain = (tree: string) =>
      new Map([...manifest(tree)].map(([name, line]) => [name, line.replace(/^[0-7]+/, withoutWriting)]))
    assert.deepEqual(differences(plain(before), plain(copy)), [])
    assert.equal(lines(run('grep', '-rl', 'a few bytes', past)).length, 1)
    assert.equal(run('rsync', '-rlcni', `${before}/`, `${past}/zoo/`), '')
    assert.equal(
      lines(run('find', past)).length,
      lines(run('find', before)).length + lines(run('find', mount, '-maxdepth', '1', '!', '-name', 'zoo')).length,
    )
  })

  it('large contents are read in place, by the same chunks', async () => {
    writeNoise(at('large'), 8)
    fs.copyFileSync(at('large'), path.join(directory, 'large'))
    const time = await settled(node)
    fs.writeFileSync(at('large'), 'small now')
    await settled(node)
    run('cmp', path.join(directory, 'large'), at(`.peerdrive/at/${time}/large`))
    assert.equal(run('tail', '-c', '5', at(`.peerdrive/at/${time}/large`)).length > 0, true)
  })

  it('what was deleted is there, and can be copied back', async () => {
    fs.mkdirSync(at('project'))
    fs.writeFileSync(at('project/plan.md'), 'the plan')
    await settled(node)
    fs.rmSync(at('project'), { recursive: true })
    await settled(node)
    assert.ok(lines(run('ls', at('.versions'))).includes('project'))
    const revisions = lines(run('ls', at('.versions/project'))).map((version) => at(`.versions/project/${version}`))
    const full = revisions.find((revision) => fs.existsSync(path.join(revision, 'plan.md')))
    assert.ok(full)
    run('cp', '-r', full, at('project'))
    assert.equal(fs.readFileSync(at('project/plan.md'), 'utf8'), 'the plan')
  })

  it('log, cat and restore find what was deleted, with the folders above it', async () => {
    const cli = (...args: string[]) =>
      execFileSync(process.execPath, [path.resolve('dist/lib/cli/main.js'), ...args], {
        encoding: 'utf8',
        env: { ...process.env, PEERDRIVE_HOME: path.join(directory, 'node') },
      })
    const log = (file: string) => node.with((api) => api.log(Buffer.from(file), 10))
    fs.mkdirSync(at('deep/er'), { recursive: true })
    const file = at('deep/er/note')
    fs.writeFileSync(file, 'one', { mode: 0o600 })
    fs.writeFileSync(file, 'two')
    assert.equal((await log(file)).length, 2)
    fs.rmSync(at('deep'), { recursive: true })
    const versions = await log(file)
    assert.deepEqual(
      versions.map(({ current }) => current),
      [false, false],
    )
    assert.match(cli('log', file), /is deleted/)
    assert.equal(cli('cat', `${file}@${versions[1].version}`), 'one')
    // Asked for before, so that the kernel remembers that they are missing.
    assert.equal(fs.existsSync(file), false)
    cli('restore', `${file}@${versions[0].version}`)
    assert.equal(fs.readFileSync(file, 'utf8'), 'two')
    assert.equal(fs.statSync(file).mode & 0o777, 0o600)
    assert.deepEqual(fs.readdirSync(at('deep')), ['er'])
    const after = await log(file)
    assert.deepEqual(
      after.map(({ current }) => current),
      [true, false, false],
    )
    await assert.rejects(log(at('never was')), { code: 'ENOENT' })
    await assert.rejects(log(at('letter.txt/below a file')), { code: 'ENOTDIR' })
  })

  it('a folder comes back as a whole, as it was at a version or at a time', async () => {
    const cli = (...args: string[]) => {
      const env = { ...process.env, PEERDRIVE_HOME: path.join(directory, 'node'), LC_ALL: 'C' }
      return spawnSync(process.execPath, [path.resolve('dist/lib/cli/main.js'), ...args], { encoding: 'utf8', env })
    }
    const tree = at('whole')
    writeZoo(tree)
    fs.mkdirSync(path.join(tree, 'deep/er'), { recursive: true })
    fs.mkdirSync(path.join(tree, 'deep/empty'), { mode: 0o700 })
    fs.writeFileSync(path.join(tree, 'deep/er/note'), 'one')
    const time = await settled(node)
    const before = withoutTimes(manifest(tree))
    fs.writeFileSync(path.join(tree, 'deep/er/note'), 'two')
    fs.renameSync(path.join(tree, 'small'), path.join(tree, 'moved'))
    fs.rmSync(path.join(tree, 'folder'), { recursive: true })
    fs.rmSync(path.join(tree, 'deep/empty'), { recursive: true })
    fs.writeFileSync(path.join(tree, 'deep/later'), 'later')
    await settled(node)
    const restored = cli('restore', `${tree}@${time}`)
    assert.equal(restored.stderr, '')
    assert.match(
      restored.stdout,
      /^Restored 3 files; \d+ were as they had been\. 2 entries that came later were left\.\n$/,
    )
    const after = withoutTimes(manifest(tree))
    for (const name of ['moved', 'deep/later']) assert.ok(after.delete(name), name)
    assert.deepEqual(differences(before, after), [])
    assert.match(cli('restore', `${tree}@${time}`).stdout, /^Restored 0 files/)
    assert.deepEqual(
      (await node.with((api) => api.log(Buffer.from(path.join(tree, 'deep/er/note')), 10))).map(({ size }) => size),
      [3, 3, 3],
    )
    // Deleted as a whole, with a folder where a file was and the other way round: what can be is restored, the rest is told.
    fs.rmSync(tree, { recursive: true })
    fs.mkdirSync(path.join(tree, 'page'), { recursive: true })
    fs.writeFileSync(path.join(tree, 'deep'), 'in the way')
    const partly = cli('restore', `${tree}@${time}`)
    assert.equal(partly.status, 1)
    assert.match(partly.stderr, /whole\/deep is a file now/)
    assert.match(partly.stderr, /whole\/page is a folder now/)
    fs.rmSync(tree, { recursive: true })
    await settled(node)
    const { stdout } = cli('restore', `${tree}@${time}`)
    assert.match(stdout, /^Restored \d\d files; 0 were/)
    assert.deepEqual(differences(before, withoutTimes(manifest(tree))), [])
    const folder = path.join(tree, 'deep/er')
    fs.rmSync(path.join(folder, 'note'))
    await settled(node)
    const full = (await node.with((api) => api.log(Buffer.from(folder), 10))).find(({ size }) => size > 0)
    assert.match(cli('restore', `${folder}@${full?.version}`).stdout, /^Restored 1 file;/)
    assert.equal(fs.readFileSync(path.join(folder, 'note'), 'utf8'), 'one')
    assert.equal(cli('cat', `${path.join(tree, 'deep/er/note')}@${time}`).stdout, 'one')
    assert.match(cli('cat', `${path.join(tree, 'small')}@2001-01-01`).stderr, /was not there at 2001-01-01/)
  })

  it('is in no listing: nothing walks into it by accident', async () => {
    await settled(node)
    assert.deepEqual(
      lines(run('find', mount)).filter((line) => /\/\.(versions|peerdrive)/.test(line)),
      [],
    )
    const copy = path.join(directory, 'everything')
    run('rsync', '-a', `${mount}/`, copy)
    assert.ok(!fs.existsSync(path.join(copy, '.versions')) && !fs.existsSync(path.join(copy, '.peerdrive')))
    run('tar', 'cf', '/dev/null', '-C', mount, '.')
    assert.equal(
      fs.readdirSync(mount).some((name) => name === '.versions' || name === '.peerdrive'),
      false,
    )
  })

  it('is read-only, and keeps its names to itself', async () => {
    const [version] = lines(run('ls', at('.versions/letter.txt')))
    const file = at(`.versions/letter.txt/${version}`)
    const time = await settled(node)
    for (const [command, ...args] of [
      ['touch', file],
      ['touch', at('.versions/new')],
      ['rm', file],
      ['rm', '-r', at('.versions/letter.txt')],
      ['mkdir', at(`.peerdrive/at/${time}/new`)],
      ['mv', at('letter.txt'), at('.versions/letter.txt/')],
      ['mv', file, at('moved')],
      ['cp', at('letter.txt'), file],
      ['chmod', '600', file],
      ['ln', file, at('linked')],
      ['rmdir', at('.versions')],
    ])
      assert.match(fails(command, ...args), /Read-only file system/, [command, ...args].join(' '))
    assert.throws(() => fs.mkdirSync(at('.versions')), { code: 'EEXIST' })
    assert.throws(() => fs.writeFileSync(at('.versions'), ''), { code: 'EISDIR' })
    assert.throws(() => fs.writeFileSync(at('.peerdrive'), '', { flag: 'wx' }), { code: 'EEXIST' })
    fs.mkdirSync(at('d'))
    assert.throws(() => fs.renameSync(at('d'), at('.versions')), { code: 'EPERM' })
    assert.throws(() => fs.readdirSync(at('.peerdrive/at/yesterday')), { code: 'ENOENT' })
  })

  it('is not in the way when a folder goes, and an open version can be read to its end', async () => {
    fs.mkdirSync(at('going'))
    fs.writeFileSync(at('going/file'), 'still here')
    await settled(node)
    const [version] = lines(run('ls', at('going/.versions/file')))
    const fd = fs.openSync(at(`going/.versions/file/${version}`), 'r')
    try {
      run('rm', '-r', at('going'))
      assert.equal(fs.existsSync(at('going/.versions')), false)
      assert.equal(fs.readFileSync(fd, 'utf8'), 'still here')
    } finally {
      fs.closeSync(fd)
    }
    fs.mkdirSync(at('going'))
    assert.deepEqual(fs.readdirSync(at('going/.versions')), [])
  })

  it('survives the death of the volume thread', async () => {
    const [version] = lines(run('ls', at('.versions/letter.txt')))
    const file = at(`.versions/letter.txt/${version}`)
    const directoryBelow = at('.versions/letter.txt')
    assert.equal(fs.readFileSync(file, 'utf8'), 'Dear reader\n')
    const engine = pathsOf(await node.with((api) => api.actors())).find((actor) => actor.endsWith('/engine'))
    assert.ok(engine)
    await node.with((api) => api.kill(engine))
    await eventually(() => assert.equal(fs.readFileSync(file, 'utf8'), 'Dear reader\n'))
    assert.ok(fs.readdirSync(directoryBelow).includes(version))
  })
})

describe('History of two devices', function () {
  this.timeout(120_000)
  let directory: string
  let laptop: NodeProcess
  let desk: NodeProcess
  let early: string

  before(async function () {
    if (!hasFuse) {
      console.log('skipped: history of two devices needs /dev/fuse')
      return this.skip()
    }
    directory = scratch()
    const node = (name: string) => new NodeProcess({ home: path.join(directory, name), args: ['--name', name] })
    laptop = node('laptop')
    desk = node('desk')
    await laptop.start()
    await desk.start()
    fs.writeFileSync(path.join(laptop.mountPoint, 'note.txt'), 'before they met')
    early = await settled(laptop)
    await pairAndJoin(laptop, desk)
    await inSync(laptop, desk)
  })

  after(async () => {
    await desk?.stop()
    await laptop?.stop()
    if (directory) fs.rmSync(directory, { recursive: true, force: true })
  })

  it('is the same on both, and says who made what', async () => {
    fs.writeFileSync(path.join(desk.mountPoint, 'note.txt'), 'by the desk')
    await inSync(laptop, desk)
    const listed = [laptop, desk].map(({ mountPoint }) => {
      const folder = path.join(mountPoint, '.versions/note.txt')
      return fs.readdirSync(folder).map((name) => `${name}: ${fs.readFileSync(path.join(folder, name), 'utf8')}`)
    })
    assert.deepEqual(listed[0], listed[1])
    assert.deepEqual(
      listed[0].sort().map((line) => line.replace(/^.*Z(\+\d+)? /, '')),
      ['laptop.txt: before they met', 'desk.txt: by the desk'],
    )
  })

  it('shows on each what it was like on the other before they met', () => {
    const past = path.join(desk.mountPoint, '.peerdrive/at', early)
    assert.deepEqual(fs.readdirSync(past), ['note.txt'])
    assert.equal(fs.readFileSync(path.join(past, 'note.txt'), 'utf8'), 'before they met')
  })

  it('brings back on one what the other has deleted', async () => {
    fs.rmSync(path.join(laptop.mountPoint, 'note.txt'))
    await inSync(laptop, desk)
    const file = path.join(desk.mountPoint, 'note.txt')
    assert.equal(fs.existsSync(file), false)
    const versions = await desk.with((api) => api.log(Buffer.from(file), 10))
    assert.equal(versions.length, 2)
    await desk.with((api) => api.restore(Buffer.from(file), versions[0].version))
    assert.equal(fs.readFileSync(file, 'utf8'), 'by the desk')
    await inSync(laptop, desk)
    assert.equal(fs.readFileSync(path.join(laptop.mountPoint, 'note.txt'), 'utf8'), 'by the desk')
    assert.equal(
      (await laptop.with((api) => api.log(Buffer.from(path.join(laptop.mountPoint, 'note.txt')), 10))).length,
      3,
    )
  })
})

/** Everything so far is committed and sealed. Answers the time, as people write it, once it is over. */
async function settled(node: NodeProcess): Promise<string> {
  await node.with((api) => api.log(Buffer.from(node.mountPoint), 1))
  const time = new Date()
  await eventually(() => assert.ok(Date.now() > time.getTime()), 1000, 2)
  return time.toISOString()
}

const pathsOf = (node: ActorNode): string[] => [node.path, ...node.children.flatMap(pathsOf)]

/** Lines of a manifest without times of modification. */
const withoutTimes = (tree: Map<string, string>) =>
  new Map([...tree].map(([name, line]) => [name, line.replace(/^(\S+ \S+) \d+/, '$1')]))

const withoutWriting = (mode: string) =>
  mode.startsWith('12') ? mode : (Number.parseInt(mode, 8) & ~0o222).toString(8)
