// Child process of kill.spec.ts: a volume with its committer in the real thread, changed as fast as it goes until it is
// killed. What is acknowledged is noted in a file, after the journal has it: "<ino> <version>", "gone <ino>".

import fs from 'node:fs'
import { Worker } from 'node:worker_threads'
import { buildContent, cut, hashOf } from '../../../lib/model/index.js'
import type { CommitterMethods, CommitterThreadInit } from '../../../lib/store/committer-thread.js'
import { JournalWriter } from '../../../lib/store/journal.js'
import { PROGRESS_ASLEEP, PROGRESS_JOURNAL_END, PROGRESS_SLOTS } from '../../../lib/store/records.js'
import { StoreReader } from '../../../lib/store/tables.js'
import { openVolume } from '../../../lib/store/volume-store.js'
import { bytesOf, documentOf, SPOOLED } from './killed-content.js'
import { AUTHOR, inode, stamp } from './volume.js'

const [directory, acknowledged] = process.argv.slice(2)
const { layout, description } = openVolume(directory)
const shared = new SharedArrayBuffer(PROGRESS_SLOTS * 8)
const progress = new BigInt64Array(shared)
const init: CommitterThreadInit = { directory, author: AUTHOR, root: description.root, progress: shared, lazyMs: 5 }
process.send!('opening')
const thread = new Worker(new URL('../../../lib/store/committer-thread.js', import.meta.url), { workerData: init })
const { end } = await new Promise<{ end: number }>((resolve, reject) => {
  thread.on('message', ({ ready, failed }) => {
    if (ready) resolve(ready)
    if (failed) reject(new Error(failed.message))
  })
})
const reader = StoreReader.open(layout.db)
const journal = new JournalWriter({ directory: layout.journal, end, rotateAt: 1 << 20 })
const log = fs.openSync(acknowledged, 'a')

const note = (text: string) => fs.writeSync(log, `${text}\n`)
const call = (method: keyof CommitterMethods, ...args: unknown[]) => thread.postMessage({ id: 1, method, args })

function frame(records: () => void): void {
  journal.begin()
  records()
  journal.commitFrame()
  Atomics.store(progress, PROGRESS_JOURNAL_END, BigInt(journal.written))
  if (Atomics.exchange(progress, PROGRESS_ASLEEP, 0n) === 1n) thread.postMessage({ method: 'wake' })
  if (journal.needsRotation) journal.rotate()
}

const link = (ino: number) => journal.entry(1, Buffer.from(`file ${ino}`), { ino, type: 8, stamp: stamp() })

function write(ino: number, version: number, more = () => {}): void {
  const bytes = bytesOf(ino, version)
  frame(() => {
    const lsn = journal.write(ino, 0, bytes, version, 0)
    const content = { kind: 'journal' as const, lsn, size: bytes.length }
    journal.inode(inode(ino, { document: documentOf(ino), content, mtimeSec: version }), true)
    more()
  })
  note(`${ino} ${version}`)
}

function spooled(ino: number, spool: number): void {
  const bytes = bytesOf(ino, SPOOLED)
  frame(() => {
    journal.inode(inode(ino, { document: documentOf(ino) }), false)
    journal.spool(spool, ino, { kind: 'committed', content: { size: 0, inline: new Uint8Array(0), levels: 0 } })
    link(ino)
  })
  fs.writeFileSync(layout.spool(spool), bytes)
  const content = { kind: 'spool' as const, spool, size: bytes.length }
  frame(() => journal.inode(inode(ino, { document: documentOf(ino), content, size: bytes.length }), true))
  note(`${ino} ${SPOOLED}`)
  let offset = 0
  const chunks = cut(bytes).map((length) => {
    const piece = { id: hashOf(bytes.subarray(offset, offset + length)), offset, length }
    offset += length
    return piece
  })
  call('commitContent', { spool, chunks, ...buildContent(chunks.map(({ id, length }) => ({ id, size: length }))) })
  frame(() => journal.spoolGone(spool))
}

let ino = reader.nextIno
let spool = reader.nextSpool
process.send!('working')
for (let round = 1; ; round++) {
  for (let i = 0; i < 40; i++) {
    const made = ino++
    write(made, 1, () => link(made))
    if (made % 3 === 0) write(made, 2)
    if (made % 5 === 0) {
      frame(() => {
        journal.entryGone(1, Buffer.from(`file ${made}`))
        journal.inodeGone(made)
      })
      note(`gone ${made}`)
    }
  }
  if (round % 2 === 0) spooled(ino++, spool++)
  await new Promise((resolve) => setTimeout(resolve, 5))
}
