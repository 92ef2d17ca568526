import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterEach, describe, it } from 'mocha'
import {
  type Device,
  PrivateFileDamagedError,
  PrivateFileExposedError,
  Trust,
  temporaryDeviceKey,
} from '../../lib/peers/index.js'
import { cleanAll, directory } from './support.js'

const VOLUME = '00112233445566778899aabbccddeeff'

describe('peers: trust', () => {
  afterEach(cleanAll)

  it('keeps devices, permissions and addresses over a restart, and tells of changes', async () => {
    const file = path.join(directory(), 'trust.json')
    const trust = new Trust({ clock: () => 42 }, { file })
    const events: string[] = []
    for (const event of ['paired', 'changed', 'revoked'] as const)
      trust.on(event, (device: Device) => events.push(`${event} ${device.name}`))
    const [a, b] = [await id(), await id()]
    trust.add({ id: a, name: 'Anna', addresses: ['/ip4/10.0.0.1/tcp/1'] })
    trust.add({ id: b, name: 'Bert\n' })
    trust.permit(a, VOLUME, 'backup')
    trust.permit(a, VOLUME, 'backup')
    trust.rememberAddress(a, '/ip4/10.0.0.2/tcp/2')
    trust.rename(a, 'Anna2')
    trust.revoke(b)
    assert.deepEqual(events, [
      'paired Anna',
      'paired Bert',
      'changed Anna',
      'changed Anna',
      'changed Anna2',
      'revoked Bert',
    ])
    const again = new Trust({}, { file })
    assert.deepEqual(again.list(), [
      {
        id: a,
        name: 'Anna2',
        pairedAt: 42,
        addresses: ['/ip4/10.0.0.2/tcp/2', '/ip4/10.0.0.1/tcp/1'],
        volumes: { [VOLUME]: 'backup' },
      },
    ])
    assert.equal(again.permission(a, VOLUME), 'backup')
    assert.equal(again.permission(b, VOLUME), undefined)
    assert.equal(again.trusts(b), false)
    assert.equal(statSync(file).mode & 0o777, 0o600)
    again.permit(a, VOLUME, undefined)
    assert.equal(new Trust({}, { file }).permission(a, VOLUME), undefined)
  })

  it('shows a provisional device only when it is confirmed, and forgets it in time', async () => {
    let now = 1000
    const file = path.join(directory(), 'trust.json')
    const trust = new Trust({ clock: () => now }, { file })
    const [a, b] = [await id(), await id()]
    trust.add({ id: a, name: 'Anna' }, 2000)
    trust.add({ id: b, name: 'Bert' }, 2000)
    assert.ok(trust.trusts(a) && trust.trusts(b))
    assert.equal(trust.list().length, 0)
    trust.confirm(a)
    now = 2000
    assert.deepEqual([trust.trusts(a), trust.trusts(b)], [true, false])
    assert.deepEqual(
      new Trust({ clock: () => now }, { file }).list().map((device) => device.id),
      [a],
    )
    trust.add({ id: a, name: 'Anna' }, 3000)
    now = 4000
    assert.ok(trust.trusts(a), 'pairing again takes nothing away')
  })

  it('refuses a damaged or exposed file instead of forgetting everybody', async () => {
    const file = path.join(directory(), 'trust.json')
    new Trust({}, { file }).add({ id: await id(), name: 'Anna' })
    const good = readFileSync(file, 'utf8')
    const bad = [
      '',
      '{',
      good.slice(0, -10),
      good.replace('"format": 1', '"format": 2'),
      good.replace('12D3', '12D4'),
      '{"format":1,"devices":{}}',
    ]
    for (const text of bad) {
      writeFileSync(file, text)
      assert.throws(() => new Trust({}, { file }), PrivateFileDamagedError, text)
    }
    writeFileSync(file, good)
    chmodSync(file, 0o620)
    assert.throws(() => new Trust({}, { file }), PrivateFileExposedError)
  })

  it('does not claim what it could not write', async () => {
    const blocked = path.join(directory(), 'a file')
    const trust = new Trust({}, { file: path.join(blocked, 'trust.json') })
    writeFileSync(blocked, '')
    const a = await id()
    assert.throws(() => trust.add({ id: a, name: 'Anna' }))
    assert.equal(trust.trusts(a), false)
  })

  it('survives kill -9 at any moment: every change that was told is there, and the file is whole', async function () {
    this.timeout(120_000)
    const file = path.join(directory(), 'trust.json')
    const script = path.join(import.meta.dirname, 'trust-writer.js')
    for (let round = 0; round < 3; round++) {
      const child = spawn(process.execPath, [script, file], { stdio: ['ignore', 'pipe', 'inherit'] })
      let told = ''
      child.stdout.on('data', (data) => (told += data))
      await once(child.stdout, 'data')
      await new Promise((resolve) => setTimeout(resolve, 20 * round))
      child.kill('SIGKILL')
      await once(child, 'close')
      const last = told.split('\n').at(-2)!
      const name = new Trust({}, { file }).list()[0].name
      assert.ok(Number(name) === Number(last) || Number(name) === Number(last) + 1, `${name} after ${last}`)
    }
    assert.ok(existsSync(file))
  })
})

async function id(): Promise<string> {
  return (await temporaryDeviceKey()).id
}
