import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { ApiClient } from '../../lib/api/client.js'
import { Session } from '../../lib/api/session.js'
import { CHECKED, FakeServices, RESTORED, VERSION } from '../support/fake-services.js'

describe('A session of the client API', () => {
  let directory: string
  let socket: string
  let server: Server
  let services: FakeServices
  let stopped: number
  let ends: Promise<unknown>[]

  beforeEach(async () => {
    directory = mkdtempSync(path.join(tmpdir(), 'peerdrive-api-'))
    socket = path.join(directory, 'api.sock')
    services = new FakeServices()
    stopped = 0
    ends = []
    server = createServer((connection) => {
      const session = new Session({ services, stop: () => stopped++ }, connection)
      ends.push(session.run().catch((error) => error))
    }).listen(socket)
    await once(server, 'listening')
  })

  afterEach(() => {
    server.close()
    rmSync(directory, { recursive: true })
  })

  it('answers every call with what the services say', async () => {
    const node = await ApiClient.connect(socket)
    const file = Buffer.from('/m/a.txt')
    assert.deepEqual(await node.log(file, 5), [VERSION])
    assert.deepEqual(await node.restore(file, '1212'), RESTORED)
    assert.deepEqual(await node.resolve(file), VERSION)
    assert.deepEqual(await node.resolve(file, '1212'), VERSION)
    assert.deepEqual(await node.resolve(file, '1212', true), VERSION)
    assert.equal((await node.invite(3)).token, 'pd1token')
    assert.deepEqual(await node.pair('t'), { id: 'x', name: 'desk' })
    await node.unpair('x')
    assert.equal((await node.join({ volume: 'home' })).label, 'home')
    assert.equal((await node.hold('home', { hold: 'on-demand', budget: 5e9 })).holding.pins[0], '/music')
    await node.hold('', { retainMs: 0 })
    await node.pin(file, true)
    await node.pin(file, false)
    await node.steer('home', 'x', 'pause')
    const heard: unknown[] = []
    assert.deepEqual(await node.check('home', (counts) => heard.push(counts)), [CHECKED])
    assert.deepEqual(heard, [CHECKED.counts])
    await node.kill('root/volumes')
    await node.steer('', 'x', 'skip', file)
    const [rule] = await node.rules()
    assert.deepEqual(rule.schedule, ['sat,sun'])
    assert.deepEqual(await node.addRule(rule), rule)
    assert.deepEqual(await node.setRule(rule, ['paused', 'limit']), rule)
    await node.removeRule(rule.id)
    assert.equal((await node.why(file))[0].reason, 'it is open')
    assert.deepEqual(await node.backups(), [
      { label: 'disk', directory: '/media/disk', state: 'not there', problem: 'no disk' },
    ])
    assert.equal((await node.addBackup({ directory: '/media/disk' })).label, 'home')
    await node.endBackup('disk', 'eject')
    assert.equal((await node.conflicts())[0].versions[0].version, '12121212')
    assert.deepEqual(await node.actors(), services.tree)
    const info = await node.info()
    assert.equal(info.volumes[0].openHandles[0].path, 'a.txt')
    assert.equal(info.memory.rss, 1e8)
    assert.deepEqual(services.asked, [
      ['log', '/m/a.txt', 5],
      ['restore', '/m/a.txt', '1212'],
      ['resolve', '/m/a.txt', undefined],
      ['resolve', '/m/a.txt', '1212'],
      ['resolve', '/m/a.txt', '1212', 'both'],
      ['invite', 3],
      ['pair', 't'],
      ['unpair', 'x'],
      ['join', { volume: 'home', peer: undefined, label: undefined, mountPoint: undefined, onDemand: undefined }],
      ['hold', 'home', { hold: 'on-demand', budget: 5e9 }],
      ['hold', '', { retainMs: 0 }],
      ['pin', '/m/a.txt', true],
      ['pin', '/m/a.txt', false],
      ['steer', 'home', 'x', 'pause'],
      ['check', 'home'],
      ['kill', 'root/volumes'],
      ['steer', '', 'x', 'skip', '/m/a.txt'],
      ['addRule', rule],
      ['setRule', '3f9a2c41', 'paused', 'limit'],
      ['removeRule', '3f9a2c41'],
      ['why', '/m/a.txt'],
      ['addBackup', { directory: '/media/disk', volume: undefined, label: undefined, mountPoint: undefined, only: [] }],
      ['endBackup', 'disk', 'eject'],
    ])
    node.close()
  })

  it('hands on names that are not UTF-8 as they are', async () => {
    const node = await ApiClient.connect(socket)
    await node.log(Buffer.from([0x2f, 0xff, 0xfe]), 1)
    assert.deepEqual(services.asked[0], ['log', '/\xff\xfe', 1])
    node.close()
  })

  it('sends large contents in pieces and in order', async () => {
    const node = await ApiClient.connect(socket)
    const pieces: Uint8Array[] = []
    await node.cat(Buffer.from('/m/a'), '1212', async (bytes) => {
      pieces.push(Buffer.from(bytes))
    })
    assert.ok(pieces.every((piece) => piece.length <= 1 << 20))
    assert.ok(Buffer.concat(pieces).equals(services.contents))
    node.close()
  })

  it('tells failures with code and sentence, and goes on', async () => {
    const node = await ApiClient.connect(socket)
    await assert.rejects(
      node.cat(Buffer.from('/m/a'), 'none', async () => {}),
      { name: 'ServiceError', code: 'NO_SUCH_VERSION', message: 'There is no such version.' },
    )
    await assert.rejects(node.log(Buffer.alloc(0), 1), { code: 'BAD_REQUEST' })
    assert.equal((await node.info()).pid, 42)
    node.close()
  })

  it('streams events, and ends the subscription with the connection', async () => {
    const node = await ApiClient.connect(socket)
    const heard = new Promise<string>((resolve) => {
      node.watch((event) => resolve(event.kind)).catch(() => {})
    })
    await node.info()
    assert.equal(services.listeners.size, 1)
    for (const listener of services.listeners) listener({ kind: 'volumes' })
    assert.equal(await heard, 'volumes')
    node.close()
    await Promise.all(ends)
    assert.equal(services.listeners.size, 0)
  })

  it('stops the node when asked to', async () => {
    const node = await ApiClient.connect(socket)
    await node.stop()
    await node.info()
    assert.equal(stopped, 1)
    node.close()
  })

  it('ends the connection of a client that sends garbage, and only that one', async () => {
    const node = await ApiClient.connect(socket)
    const bad = connect(socket)
    bad.write(Buffer.from([0xff, 0xff, 0xff, 0xff, 1, 2, 3]))
    bad.on('error', () => {})
    bad.resume()
    await once(bad, 'close')
    assert.equal((await node.info()).pid, 42)
    node.close()
    const results = await Promise.all(ends)
    assert.equal(results.filter((r) => (r as Error | undefined)?.name === 'FrameTooLargeError').length, 1)
  })

  it('says that no node runs where none listens', async () => {
    await assert.rejects(ApiClient.connect(path.join(directory, 'nothing')), { code: 'NODE_NOT_RUNNING' })
  })
})
