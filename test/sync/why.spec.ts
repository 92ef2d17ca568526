// What people are told of a document and each other side: every state there is, with its reason and age.
import assert from 'node:assert/strict'
import { type Rule, withRule } from '../../lib/model/rule.js'
import type { DId } from '../../lib/model/types.js'
import { whyOf } from '../../lib/node/why.js'
import { changeRules } from '../../lib/sync/change-rules.js'
import { rulesOf } from '../../lib/sync/pair-rules.js'
import { resolveConflict } from '../../lib/sync/resolve.js'
import { noise } from '../model/support.js'
import { type Device, Network } from './simulation/network.js'

describe('Why a document is or is not in sync', () => {
  let net: Network
  let a: Device
  let b: Device
  let file: DId

  beforeEach(async () => {
    net = new Network()
    a = await net.device('a')
    b = await net.device('b')
    file = a.volume.create(a.volume.root, 'file', 'one')
    net.connect(a, b)
    await net.converge()
  })

  afterEach(() => net.stop())

  const why = async ({ volume }: Device) => {
    const whys = await whyOf(volume, volume.head(file)!)
    assert.equal(whys.length, 1)
    return whys[0]
  }
  const says = async (device: Device, state: string, reason: RegExp) => {
    const said = await why(device)
    assert.equal(said.state, state, said.reason)
    assert.match(said.reason, reason)
    return said
  }
  const set = async (change: Partial<Rule>) => {
    const rule: Rule = {
      ...{ id: '00000001', kind: 'two-way', strategy: 'merge', paused: false, schedule: [] },
      ...{ source: a.volume.sid, target: b.volume.sid },
      ...change,
    }
    assert.ok(await changeRules(a.volume, (metadata) => withRule(metadata, rule), 1_700_000_000_000))
    await net.until(
      () => rulesOf(b.volume).length === 1,
      () => net.describe(),
    )
  }
  const write = ({ volume }: Device, content: string | Uint8Array) => {
    volume.write(file, content)
    volume.commit()
  }

  it('in sync; and not reachable since it was seen last', async () => {
    await says(a, 'in sync', /^$/)
    net.cutAll()
    await net.until(
      () => a.workers().length === 0,
      () => net.describe(),
    )
    const { since } = await says(a, 'not reachable', /not connected/)
    assert.ok(Date.now() - since < 60_000)
  })

  it('paused, on this device or by a rule; waiting for its time', async () => {
    await set({ paused: true })
    write(a, 'two')
    await says(a, 'paused', /paused by rule 00000001/)
    await set({ schedule: ['never'] })
    await says(a, 'waiting', /waits for its time: never/)
    a.steer('pause')
    await net.until(
      () => a.workers()[0].paused,
      () => net.describe(),
    )
    await says(a, 'paused', /on this device/)
  })

  it('pending, with reason and age, where it waits; and where to look for it on the other side', async () => {
    await set({ strategy: 'ff' })
    net.cutAll()
    write(a, 'here')
    write(b, 'there')
    net.connect(a, b)
    await net.until(
      () => b.workers()[0]?.fetcher.pending.size === 1 && a.workers()[0]?.fetcher.pending.size === 1,
      () => net.describe(),
    )
    const { since } = await says(b, 'pending', /changed on both sides/)
    assert.ok(Date.now() - since < 60_000)
  })

  it('skipped', async () => {
    b.steer('skip', file)
    await net.until(
      () => b.workers()[0].fetcher.pending.isSkipped(file),
      () => net.describe(),
    )
    write(a, 'two')
    await net.until(
      () => a.workers()[0].feeder.acknowledged === a.volume.lastSeq(),
      () => net.describe(),
    )
    await says(b, 'skipped', /skipped here/)
    await says(a, 'pending', /another version is there; `peerdrive why` on that device/)
  })

  it('not sent, at the target of a rule of one way', async () => {
    await set({ kind: 'backup' })
    write(b, 'of the target')
    await says(b, 'not sent', /rule 00000001: a backup takes from there, and sends nothing/)
  })

  it('conflict, until it is resolved', async () => {
    net.cutAll()
    write(a, noise(100, 1))
    write(b, noise(100, 2))
    net.connect(a, b)
    await net.converge()
    await says(a, 'conflict', /a conflict to be resolved/)
    await resolveConflict(a.volume, { document: file })
    a.volume.commit()
    await net.converge()
    await says(b, 'in sync', /^$/)
  })
})
