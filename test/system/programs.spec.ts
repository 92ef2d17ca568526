import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import path from 'node:path'
import { differences, manifest } from './manifest.js'
import { Mapped, PAGE } from './posix/support/mapped.js'
import { Random } from './posix/support/random.js'
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

  it('pnpm: a store of files by their hashes, linked into packages, packages linked to each other', async () => {
    const store = at('store')
    const names = ['a', 'b', 'c']
    const inStore = (text: string) => {
      const hash = createHash('sha512').update(text).digest('hex')
      return path.join(store, hash.slice(0, 2), hash.slice(2))
    }
    const contents = (name: string) => Array.from({ length: 100 }, (_, i) => `${i % 2 ? name : 'shared'} ${i}\n`)
    const install = () => {
      for (const name of names) {
        const home = at(`project/node_modules/.pnpm/${name}@1.0.0/node_modules`)
        // Made beside it and renamed, as everything that another install may be making as well.
        const made = `${home}_tmp_${process.pid}`
        fs.mkdirSync(path.join(made, name), { recursive: true })
        for (const [i, text] of contents(name).entries()) {
          const kept = inStore(text)
          if (!fs.existsSync(kept)) {
            fs.mkdirSync(path.dirname(kept), { recursive: true })
            fs.writeFileSync(`${kept}.tmp`, text, { mode: 0o644 })
            fs.renameSync(`${kept}.tmp`, kept)
          }
          fs.linkSync(kept, path.join(made, name, `file${i}`))
        }
        for (const other of names)
          if (other !== name) fs.symlinkSync(`../../${other}@1.0.0/node_modules/${other}`, path.join(made, other))
        fs.renameSync(made, home)
        fs.symlinkSync(`.pnpm/${name}@1.0.0/node_modules/${name}`, at(`project/node_modules/${name}`))
      }
    }
    const check = () => {
      for (const name of names)
        for (const [i, text] of contents(name).entries()) {
          const file = at(`project/node_modules/${name}/file${i}`)
          assert.equal(fs.readFileSync(file, 'utf8'), text)
          const { ino, nlink } = fs.statSync(inStore(text))
          assert.deepEqual([fs.statSync(file).ino, nlink], [ino, text.startsWith('shared') ? 1 + names.length : 2])
          assert.equal(
            fs.readFileSync(at(`project/node_modules/${names[0]}/../${names[1]}/file1`), 'utf8').slice(0, 1),
            'b',
          )
        }
    }
    install()
    check()
    await node.stop()
    await node.start()
    check()
    // Installed anew from what the store has; what is changed in place is changed for all that share it.
    fs.rmSync(at('project'), { recursive: true })
    assert.equal(fs.statSync(inStore('shared 0\n')).nlink, 1)
    install()
    check()
    fs.appendFileSync(at('project/node_modules/a/file0'), 'changed')
    assert.equal(fs.readFileSync(at('project/node_modules/b/file0'), 'utf8'), 'shared 0\nchanged')
    // Written anew and renamed, as by a postinstall script: changed for this one only, and the store keeps its document.
    fs.writeFileSync(at('project/node_modules/a/file2.tmp'), 'own')
    fs.renameSync(at('project/node_modules/a/file2.tmp'), at('project/node_modules/a/file2'))
    assert.equal(fs.readFileSync(inStore('shared 2\n'), 'utf8'), 'shared 2\n')
    assert.equal(fs.readFileSync(at('project/node_modules/b/file2'), 'utf8'), 'shared 2\n')
  })

  it('a writer through a shared mapping and by descriptor: everyone sees the same, also after a kill', async () => {
    const size = 300 * PAGE
    const random = new Random(7)
    const model = Buffer.alloc(size)
    const fd = fs.openSync(at('mapped'), 'w+')
    fs.ftruncateSync(fd, size)
    const mapped = Mapped.of(fd, 0, size, 'rw')
    assert.ok(mapped instanceof Mapped)
    const put = (how: 'mapped' | 'written') => {
      const offset = random.below(size - 5000)
      const bytes = random.bytes(1 + random.below(5000))
      bytes.copy(model, offset)
      if (how === 'mapped') mapped.write(offset, bytes)
      else fs.writeSync(fd, bytes, 0, bytes.length, offset)
    }
    for (let i = 0; i < 400; i++) {
      put(i % 3 === 0 ? 'written' : 'mapped')
      if (i % 50 === 0) assert.equal(mapped.sync(), 0)
      if (i % 40 === 0) assert.ok(fs.readFileSync(at('mapped')).equals(model), `what others read after ${i} changes`)
    }
    assert.equal(mapped.sync(), 0)
    await node.stop('SIGKILL')
    mapped.unmap()
    fs.closeSync(fd)
    await node.start()
    assert.ok(fs.readFileSync(at('mapped')).equals(model), 'what was synced')
    assert.equal((await versions('mapped'))[0].size, size)
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
