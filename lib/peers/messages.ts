// Encoding and strict decoding of proto/peers.proto: what comes in is bounded and complete, or it is a ProtocolError.
// Pure functions; sizes of whole messages are bounded by the channel they come through (MESSAGE_MAX).
import { peerdrive } from '../../proto/gen/peers.js'
import { cleanName } from './device-id.js'
import { ProtocolError } from './errors.js'
import { INVITATION_ID_BYTES } from './invitations.js'
import { TICKET_ID_BYTES, TICKET_SECRET_BYTES } from './lane-records.js'

/** Largest frame of greetings and pairing, bytes. */
export const MESSAGE_MAX = 4096
export const VERSION = 1
export const NONCE_BYTES = 32
export const PROOF_BYTES = 32
export const INSTANCE_BYTES = 8
const MAX_FEATURES = 64
const MAX_FEATURE = 64
const MAX_DETAIL = 256

const wire = peerdrive.peers
export const RefusalCode = wire.Refusal.Code
export type RefusalCode = peerdrive.peers.Refusal.Code

export interface Hello {
  version: number
  /** What the device can do. */
  features: string[]
  /** What the other must be able to do. */
  required: string[]
  name: string
  /** 8 bytes, random per start. */
  instance: Uint8Array
  /** TCP port it listens on, 0: none. */
  port: number
}

export interface Refusal {
  code: RefusalCode
  detail: string
}

export type Greeting = { hello: Hello } | { refusal: Refusal }

export type PairMessage =
  | { step: 'begin'; version: number; invitation: Uint8Array; nonce: Uint8Array }
  | { step: 'challenge'; nonce: Uint8Array; proof: Uint8Array }
  | { step: 'proof'; proof: Uint8Array; name: string; port: number }
  | { step: 'accept'; name: string }
  | { step: 'done' }
  | { step: 'refusal'; refusal: Refusal }

export interface Beat {
  answer: boolean
  number: number
}

export function encodeGreeting(greeting: Greeting): Uint8Array {
  return wire.Greeting.encode(greeting).finish()
}

/** @throws ProtocolError */
export function decodeGreeting(bytes: Uint8Array): Greeting {
  const { hello, refusal } = decoded('greeting', () => wire.Greeting.decode(bytes))
  if (refusal) return { refusal: checkRefusal(refusal) }
  if (!hello) throw new ProtocolError('The other device sent a greeting without content')
  return { hello: checkHello(hello) }
}

function checkHello(hello: peerdrive.peers.Hello.$Properties): Hello {
  const instance = hello.instance ?? new Uint8Array(0)
  need(hello.version, 'a version')
  need(instance.length === INSTANCE_BYTES, 'an instance of 8 bytes')
  return {
    version: hello.version!,
    features: checkFeatures(hello.features),
    required: checkFeatures(hello.required),
    name: cleanName(hello.name ?? ''),
    instance: Uint8Array.from(instance),
    port: checkPort(hello.port),
  }
}

function checkFeatures(features: string[] | null | undefined): string[] {
  const list = features ?? []
  need(
    list.length <= MAX_FEATURES && list.every((f) => f.length > 0 && f.length <= MAX_FEATURE),
    'at most 64 short features',
  )
  return list
}

function checkPort(port: number | null | undefined): number {
  need((port ?? 0) <= 65535, 'a port below 65536')
  return port ?? 0
}

function checkRefusal(refusal: peerdrive.peers.Refusal.$Properties): Refusal {
  return { code: refusal.code ?? RefusalCode.UNKNOWN, detail: cleanDetail(refusal.detail ?? '') }
}

function cleanDetail(detail: string): string {
  return detail.replace(/\p{C}/gu, ' ').slice(0, MAX_DETAIL)
}

export function encodeBeat(beat: Beat): Uint8Array {
  return wire.Beat.encode(beat).finish()
}

export function decodeBeat(bytes: Uint8Array): Beat {
  const { answer, number } = decoded('beat', () => wire.Beat.decode(bytes))
  return { answer: answer ?? false, number: number ?? 0 }
}

export interface LaneTicket {
  port: number
  id: Uint8Array
  secret: Uint8Array
}

export function encodeLaneTicket(ticket: LaneTicket): Uint8Array {
  return wire.LaneTicket.encode(ticket).finish()
}

/** @throws ProtocolError */
export function decodeLaneTicket(bytes: Uint8Array): LaneTicket {
  const { port, id, secret } = decoded('ticket', () => wire.LaneTicket.decode(bytes))
  need(checkPort(port) > 0, 'a port')
  return {
    port: checkPort(port),
    id: exactly(id, TICKET_ID_BYTES, 'an id'),
    secret: exactly(secret, TICKET_SECRET_BYTES, 'a secret'),
  }
}

export function encodePairMessage({ step, ...content }: PairMessage): Uint8Array {
  const body = step === 'refusal' ? (content as { refusal: Refusal }).refusal : content
  return wire.PairMessage.encode({ [step]: body } as unknown as peerdrive.peers.PairMessage.$Shape).finish()
}

/** @throws ProtocolError */
export function decodePairMessage(bytes: Uint8Array): PairMessage {
  const { begin, challenge, proof, accept, done, refusal } = decoded('pairing', () => wire.PairMessage.decode(bytes))
  if (begin) return checkBegin(begin)
  if (challenge) {
    const { nonce, proof } = challenge
    return {
      step: 'challenge',
      nonce: exactly(nonce, NONCE_BYTES, 'nonce'),
      proof: exactly(proof, PROOF_BYTES, 'proof'),
    }
  }
  if (proof) {
    const bytes = exactly(proof.proof, PROOF_BYTES, 'proof')
    return { step: 'proof', proof: bytes, name: cleanName(proof.name ?? ''), port: checkPort(proof.port) }
  }
  if (accept) return { step: 'accept', name: cleanName(accept.name ?? '') }
  if (refusal) return { step: 'refusal', refusal: checkRefusal(refusal) }
  if (done) return { step: 'done' }
  throw new ProtocolError('The other device sent a pairing message without content')
}

function checkBegin(begin: peerdrive.peers.PairBegin.$Properties): PairMessage {
  need(begin.version, 'a version')
  const invitation = exactly(begin.invitation, INVITATION_ID_BYTES, 'invitation')
  return { step: 'begin', version: begin.version!, invitation, nonce: exactly(begin.nonce, NONCE_BYTES, 'nonce') }
}

function exactly(bytes: Uint8Array | null | undefined, length: number, what: string): Uint8Array {
  need(bytes?.length === length, `${what} of ${length} bytes`)
  return Uint8Array.from(bytes!)
}

function need(condition: unknown, what: string): void {
  if (!condition) throw new ProtocolError(`The other device sent a message without ${what}`)
}

function decoded<T>(what: string, decode: () => T): T {
  try {
    return decode()
  } catch (error) {
    throw new ProtocolError(`The other device sent a ${what} that cannot be read: ${(error as Error).message}`, {
      cause: error,
    })
  }
}
