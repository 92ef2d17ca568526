import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import dgram from 'node:dgram'
import { once } from 'node:events'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, describe, it } from 'mocha'
import multicastDns from 'multicast-dns'
import { announcedAddresses } from '../../lib/peers/addresses.js'
import { sendProblem } from '../../lib/peers/discovery-problems.js'
import { parseAddress, readAddress } from '../../lib/peers/index.js'
import { Child } from './child.js'
import { cleanAll, cleanUp, device, directory, until } from './support.js'

const QUICK = { interval: 200 }

describe('peers: discovery', () => {
  afterEach(cleanAll)
  // Several processes start here one after the other: seconds on a quiet machine, much more on a busy one.
  const PATIENCE = 120_000

  it('finds devices in another network namespace, pairs, links, and follows a changed port', async function () {
    this.timeout(PATIENCE)
    const [left, right] = namespaces(this)
    const initB = init()
    const [a, b] = [new Child(init(), left), new Child(initB, right)]
    const [readyA, readyB] = [await a.next('ready'), await b.next('ready')]
    assert.deepEqual(readyA.addresses, [`/ip4/10.231.7.1/tcp/${readyA.port}`])
    const seen = await a.next('seen', ({ id }) => id === readyB.id)
    assert.deepEqual(seen.addresses, readyB.addresses)
    await b.next('seen', ({ id }) => id === readyA.id)
    a.tell({ invite: true })
    b.tell({ join: (await a.next('invitation')).token })
    await Promise.all([a.next('up'), b.next('up')])
    await b.kill()
    await a.next('down')
    const again = new Child(initB, right)
    const ready = await again.next('ready')
    assert.notEqual(ready.port, readyB.port)
    await Promise.all([a.next('up'), again.next('up')])
    await again.kill()
    await a.next('gone', ({ id }) => id === readyB.id)
  })

  it('says that there is no route for multicast, that nobody is heard or nothing comes back, and that only loopback is up', async function () {
    this.timeout(PATIENCE)
    const [left, right] = namespaces(this)
    const here = diagnosis(left)
    const quiet = { port: 5353, deaf: false, alone: false }
    assert.deepEqual(await here(quiet), [])
    assert.deepEqual(await here({ ...quiet, alone: true }), ['nobody-heard'])
    assert.deepEqual(await here({ ...quiet, deaf: true, alone: true }), ['deaf'])
    run('ip', '-n', left, 'route', 'del', 'default')
    assert.deepEqual(await here({ ...quiet, alone: true }), ['no-multicast-route'])
    run('ip', '-n', left, 'route', 'add', 'default', 'dev', 'eth0')
    assert.deepEqual(await here(quiet), [])
    run('ip', '-n', right, 'link', 'set', 'eth0', 'down')
    assert.deepEqual(await diagnosis(right)(quiet), ['only-loopback'])
  })

  it('says that the port is taken, and goes on when it is free', async () => {
    const holder = dgram.createSocket('udp4').bind(0)
    await once(holder, 'listening')
    const { port } = holder.address()
    const { discovery } = await device({
      discovery: { port, interval: 50, serviceTag: `_pd${process.pid}p._udp.local` },
    })
    const taken = once(discovery, 'problems')
    await discovery.start()
    await taken
    assert.deepEqual(
      discovery.problems().map(({ code }) => code),
      ['socket'],
    )
    holder.close()
    await until(() => discovery.problems().every(({ code }) => code !== 'socket'), 'it goes on')
  })

  it('asks ever more rarely while nothing changes, and soon when somebody else asks', async () => {
    const serviceTag = `_pd${process.pid}q._udp.local`
    const interval = 40
    const { discovery } = await device({ discovery: { port: 25354, interval, serviceTag } })
    const listener = multicastDns({ port: 25354, interface: undefined })
    cleanUp(() => void listener.destroy())
    const asked: number[] = []
    listener.on('query', ({ questions }) => {
      if (questions.some(({ name }) => name === serviceTag)) asked.push(performance.now())
    })
    await discovery.start()
    const pauses = () => asked.slice(1).map((at, i) => at - asked[i])
    await until(() => pauses().some((pause) => pause > 5 * interval), 'a long pause')
    assert.ok(pauses().length > 4, 'short ones before')
    // Long enough after its own that it asks again at once; the next by its own clock would be later.
    await new Promise((resolve) => setTimeout(resolve, interval + 5))
    const before = asked.length
    listener.query([{ name: serviceTag, type: 'PTR' }])
    await until(() => asked.length >= before + 2, 'it asks, too')
  })

  it('names other obstacles', () => {
    const code = (code: string): string => sendProblem(Object.assign(new Error(code), { code })).code
    assert.deepEqual(['EPERM', 'EACCES', 'ENETDOWN', 'EINVAL'].map(code), [
      'not-permitted',
      'not-permitted',
      'no-multicast-route',
      'socket',
    ])
  })

  it('tells addresses that others can use, and reads what people type', () => {
    const all = [
      '/ip6/2001:db8::1/tcp/1',
      '/ip4/127.0.0.1/tcp/1/p2p/x',
      '/ip4/10.0.0.1/tcp/1',
      '/ip6/fe80::1/tcp/1',
      '/ip6/::1/tcp/1',
      '/dns4/x/tcp/1',
    ]
    assert.deepEqual(announcedAddresses(all), ['/ip4/10.0.0.1/tcp/1', '/ip6/2001:db8::1/tcp/1'])
    assert.deepEqual(announcedAddresses(['/ip4/127.0.0.1/tcp/1']), ['/ip4/127.0.0.1/tcp/1'])
    assert.equal(readAddress(' 192.168.1.5:4001 '), '/ip4/192.168.1.5/tcp/4001')
    assert.equal(readAddress('[2001:db8::1]:4001'), '/ip6/2001:db8::1/tcp/4001')
    assert.equal(readAddress('/ip4/10.0.0.1/tcp/1'), '/ip4/10.0.0.1/tcp/1')
    for (const bad of [
      '',
      '1.2.3.4',
      '1.2.3.4:0',
      '1.2.3.4:65536',
      '1.2.3:4',
      'host:1',
      '[::1]',
      '/ip4/10.0.0.1/udp/1',
      '/ip4/10.0.0.1/tcp/1/ws',
    ]) {
      assert.equal(readAddress(bad), undefined, bad)
    }
    assert.equal(parseAddress(`/ip4/10.0.0.1/tcp/${'1'.repeat(1000)}`), undefined)
  })
})

function init() {
  return {
    directory: directory(),
    port: 0,
    discovery: QUICK,
    connection: { firstPause: 20, maxPause: 200 },
    link: { interval: 200, timeout: 600 },
  }
}

/** Asks a process in the namespace. */
function diagnosis(namespace: string): (seen: object) => Promise<string[]> {
  const script = path.join(import.meta.dirname, 'diagnose-process.js')
  const child = spawn('ip', ['netns', 'exec', namespace, process.execPath, script], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  cleanUp(() => void child.kill('SIGKILL'))
  const lines = createInterface({ input: child.stdout })
  return async (seen) => {
    const answer = once(lines, 'line')
    child.stdin.write(`${JSON.stringify(seen)}\n`)
    return JSON.parse((await answer)[0])
  }
}

/** Two namespaces with a cable between them and a default route each; gone after the test. Skips where that is forbidden. */
function namespaces(test: Mocha.Context): [string, string] {
  const [left, right] = ['l', 'r'].map((side) => `pdtest-${process.pid}-${side}`)
  const made = spawnSync('ip', ['netns', 'add', left], { encoding: 'utf8' })
  if (made.status !== 0) {
    console.log(`      skipped: network namespaces cannot be made here (${(made.stderr ?? String(made.error)).trim()})`)
    test.skip()
  }
  cleanUp(() => {
    for (const name of [left, right]) spawnSync('ip', ['netns', 'del', name])
  })
  run('ip', 'netns', 'add', right)
  run('ip', 'link', 'add', 'eth0', 'netns', left, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', right)
  for (const [i, name] of [left, right].entries()) {
    run('ip', '-n', name, 'addr', 'add', `10.231.7.${i + 1}/24`, 'dev', 'eth0')
    run('ip', '-n', name, 'link', 'set', 'lo', 'up')
    run('ip', '-n', name, 'link', 'set', 'eth0', 'up')
  }
  for (const name of [left, right]) run('ip', '-n', name, 'route', 'add', 'default', 'dev', 'eth0')
  return [left, right]
}

function run(program: string, ...args: string[]): void {
  const done = spawnSync(program, args, { encoding: 'utf8' })
  assert.equal(done.status, 0, `${program} ${args.join(' ')}: ${done.stderr}`)
}
