// Git with a repository of some size in the mount: the same commands there and on the disk give the same objects, trees and refs.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import path from 'node:path'
import { differences, manifest } from './manifest.js'
import { hasFuse, NodeProcess, scratch } from './support.js'

const FILES = 2000
const COMMITS = 300
const TOPIC = 50
/** Commits of the main branch that the topic branch does not have before it is rebased. */
const BEHIND = 100

describe('Git in the mount', function () {
  this.timeout(300_000)
  let directory: string
  let node: NodeProcess

  before(async function () {
    if (!hasFuse) {
      console.log('skipped: git in the mount needs /dev/fuse')
      return this.skip()
    }
    directory = scratch()
    node = new NodeProcess({ home: path.join(directory, 'node'), args: ['--no-discovery'] })
    await node.start()
  })
  after(async () => {
    await node?.stop()
    if (directory) fs.rmSync(directory, { recursive: true, force: true })
  })

  it('makes, rebases, packs, checks and clones a large repository as on a disk', async () => {
    const stream = history()
    const disk = path.join(directory, 'disk')
    fs.mkdirSync(disk)
    const results = [disk, node.mountPoint].map((place) => work(place, stream))
    assert.deepEqual(results[1], results[0])
    const trees = () => [disk, node.mountPoint].map((place) => contents(manifest(path.join(place, 'clone'))))
    const [onDisk, inMount] = trees()
    assert.deepEqual(differences(onDisk, inMount), [])
    // The same after everything was written and read again.
    await node.stop()
    await node.start()
    assert.deepEqual(differences(onDisk, trees()[1]), [])
    for (const repository of ['repository', 'clone', 'linked clone'])
      git(path.join(node.mountPoint, repository), 'fsck', '--full', '--strict')
    assert.equal(git(path.join(node.mountPoint, 'clone'), 'status', '--porcelain'), '')
  })
})

/** Everything that git does with the repository; answers what came of it. */
function work(place: string, stream: string): string[] {
  const repository = path.join(place, 'repository')
  git(place, 'init', '-q', '-b', 'main', 'repository')
  execFileSync('git', ['fast-import', '--quiet'], { cwd: repository, input: stream })
  git(repository, 'checkout', '-q', 'topic')
  git(repository, 'rebase', '-q', 'main')
  fs.writeFileSync(path.join(repository, 'dir0/file0'), 'changed, and put away\n')
  git(repository, 'stash', '-q')
  git(repository, 'gc', '-q')
  git(repository, 'stash', 'pop', '-q')
  git(repository, 'commit', '-qam', 'what was put away')
  git(repository, 'fsck', '--full', '--strict')
  git(place, 'clone', '-q', '--no-hardlinks', 'repository', 'clone')
  git(place, 'clone', '-q', '--local', 'repository', 'linked clone')
  const clone = path.join(place, 'clone')
  return [
    git(repository, 'rev-parse', 'HEAD', 'HEAD^{tree}', 'main'),
    git(repository, 'rev-list', '--count', 'HEAD'),
    git(repository, 'status', '--porcelain'),
    git(clone, 'rev-parse', 'HEAD'),
    git(clone, 'status', '--porcelain'),
    git(clone, 'ls-files', '-s'),
  ]
}

function git(cwd: string, ...args: string[]): string {
  const who = { NAME: 'Test', EMAIL: 'test@example.org', DATE: '2026-01-01T12:00:00Z' }
  const env: NodeJS.ProcessEnv = { ...process.env, GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1' }
  for (const [key, value] of Object.entries(who)) env[`GIT_AUTHOR_${key}`] = env[`GIT_COMMITTER_${key}`] = value
  const stdio: ('ignore' | 'pipe')[] = ['ignore', 'pipe', 'pipe']
  return execFileSync('git', args, { cwd, env, encoding: 'utf8', stdio, maxBuffer: 1 << 26 })
}

/** Names, modes and contents; times and what is in `.git` differ. */
function contents(tree: Map<string, string>): Map<string, string> {
  return new Map([...tree].filter(([name]) => !name.startsWith('.git')).map(([name, line]) => [name, plain(line)]))
}

const plain = (line: string) => line.replace(/^(\S+ \S+) \d+ /, '$1 ')

/** For git fast-import: a main branch that touches every file, and a topic branch that left it earlier and touches others. */
function history(): string {
  const lines: string[] = []
  const commit = (branch: string, n: number, changes: [name: string, text: string][], from?: string) => {
    lines.push(`commit refs/heads/${branch}`, `mark :${branch === 'main' ? n + 1 : 10_000 + n}`)
    lines.push(`committer Test <test@example.org> ${1_700_000_000 + 60 * n} +0000`, data(`${branch} ${n}`))
    if (from) lines.push(`from ${from}`)
    for (const [name, text] of changes) lines.push(`M 100644 inline ${name}`, data(text))
    lines.push('')
  }
  const name = (i: number) => `dir${i % 40}/file${i}`
  const first = Array.from({ length: FILES }, (_, i): [string, string] => [name(i), `file ${i}\n`.repeat(1 + (i % 50))])
  commit('main', 0, first)
  for (let n = 1; n < COMMITS; n++)
    commit('main', n, [
      [name((n * 7) % (FILES / 2)), `main ${n}\n`.repeat(20)],
      [`new${n}`, `${n}\n`],
    ])
  for (let n = 0; n < TOPIC; n++)
    commit(
      'topic',
      n,
      [
        [name(FILES / 2 + n), `topic ${n}\n`],
        [`topic/${n}`, `${n}\n`],
      ],
      n === 0 ? `:${COMMITS - BEHIND}` : undefined,
    )
  return `${lines.join('\n')}\ndone\n`
}

const data = (text: string) => `data ${Buffer.byteLength(text)}\n${text}`
