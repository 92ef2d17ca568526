// The long run of the simulation and of the laws of the tree: `npm run simulate [histories [first seed]]`, 1,000 from a random
// seed unless said. What fails is shown with its seed and the shortest history found.
import { spawnSync } from 'node:child_process'
import path from 'node:path'

process.chdir(path.dirname(import.meta.dirname))
const [runs = '1000', seed = String(Math.floor(Math.random() * 100_000))] = process.argv.slice(2)
console.log(`${runs} histories of 2, 3 and 4 devices each, from seed ${seed}; ${Number(runs) * 20} of the laws.`)
const env = { ...process.env, PEERDRIVE_RUNS: runs, PEERDRIVE_SEED: seed, PEERDRIVE_LAWS: String(Number(runs) * 20) }
const specs = ['sync/simulation/convergence', 'sync/tree-laws']
const done = spawnSync(process.execPath, ['scripts/test.mjs', ...specs], { stdio: 'inherit', env })
process.exit(done.status ?? 1)
