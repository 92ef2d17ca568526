import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { afterEach, describe, it } from 'mocha'
import { announcedAddresses } from '../../lib/peers/addresses.js'
import { sendProblem } from '../../lib/peers/discovery-problems.js'
import { parseAddress, readAddress } from '../../lib/peers/index.js'
import { Child } from './child.js'
import { cleanAll, cleanUp, directory } from './support.js'

const QUICK = { interval: 200 }
/** Another program that has the port for itself. */
const HOLD_5353 = `require('dgram').createSocket('udp4').bind(5353, () => console.log('held'))`

describe('peers: discovery', () => {
  afterEach(cleanAll)

  it('finds devices in another network namespace, pairs, links, and follows a changed port', async function () {
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

  it('says that there is no route for multicast, that nobody is heard, and that only loopback is up', async function () {
    const [left, right] = namespaces(this)
    run('ip', '-n', left, 'route', 'del', 'default')
    const a = new Child(init(), left)
    assert.deepEqual((await a.next('problems')).codes, ['no-multicast-route'])
    run('ip', '-n', left, 'route', 'add', 'default', 'dev', 'eth0')
    await a.next('problems', ({ codes }) => codes.join() === 'nobody-heard')
    run('ip', '-n', right, 'link', 'set', 'eth0', 'down')
    const b = new Child(init(), right)
    assert.deepEqual((await b.next('problems')).codes, ['only-loopback'])
  })

  it('says that the port is taken, and goes on when it is free', async function () {
    const [left] = namespaces(this)
    const holder = spawn('ip', ['netns', 'exec', left, process.execPath, '-e', HOLD_5353], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    cleanUp(() => void holder.kill('SIGKILL'))
    await once(holder.stdout, 'data')
    const a = new Child(init(), left)
    assert.deepEqual((await a.next('problems')).codes, ['socket'])
    holder.kill('SIGKILL')
    await a.next('problems', ({ codes }) => !codes.includes('socket'))
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
