import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Worker } from 'node:worker_threads'
import { encodeContent } from '../../../lib/model/content-tree.js'
import { HasherClosedError, HasherCrashedError, SpoolUnreadableError } from '../../../lib/volume/hashing/errors.js'
import type { HashJob } from '../../../lib/volume/hashing/hash-job.js'
import { HasherPool } from '../../../lib/volume/hashing/pool.js'
import { noise } from '../noise.js'

describe('the hasher pool', () => {
  let directory: string
  let pool: HasherPool
  const started: Worker[] = []
  const startThread = () => {
    const url = new URL('../../../lib/volume/hashing/hasher-thread.js', import.meta.url)
    const worker = new Worker(url)
    started.push(worker)
    return worker
  }

  beforeEach(() => {
    directory = mkdtempSync(path.join(tmpdir(), 'peerdrive-pool-'))
    started.length = 0
    pool = new HasherPool({ startThread }, { threads: 1, idleMs: 20 })
  })
  afterEach(async () => {
    await pool.close()
    rmSync(directory, { recursive: true })
  })

  function spool(name: string, bytes: Uint8Array): HashJob {
    const file = path.join(directory, name)
    writeFileSync(file, bytes)
    return { path: file, size: bytes.length, volume: directory, baseSize: 0, ranges: [] }
  }
  const ended = (worker: Worker) => new Promise<void>((resolve) => worker.once('exit', () => resolve()))

  it('starts no thread without work, hashes in one, and lets it go when it is idle', async () => {
    assert.equal(pool.summary().threads, 0)
    const bytes = noise(400_000, 1)
    const { content } = await pool.hash(spool('a', bytes))
    assert.deepEqual(content, encodeContent(bytes).content)
    await ended(started[0])
    assert.equal(pool.summary().threads, 0)
    assert.deepEqual((await pool.hash(spool('b', bytes))).content, content)
    assert.equal(started.length, 2)
  })

  it('loses no job with a thread that dies', async () => {
    const job = spool('large', new Uint8Array(0))
    job.size = 160 << 20
    truncateSync(job.path, job.size)
    let told = 0
    const result = pool.hash(job, (bytes) => {
      if (told++ === 0) {
        assert.ok(bytes > 0)
        assert.ok(pool.killOne())
      }
    })
    const small = pool.hash(spool('small', noise(1000, 2)))
    assert.equal((await result).content.size, job.size)
    assert.equal((await small).content.size, 1000)
    assert.equal(started.length, 2)
    assert.equal(pool.summary().crashes, 1)
  })

  it('gives up on a job that kills every thread, and goes on with others', async () => {
    const poison = { ...spool('poison', noise(1000, 3)), baseBytes: noise(10, 1), ranges: null as never }
    await assert.rejects(pool.hash(poison), HasherCrashedError)
    assert.equal((await pool.hash(spool('good', noise(1000, 4)))).content.size, 1000)
  })

  it('says at once that a spool cannot be read', async () => {
    const job = { ...spool('x', noise(1000, 5)), path: path.join(directory, 'absent') }
    await assert.rejects(pool.hash(job), (error: Error) => {
      assert.ok(error instanceof SpoolUnreadableError)
      assert.match(error.message, /ENOENT/)
      return true
    })
    assert.equal(pool.summary().crashes, 0)
  })

  it('fails what waits when it is closed', async () => {
    const jobs = [pool.hash(spool('1', noise(1000, 6))), pool.hash(spool('2', noise(1000, 7)))]
    const outcomes = Promise.allSettled(jobs)
    await pool.close()
    for (const outcome of await outcomes) {
      assert.equal(outcome.status, 'rejected')
      assert.ok(outcome.reason instanceof HasherClosedError)
    }
    await assert.rejects(pool.hash(spool('3', noise(1000, 8))), HasherClosedError)
  })
})
