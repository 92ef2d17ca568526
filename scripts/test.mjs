// Runs the built tests, all of them or the folders and files named: `node scripts/test.mjs model store/packs.spec`.
// The last line is always `N passed, N failed[, N skipped]`.
import { spawnSync } from 'node:child_process'
import path from 'node:path'

const root = path.dirname(import.meta.dirname)
process.chdir(root)
const wanted = process.argv.slice(2).filter((a) => !a.startsWith('-'))
const flags = process.argv.slice(2).filter((a) => a.startsWith('-'))
const patterns = wanted.length ? wanted.map((w) => `dist/test/${w.replace(/\.spec(\.ts)?$/, '')}`) : ['dist/test']
const specs = patterns.map((p) => `${p}{.spec.js,/**/*.spec.js}`)
const done = spawnSync(
  process.execPath,
  [
    ...['node_modules/mocha/bin/mocha.js', '--reporter', 'dist/test/support/reporter.js', '--enable-source-maps'],
    ...['--timeout', '30000', '--exit', ...flags, ...specs],
  ],
  { stdio: 'inherit' },
)
process.exit(done.status ?? 1)
