// Two devices with a rule of one way, and perhaps a third one without, used, cut off and restarted at random.
import assert from 'node:assert/strict'
import { equal } from '../../../lib/model/bytes.js'
import { type Rule, withRule } from '../../../lib/model/rule.js'
import { changeRules } from '../../../lib/sync/change-rules.js'
import { rulesOf } from '../../../lib/sync/pair-rules.js'
import { Network } from './network.js'
import { heal, planOf, take } from './run.js'
import { RandomUser, randomOf } from './user.js'

const first = Number(process.env.PEERDRIVE_SEED ?? 1)
const runs = Number(process.env.PEERDRIVE_RUNS ?? 10)

/** `third`: one more device, without a rule of its own, which meets both. */
async function run(kind: 'backup' | 'mirror', seed: number, third: boolean): Promise<void> {
  const net = new Network()
  try {
    const random = randomOf(seed)
    for (const name of third ? ['source', 'target', 'third'] : ['source', 'target'])
      await net.device(name, { turns: () => Math.ceil(random() * 30) })
    const [source, target] = net.devices
    const rule: Rule = {
      ...{ id: '00000001', kind, strategy: 'merge', paused: false, schedule: [] },
      ...{ source: source.volume.sid, target: target.volume.sid },
    }
    await changeRules(source.volume, (metadata) => withRule(metadata, rule), 1_700_000_000_000)
    // Who does not know of a rule yet cannot obey it.
    const know = () => net.devices.every(({ volume }) => rulesOf(volume).length === 1)
    await heal(net, random, () => net.until(know, () => net.describe()))
    net.cutAll()
    const users = net.devices.map((device) => new RandomUser(device, device.id))
    for (const step of planOf(seed, net.devices.length).steps) await take(net, users, step)
    const tree = () => JSON.stringify([...source.volume.tree()])
    const done = () => {
      for (const device of net.devices) {
        const workers = device.workers()
        if (device.volume.status().backlog || workers.length < net.devices.length - 1) return false
        for (const { terms, feeder, fetcher } of workers) {
          if (terms.sends && feeder.acknowledged !== device.volume.lastSeq()) return false
          if (terms.receives && (fetcher.pending.size || fetcher.working)) return false
        }
      }
      return kind === 'backup' || JSON.stringify([...target.volume.tree()]) === tree()
    }
    for (const { volume } of net.devices) volume.commit()
    await heal(net, random, () => net.until(done, () => `${net.describe()}\n${show(source)}\n${show(target)}`))
    net.assertNoCrash()
    const versions = new Set(target.volume.versions())
    for (const version of source.volume.versions()) assert.ok(versions.has(version), 'the target has every version')
    for (const rid of target.volume.ledger)
      if (target.volume.revision(Buffer.from(rid, 'hex'))!.author.length)
        assert.ok(versions.has(rid), `version ${rid} of the target is lost`)
    assert.deepEqual(target.volume.audit(), [])
    const { author } = target.volume
    for (const { volume } of net.devices.filter((device) => device !== target))
      for (const [, revision] of volume.revisions())
        assert.ok(!equal(revision.author, author), 'nothing comes back, whatever the way')
    if (third) assert.deepEqual([...net.devices[2].volume.tree()], [...source.volume.tree()])
  } finally {
    await net.stop()
  }
}

const show = ({ id, volume }: { id: string; volume: { tree(): Map<string, string> } }) =>
  `${id}:\n${[...volume.tree()].map(([path, what]) => `  ${path} ${what}`).join('\n')}`

describe('Rules of one way, in random use', () => {
  for (const kind of ['backup', 'mirror'] as const)
    for (const third of [false, true])
      it(`a ${kind} has all that the source has, loses nothing, and sends nothing back${third ? ', by a third device either' : ''}`, async function () {
        this.timeout(30_000 + runs * 10_000)
        for (let seed = first; seed < first + runs; seed++)
          await run(kind, seed, third).catch((error) => {
            throw new Error(`seed ${seed}: ${error.message}`, { cause: error })
          })
      })
})
