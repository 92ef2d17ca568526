import assert from 'node:assert/strict'
import { once } from 'node:events'
import '../../lib/peers/promise-polyfill.js'
import { identify } from '@libp2p/identify'
import type { Connection, Libp2p, Stream } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { afterEach, describe, it } from 'mocha'
import { Channel, type Peers } from '../../lib/peers/index.js'
import { LINK_PROTOCOLS } from '../../lib/peers/link.js'
import { encodeGreeting, encodePairMessage } from '../../lib/peers/messages.js'
import { PAIR_PROTOCOL } from '../../lib/peers/pairing.js'
import { cleanAll, cleanUp, couple, device, until } from './support.js'

const FOREIGN = ['/ipfs/id/1.0.0', '/ipfs/id/push/1.0.0', '/ipfs/ping/1.0.0', '/libp2p/autonat/1.0.0', '/x']

describe('peers: strangers', () => {
  afterEach(cleanAll)

  it('learn nothing: connection dropped, no protocol opens, not even identify or pairing', async () => {
    const { a } = await couple()
    for (const { id } of a.invitations.list()) a.invitations.withdraw(id)
    const stranger = await outsider()
    for (const protocol of [...LINK_PROTOCOLS, PAIR_PROTOCOL, ...FOREIGN]) {
      const connection = await dial(stranger, a).catch(() => undefined)
      if (connection) await assert.rejects(tryOut(connection, protocol), protocol)
    }
    await until(() => stranger.getConnections().length === 0, 'the end of all connections')
    assert.deepEqual(await known(stranger, a), [])
    assert.equal(a.links.list().length, 1)
  })

  it('learn nothing during an invitation either, except that there is pairing', async () => {
    const { a } = await couple()
    a.pairing.invite()
    const stranger = await outsider()
    const connection = await dial(stranger, a)
    for (const protocol of FOREIGN) await assert.rejects(tryOut(connection, protocol), protocol)
    for (const protocol of LINK_PROTOCOLS) {
      const bytes = await tryOut(connection, protocol).catch(() => 0)
      assert.equal(bytes, 0, `${protocol} answered`)
    }
    let called = 0
    await a.node.handle('/test/1', () => void called++)
    assert.equal(await tryOut(connection, '/test/1').catch(() => 0), 0)
    assert.equal(called, 0, 'a handler was called')
    const invitation = new Uint8Array(8)
    const begin = encodePairMessage({ step: 'begin', version: 1, invitation, nonce: new Uint8Array(32) })
    const pairing = new Channel(await connection.newStream(PAIR_PROTOCOL))
    await pairing.send(begin)
    await assert.rejects(pairing.read())
    assert.equal(pairing.bytesIn, 0)
    await until(() => connection.status !== 'open', 'the end of the connection')
    assert.equal(a.trust.list().length, 1)
  })

  it('are few, stay for seconds, and send little', async () => {
    const a = await device({ gate: { maxStrangers: 2, strangerTime: 400, strangerBytes: 2000 } })
    a.pairing.invite()
    const connections: Connection[] = []
    for (let i = 0; i < 3; i++) connections.push(await dial(await outsider(), a))
    await until(() => connections[0].status !== 'open', 'the oldest pushed out')
    assert.ok(a.gate.strangers <= 2)
    await until(() => a.gate.strangers === 0, 'time is over')
    const talker = await dial(await outsider(), a)
    const stream = await talker.newStream(PAIR_PROTOCOL)
    const closed = once(talker, 'close')
    stream.send(Buffer.alloc(3000))
    await closed
  })

  it('are shut out again when the invitation is withdrawn', async () => {
    const a = await device()
    const { invitation } = a.pairing.invite()
    const stranger = await outsider()
    const connection = await dial(stranger, a)
    assert.equal(connection.status, 'open')
    a.invitations.withdraw(invitation.id)
    await assert.rejects(async () => {
      const next = await dial(stranger, a)
      await tryOut(next, PAIR_PROTOCOL)
    })
  })
})

/** A libp2p node with everything that asks questions, and no gate. */
async function outsider(): Promise<Libp2p> {
  const node = await createLibp2p({
    addresses: { listen: [] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { identify: identify(), ping: ping() },
    connectionMonitor: { enabled: false },
  })
  cleanUp(() => node.stop())
  return node
}

async function dial(from: Libp2p, to: Peers): Promise<Connection> {
  return from.dial(multiaddr(`${to.node.addresses[0]}/p2p/${to.node.id}`), { force: true })
}

/** Opens a stream, says hello, and counts what comes back until the end of the stream. */
async function tryOut(connection: Connection, protocol: string): Promise<number> {
  const stream = await connection.newStream(protocol, { signal: AbortSignal.timeout(3000) })
  let bytes = 0
  stream.addEventListener('message', (event) => void (bytes += event.data.byteLength))
  const ended = end(stream)
  const hello = { version: 1, features: [], required: [], name: 'x', instance: new Uint8Array(8), port: 1 }
  stream.send(Buffer.concat([Buffer.from([0, 0, 0, encodeGreeting({ hello }).length]), encodeGreeting({ hello })]))
  await ended
  return bytes
}

async function end(stream: Stream): Promise<void> {
  if (stream.status === 'open') await once(stream, 'close')
}

/** What the stranger's library has learnt about the device. */
async function known(stranger: Libp2p, about: Peers): Promise<string[]> {
  const { protocols, metadata } = await stranger.peerStore.get(about.node.libp2p.peerId)
  const keys = [...metadata.keys()].filter((key) => !key.startsWith('last-dial'))
  return [...protocols, ...keys]
}
