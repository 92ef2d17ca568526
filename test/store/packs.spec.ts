import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { hex } from '../../lib/model/bytes.js'
import { hashOf } from '../../lib/model/hash.js'
import { ChunkDamagedError, ChunkMissingError } from '../../lib/store/errors.js'
import { VolumeLayout } from '../../lib/store/layout.js'
import { cutPacks, PackWriter } from '../../lib/store/pack-writer.js'
import { PackReader } from '../../lib/store/packs.js'
import type { ChunkLocation } from '../../lib/store/tables.js'
import { removeDirectory, temporaryDirectory } from './support/volume.js'

describe('packs', () => {
  let layout: VolumeLayout
  let writer: PackWriter
  let packs: PackReader
  const index = new Map<string, ChunkLocation>()
  const add = (text: string, size = text.length) => {
    const bytes = Buffer.alloc(size, text)
    const id = hashOf(bytes)
    index.set(hex(id), writer.append(bytes))
    return id
  }
  const text = (id: Uint8Array) => Buffer.from(packs.chunk(id)).toString()

  beforeEach(() => {
    layout = new VolumeLayout(temporaryDirectory())
    for (const directory of [layout.packs, layout.spools]) fs.mkdirSync(directory)
    index.clear()
    writer = new PackWriter({ layout }, { state: { pack: 0, end: 0, last: 0 }, packMax: 1000 })
    packs = new PackReader({ reader: { chunk: (id) => index.get(hex(id)) }, layout })
  })

  afterEach(() => {
    writer.close()
    packs.close()
    removeDirectory(layout.directory)
  })

  it('give back what was appended, from as many packs as it takes', () => {
    const ids = Array.from({ length: 100 }, (_, i) => add(`chunk ${i} `, 100 + i))
    writer.sync()
    writer.kept()
    ids.forEach((id, i) => {
      assert.equal(packs.chunk(id).length, 100 + i)
      assert.ok(text(id).startsWith(`chunk ${i} `))
    })
    assert.ok(writer.state.pack > 10)
    for (const name of fs.readdirSync(layout.packs)) assert.ok(fs.statSync(path.join(layout.packs, name)).size <= 1000)
  })

  it('are as before when a batch is taken back', () => {
    const id = add('stays')
    writer.sync()
    writer.kept()
    const before = writer.state
    for (let i = 0; i < 30; i++) add(`goes ${i}`, 200)
    writer.flush()
    assert.ok(fs.readdirSync(layout.packs).length > 1)
    writer.takeBack()
    assert.deepEqual(writer.state, before)
    assert.deepEqual(fs.readdirSync(layout.packs), ['00000000.pack'])
    assert.equal(fs.statSync(layout.pack(0)).size, before.end)
    const next = add('next')
    writer.sync()
    assert.equal(text(id), 'stays')
    assert.equal(text(next), 'next')
  })

  it('are cut where the index ends, and not appended to when they are too short', () => {
    add('indexed')
    writer.sync()
    const { state } = writer
    fs.appendFileSync(layout.pack(0), 'torn')
    fs.writeFileSync(layout.pack(7), 'never indexed')
    const { reports, short } = cutPacks(layout, state)
    assert.equal(reports.length, 2)
    assert.equal(short, false)
    assert.equal(fs.statSync(layout.pack(0)).size, state.end)
    assert.equal(fs.existsSync(layout.pack(7)), false)
    fs.truncateSync(layout.pack(0), 2)
    assert.equal(cutPacks(layout, state).short, true)
  })

  it('tell missing and damaged chunks', () => {
    const id = add('some bytes')
    const other = add('others')
    writer.sync()
    assert.throws(() => packs.chunk(hashOf(Buffer.from('never'))), ChunkMissingError)
    const fd = fs.openSync(layout.pack(0), 'r+')
    fs.writeSync(fd, 'X', 0)
    fs.closeSync(fd)
    assert.throws(() => packs.chunk(id), ChunkDamagedError)
    assert.equal(Buffer.from(packs.chunk(id, false)).toString(), 'Xome bytes')
    assert.equal(text(other), 'others')
    fs.truncateSync(layout.pack(0), 5)
    assert.throws(() => packs.chunk(other), ChunkDamagedError)
    packs.close()
    fs.rmSync(layout.pack(0))
    assert.throws(() => packs.chunk(other), ChunkDamagedError)
  })

  it('copy from other files, with zeros beyond their end, and adopt whole ones', () => {
    const spool = layout.spool(3)
    const bytes = Buffer.alloc(300, 'spooled ')
    fs.writeFileSync(spool, bytes)
    const fd = fs.openSync(spool, 'r')
    const pieces = [bytes.subarray(8, 108), Buffer.concat([bytes.subarray(200), Buffer.alloc(50)])]
    for (const [i, offset] of [8, 200].entries()) {
      index.set(hex(hashOf(pieces[i])), writer.appendFrom(fd, offset, pieces[i].length))
    }
    fs.closeSync(fd)
    const pack = writer.adopt(spool)
    assert.equal(pack, 1)
    index.set(hex(hashOf(bytes)), { pack, offset: 0, length: bytes.length })
    writer.sync()
    for (const piece of [...pieces, bytes]) assert.deepEqual(Buffer.from(packs.chunk(hashOf(piece))), piece)
    writer.takeBack()
    assert.ok(fs.existsSync(spool))
    assert.equal(fs.existsSync(layout.pack(pack)), false)
  })

  it('need few descriptors', () => {
    const ids = Array.from({ length: 60 }, (_, i) => add(`pack ${i}`, 900))
    writer.sync()
    writer.kept()
    const open = () => fs.readdirSync('/proc/self/fd').length
    const before = process.platform === 'linux' ? open() : 0
    for (const id of [...ids, ...ids]) packs.chunk(id)
    if (process.platform === 'linux') assert.ok(open() - before <= 34)
  })
})
