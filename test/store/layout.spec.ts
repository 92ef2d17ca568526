import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import * as errors from '../../lib/store/errors.js'
import { openTables, StoreReader } from '../../lib/store/tables.js'
import { createVolume, openVolume } from '../../lib/store/volume-store.js'
import { AUTHOR, did, removeDirectory, TestVolume, temporaryDirectory } from './support/volume.js'

describe('directory of a volume', () => {
  let directory: string

  beforeEach(() => {
    directory = temporaryDirectory()
  })

  afterEach(() => removeDirectory(directory))

  const create = (more = {}) => createVolume({ directory, label: 'Photos', author: AUTHOR, ...more })

  it('is created, private, and opened again', async () => {
    const created = await create()
    const { description, lock, layout } = openVolume(directory)
    assert.deepEqual(description, created)
    assert.equal(description.label, 'Photos')
    assert.equal(fs.statSync(layout.description).mode & 0o777, 0o600)
    assert.equal(fs.statSync(layout.packs).mode & 0o777, 0o700)
    const reader = StoreReader.open(layout.db)
    assert.equal(reader.inode(1)?.nlink, 2)
    assert.equal(reader.document(created.root)?.ino, 1)
    assert.equal(reader.lastSeq, 1)
    await reader.close()
    lock.free()
  })

  it('of a volume that joins another has a root without a revision', async () => {
    const { root } = await create({ root: did(77) })
    assert.deepEqual(root, did(77))
    const reader = StoreReader.open(path.join(directory, 'db'))
    assert.equal(reader.document(root), undefined)
    assert.deepEqual(reader.inode(1)?.document, root)
    assert.equal(reader.lastSeq, 0)
    await reader.close()
  })

  it('is not created where there is something else', async () => {
    fs.writeFileSync(path.join(directory, 'letter.txt'), 'dear …')
    await assert.rejects(create(), errors.VolumeExistsError)
    assert.deepEqual(fs.readdirSync(directory), ['letter.txt'])
    fs.rmSync(path.join(directory, 'letter.txt'))
    await create()
    await assert.rejects(create(), errors.VolumeExistsError)
  })

  it('is created where a creation was cut short', async () => {
    await create()
    fs.rmSync(path.join(directory, 'volume.json'))
    assert.throws(() => openVolume(directory), errors.NotAVolumeError)
    await create()
    openVolume(directory).lock.free()
  })

  it('is refused, untouched, when it is none, newer or damaged', async () => {
    assert.throws(() => openVolume(directory), errors.NotAVolumeError)
    assert.throws(() => openVolume(path.join(directory, 'nowhere')), errors.NotAVolumeError)
    assert.deepEqual(fs.readdirSync(directory), [])
    await create()
    const file = path.join(directory, 'volume.json')
    const good = fs.readFileSync(file, 'utf8')
    const json = JSON.parse(good)
    fs.writeFileSync(file, JSON.stringify({ ...json, format: 99 }))
    assert.throws(() => openVolume(directory), errors.NewerFormatError)
    for (const bad of ['', '{', '[]', 'null', good.slice(0, 40), JSON.stringify({ ...json, sid: 'x' })]) {
      fs.writeFileSync(file, bad)
      assert.throws(() => openVolume(directory), errors.DamagedVolumeError)
      assert.equal(fs.readFileSync(file, 'utf8'), bad)
    }
    fs.writeFileSync(file, ' '.repeat(100_000))
    assert.throws(() => openVolume(directory), errors.DamagedVolumeError)
  })

  it('is open in one process only, and free again when that is killed', async () => {
    await create()
    const child = fork(path.join(import.meta.dirname, 'support/lock-child.js'), [directory])
    try {
      await once(child, 'message')
      assert.throws(
        () => openVolume(directory),
        (error: errors.VolumeLockedError) => error instanceof errors.VolumeLockedError && error.pid === child.pid,
      )
    } finally {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    const { lock } = openVolume(directory)
    assert.throws(() => openVolume(directory), errors.VolumeLockedError)
    lock.free()
    openVolume(directory).lock.free()
  })

  it('with a damaged database is told, and nothing is overwritten', async () => {
    await create()
    const file = path.join(directory, 'db', 'data.mdb')
    const whole = fs.readFileSync(file)
    const bad = [whole.subarray(0, 100), Buffer.alloc(whole.length), Buffer.from('not a database'.repeat(1000))]
    for (const bytes of bad) {
      fs.writeFileSync(file, bytes)
      assert.throws(() => openTables(path.join(directory, 'db')), errors.DamagedVolumeError)
      assert.ok(fs.readFileSync(file).equals(bytes))
    }
    fs.rmSync(file)
    assert.throws(() => openTables(path.join(directory, 'db')), errors.StoreError)
    assert.equal(fs.existsSync(file), false)
  })
})

describe('reader of a volume', () => {
  it('sees what another thread committed after refresh(), though its thread never turns', async () => {
    const { Worker } = await import('node:worker_threads')
    const volume = await TestVolume.create()
    const shared = new Int32Array(new SharedArrayBuffer(8))
    const worker = new Worker(path.join(import.meta.dirname, 'support/blocked-reader.js'), {
      workerData: { directory: volume.layout.db, shared },
    })
    try {
      const said = once(worker, 'message')
      // The thread has read once; while it is blocked, a change is committed.
      await (Atomics.waitAsync(shared, 0, 0, 20_000).value as Promise<string>)
      await volume.committer.setSetting('greeting', Buffer.from('hello'))
      Atomics.store(shared, 0, 2)
      Atomics.notify(shared, 0)
      assert.deepEqual((await said)[0], [undefined, undefined, 'hello'])
    } finally {
      await worker.terminate()
      await volume.close()
    }
  })
})
