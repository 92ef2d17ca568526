import assert from 'node:assert/strict'
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterEach, describe, it } from 'mocha'
import { base32, fromBase32 } from '../../lib/peers/base32.js'
import { deviceIdOf, deviceKeyOf } from '../../lib/peers/device-id.js'
import {
  cleanName,
  fingerprint,
  loadDeviceKey,
  PrivateFileDamagedError,
  PrivateFileExposedError,
} from '../../lib/peers/index.js'
import { cleanAll, directory } from './support.js'

describe('peers: device key', () => {
  afterEach(cleanAll)

  it('is made once, kept private, and read again', async () => {
    const file = path.join(directory(), 'config', 'device.key')
    const made = await loadDeviceKey(file)
    const read = await loadDeviceKey(file)
    assert.equal(made.id, read.id)
    assert.equal(made.publicKey.length, 32)
    assert.equal(statSync(file).mode & 0o777, 0o600)
    assert.equal(statSync(path.dirname(file)).mode & 0o777, 0o700)
    assert.deepEqual(readdirSync(path.dirname(file)), ['device.key'])
    assert.equal(readFileSync(file).length, 68)
  })

  it('is refused when others can read it, with what to do', async () => {
    const file = path.join(directory(), 'device.key')
    await loadDeviceKey(file)
    for (const mode of [0o640, 0o604, 0o620, 0o601]) {
      chmodSync(file, mode)
      await assert.rejects(
        loadDeviceKey(file),
        (error: Error) => error instanceof PrivateFileExposedError && /chmod 600/.test(error.message),
      )
    }
    chmodSync(file, 0o600)
    await loadDeviceKey(file)
  })

  it('is never replaced when the file is damaged', async () => {
    const file = path.join(directory(), 'device.key')
    const { id } = await loadDeviceKey(file)
    const good = readFileSync(file)
    for (const bad of [good.subarray(0, 30), Buffer.alloc(0), Buffer.alloc(68), Buffer.alloc(5 << 20)]) {
      writeFileSync(file, bad)
      await assert.rejects(loadDeviceKey(file), PrivateFileDamagedError)
      assert.equal(readFileSync(file).length, bad.length)
    }
    writeFileSync(file, good)
    assert.equal((await loadDeviceKey(file)).id, id)
  })

  it('has one id in text and in bytes, and a fingerprint that stays', () => {
    const id = deviceIdOf(Uint8Array.from({ length: 32 }, (_, i) => i))
    assert.equal(id, GOLDEN_ID)
    assert.deepEqual(
      [...deviceKeyOf(id)],
      Array.from({ length: 32 }, (_, i) => i),
    )
    assert.equal(fingerprint(id), GOLDEN_FINGERPRINT)
    for (const bad of ['', 'x', 'Qm', 'QmNPubsDWATVngE3d5WDSNe7eVrFLuk38qb9t6vdLnu2aK', `${id}x`, 'a'.repeat(10_000)]) {
      assert.throws(() => deviceKeyOf(bad), { code: 'PROTOCOL' })
    }
  })

  it('has a name without tricks', () => {
    assert.equal(cleanName('  Anna’s  lap\ttop\n'), 'Anna’s lap top')
    assert.equal(cleanName('a\u202Eb\u0000\u200B'), 'a b')
    assert.equal(cleanName('\n'), 'unnamed device')
    assert.equal([...cleanName('😀'.repeat(100))].length, 64)
  })

  it('writes base 32 as RFC 4648 does', () => {
    const vectors = {
      '': '',
      f: 'my',
      fo: 'mzxq',
      foo: 'mzxw6',
      foob: 'mzxw6yq',
      fooba: 'mzxw6ytb',
      foobar: 'mzxw6ytboi',
    }
    for (const [bytes, text] of Object.entries(vectors)) {
      assert.equal(base32(Buffer.from(bytes)), text)
      assert.equal(Buffer.from(fromBase32(text)!).toString(), bytes)
    }
    for (const bad of ['m', 'mz1', 'mzx', 'mzxw6y', 'mz', 'MY', '=']) assert.equal(fromBase32(bad), undefined, bad)
  })
})

const GOLDEN_ID = '12D3KooW9pP4Seg3kZYhySpuVjn1RPdQBsUFZKiFxGMGQN5MeL6A'
const GOLDEN_FINGERPRINT = '464c-vkuz-io2d'
