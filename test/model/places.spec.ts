// Places of folders: a function of the set of entries, a tree, and nothing lost.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { choosePlaces, hex, makeClock, type PlaceEntry } from '../../lib/model/index.js'

const did = (n: number) => new Uint8Array(16).fill(n)
const place = (folder: number, document: number, stamp: number): PlaceEntry => ({
  folder: did(folder),
  name: new TextEncoder().encode(`n${document}`),
  document: did(document),
  stamp: makeClock(stamp),
})
const ROOT = 0
const parents = (entries: PlaceEntry[]) =>
  Object.fromEntries(
    [...choosePlaces(did(ROOT), entries)].map(([document, { entry }]) => [
      Number.parseInt(document.slice(0, 2), 16),
      entry.folder[0],
    ]),
  )

describe('places', () => {
  it('takes the latest of two moves', () => {
    assert.deepEqual(parents([place(0, 1, 1), place(0, 2, 1), place(0, 3, 1), place(1, 3, 5), place(2, 3, 6)]), {
      1: 0,
      2: 0,
      3: 2,
    })
  })

  it('does not put two folders into each other', () => {
    const entries = [place(1, 2, 5), place(2, 1, 6)]
    const places = choosePlaces(did(ROOT), entries)
    assert.deepEqual(parents(entries), { 1: 0, 2: 1 })
    assert.ok(places.get(hex(did(1)))!.rescued)
    assert.deepEqual(parents([...entries, place(0, 1, 1), place(0, 2, 1)]), { 1: 0, 2: 1 })
    assert.deepEqual(parents([place(1, 1, 1)]), { 1: 0 })
  })

  it('does not move the root', () => {
    assert.deepEqual(parents([place(0, 1, 1), place(1, 0, 2)]), { 1: 0 })
  })

  it('is a tree of all that is named, whatever the order', () => {
    const entry = fc
      .tuple(fc.nat(7), fc.nat(7), fc.nat(4))
      .map(([folder, document, stamp]) => place(folder, document, stamp))
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 16 }), fc.nat(), (entries, turn) => {
        const places = choosePlaces(did(ROOT), entries)
        const turned = [...entries.slice(turn % 17), ...entries.slice(0, turn % 17)].reverse()
        assert.deepEqual(choosePlaces(did(ROOT), turned), places)
        const named = new Set(entries.map((e) => hex(e.document)).filter((d) => d !== hex(did(ROOT))))
        assert.deepEqual(new Set(places.keys()), named)
        for (const document of named) {
          let at: string | undefined = document
          for (let steps = 0; at !== undefined; steps++) {
            assert.ok(steps <= named.size, 'a circle')
            const up: { entry: PlaceEntry } | undefined = places.get(at)
            at = up && hex(up.entry.folder)
          }
        }
      }),
      { numRuns: 1000 },
    )
  })
})
