// What system tests share: scratch directories, waiting for what another process does, and a tree of every kind of file.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { NodeProcess } from '../../bench/node-process.js'
import type { NodeInfo } from '../../lib/api/services.js'

export { NodeProcess }

export const isRoot = process.getuid?.() === 0
export const hasFuse = fs.existsSync('/dev/fuse')

/** A directory of one test, gone afterwards (mounts below it must be gone before). */
export function scratch(): string {
  return fs.mkdtempSync(path.join(tmpdir(), 'pd-'))
}

/**
 * Tries `check` until it no longer throws. For what other processes do, of which nothing can tell us; fails with the last error.
 */
export async function eventually<T>(check: () => T | Promise<T>, limitMs = 30_000, stepMs = 25): Promise<T> {
  const end = Date.now() + limitMs
  for (;;) {
    try {
      return await check()
    } catch (error) {
      if (Date.now() > end) throw error
      await new Promise((resolve) => setTimeout(resolve, stepMs))
    }
  }
}

export const info = (node: NodeProcess): Promise<NodeInfo> => node.with((api) => api.info())

/** The volume of a node that is mounted at its mount point in use. */
export function volumeOf(node: NodeProcess, { volumes }: NodeInfo) {
  const found = volumes.find((v) => v.mountPoint === node.mountPoint)
  assert.ok(found, `no volume at ${node.mountPoint}`)
  return found
}

/** Both nodes have committed everything, told it to each other, and applied it. */
export async function inSync(a: NodeProcess, b: NodeProcess, limitMs = 120_000): Promise<void> {
  await eventually(
    async () => {
      // Asking for a log commits all that was acknowledged and seals every folder; else a folder that rests may follow later.
      for (const node of [a, b]) await node.with((api) => api.log(Buffer.from(node.mountPoint), 1))
      const [infoA, infoB] = [await info(a), await info(b)]
      const [volumeA, volumeB] = [volumeOf(a, infoA), volumeOf(b, infoB)]
      for (const volume of [volumeA, volumeB]) {
        assert.equal(volume.backlog, 0)
        assert.deepEqual(volume.openHandles, [])
      }
      for (const [mine, seq] of [
        [infoA, volumeB.seq],
        [infoB, volumeA.seq],
      ] as const) {
        const worker = mine.sync.find((s) => s.volume === volumeA.label)
        assert.ok(worker, 'no sync worker')
        assert.deepEqual([worker.received, worker.pending], [seq, []])
      }
    },
    limitMs,
    100,
  )
}

/** Pairs b with a and makes it join a's home volume, by the command line's own calls. */
export async function pairAndJoin(a: NodeProcess, b: NodeProcess): Promise<void> {
  const { token } = await a.with((api) => api.invite(10))
  await b.with((api) => api.pair(token))
  const joined = await eventually(() => b.with((api) => api.join({ volume: 'home' })))
  assert.ok(joined.mountPoint)
  b.volumeMounted(joined.mountPoint)
}

/** Files of every kind that sync carries. */
export function writeZoo(directory: string): void {
  fs.mkdirSync(directory)
  const at = (name: string) => path.join(directory, name)
  fs.writeFileSync(at('empty'), '')
  fs.writeFileSync(at('small'), 'a few bytes')
  fs.writeFileSync(at('page'), Buffer.alloc(4096, 'x'))
  fs.writeFileSync(at('medium'), Buffer.alloc(300_000, 'medium '))
  fs.writeFileSync(at('private'), 'secret', { mode: 0o600 })
  fs.writeFileSync(at('tool'), '#!/bin/sh\n', { mode: 0o755 })
  fs.symlinkSync('small', at('link'))
  fs.symlinkSync('/nowhere/at/all', at('dangling'))
  fs.mkdirSync(at('folder'), 0o750)
  fs.writeFileSync(at('folder/ümlaut ☃'), 'named')
  fs.writeFileSync(Buffer.from(`${directory}/not-utf8-\xff\xfe`, 'latin1'), 'bytes')
  fs.utimesSync(at('medium'), 1_500_000_000.123456, 1_600_000_000.654321)
  execFileSync('touch', ['-h', '-d', '2001-02-03T04:05:06.123456789Z', at('link')])
  execFileSync('touch', ['-d', '2001-02-03T04:05:06.987654321Z', at('small')])
  execFileSync('setfattr', ['-n', 'user.colour', '-v', 'green', at('small')])
  execFileSync('setfattr', ['-n', 'user.colour', '-v', 'blue', at('folder')])
  const sparse = fs.openSync(at('sparse'), 'w')
  fs.writeSync(sparse, 'end', 10 << 20)
  fs.closeSync(sparse)
  // rsync leaves times of folders and links alone that differ by less than a second: these differ by more, on any disk.
  execFileSync('touch', ['-h', '-d', '2001-02-03T04:05:06.555555555Z', at('dangling'), at('folder')])
}

/** Writes `mebibytes` MiB that nothing compresses or shares. */
export function writeNoise(file: string, mebibytes: number, seed = 1): void {
  const fd = fs.openSync(file, 'w')
  const piece = Buffer.alloc(1 << 20)
  let x = seed >>> 0 || 1
  for (let i = 0; i < mebibytes; i++) {
    for (let at = 0; at < piece.length; at += 4) {
      x ^= x << 13
      x ^= x >>> 17
      x ^= x << 5
      piece.writeInt32LE(x, at)
    }
    fs.writeSync(fd, piece)
  }
  fs.closeSync(fd)
}
