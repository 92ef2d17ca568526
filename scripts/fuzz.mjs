// The long run of the fuzzed peer: `npm run fuzz [messages [seed]]`, 1,000,000 from a random seed unless said: all of them to a device in
// memory, one in fifty to a real node over a real link.
import { spawnSync } from 'node:child_process'
import path from 'node:path'

process.chdir(path.dirname(import.meta.dirname))
const [messages = '1000000', seed = String(Math.floor(Math.random() * 2 ** 31))] = process.argv.slice(2)
const env = { ...process.env, PEERDRIVE_FUZZ: messages, PEERDRIVE_SEED: seed }
const done = spawnSync(process.execPath, ['scripts/test.mjs', 'sync/fuzz', 'system/fuzz'], { stdio: 'inherit', env })
process.exit(done.status ?? 1)
