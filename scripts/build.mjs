// Builds everything: proto/*.proto -> proto/gen (static protobufjs modules), TypeScript -> dist, page files copied.
// Generated files are never edited and never committed.
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import path from 'node:path'

const root = path.dirname(import.meta.dirname)
process.chdir(root)

function run(command, args) {
  const done = spawnSync(command, args, { stdio: 'inherit' })
  if (done.status !== 0) {
    console.error(`build: ${path.basename(command)} ${args[0] ?? ''} failed (exit ${done.status ?? done.signal})`)
    process.exit(done.status || 1)
  }
}

const newer = (a, b) => !existsSync(b) || statSync(a).mtimeMs > statSync(b).mtimeMs

mkdirSync('proto/gen', { recursive: true })
for (const file of readdirSync('proto').filter((f) => f.endsWith('.proto'))) {
  const name = file.slice(0, -'.proto'.length)
  const out = `proto/gen/${name}.js`
  if (!newer(`proto/${file}`, out) && !newer('scripts/build.mjs', out)) continue
  run('node_modules/.bin/pbjs', [
    ...['-t', 'static-module', '-w', 'esm', '--force-number', '--no-verify', '--no-delimited', '--no-service'],
    // A root of its own for each: modules that share one overwrite each other's `peerdrive` namespace.
    ...['--root', name, '--dts', '-o', out, `proto/${file}`],
  ])
}

cpSync('proto/gen', 'dist/proto/gen', { recursive: true })
cpSync('lib/console/page', 'dist/lib/console/page', { recursive: true })
run('node_modules/.bin/tsc', ['-p', '.'])
