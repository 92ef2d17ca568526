import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import path from 'node:path'
import { differences, manifest } from './manifest.js'
import { hasFuse, NodeProcess, scratch, writeZoo } from './support.js'

const REPOSITORY = path.resolve('.')

describe('Programs in the mount', function () {
  this.timeout(300_000)
  let directory: string
  let node: NodeProcess
  let mount: string

  before(async function () {
    if (!hasFuse) {
      console.log('skipped: programs in the mount need /dev/fuse')
      return this.skip()
    }
    directory = scratch()
    node = new NodeProcess({ home: path.join(directory, 'node'), args: ['--no-discovery'] })
    await node.start()
    mount = node.mountPoint
  })

  after(async () => {
    await node?.stop()
    if (directory) fs.rmSync(directory, { recursive: true, force: true })
  })

  const at = (name: string) => path.join(mount, name)
  const run = (command: string, args: string[], cwd = mount) =>
    execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 1 << 26 })
  const versions = (name: string) => node.with((api) => api.log(Buffer.from(at(name)), 100))

  it('git: clone, edit, commit, rebase, gc, fsck', () => {
    const source = path.join(directory, 'source')
    fs.mkdirSync(source)
    run('git', ['init', '-q', '-b', 'main'], source)
    run('git', ['config', 'user.email', 'test@example.org'], source)
    run('git', ['config', 'user.name', 'Test'], source)
    for (let commit = 0; commit < 20; commit++) {
      for (let i = 0; i < 20; i++) {
        fs.mkdirSync(path.join(source, `d${i % 5}`), { recursive: true })
        fs.writeFileSync(path.join(source, `d${i % 5}`, `f${i}`), `content ${commit * (i % 3)} of ${i}\n`.repeat(50))
      }
      run('git', ['add', '-A'], source)
      run('git', ['commit', '-qm', `commit ${commit}`, '--allow-empty'], source)
    }
    run('git', ['clone', '-q', source, at('clone')])
    run('git', ['config', 'user.email', 'test@example.org'], at('clone'))
    run('git', ['config', 'user.name', 'Test'], at('clone'))
    run('git', ['checkout', '-qb', 'topic', 'HEAD~5'], at('clone'))
    fs.writeFileSync(at('clone/new'), 'new\n')
    run('git', ['add', 'new'], at('clone'))
    run('git', ['commit', '-qm', 'new'], at('clone'))
    run('git', ['rebase', '-q', 'main'], at('clone'))
    run('git', ['gc', '-q'], at('clone'))
    run('git', ['fsck', '--full', '--strict'], at('clone'))
    assert.equal(run('git', ['status', '--porcelain'], at('clone')), '')
  })

  it('npm: install a package with its dependencies', () => {
    fs.mkdirSync(at('npm'))
    fs.writeFileSync(at('npm/package.json'), '{"private":true}')
    const packed = JSON.parse(
      run(
        'npm',
        ['pack', '--json', '--pack-destination', directory, path.join(REPOSITORY, 'node_modules/commander')],
        directory,
      ),
    )
    run('npm', ['install', '--offline', '--no-audit', '--no-fund', path.join(directory, packed[0].filename)], at('npm'))
    assert.equal(
      run('node', ['-e', "process.stdout.write(typeof require('commander').Command)"], at('npm')),
      'function',
    )
  })

  for (const mode of ['wal', 'delete', 'truncate', 'persist'])
    it(`sqlite3: journal mode ${mode}`, function () {
      if (spawnSync('sqlite3', ['--version']).error) {
        console.log('skipped: sqlite3 is not installed')
        return this.skip()
      }
      const sql = `pragma journal_mode=${mode}; create table t(x integer primary key, y text);
        with recursive n(i) as (select 1 union all select i+1 from n where i<5000) insert into t select i, hex(randomblob(50)) from n;
        begin; update t set y = 'changed' where x % 7 = 0; commit; delete from t where x % 5 = 0; vacuum; pragma integrity_check; select count(*) from t;`
      const lines = run('sqlite3', [at(`${mode}.db`), sql])
        .trim()
        .split('\n')
      assert.deepEqual(lines, [mode, 'ok', '4000'])
    })

  it('rsync -aHAX: there and back, nothing differs', () => {
    const zoo = path.join(directory, 'zoo')
    writeZoo(zoo)
    fs.linkSync(path.join(zoo, 'small'), path.join(zoo, 'hard link'))
    run('rsync', ['-aHAX', `${zoo}/`, `${at('zoo')}/`])
    assert.deepEqual(differences(manifest(zoo), manifest(at('zoo'))), [])
    assert.equal(fs.statSync(at('zoo/small')).ino, fs.statSync(at('zoo/hard link')).ino)
    run('rsync', ['-aHAX', `${at('zoo')}/`, `${path.join(directory, 'back')}/`])
    assert.deepEqual(differences(manifest(zoo), manifest(path.join(directory, 'back'))), [])
    assert.equal(run('rsync', ['-aHAXni', `${zoo}/`, `${at('zoo')}/`]), '')
  })

  it('tar: create and extract', () => {
    run('tar', ['cf', at('zoo.tar'), '-C', directory, 'zoo'])
    fs.mkdirSync(at('untarred'))
    run('tar', ['xf', at('zoo.tar'), '-C', at('untarred')])
    const [original, copy] = [manifest(path.join(directory, 'zoo')), manifest(at('untarred/zoo'))]
    const plain = (lines: Map<string, string>) =>
      new Map([...lines].map(([k, v]) => [k, v.replace(/ user\..*/, '').replace(/(\.\d|\d{9}) /, ' ')]))
    assert.deepEqual([...plain(copy).keys()], [...plain(original).keys()])
  })

  it('log, cat and restore bring any version back', async () => {
    for (const text of ['first', 'second', 'third']) fs.writeFileSync(at('letter'), text)
    const listed = await versions('letter')
    assert.equal(listed.length, 3)
    const cli = (...args: string[]) =>
      execFileSync(process.execPath, [path.join(REPOSITORY, 'dist/lib/cli/main.js'), ...args], {
        encoding: 'utf8',
        env: { ...process.env, PEERDRIVE_HOME: path.join(directory, 'node') },
      })
    assert.match(cli('log', at('letter')), new RegExp(listed[2].version))
    assert.equal(cli('cat', `${at('letter')}@${listed[2].version}`), 'first')
    cli('restore', `${at('letter')}@${listed[2].version}`)
    assert.equal(fs.readFileSync(at('letter'), 'utf8'), 'first')
    assert.equal((await versions('letter')).length, 4)
    assert.equal(cli('cat', `${at('letter')}@${listed[0].version}`), 'third')
  })

  it('compilers: build a program', function () {
    if (spawnSync('gcc', ['--version']).error) {
      console.log('skipped: gcc is not installed')
      return this.skip()
    }
    fs.writeFileSync(at('hello.c'), '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n')
    run('gcc', ['-O2', '-o', at('hello'), at('hello.c')])
    assert.equal(run(at('hello'), []), 'hello\n')
  })

  it('a real tree of thousands of files is the same after a restart', async () => {
    const source = path.join(REPOSITORY, 'node_modules')
    run('cp', ['-a', source, at('modules')])
    await node.stop()
    assert.ok(!fs.readFileSync('/proc/mounts', 'utf8').includes(mount))
    await node.start()
    assert.deepEqual(differences(manifest(source), manifest(at('modules'))), [])
  })
})
