// Child process of trust.spec.ts: renames a device as fast as it can and says so after each change, until it is killed.
import { writeSync } from 'node:fs'
import { deviceIdOf } from '../../lib/peers/device-id.js'
import { Trust } from '../../lib/peers/trust.js'

const trust = new Trust({}, { file: process.argv[2] })
const id = deviceIdOf(new Uint8Array(32).fill(7))
trust.add({ id, name: '0' })
for (let n = 1; ; n++) {
  trust.rename(id, String(n))
  writeSync(1, `${n}\n`)
}
