import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Stream } from '@libp2p/interface'
import { afterEach, describe, it } from 'mocha'
import {
  Channel,
  DeviceUnreachableError,
  InvitationExpiredError,
  InvitationMalformedError,
  InvitationOwnError,
  InvitationRefusedError,
  InvitationUsedError,
  PairingFailedError,
  type Peers,
  WrongDeviceError,
} from '../../lib/peers/index.js'
import { decodeToken, encodeToken } from '../../lib/peers/invitation-token.js'
import { encodePairMessage, type PairMessage } from '../../lib/peers/messages.js'
import { PAIR_PROTOCOL, Pairing, prove } from '../../lib/peers/pairing.js'
import { cleanAll, device, paired } from './support.js'

describe('peers: pairing by invitation', () => {
  afterEach(cleanAll)

  it('makes both devices trust each other, with names and addresses', async () => {
    const [a, b] = [await device({ name: 'Anna' }), await device({ name: 'Bert' })]
    const confirmed = once(a.trust, 'paired')
    const joined = await b.pairing.join(a.pairing.invite().token)
    await confirmed
    assert.equal(joined.id, a.node.id)
    assert.equal(b.trust.get(a.node.id)?.name, 'Anna')
    assert.equal(a.trust.get(b.node.id)?.name, 'Bert')
    assert.deepEqual(b.trust.get(a.node.id)?.addresses, a.node.addresses)
    assert.deepEqual(a.trust.get(b.node.id)?.addresses, b.node.addresses)
  })

  it('is good for one device only, and says so to another that has the text', async () => {
    const [a, b, c] = [await device(), await device(), await device()]
    const { token } = a.pairing.invite()
    await b.pairing.join(token)
    await assert.rejects(c.pairing.join(token), InvitationUsedError)
    assert.equal(a.trust.trusts(c.node.id), false)
    assert.equal(c.trust.trusts(a.node.id), false)
  })

  it('fails on the own device, with a typo, and when withdrawn', async () => {
    const [a, b] = [await device(), await device()]
    const { token, invitation } = a.pairing.invite()
    await assert.rejects(a.pairing.join(token), InvitationOwnError)
    await assert.rejects(
      b.pairing.join(`${token.slice(0, 40)}${token[40] === 'a' ? 'b' : 'a'}${token.slice(41)}`),
      InvitationMalformedError,
    )
    a.invitations.withdraw(invitation.id)
    await assert.rejects(b.pairing.join(token), InvitationRefusedError)
  })

  it('fails with a wrong secret without telling anything', async () => {
    const [a, b] = [await device(), await device()]
    const { token } = a.pairing.invite()
    const forged = encodeToken({ ...decodeToken(token), secret: new Uint8Array(16) })
    await assert.rejects(b.pairing.join(forged), InvitationRefusedError)
    assert.equal(a.trust.trusts(b.node.id) || b.trust.trusts(a.node.id), false)
  })

  it('fails for a guest that knows which invitation but not its secret; after five times it is withdrawn', async () => {
    const [a, b] = [await device(), await device()]
    const { invitation } = a.pairing.invite()
    for (let i = 1; i <= 5; i++) {
      const failed = once(a.pairing, 'failed')
      const connection = await b.gate.dialling(a.node.id, () => b.node.dial(a.node.id, a.node.addresses))
      const channel = new Channel(await connection.newStream(PAIR_PROTOCOL))
      const say = (message: PairMessage) => channel.send(encodePairMessage(message))
      await say({ step: 'begin', version: 1, invitation: Buffer.from(invitation.id, 'hex'), nonce: new Uint8Array(32) })
      await channel.read()
      await say({ step: 'proof', proof: new Uint8Array(32), name: 'thief', port: 1 })
      await assert.rejects(channel.read())
      assert.ok((await failed)[1] instanceof PairingFailedError)
      assert.equal(a.trust.trusts(b.node.id), false)
      assert.equal(a.invitations.isOpen(), i < 5)
    }
  })

  it('fails at a host that does not know the secret either', async () => {
    const [a, b] = [await device(), await device()]
    const { token } = a.pairing.invite()
    await a.pairing.stop()
    const answer: PairMessage = { step: 'challenge', nonce: new Uint8Array(32), proof: new Uint8Array(32) }
    const host = (stream: Stream): void => {
      const channel = new Channel(stream)
      void channel.send(encodePairMessage(answer))
      void channel.send(encodePairMessage({ step: 'accept', name: 'impostor' }))
    }
    await a.node.handle(PAIR_PROTOCOL, host, { strangers: true })
    await assert.rejects(b.pairing.join(token), PairingFailedError)
    assert.equal(b.trust.trusts(a.node.id), false)
  })

  it('fails when expired: by the host, and by the text', async () => {
    let now = Date.now()
    const [a, b] = [await device(), await device()]
    const { node, gate, trust, invitations } = b
    const late = new Pairing({ node, gate, trust, invitations, clock: () => now }, { name: 'b' })
    const { token, invitation } = a.pairing.invite(1000)
    now = invitation.expires + 1
    a.invitations.withdraw(invitation.id) // what expiry does on the host
    await assert.rejects(late.join(token), InvitationExpiredError)
    now += 24 * 3600_000
    await assert.rejects(late.join(token), InvitationExpiredError)
  })

  it('tells a device that is not there from another one at its address', async () => {
    const [a, b, c] = [await device(), await device(), await device()]
    const token = decodeToken(a.pairing.invite().token)
    await assert.rejects(b.pairing.join(encodeToken({ ...token, addresses: c.node.addresses })), WrongDeviceError)
    await a.stop()
    await assert.rejects(b.pairing.join(encodeToken(token)), DeviceUnreachableError)
    await assert.rejects(b.pairing.join(encodeToken({ ...token, addresses: [] })), DeviceUnreachableError)
  })

  it('can be repeated after a crash of the guest at any step; the host shows the guest only when it is done', async () => {
    for (const step of ['begin', 'proof', 'accepted']) {
      const [a, b] = [await device(), await device()]
      const { token } = a.pairing.invite()
      await assert.rejects(crashing(b, step).join(token))
      assert.equal(b.trust.trusts(a.node.id), false, step)
      assert.equal(a.trust.list().length, 0, step)
      const confirmed = once(a.trust, 'paired')
      await b.pairing.join(token)
      await confirmed
      assert.equal(a.trust.list().length, 1, step)
    }
  })

  it('can be repeated after a crash of the host at any step', async () => {
    for (const step of ['challenge', 'claimed', 'trusted', 'accept']) {
      const [a, b] = [await device(), await device()]
      const { token } = a.pairing.invite()
      await a.pairing.stop()
      const broken = crashing(a, step)
      await broken.start()
      await b.pairing.join(token).catch(() => {})
      await broken.stop()
      await a.pairing.start()
      await paired(a, b).catch(() => {})
      await b.pairing.join(token)
      assert.equal(b.trust.list().length, 1, step)
      assert.equal(a.trust.trusts(b.node.id), true, step)
    }
  })

  it('binds the proof to role, devices and nonces', async () => {
    const [a, b, c] = (await Promise.all([device(), device(), device()])).map((peers) => peers.node.id)
    const key = new Uint8Array(32).fill(1)
    const [n, m] = [new Uint8Array(32).fill(2), new Uint8Array(32).fill(3)]
    const parties = { host: a, guest: b, hostNonce: n, guestNonce: m }
    const proofs = [
      prove('host', key, parties),
      prove('guest', key, parties),
      prove('host', key, { ...parties, guest: c }),
      prove('host', key, { ...parties, host: b, guest: a }),
      prove('host', key, { ...parties, hostNonce: m, guestNonce: n }),
      prove('host', n, parties),
    ]
    assert.equal(new Set(proofs.map((proof) => proof.toString('hex'))).size, proofs.length)
  })
})

/** A second pairing on the same device that dies after a step. */
function crashing({ node, gate, trust, invitations }: Peers, at: string): Pairing {
  const onStep = (step: string): void => {
    if (step === at) throw new Error(`crash after ${step}`)
  }
  return new Pairing({ node, gate, trust, invitations, onStep }, { name: 'crashing' })
}
