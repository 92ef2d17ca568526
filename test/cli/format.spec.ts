import assert from 'node:assert/strict'
import { fileAndVersion } from '../../lib/cli/connect.js'
import { bytes, printable, span, table } from '../../lib/cli/format.js'

describe('The command line', () => {
  it('writes sizes and spans for people', () => {
    assert.deepEqual([0, 1023, 1536, 20 << 20, 3 * 2 ** 40].map(bytes), [
      '0 B',
      '1023 B',
      '1.5 KiB',
      '20 MiB',
      '3.0 TiB',
    ])
    assert.deepEqual([0, 89_000, 300_000, 7_200_000, 4 * 86_400_000].map(span), [
      '0 s',
      '89 s',
      '5 min',
      '2 h',
      '4 days',
    ])
  })

  it('lines up columns', () => {
    assert.equal(
      table([
        ['a', 'bb', 'c'],
        ['aaa', 'b', 'c'],
      ]),
      'a    bb  c\naaa  b   c',
    )
  })

  it('keeps control characters of foreign names from the terminal', () => {
    assert.equal(printable('a\x1b[31mb\u202ec\n'), 'a\ufffd[31mb\ufffdc\ufffd')
  })

  it('splits FILE@VERSION at the last @', () => {
    const { file, version } = fileAndVersion('/nowhere/a@b.txt@12ab34cd')
    assert.equal(Buffer.from(file).toString(), '/nowhere/a@b.txt')
    assert.equal(version, '12ab34cd')
    assert.throws(() => fileAndVersion('/nowhere/a@b.txt'), /Say which version/)
    assert.throws(() => fileAndVersion('file'), /Say which version/)
  })
})
