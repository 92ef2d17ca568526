import assert from 'node:assert/strict'
import { once } from 'node:events'
import { afterEach, describe, it } from 'mocha'
import { type ActorNode, ActorSystem, type ChildSpec, supervisor } from '../../lib/actors/index.js'
import { connectionSpecs, discoverySpec, followTrust, type Peers } from '../../lib/peers/index.js'
import { CONNECTIONS, peersSupervisor } from '../../supervisors/peers.js'
import { cleanAll, cleanUp, device, linked, paired, until } from './support.js'

describe('peers: actors', () => {
  afterEach(cleanAll)

  it('keep one connection per paired device; a crash drops that one and is repaired', async () => {
    const [a, b, c] = [await device(), await device(), await device()]
    await paired(a, b)
    await paired(a, c)
    const system = await actors(a)
    await Promise.all([b.start(), c.start()])
    const [ab, ac] = await Promise.all([linked(a, b), linked(a, c)])
    assert.equal(find(system, b.node.id)!.summary.state, 'up')
    assert.equal(typeof find(system, b.node.id)!.summary.address, 'string')

    const down = once(a.links, 'down')
    await system.kill(find(system, b.node.id)!.path)
    assert.equal((await down)[0], ab)
    assert.notEqual(await linked(a, b), ab)
    await linked(b, a)
    assert.equal(a.links.get(c.node.id), ac, 'the other link stayed')
    assert.ok(find(system, b.node.id)!.restarts >= 1)
    assert.equal(a.trust.list().length, 2)
  })

  it('come with pairing and go with revoking', async () => {
    const [a, b] = [await device(), await device()]
    const system = await actors(a)
    assert.equal(find(system, b.node.id), undefined)
    await paired(a, b)
    await b.start()
    const link = await linked(a, b)
    await until(() => find(system, b.node.id)?.summary.state === 'up', 'an actor')
    a.trust.revoke(b.node.id)
    assert.ok((await link.closed) instanceof Error)
    await until(() => find(system, b.node.id) === undefined, 'no actor')
    assert.deepEqual(a.links.summaries(), [])
  })

  it('run discovery, and again after a crash', async () => {
    const a = await device({ discovery: { interval: 100, serviceTag: `_pd${process.pid}a._udp.local`, port: 25353 } })
    const system = await actors(a)
    const before = find(system, 'discovery')!
    assert.equal(typeof before.summary.nearby, 'number')
    await system.kill(before.path)
    await until(
      () => (find(system, 'discovery')?.startedAt ?? 0) >= before.startedAt && find(system, 'discovery')!.restarts > 0,
      'a new life',
    )
  })

  it('say good-bye when the system ends', async () => {
    const [a, b] = [await device(), await device()]
    await paired(a, b)
    const system = await actors(a)
    await b.start()
    const [ba] = await Promise.all([linked(b, a), linked(a, b)])
    await system.stop()
    assert.equal(await ba.closed, undefined)
  })
})

async function actors(peers: Peers): Promise<ActorSystem> {
  const { switchboard, trust, discovery, links } = peers
  const components = { switchboard, trust, discovery, links }
  const init = { firstPause: 20, maxPause: 200 }
  const tree = peersSupervisor({
    discovery: discoverySpec(discovery),
    connections: () => connectionSpecs(components, init),
  })
  const system = new ActorSystem({})
  await system.start(supervisor({ id: 'root', strategy: 'one_for_one', children: [tree] }) as ChildSpec)
  const forget = followTrust(components, () => system.whereis(CONNECTIONS), init)
  cleanUp(async () => {
    forget()
    await system.stop()
  })
  return system
}

function find(system: ActorSystem, id: string): ActorNode | undefined {
  const search = (node: ActorNode): ActorNode | undefined => {
    if (node.id === id) return node
    for (const child of node.children) {
      const found = search(child)
      if (found) return found
    }
    return undefined
  }
  return search(system.inspect())
}
