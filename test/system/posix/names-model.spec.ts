// Random operations on names and attributes by several users, on the mount and on a disk: the same answers, the same tree with the
// same modes, owners, link counts and sizes, and the same times moved, after every operation.
// PEERDRIVE_POSIX_RUNS: how many sequences; PEERDRIVE_POSIX_SEED: which.

import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, rmSync } from 'node:fs'
import fc from 'fast-check'
import * as c from './support/calls.js'
import { moved, type Operation, operation, perform, type Snapshot, snapshot } from './support/operations.js'
import { Places } from './support/places.js'

const RUNS = Number(process.env.PEERDRIVE_POSIX_RUNS ?? 40)
const SEED = Number(process.env.PEERDRIVE_POSIX_SEED ?? 0)

describe('POSIX: random operations on names, against a disk', function () {
  this.timeout(0)
  const places = Places.use()

  it('give the same answers and the same tree', function () {
    if (!places.disk) return this.skip()
    const before = c.umask(0)
    try {
      fc.assert(
        fc.property(fc.array(operation, { minLength: 1, maxLength: 60, size: 'max' }), (operations) =>
          sequence(operations),
        ),
        { numRuns: RUNS, seed: SEED, endOnFailure: process.env.PEERDRIVE_POSIX_SHRINK === '0' },
      )
    } finally {
      c.umask(before)
    }
  })

  function sequence(operations: Operation[]): void {
    // One level down, so that `..` is the case's own as well.
    const outer = places.directories()
    const [disk, mount] = outer.map((directory) => `${directory}/in`)
    for (const directory of [...outer, disk, mount]) mkdirSync(directory, { recursive: true })
    for (const directory of [...outer, disk, mount]) chmodSync(directory, 0o777)
    let before: Snapshot[] = [snapshot(disk), snapshot(mount)]
    const done: string[] = []
    for (const operation of operations) {
      const onDisk = perform(disk, operation)
      const onMount = perform(mount, operation)
      done.push(`${JSON.stringify(operation)}: ${shownAs(onDisk)}`)
      const last = done.slice(-12).join('\n')
      assert.equal(shownAs(onMount), shownAs(onDisk), last)
      const after = [snapshot(disk), snapshot(mount)]
      assert.deepEqual(after[1].tree, after[0].tree, last)
      assert.deepEqual(moved(before[1], after[1]), moved(before[0], after[0]), last)
      before = after
    }
    for (const directory of outer) rmSync(directory, { recursive: true })
  }
})

const shownAs = (result: number | string) => (typeof result === 'number' ? c.said(result) : result)
