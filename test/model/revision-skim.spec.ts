// Skimming a revision tells what decoding it does, and never more than that bytes are none.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import '../../lib/model/protobuf-numbers.js'
import { encodeRevision } from '../../lib/model/codec.js'
import { NotCanonicalError } from '../../lib/model/errors.js'
import { skimRevision } from '../../lib/model/revision-skim.js'
import { peerdrive } from '../../proto/gen/model.js'
import { revision } from './support.js'

describe('skimming a revision', () => {
  it('tells parents, author and clock as they were encoded', () => {
    fc.assert(
      fc.property(revision, (value) => {
        const { parents, flags, created, author, clock } = skimRevision(encodeRevision(value))
        assert.equal(flags, value.flags)
        assert.deepEqual(parents.map(bytes), value.parents.map(bytes))
        const { sec, nsec } = value.created
        const time = peerdrive.model.Time.encode({ sec, nsec }).finish()
        assert.equal(bytes(created), bytes(time))
        assert.deepEqual([bytes(author), bytes(clock)], [bytes(value.author), bytes(value.clock)])
      }),
    )
  })

  it('refuses other bytes by its own error, or finds a clock in them', () => {
    const refused = (given: Uint8Array) => {
      try {
        assert.equal(skimRevision(given).clock.length, 8)
      } catch (error) {
        assert.ok(error instanceof NotCanonicalError, String(error))
      }
    }
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), refused))
    fc.assert(
      fc.property(revision, fc.nat(), fc.nat(255), (value, at, byte) => {
        const encoded = new Uint8Array(encodeRevision(value))
        encoded[at % encoded.length] = byte
        refused(encoded)
        refused(encoded.subarray(0, at % encoded.length))
      }),
    )
  })
})

const bytes = (given: Uint8Array) => Buffer.from(given).toString('hex')
