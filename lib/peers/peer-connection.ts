// Keeps one link with one paired device: dials when an address is known, again with growing pauses when that fails, at once
// when discovery sees the device; takes the link that the other side dials; of two links both sides keep the same one.
// Whole in itself: it can be stopped, or crash, and be made anew at any time; nothing is lost but the link.
//
// Which of two links wins: the one dialled by the device with the smaller id, unless the other device was restarted
// (its hello has a new instance) or has dialled again itself (it has given up the older one).
import { EventEmitter } from 'node:events'
import type { DeviceId } from './device-id.js'
import type { Discovery, Nearby } from './discovery.js'
import {
  asError,
  DuplicateLinkError,
  PeersError,
  RevokedError,
  UnsupportedFeatureError,
  UnsupportedVersionError,
} from './errors.js'
import { GREETING_TIMEOUT, type Link } from './link.js'
import { type Hello, type Refusal, RefusalCode } from './messages.js'
import type { LinkKeeper, Switchboard } from './switchboard.js'
import type { Device, Trust } from './trust.js'

export interface PeerConnectionEvents {
  up: [Link]
  /** The link is over; undefined if in good order. Comes before the 'up' of a link that replaces it. */
  down: [Link, Error | undefined]
  /** An attempt failed. */
  failed: [Error]
}

export interface PeerConnectionInit {
  id: DeviceId
  /** First pause after a failed attempt, ms; 200. It grows by half up to `maxPause`, 15 s. */
  firstPause?: number
  maxPause?: number
}

export type ConnectionState = 'up' | 'dialling' | 'waiting' | 'no address' | 'refused' | 'stopped'

export interface ConnectionSummary {
  peer: DeviceId
  name: string
  state: ConnectionState
  address: string
  /** ms since the epoch, of the link or of the loss of the last one. */
  since: number
  bytesIn: number
  bytesOut: number
  /** ms */
  rtt: number | undefined
  /** Attempts since the last link that held. */
  attempts: number
  lastError: string | undefined
}

export interface PeerConnectionComponents {
  switchboard: Switchboard
  trust: Trust
  discovery: Pick<Discovery, 'addresses' | 'on' | 'off'>
  /** 0 ≤ x < 1 */
  random?: () => number
}

/** The device with the larger id lets the other one dial first. */
const COURTESY = 300
/** A link that lasted this long, in ms, was no failure: the next attempts come quickly again. */
const HELD = 5000
const REFUSED_PAUSE = 60_000

export class PeerConnection extends EventEmitter<PeerConnectionEvents> implements LinkKeeper {
  readonly id: DeviceId
  readonly #components: PeerConnectionComponents
  readonly #init: Required<PeerConnectionInit>
  readonly #first: boolean
  #state: ConnectionState = 'stopped'
  #link: Link | undefined
  #attempt: { controller: AbortController; greeting: boolean } | undefined
  #timer: NodeJS.Timeout | undefined
  #attempts = 0
  #since = Date.now()
  #lastError: Error | undefined
  #unregister: (() => void) | undefined

  constructor(components: PeerConnectionComponents, init: PeerConnectionInit) {
    super()
    this.id = init.id
    this.#components = components
    this.#init = { firstPause: 200, maxPause: 15_000, ...init }
    this.#first = components.switchboard.node.id < init.id
  }

  get link(): Link | undefined {
    return this.#link
  }

  start(): void {
    if (this.#unregister) return
    this.#unregister = this.#components.switchboard.register(this.id, this)
    this.#components.discovery.on('seen', this.#onSeen)
    this.#components.trust.on('revoked', this.#onRevoked)
    this.#components.trust.on('changed', this.#onChanged)
    this.#wait(this.#first ? 0 : COURTESY)
  }

  /** Ends the link in good order and dials no more. */
  async stop(): Promise<void> {
    this.#retire(new PeersError('Not needed any more'))
    await this.#link?.close()
  }

  /** As stop(), but at once: the other side sees a broken connection. */
  abort(error: Error): void {
    this.#retire(error)
    this.#link?.abort(error)
  }

  /** Dials now instead of later. No-op while there is a link or an attempt. */
  retry(): void {
    if (this.#unregister && !this.#link && !this.#attempt) this.#wait(0)
  }

  summary(): ConnectionSummary {
    const link = this.#link
    return {
      peer: this.id,
      name: this.#components.trust.get(this.id)?.name ?? '',
      state: this.#state,
      address: link?.address ?? '',
      since: link?.since ?? this.#since,
      bytesIn: link?.bytesIn ?? 0,
      bytesOut: link?.bytesOut ?? 0,
      rtt: link?.rtt,
      attempts: this.#attempts,
      lastError: this.#lastError?.message,
    }
  }

  // LinkKeeper

  offer(hello: Hello): Refusal | undefined {
    const link = this.#link
    const mine = link ? link.dialled && sameInstance(link.hello, hello) : this.#attempt?.greeting
    if (mine && this.#first) {
      link?.probe()
      return { code: RefusalCode.DUPLICATE, detail: '' }
    }
    this.#attempt?.controller.abort(new DuplicateLinkError('The other device was quicker.'))
    return undefined
  }

  adopt(link: Link): void {
    if (!this.#unregister) return link.abort(new PeersError('Not needed any more'))
    const old = this.#link
    if (old && this.#wins(old, link)) return link.abort(new DuplicateLinkError('The devices were already connected.'))
    this.#attempt?.controller.abort(new DuplicateLinkError('The other device was quicker.'))
    clearTimeout(this.#timer)
    this.#link = link
    this.#state = 'up'
    this.#lastError = undefined
    if (old) {
      old.abort(new DuplicateLinkError('Replaced by a newer link.'))
      this.emit('down', old, new DuplicateLinkError('Replaced by a newer link.'))
    }
    link.closed.then((error) => this.#onClosed(link, error))
    this.emit('up', link)
  }

  #wins(old: Link, link: Link): boolean {
    return sameInstance(old.hello, link.hello) && old.dialled !== link.dialled && old.dialled === this.#first
  }

  #onClosed(link: Link, error: Error | undefined): void {
    if (this.#link !== link) return
    this.#link = undefined
    this.#since = Date.now()
    if (this.#since - link.since > HELD) this.#attempts = 0
    this.#lastError = error
    if (this.#unregister) this.#wait(this.#pause())
    this.emit('down', link, error)
  }

  // Dialling

  #wait(ms: number): void {
    clearTimeout(this.#timer)
    this.#state = 'waiting'
    this.#timer = setTimeout(() => void this.#dial(), ms)
  }

  async #dial(): Promise<void> {
    if (!this.#unregister || this.#link || this.#attempt) return
    const addresses = this.#components.discovery.addresses(this.id)
    if (addresses.length === 0) {
      this.#state = 'no address'
      return
    }
    const attempt = { controller: new AbortController(), greeting: false }
    this.#attempt = attempt
    const mayGreet = (): boolean => !this.#link && (attempt.greeting = true)
    this.#state = 'dialling'
    this.#attempts++
    try {
      const link = await this.#components.switchboard.open(this.id, addresses, attempt.controller.signal, mayGreet)
      this.#attempt = undefined
      this.adopt(link)
    } catch (error) {
      this.#attempt = undefined
      this.#onFailed(asError(error))
    }
  }

  #onFailed(error: Error): void {
    if (!this.#unregister || this.#link) return
    if (error instanceof DuplicateLinkError) return this.#wait(GREETING_TIMEOUT + this.#pause())
    this.#lastError = error
    const refused = error instanceof UnsupportedFeatureError || error instanceof UnsupportedVersionError
    this.#wait(refused ? REFUSED_PAUSE : this.#pause())
    if (refused) this.#state = 'refused'
    this.emit('failed', error)
  }

  /** Grows with the attempts; random, so that two devices do not stay in step. */
  #pause(): number {
    const { firstPause, maxPause } = this.#init
    const pause = Math.min(firstPause * 1.5 ** Math.min(this.#attempts, 30), maxPause)
    return pause * (0.5 + (this.#components.random ?? Math.random)() / 2)
  }

  readonly #onSeen = (nearby: Nearby): void => {
    if (nearby.id === this.id && this.#state !== 'refused') this.retry()
  }

  readonly #onChanged = (device: Device): void => {
    if (device.id === this.id && this.#state === 'no address' && device.addresses.length > 0) this.retry()
  }

  readonly #onRevoked = ({ id }: Device): void => {
    if (id === this.id) this.abort(new RevokedError('The device is not trusted any more.'))
  }

  #retire(reason: Error): void {
    this.#unregister?.()
    this.#unregister = undefined
    this.#components.discovery.off('seen', this.#onSeen)
    this.#components.trust.off('revoked', this.#onRevoked)
    this.#components.trust.off('changed', this.#onChanged)
    clearTimeout(this.#timer)
    this.#attempt?.controller.abort(reason)
    this.#state = 'stopped'
  }
}

function sameInstance(a: Hello, b: Hello): boolean {
  return Buffer.compare(a.instance, b.instance) === 0
}
