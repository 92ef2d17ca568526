import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import { checkVolume } from '../../lib/store/check.js'
import { bytesOf, documentOf, SPOOLED } from './support/killed-content.js'
import { removeDirectory, TestVolume } from './support/volume.js'

const KILLS = 10

interface Acknowledged {
  versions: Map<number, number[]>
  gone: Set<number>
}

function readNotes(file: string): Acknowledged {
  const versions = new Map<number, number[]>()
  const gone = new Set<number>()
  for (const line of fs.readFileSync(file, 'latin1').split('\n').slice(0, -1)) {
    const [first, second] = line.split(' ')
    if (first === 'gone') gone.add(Number(second))
    else versions.set(Number(first), [...(versions.get(Number(first)) ?? []), Number(second)])
  }
  return { versions, gone }
}

/** Starts a child and kills it somewhere: `when` milliseconds after it began to open the volume, or to work. */
async function killOne(directory: string, notes: string, after: string, when: number): Promise<void> {
  const child = fork(path.join(import.meta.dirname, 'support/killed-child.js'), [directory, notes])
  let failed = false
  try {
    await new Promise<void>((resolve, reject) => {
      child.on('message', (message) => message === after && resolve())
      child.on('exit', (code) => reject(new Error(`The child ended with ${code}`)))
    })
    await new Promise((resolve) => setTimeout(resolve, when))
    failed = child.exitCode !== null
  } finally {
    const exited = once(child, 'exit')
    if (child.exitCode === null && child.kill('SIGKILL')) await exited
  }
  assert.equal(failed, false, 'The child ended by itself')
}

function verify(volume: TestVolume, { versions, gone }: Acknowledged): void {
  const { reader } = volume
  reader.refresh()
  for (const [ino, acknowledged] of versions) {
    const row = reader.inode(ino)
    if (gone.has(ino)) {
      assert.equal(row, undefined, `inode ${ino} is gone`)
      continue
    }
    // What was on its way when the process was killed may be there or not.
    const last = acknowledged.at(-1)!
    if (!row) assert.ok(ino % 5 === 0, `inode ${ino} is lost`)
    else if (last === SPOOLED) verifySpooled(volume, ino)
    else {
      const content = volume.content(documentOf(ino))
      assert.ok(
        [last, last + 1].some((version) => content.equals(bytesOf(ino, version))),
        `content of ${ino}`,
      )
      const kept = volume.history(documentOf(ino)).map(({ modified }) => modified.sec)
      for (const version of acknowledged) assert.ok(kept.includes(version), `version ${version} of ${ino}`)
    }
  }
}

function verifySpooled(volume: TestVolume, ino: number): void {
  const { content } = volume.reader.inode(ino)!
  const bytes =
    content.kind === 'spool'
      ? fs.readFileSync(volume.layout.spool(content.spool))
      : Buffer.from(volume.read(content.kind === 'committed' ? content.content : assert.fail()))
  assert.ok(bytes.equals(bytesOf(ino, SPOOLED)), `spooled content of ${ino}`)
}

describe('kill -9', () => {
  it('loses nothing that was acknowledged, at whatever moment', async function () {
    this.timeout(120_000)
    const volume = await TestVolume.create()
    const notes = path.join(volume.directory, '..', `${path.basename(volume.directory)}.notes`)
    fs.writeFileSync(notes, '')
    try {
      await volume.leave()
      let lastSeq = 0
      for (let kill = 0; kill < KILLS; kill++) {
        const opening = kill % 3 === 2
        await killOne(volume.directory, notes, opening ? 'opening' : 'working', Math.random() * (opening ? 80 : 150))
        // Every other time the next child has to recover by itself.
        if (kill % 2 === 0 && kill < KILLS - 1) continue
        volume.open()
        await volume.flush()
        verify(volume, readNotes(notes))
        assert.deepEqual(
          checkVolume({ reader: volume.reader, layout: volume.layout }, { chunks: kill === KILLS - 1 }),
          [],
        )
        volume.reader.refresh()
        assert.ok(volume.reader.lastSeq >= lastSeq)
        lastSeq = volume.reader.lastSeq
        await volume.leave()
      }
      const { versions } = readNotes(notes)
      assert.ok(versions.size > 100, `only ${versions.size} files`)
    } finally {
      removeDirectory(volume.directory)
      fs.rmSync(notes, { force: true })
    }
  })
})
