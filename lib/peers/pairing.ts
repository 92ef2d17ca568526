// Pairing by invitation, both sides (docs/peers.md "Pairing"): each proves to the other that it knows the secret, bound to
// both device keys, over a connection on which noise has proven those keys. Nothing is told before the proof.
//
// Both sides end up trusting each other or neither does, as far as that is possible: the host keeps the guest as provisional
// until the guest has shown that it is done (PairDone, or its first hello) and forgets it when the invitation expires. A
// guest that crashed in between repeats with the same text.
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { EventEmitter } from 'node:events'
import type { Connection, Stream } from '@libp2p/interface'
import { formatAddress, parseAddress } from './addresses.js'
import { Channel } from './channel.js'
import { type DeviceId, deviceKeyOf } from './device-id.js'
import {
  asError,
  DeviceUnreachableError,
  InvitationExpiredError,
  InvitationOwnError,
  InvitationRefusedError,
  InvitationUsedError,
  PairingFailedError,
  PeersError,
  ProtocolError,
  UnsupportedVersionError,
  WrongDeviceError,
} from './errors.js'
import type { Gate } from './gate.js'
import { decodeToken, type Token } from './invitation-token.js'
import { deriveInvitation, type Invitation, type Invitations } from './invitations.js'
import {
  decodePairMessage,
  encodePairMessage,
  MESSAGE_MAX,
  NONCE_BYTES,
  type PairMessage,
  RefusalCode,
  VERSION,
} from './messages.js'
import type { Node } from './node.js'
import { within } from './time-out.js'
import type { Device, Trust } from './trust.js'

export const PAIR_PROTOCOL = '/peerdrive/pair/1'
const STEP_TIMEOUT = 10_000
/** Clocks of devices differ; below this an invitation that looks expired here is tried all the same. */
const CLOCK_GRACE = 3600_000

export interface PairingComponents {
  node: Node
  gate: Gate
  trust: Trust
  invitations: Invitations
  clock?: () => number
  random?: (bytes: number) => Uint8Array
  /** For tests: called after each step, throws to stop there. */
  onStep?: (step: string) => void
}

/** Emits 'failed' on the host when an attempt came to nothing: for the log, never for the guest. */
export class Pairing extends EventEmitter<{ failed: [DeviceId, Error] }> {
  readonly #components: PairingComponents
  readonly #init: { name: string }

  constructor(components: PairingComponents, init: { name: string }) {
    super()
    this.#components = components
    this.#init = init
  }

  async start(): Promise<void> {
    const handler = (stream: Stream, connection: Connection, from: DeviceId): void =>
      void this.#host(stream, connection, from)
    await this.#components.node.handle(PAIR_PROTOCOL, handler, { strangers: true, perConnection: 1 })
  }

  async stop(): Promise<void> {
    await this.#components.node.unhandle(PAIR_PROTOCOL)
  }

  /** Makes an invitation that names this device and its addresses. @see Invitations.create */
  invite(life?: number): { token: string; invitation: Invitation } {
    const { node, invitations } = this.#components
    return invitations.create({ device: node.id, addresses: node.addresses }, life)
  }

  /**
   * Pairs with the device that made the invitation. May be repeated with the same text until it succeeded.
   * @param more addresses to try besides those in the text (from discovery)
   * @throws InvitationMalformedError, InvitationOwnError, InvitationExpiredError, InvitationUsedError,
   *   InvitationRefusedError, WrongDeviceError, DeviceUnreachableError, PairingFailedError
   */
  async join(text: string, more: readonly string[] = []): Promise<Readonly<Device>> {
    const { node, gate, clock = Date.now } = this.#components
    const token = decodeToken(text)
    if (token.device === node.id)
      throw new InvitationOwnError('This invitation was made by this very device; use it on the other one.')
    const late = clock() - token.expires
    if (late > CLOCK_GRACE) throw expired()
    try {
      return await gate.dialling(token.device, () => this.#guest(token, more))
    } catch (error) {
      if (late > 0 && (error instanceof InvitationRefusedError || error instanceof DeviceUnreachableError))
        throw expired(error)
      throw error
    }
  }

  // The guest

  async #guest(token: Token, more: readonly string[]): Promise<Readonly<Device>> {
    const addresses = [...new Set([...token.addresses, ...more])]
    const connection = await this.#components.node.dial(token.device, addresses)
    try {
      const channel = new Channel(await openStream(connection), { maxFrame: MESSAGE_MAX, closeTimeout: 1000 })
      return await this.#prove(channel, token, connection)
    } catch (error) {
      throw guestError(asError(error))
    } finally {
      connection.close().catch(() => {})
    }
  }

  async #prove(channel: Channel, token: Token, connection: Connection): Promise<Readonly<Device>> {
    const { node, trust } = this.#components
    const { id, key } = deriveInvitation(token.secret)
    const nonce = this.#nonce()
    await this.#say(channel, { step: 'begin', version: VERSION, invitation: id, nonce })
    const challenge = await hear(channel, 'challenge')
    const parties = { host: token.device, guest: node.id, hostNonce: challenge.nonce, guestNonce: nonce }
    if (!equal(challenge.proof, prove('host', key, parties)))
      throw new PairingFailedError('The other device does not know the secret.')
    const proof = prove('guest', key, parties)
    await this.#say(channel, { step: 'proof', proof, name: this.#init.name, port: node.port })
    const accept = await hear(channel, 'accept')
    this.#components.onStep?.('accepted')
    const dialled = parseAddress(connection.remoteAddr.toString())
    const works = dialled ? [formatAddress(dialled.ip, dialled.port)] : []
    trust.add({ id: token.device, name: accept.name, addresses: [...works, ...token.addresses] })
    await this.#say(channel, { step: 'done' })
    await channel.close()
    return trust.get(token.device)!
  }

  // The host

  async #host(stream: Stream, connection: Connection, guest: DeviceId): Promise<void> {
    const channel = new Channel(stream, { maxFrame: MESSAGE_MAX, closeTimeout: 1000 })
    try {
      await this.#check(channel, connection, guest)
      await channel.close()
    } catch (error) {
      channel.abort(asError(error))
      this.emit('failed', guest, asError(error))
    } finally {
      connection.close().catch(() => {})
    }
  }

  async #check(channel: Channel, connection: Connection, guest: DeviceId): Promise<void> {
    const { node, trust, invitations } = this.#components
    const begin = await hear(channel, 'begin')
    const invitation = invitations.find(begin.invitation)
    if (!invitation)
      throw new InvitationRefusedError(`No such invitation: ${Buffer.from(begin.invitation).toString('hex')}`)
    const key = Buffer.from(invitation.key, 'hex')
    const parties = { host: node.id, guest, hostNonce: this.#nonce(), guestNonce: begin.nonce }
    await this.#say(channel, { step: 'challenge', nonce: parties.hostNonce, proof: prove('host', key, parties) })
    const proof = await hear(channel, 'proof')
    if (!equal(proof.proof, prove('guest', key, parties))) {
      invitations.fail(invitation.id)
      throw new PairingFailedError('The guest does not know the secret.')
    }
    if (!invitations.claim(invitation.id, guest)) return this.#refuse(channel, invitation)
    this.#components.onStep?.('claimed')
    trust.add({ id: guest, name: proof.name, addresses: guestAddress(connection, proof.port) }, invitation.expires)
    this.#components.onStep?.('trusted')
    await this.#say(channel, { step: 'accept', name: this.#init.name })
    await hear(channel, 'done')
    trust.confirm(guest)
  }

  async #refuse(channel: Channel, invitation: Readonly<Invitation>): Promise<void> {
    const used = this.#components.invitations
      .list()
      .some(({ id, usedBy }) => id === invitation.id && usedBy !== undefined)
    const code = used ? RefusalCode.USED : RefusalCode.EXPIRED
    await this.#say(channel, { step: 'refusal', refusal: { code, detail: '' } })
  }

  async #say(channel: Channel, message: PairMessage): Promise<void> {
    await channel.send(encodePairMessage(message))
    this.#components.onStep?.(message.step)
  }

  #nonce(): Uint8Array {
    return (this.#components.random ?? randomBytes)(NONCE_BYTES)
  }
}

interface Parties {
  host: DeviceId
  guest: DeviceId
  hostNonce: Uint8Array
  guestNonce: Uint8Array
}

/** HMAC-SHA-256 over role, both device keys and both nonces: of no use in another role, to others, or a second time. */
export function prove(role: 'host' | 'guest', key: Uint8Array, parties: Parties): Buffer {
  return createHmac('sha256', key)
    .update(`peerdrive pairing 1 ${role}\0`)
    .update(deviceKeyOf(parties.host))
    .update(deviceKeyOf(parties.guest))
    .update(parties.hostNonce)
    .update(parties.guestNonce)
    .digest()
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b)
}

async function hear<S extends PairMessage['step']>(
  channel: Channel,
  step: S,
): Promise<Extract<PairMessage, { step: S }>> {
  const frame = await within(STEP_TIMEOUT, 'Pairing', channel.read())
  if (!frame) throw new PairingFailedError('The other device ended the pairing.')
  const message = decodePairMessage(frame)
  if (message.step === 'refusal') throw refusalError(message.refusal.code)
  if (message.step !== step) throw new ProtocolError(`The other device sent "${message.step}" where "${step}" was due.`)
  if (message.step === 'begin' && message.version !== VERSION) {
    throw new UnsupportedVersionError(`Pairing version ${message.version} is not known here`)
  }
  return message as Extract<PairMessage, { step: S }>
}

async function openStream(connection: Connection): Promise<Stream> {
  return connection.newStream(PAIR_PROTOCOL, { signal: AbortSignal.timeout(STEP_TIMEOUT) })
}

function guestAddress(connection: Connection, port: number): string[] {
  const from = parseAddress(connection.remoteAddr.toString())
  return from && port > 0 ? [formatAddress(from.ip, port)] : []
}

function refusalError(code: RefusalCode): PeersError {
  if (code === RefusalCode.USED) {
    return new InvitationUsedError(
      'This invitation was already used by another device. Make a new one; each is good for one device.',
    )
  }
  return code === RefusalCode.EXPIRED ? expired() : refused()
}

function expired(cause?: unknown): InvitationExpiredError {
  return new InvitationExpiredError('This invitation has expired. Make a new one on the other device.', { cause })
}

function refused(cause?: unknown): InvitationRefusedError {
  return new InvitationRefusedError(
    'The other device does not accept this invitation: it was withdrawn, used, or has expired. Make a new one there.',
    { cause },
  )
}

/** A host that does not know the invitation says nothing: the connection just ends. */
function guestError(error: Error): Error {
  if (error instanceof WrongDeviceError || error instanceof ProtocolError) return error
  const known = [InvitationUsedError, InvitationExpiredError, InvitationRefusedError, PairingFailedError]
  if (known.some((type) => error instanceof type)) return error
  if (error instanceof PeersError && error.code === 'TIME_OUT')
    return new PairingFailedError('The other device did not answer in time. Try again.', { cause: error })
  if (error instanceof PeersError && error.code === 'CHANNEL_BROKEN') return refused(error)
  return isNetworkError(error) ? refused(error) : error
}

function isNetworkError(error: Error): boolean {
  return /Stream|Connection|Muxer|Abort|Timeout|UnexpectedEOF|Reset|Closed|UnsupportedProtocol/.test(error.name)
}
