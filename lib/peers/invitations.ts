// The invitations this device has made: made, used once, expired. Kept in a private file, the secret only as a hash, until
// they expire, so that neither a crash nor a restart gives an invitation a second life. Speaks with nobody: pairing.ts does.
import { createHash, randomBytes } from 'node:crypto'
import { EventEmitter } from 'node:events'
import type { DeviceId } from './device-id.js'
import { TooManyInvitationsError } from './errors.js'
import { encodeToken, SECRET_BYTES } from './invitation-token.js'
import { readPrivateJson, writePrivateJson } from './private-file.js'

export const INVITATION_ID_BYTES = 8
export const DEFAULT_LIFE = 10 * 60_000
export const MAX_LIFE = 7 * 24 * 3600_000
export const MAX_INVITATIONS = 16
const MAX_FAILURES = 5
const FORMAT = 1

export interface Invitation {
  /** Names it, in hex; derived from the secret and of no use without it. */
  id: string
  /** Proves knowledge of the secret, in hex: SHA-256 of the secret with a label. */
  key: string
  /** Milliseconds since the epoch. */
  created: number
  expires: number
  /** Failed proofs; after five it is withdrawn. */
  failures: number
  usedBy?: DeviceId
}

/** What both sides derive from the secret. */
export function deriveInvitation(secret: Uint8Array): { id: Buffer; key: Buffer } {
  const hash = (label: string) => createHash('sha256').update(label).update(secret).digest()
  return { id: hash('peerdrive invitation id').subarray(0, INVITATION_ID_BYTES), key: hash('peerdrive invitation key') }
}

export interface InvitationsComponents {
  clock?: () => number
  random?: (bytes: number) => Uint8Array
}

export class Invitations extends EventEmitter<{ changed: [] }> {
  readonly #file: string
  readonly #clock: () => number
  readonly #random: (bytes: number) => Uint8Array
  #invitations: Invitation[]

  /** @throws PrivateFileExposedError, PrivateFileDamagedError */
  constructor(components: InvitationsComponents, init: { file: string }) {
    super()
    this.#clock = components.clock ?? Date.now
    this.#random = components.random ?? randomBytes
    this.#file = init.file
    this.#invitations = readPrivateJson(init.file, checkFile) ?? []
  }

  /**
   * Makes an invitation, good for one device.
   * @param life milliseconds, 10 minutes if not given, at most 7 days
   * @returns the text to hand over; it is not kept and cannot be shown again
   * @throws TooManyInvitationsError
   */
  create(
    from: { device: DeviceId; addresses: string[] },
    life: number = DEFAULT_LIFE,
  ): { token: string; invitation: Invitation } {
    if (!(life > 0 && life <= MAX_LIFE))
      throw new RangeError(`An invitation lives between 0 and ${MAX_LIFE} ms, not ${life}`)
    this.#forgetExpired()
    if (this.#invitations.length >= MAX_INVITATIONS) {
      throw new TooManyInvitationsError(
        `${MAX_INVITATIONS} invitations are open. Withdraw one, or wait until one expires.`,
      )
    }
    const secret = this.#random(SECRET_BYTES)
    const created = this.#clock()
    const expires = Math.ceil((created + life) / 1000) * 1000
    const { id, key } = deriveInvitation(secret)
    const invitation = { id: id.toString('hex'), key: key.toString('hex'), created, expires, failures: 0 }
    this.#store([...this.#invitations, invitation])
    return { token: encodeToken({ ...from, expires, secret }), invitation }
  }

  /** Those that have not expired, used ones included. */
  list(): Readonly<Invitation>[] {
    const now = this.#clock()
    return this.#invitations.filter((invitation) => invitation.expires > now)
  }

  /** Is any device let in for pairing now? */
  isOpen(): boolean {
    const now = this.#clock()
    return this.#invitations.some((invitation) => invitation.expires > now)
  }

  find(id: Uint8Array): Readonly<Invitation> | undefined {
    const hex = Buffer.from(id).toString('hex')
    return this.list().find((invitation) => invitation.id === hex)
  }

  /** Marks it as used by the device, on disk. @returns false if it is gone or another device has used it */
  claim(id: string, device: DeviceId): boolean {
    const found = this.list().find((invitation) => invitation.id === id)
    if (!found || (found.usedBy !== undefined && found.usedBy !== device)) return false
    if (!found.usedBy) this.#replace({ ...found, usedBy: device })
    return true
  }

  /** Somebody knew the name of the invitation but not its secret. After five times it is withdrawn. */
  fail(id: string): void {
    const found = this.list().find((invitation) => invitation.id === id)
    if (!found) return
    if (found.failures + 1 >= MAX_FAILURES) this.withdraw(id)
    else this.#replace({ ...found, failures: found.failures + 1 })
  }

  /** @returns whether there was one */
  withdraw(id: string): boolean {
    const rest = this.#invitations.filter((invitation) => invitation.id !== id)
    if (rest.length === this.#invitations.length) return false
    this.#store(rest)
    return true
  }

  #replace(invitation: Invitation): void {
    this.#store(this.#invitations.map((other) => (other.id === invitation.id ? invitation : other)))
  }

  #forgetExpired(): void {
    this.#invitations = this.list()
  }

  #store(invitations: Invitation[]): void {
    writePrivateJson(this.#file, { format: FORMAT, invitations })
    this.#invitations = invitations
    this.emit('changed')
  }
}

function checkFile(value: unknown): Invitation[] {
  const file = value as { format?: unknown; invitations?: unknown }
  if (file?.format !== FORMAT) throw new Error(`format ${JSON.stringify(file?.format)} is not ${FORMAT}`)
  if (!Array.isArray(file.invitations) || file.invitations.length > MAX_INVITATIONS) {
    throw new Error('"invitations" is not a list of invitations')
  }
  return file.invitations.map((invitation: Invitation) => {
    const times = [invitation?.created, invitation?.expires, invitation?.failures]
    const ok =
      /^[0-9a-f]{16}$/.test(invitation?.id) && /^[0-9a-f]{64}$/.test(invitation.key) && times.every(Number.isFinite)
    if (!ok || !['string', 'undefined'].includes(typeof invitation.usedBy)) throw new Error('an invitation is not one')
    return invitation
  })
}
