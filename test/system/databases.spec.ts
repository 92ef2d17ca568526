// PostgreSQL with its data in the mount, used by a user of its own: what many small writes at many places, fsync after each
// transaction, renames and large preallocated files ask of a file system.

import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import path from 'node:path'
import { eventually, hasFuse, isRoot, NodeProcess, scratch } from './support.js'

const TRANSACTIONS = 200
const CLIENTS = 4

/** Where Debian puts the programs of the server; undefined: not installed. */
function serverPrograms(): string | undefined {
  const base = '/usr/lib/postgresql'
  const versions = fs.existsSync(base) ? fs.readdirSync(base).sort((a, b) => Number(b) - Number(a)) : []
  return versions
    .map((version) => path.join(base, version, 'bin'))
    .find((bin) => fs.existsSync(path.join(bin, 'initdb')))
}

describe('PostgreSQL in the mount', function () {
  this.timeout(300_000)
  const bin = serverPrograms()
  let directory: string
  let sockets: string
  let data: string
  let node: NodeProcess

  before(async function () {
    if (!hasFuse || !isRoot || !bin) {
      console.log('skipped: PostgreSQL in the mount needs /dev/fuse, root and the package postgresql')
      return this.skip()
    }
    directory = scratch()
    // Another user has to get to the mount point and to the sockets.
    fs.chmodSync(directory, 0o755)
    const mountPoint = path.join(directory, 'mount')
    node = new NodeProcess({ home: path.join(directory, 'node'), args: ['--mount', mountPoint] })
    await node.start()
    node.volumeMounted(mountPoint)
    data = path.join(mountPoint, 'database')
    sockets = path.join(directory, 'sockets')
    for (const name of [data, sockets]) {
      fs.mkdirSync(name, 0o700)
      execFileSync('chown', ['postgres:postgres', name])
    }
  })
  after(async () => {
    if (data)
      spawnSync('runuser', ['-u', 'postgres', '--', path.join(bin!, 'pg_ctl'), 'stop', '-m', 'immediate', '-D', data])
    await node?.stop()
    if (directory) fs.rmSync(directory, { recursive: true, force: true })
  })

  /** The last the server said. */
  const log = () => fs.readFileSync(path.join(sockets, 'log'), 'utf8').slice(-2000)

  /** Runs one of PostgreSQL's programs as its user; answers what it printed. */
  function run(program: string, ...args: string[]): string {
    const done = spawnSync('runuser', ['-u', 'postgres', '--', path.join(bin!, program), ...args], {
      encoding: 'utf8',
      cwd: directory,
      // The server goes on with what it inherits: a pipe that stays open would keep us waiting.
      stdio: ['ignore', program === 'pg_ctl' ? 'ignore' : 'pipe', 'pipe'],
      ...(program === 'pg_ctl' ? { stdio: 'ignore' as const } : {}),
    })
    assert.equal(done.status, 0, `${program} ${args.join(' ')}: ${done.stderr ?? log()}`)
    return done.stdout ?? ''
  }
  const start = () =>
    run(
      'pg_ctl',
      'start',
      '-w',
      '-D',
      data,
      '-l',
      path.join(sockets, 'log'),
      '-o',
      `-k ${sockets} -c listen_addresses=''`,
    )
  const query = (sql: string) => run('psql', '-h', sockets, '-d', 'bench', '-Atqc', sql).trim()
  /** `-n`: else it empties the history before. */
  const bench = () => run('pgbench', '-n', '-h', sockets, '-c', `${CLIENTS}`, '-t', `${TRANSACTIONS}`, 'bench')

  /** Every transaction moves the same sum in four tables: they agree, or one of them was lost in part. */
  function assertBalanced(atLeast: number): void {
    const sums = query(
      'select (select sum(abalance) from pgbench_accounts), (select sum(tbalance) from pgbench_tellers), ' +
        '(select sum(bbalance) from pgbench_branches), (select coalesce(sum(delta), 0) from pgbench_history)',
    ).split('|')
    assert.equal(new Set(sums).size, 1, sums.join(' '))
    assert.ok(Number(query('select count(*) from pgbench_history')) >= atLeast)
  }

  it('makes a cluster, and runs transactions', () => {
    run('initdb', '-D', data, '--data-checksums', '-A', 'trust')
    start()
    run('createdb', '-h', sockets, 'bench')
    run('pgbench', '-h', sockets, '-q', '-i', '-s', '1', 'bench')
    bench()
    assertBalanced(CLIENTS * TRANSACTIONS)
  })

  it('recovers when the server is killed, and every page is whole', () => {
    const [pid] = fs.readFileSync(path.join(data, 'postmaster.pid'), 'utf8').split('\n')
    execFileSync('pkill', ['-9', '-P', pid])
    run('pg_ctl', 'stop', '-m', 'immediate', '-D', data)
    start()
    assertBalanced(CLIENTS * TRANSACTIONS)
    run('pg_ctl', 'stop', '-m', 'fast', '-D', data)
    assert.match(run('pg_checksums', '--check', '-D', data), /Bad checksums: +0/)
  })

  it('has everything that was committed when the node is killed', async () => {
    start()
    bench()
    // Killed together: nothing of either may write more.
    await node.stop('SIGKILL')
    const [pid] = fs.readFileSync(path.join(sockets, '.s.PGSQL.5432.lock'), 'utf8').split('\n')
    spawnSync('pkill', ['-9', '-u', 'postgres'])
    await eventually(() => assert.ok(!fs.existsSync(`/proc/${pid}`), 'the server is still there'))
    await node.start()
    start()
    assertBalanced(2 * CLIENTS * TRANSACTIONS)
    run('pg_ctl', 'stop', '-m', 'fast', '-D', data)
    assert.match(run('pg_checksums', '--check', '-D', data), /Bad checksums: +0/)
  })
})
