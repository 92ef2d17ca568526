// The text of an invitation (docs/peers.md "Invitation"): `pd1` and base 32 of key, expiry, secret, addresses and a
// checksum. Pure codec; whoever has the text can pair until it is used or has expired.
import './promise-polyfill.js'
import { createHash } from 'node:crypto'
import { multiaddr } from '@multiformats/multiaddr'
import { base32, fromBase32 } from './base32.js'
import { DEVICE_KEY_BYTES, type DeviceId, deviceIdOf, deviceKeyOf } from './device-id.js'
import { InvitationMalformedError } from './errors.js'

export interface Token {
  device: DeviceId
  /** Milliseconds since the epoch, whole seconds. */
  expires: number
  /** 16 random bytes. */
  secret: Uint8Array
  /** Multiaddrs `/ip4/…/tcp/…` or `/ip6/…/tcp/…`, at most 8. */
  addresses: string[]
}

export const SECRET_BYTES = 16
export const TOKEN_ADDRESSES_MAX = 8
const PREFIX = 'pd1'
const CHECK_BYTES = 4
const FIXED_BYTES = DEVICE_KEY_BYTES + 4 + SECRET_BYTES + 1
/** Longest text that is looked at, separators included. */
const TEXT_MAX = 1024

/** Addresses that are not TCP over IP, and those beyond the eighth, are left out. */
export function encodeToken(token: Token): string {
  const addresses = token.addresses.map(packAddress).filter((packed) => packed !== undefined)
  const body = Buffer.concat([
    deviceKeyOf(token.device),
    u32(Math.floor(token.expires / 1000)),
    token.secret,
    Buffer.from([Math.min(addresses.length, TOKEN_ADDRESSES_MAX)]),
    ...addresses.slice(0, TOKEN_ADDRESSES_MAX),
  ])
  return PREFIX + base32(Buffer.concat([body, checksum(body)]))
}

/** Case, blanks and dashes do not matter. @throws InvitationMalformedError saying what is wrong */
export function decodeToken(text: string): Token {
  if (text.length > TEXT_MAX) throw malformed('it is too long')
  const compact = text.replace(/[\s-]/g, '').toLowerCase()
  if (!compact.startsWith('pd')) throw malformed(`it does not start with "${PREFIX}"`)
  if (!compact.startsWith(PREFIX)) throw malformed('it is of a kind that this version does not know; update PeerDrive')
  const bytes = fromBase32(compact.slice(PREFIX.length))
  if (!bytes || bytes.length < FIXED_BYTES + CHECK_BYTES) throw malformed('characters are missing or mistyped')
  const body = Buffer.from(bytes.subarray(0, -CHECK_BYTES))
  if (!checksum(body).equals(bytes.subarray(-CHECK_BYTES))) throw malformed('characters are missing or mistyped')
  return unpack(body)
}

function unpack(body: Buffer): Token {
  let at = DEVICE_KEY_BYTES
  const expires = body.readUInt32BE(at) * 1000
  const secret = Uint8Array.from(body.subarray(at + 4, at + 4 + SECRET_BYTES))
  const count = body[FIXED_BYTES - 1]
  at = FIXED_BYTES
  const addresses: string[] = []
  for (let i = 0; i < count && i < TOKEN_ADDRESSES_MAX; i++) {
    const length = body[at] === 4 ? 4 : body[at] === 6 ? 16 : 0
    if (!length || at + 3 + length > body.length) throw malformed('its addresses cannot be read')
    addresses.push(unpackAddress(body.subarray(at + 1, at + 1 + length), body.readUInt16BE(at + 1 + length)))
    at += 3 + length
  }
  if (at !== body.length || count > TOKEN_ADDRESSES_MAX) throw malformed('its addresses cannot be read')
  return { device: device(body.subarray(0, DEVICE_KEY_BYTES)), expires, secret, addresses }
}

function device(key: Uint8Array): DeviceId {
  try {
    return deviceIdOf(Uint8Array.from(key))
  } catch (error) {
    throw new InvitationMalformedError('The invitation names no valid device', { cause: error })
  }
}

function packAddress(address: string): Buffer | undefined {
  try {
    const [ip, tcp] = multiaddr(address).getComponents()
    if (tcp?.name !== 'tcp' || (ip.name !== 'ip4' && ip.name !== 'ip6')) return undefined
    const port = Buffer.alloc(2)
    port.writeUInt16BE(Number(tcp.value))
    const raw = multiaddr(`/${ip.name}/${ip.value}`).bytes.subarray(1)
    return Buffer.concat([Buffer.from([ip.name === 'ip4' ? 4 : 6]), raw, port])
  } catch {
    return undefined
  }
}

function unpackAddress(ip: Uint8Array, port: number): string {
  if (ip.length === 4) return `/ip4/${ip.join('.')}/tcp/${port}`
  const groups = Array.from({ length: 8 }, (_, i) => ((ip[2 * i] << 8) | ip[2 * i + 1]).toString(16))
  return multiaddr(`/ip6/${groups.join(':')}/tcp/${port}`).toString()
}

function checksum(body: Uint8Array): Buffer {
  return createHash('sha256').update('peerdrive invitation').update(body).digest().subarray(0, CHECK_BYTES)
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

function malformed(why: string): InvitationMalformedError {
  return new InvitationMalformedError(`This is not a valid invitation: ${why}. Copy the whole text and try again.`)
}
