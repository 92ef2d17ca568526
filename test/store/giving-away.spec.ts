// Chunks that go, packs that are written anew: compared with a model, through crashes.

import assert from 'node:assert/strict'
import fs from 'node:fs'
import fc from 'fast-check'
import { hex } from '../../lib/model/bytes.js'
import { hashOf } from '../../lib/model/hash.js'
import { ChunkMissingError } from '../../lib/store/errors.js'
import { GONE_PACKS } from '../../lib/store/giving-away.js'
import { PackReader } from '../../lib/store/packs.js'
import { StoreReader } from '../../lib/store/tables.js'
import { noise } from '../model/support.js'
import { TestVolume } from './support/volume.js'

const chunkOf = (seed: number) => {
  const bytes = noise(1000 + seed * 7, seed + 1)
  return { id: hashOf(bytes), bytes }
}

describe('giving chunks away', () => {
  let volume: TestVolume

  beforeEach(async () => {
    volume = await TestVolume.create({ packMax: 10_000 })
  })

  afterEach(() => volume.close())

  const packOf = (id: Uint8Array) => {
    volume.reader.refresh()
    return volume.reader.chunk(id)?.pack
  }
  const files = () => fs.readdirSync(volume.layout.packs).map((name) => Number.parseInt(name, 16))

  it('forgets those that are named, and gives the room of empty packs back', async () => {
    const chunks = Array.from({ length: 20 }, (_, i) => chunkOf(i))
    await volume.committer.importChunks(chunks)
    const first = packOf(chunks[0].id)!
    const inFirst = chunks.filter(({ id }) => packOf(id) === first)
    const [stays, ...go] = inFirst
    assert.equal(
      await volume.committer.dropChunks(go.map(({ id }) => id)),
      go.reduce((sum, { bytes }) => sum + bytes.length, 0),
    )
    assert.equal(packOf(go[0].id), undefined)
    assert.throws(() => volume.packs.chunk(go[0].id), ChunkMissingError)
    assert.deepEqual(await volume.committer.removePacks([first]), [], 'something is in it still')
    assert.ok(files().includes(first))
    await volume.committer.moveChunks(
      first,
      inFirst.map(({ id }) => id),
    )
    assert.notEqual(packOf(stays.id), first)
    assert.deepEqual(await volume.committer.removePacks([first]), [first])
    assert.ok(!files().includes(first))
    for (const { id, bytes } of chunks)
      if (!go.some((gone) => gone.id === id)) assert.deepEqual(Buffer.from(volume.packs.chunk(id)), Buffer.from(bytes))
    // What was forgotten can come again.
    await volume.committer.importChunks(go)
    for (const { id, bytes } of go) assert.deepEqual(Buffer.from(volume.packs.chunk(id)), Buffer.from(bytes))
  })

  it('empties the pack that is appended to as well, and leaves a damaged chunk where it is', async () => {
    const chunks = [chunkOf(1), chunkOf(2)]
    await volume.committer.importChunks(chunks)
    const { pack, offset } = volume.reader.chunk(chunks[0].id)!
    const file = volume.layout.pack(pack)
    const fd = fs.openSync(file, 'r+')
    fs.writeSync(fd, Buffer.of(1, 2, 3), 0, 3, offset)
    fs.closeSync(fd)
    await volume.committer.moveChunks(
      pack,
      chunks.map(({ id }) => id),
    )
    assert.equal(packOf(chunks[0].id), pack)
    assert.notEqual(packOf(chunks[1].id), pack)
    assert.deepEqual(await volume.committer.removePacks([pack]), [])
    await volume.committer.repairChunks([chunks[0]])
    assert.deepEqual(await volume.committer.removePacks([pack]), [pack])
    for (const { id, bytes } of chunks) assert.deepEqual(Buffer.from(volume.packs.chunk(id)), Buffer.from(bytes))
  })

  it('removes at the next start what a crash left of a pack that was emptied', async () => {
    const chunk = chunkOf(3)
    await volume.committer.importChunks([chunk])
    const pack = packOf(chunk.id)!
    const saved = fs.readFileSync(volume.layout.pack(pack))
    await volume.committer.moveChunks(pack, [chunk.id])
    await volume.committer.removePacks([pack])
    // As if the process had died between the commit and the removal.
    fs.writeFileSync(volume.layout.pack(pack), saved)
    await volume.crash()
    assert.ok(!files().includes(pack))
    assert.equal(Buffer.from(volume.reader.setting(GONE_PACKS)!).toString(), `[${pack}]`)
    assert.deepEqual(Buffer.from(volume.packs.chunk(chunk.id)), Buffer.from(chunk.bytes))
  })

  it('is seen by a reader that knows the old places', async () => {
    const chunk = chunkOf(4)
    await volume.committer.importChunks([chunk])
    const pack = packOf(chunk.id)!
    const reader = StoreReader.open(volume.layout.db)
    try {
      // A snapshot of before, as a thread has that does not turn its event loop.
      assert.equal(reader.chunk(chunk.id)?.pack, pack)
      const stale = { chunk: () => ({ pack, offset: 0, length: chunk.bytes.length }) }
      await volume.committer.moveChunks(pack, [chunk.id])
      await volume.committer.removePacks([pack])
      let refreshed = 0
      const index = {
        chunk: (id: Uint8Array) => (refreshed ? reader.chunk(id) : stale.chunk()),
        refresh: () => {
          refreshed++
          reader.refresh()
        },
      }
      const late = new PackReader({ reader: index, layout: volume.layout })
      assert.deepEqual(Buffer.from(late.chunk(chunk.id)), Buffer.from(chunk.bytes))
      assert.equal(refreshed, 1)
      late.close()
    } finally {
      await reader.close()
    }
  })

  it('has just what it should have after any history', async () => {
    const chunks = Array.from({ length: 12 }, (_, i) => chunkOf(i + 30))
    const step = fc.oneof(
      fc.record({ do: fc.constant('import' as const), which: fc.subarray(chunks, { minLength: 1 }) }),
      fc.record({ do: fc.constant('drop' as const), which: fc.subarray(chunks, { minLength: 1 }) }),
      fc.record({ do: fc.constant('move' as const), pack: fc.nat(5) }),
      fc.record({ do: fc.constant('remove' as const) }),
      fc.record({ do: fc.constant('crash' as const) }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const model = new Set<string>()
        await volume.committer.dropChunks(chunks.map(({ id }) => id))
        for (const one of steps) {
          const all = files()
          if (one.do === 'import') {
            await volume.committer.importChunks(one.which)
            for (const { id } of one.which) model.add(hex(id))
          } else if (one.do === 'drop') {
            await volume.committer.dropChunks(one.which.map(({ id }) => id))
            for (const { id } of one.which) model.delete(hex(id))
          } else if (one.do === 'move') {
            const pack = all[one.pack % (all.length || 1)] ?? 0
            await volume.committer.moveChunks(
              pack,
              chunks.map(({ id }) => id),
            )
          } else if (one.do === 'remove') await volume.committer.removePacks(all)
          else await volume.crash()
          volume.reader.refresh()
          for (const { id, bytes } of chunks) {
            assert.equal(volume.reader.chunk(id) !== undefined, model.has(hex(id)))
            if (model.has(hex(id))) assert.deepEqual(Buffer.from(volume.packs.chunk(id)), Buffer.from(bytes))
          }
        }
      }),
      { numRuns: 40 },
    )
  })
})
