// What `npm start` and `npm test` do first: install packages when they are missing or out of date, then build.
// Uses nothing but Node itself, since nothing is installed when it first runs.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'

const root = path.dirname(import.meta.dirname)
process.chdir(root)

const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`PeerDrive needs Node.js 20.19 or newer; this is ${process.versions.node}.`)
  process.exit(1)
}

function installed() {
  const hidden = 'node_modules/.package-lock.json'
  if (!existsSync(hidden)) return false
  const want = JSON.parse(readFileSync('package-lock.json', 'utf8')).packages
  const have = JSON.parse(readFileSync(hidden, 'utf8')).packages
  return Object.entries(want).every(
    ([name, entry]) => name === '' || entry.optional || have[name]?.version === entry.version,
  )
}

function run(command, args, what) {
  const done = spawnSync(command, args, { stdio: 'inherit' })
  if (done.status === 0) return
  console.error(`${what} failed (exit ${done.status ?? done.signal}); the lines above say why.`)
  process.exit(done.status || 1)
}

if (!installed()) {
  console.log('Installing packages (once, about half a minute) …')
  run('npm', ['ci', '--no-audit', '--no-fund'], 'npm ci')
}
console.log('Building …')
run(process.execPath, ['scripts/build.mjs'], 'The build')
