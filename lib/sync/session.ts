// Synchronization over one link: reads both channels, hands changes to the worker of their volume pair, matches answers with
// questions, and answers the peer's questions. Owns the questions that are open; the workers own positions and decisions.
// A peer that breaks the protocol costs its link and nothing else.

import { EventEmitter } from 'node:events'
import { hex } from '../model/bytes.js'
import type { Volume } from '../volume/contract.js'
import { answerQuestion } from './answers.js'
import { SyncInterruptedError, SyncProtocolError } from './errors.js'
import { MAX_ANSWERING, MAX_WAITING_QUESTIONS } from './limits.js'
import {
  type Ack,
  type Answer,
  type Change,
  type Changes,
  decodeFrame,
  encodeFrame,
  type Follow,
  type FrameBody,
  type Get,
  type Offer,
} from './messages.js'
import { type Question, Questions } from './questions.js'

/** What of lib/peers' channel is used here. */
export interface ChannelPort {
  send(frame: Uint8Array | Uint8Array[]): Promise<void>
  read(): Promise<Uint8Array | undefined>
}

/** What of lib/peers' link is used here. */
export interface LinkPort {
  readonly peer: string
  readonly channel: { control: ChannelPort; bulk: ChannelPort }
  readonly closed: Promise<Error | undefined>
  /** If there is one now. */
  readonly lane?: LanePort
  on?(event: 'lane', listener: (lane: LanePort) => void): unknown
  /** Has the device a feature? */
  supports(feature: string): boolean
  abort(error: Error): void
}

/** What of lib/peers' lane is used here: a quicker way for bulk. What is on its way when it ends is lost. */
export interface LanePort {
  send(frame: Uint8Array): Promise<void>
  /** Rejects when the lane is over. */
  read(): Promise<Uint8Array>
  abort(error: Error): void
}

/** On-demand contents: `keeps` of offers, questions and answers, `bare` feeds. */
export const FEATURE_HOLDING = 'holding'

export interface SessionComponents {
  link: LinkPort
  /** The volume with this root, if the peer may see it. */
  shared(root: Uint8Array): Volume | undefined
}

/** What the worker of a volume pair hears. */
export interface PairHandler {
  onFollow(follow: Follow): void
  onChanges(changes: Changes): void
  onAck(ack: Ack): void
  /** Heads were told to the peer in answer to a question. */
  onTold(heads: Change[]): void
  /** Resolves when so many bytes of contents may be sent in an answer; `idle` is called every now and then until then. */
  mayAnswer?(bytes: number, idle: () => void): Promise<void>
}

export interface SessionEvents {
  offers: [Offer[]]
}

export class Session extends EventEmitter<SessionEvents> {
  /** Volumes that the peer offers. */
  offers: Offer[] = []
  readonly peer: string
  /** Bytes of messages, by this session. */
  bytesIn = 0
  bytesOut = 0
  readonly #link: LinkPort
  readonly #shared: SessionComponents['shared']
  readonly #pairs = new Map<string, PairHandler>()
  /** The peer's last wish for each volume, kept for a worker that starts again. */
  readonly #follows = new Map<string, Follow>()
  readonly #questions: Questions
  #answering = 0
  readonly #waitingToAnswer: Get[] = []
  #over?: Error

  constructor({ link, shared }: SessionComponents) {
    super()
    this.#link = link
    this.#shared = shared
    this.peer = link.peer
    this.#questions = new Questions({
      send: (get) => this.#send({ get }),
      late: (error) => link.abort(error),
    })
  }

  /** Serves until the link is over; answers why, if it was not in good order. */
  async run(): Promise<Error | undefined> {
    const { control, bulk } = this.#link.channel
    if (this.#link.lane) void this.#readLane(this.#link.lane)
    this.#link.on?.('lane', (lane) => void this.#readLane(lane))
    void this.#link.closed.then((error) => this.#end(error ?? new SyncInterruptedError('The device hung up.')))
    try {
      await Promise.race([this.#read(control), this.#read(bulk)])
      return undefined
    } catch (error) {
      if (error instanceof SyncProtocolError) this.#link.abort(error)
      return error as Error
    } finally {
      this.#end(new SyncInterruptedError('The link is over.'))
    }
  }

  supports(feature: string): boolean {
    return this.#link.supports(feature)
  }

  get over(): boolean {
    return this.#over !== undefined
  }

  /** The peer broke the protocol, or the link is of no use any more. */
  abort(error: Error): void {
    this.#link.abort(error)
  }

  sendOffers(offers: Offer[]): void {
    this.#send({ offers: { offers } })
  }

  /** From now on `handler` hears what concerns the volume; the peer's last Follow is repeated to it. Returns what ends that. */
  attach(root: Uint8Array, handler: PairHandler): () => void {
    const key = hex(root)
    this.#pairs.set(key, handler)
    const follow = this.#follows.get(key)
    if (follow) handler.onFollow(follow)
    return () => {
      if (this.#pairs.get(key) === handler) this.#pairs.delete(key)
    }
  }

  /** Sends a message on the control channel; resolves when more may be sent. Rejects when the link is over. */
  async send(body: FrameBody): Promise<void> {
    await this.#sendOn(this.#link.channel.control, body)
  }

  /** Like `send`, on the channel for bulk. */
  async sendBulk(body: FrameBody): Promise<void> {
    await this.#sendOn(this.#link.channel.bulk, body)
  }

  /** Asks the peer; all its answer frames in one. Rejects with SyncInterruptedError. */
  ask(root: Uint8Array, question: Question): Promise<Answer> {
    if (this.#over) return Promise.reject(this.#over)
    return this.#questions.ask(root, question, this.#link.lane)
  }

  async #read(channel: ChannelPort): Promise<void> {
    for (;;) {
      const bytes = await channel.read()
      if (!bytes) return
      this.bytesIn += bytes.length
      this.#take(decodeFrame(bytes))
    }
  }

  async #readLane(lane: LanePort): Promise<void> {
    try {
      for (;;) {
        const bytes = await lane.read()
        if (this.#over) return
        this.bytesIn += bytes.length
        const { answer } = decodeFrame(bytes)
        if (!answer) throw new SyncProtocolError('Something else than an answer came by the lane.')
        this.#questions.take(answer)
      }
    } catch (error) {
      if (error instanceof SyncProtocolError) this.#link.abort(error)
      if (!this.#over) this.#questions.repeat(lane)
    }
  }

  #take(frame: FrameBody): void {
    if (frame.offers) {
      this.offers = frame.offers.offers
      this.emit('offers', this.offers)
    } else if (frame.follow) {
      const key = hex(frame.follow.root)
      if (!this.#shared(frame.follow.root)) return
      this.#follows.set(key, frame.follow)
      this.#pairs.get(key)?.onFollow(frame.follow)
    } else if (frame.changes) this.#pairs.get(hex(frame.changes.root))?.onChanges(frame.changes)
    else if (frame.ack) {
      const follow = this.#follows.get(hex(frame.ack.root))
      if (follow?.number === frame.ack.number) follow.after = Math.max(follow.after, frame.ack.seq)
      this.#pairs.get(hex(frame.ack.root))?.onAck(frame.ack)
    } else if (frame.answer) this.#questions.take(frame.answer)
    else if (frame.get) this.#serve(frame.get)
  }

  /** Answers beside reading, no more than a few at a time. Reading never waits for it: two devices might wait for each other. */
  #serve(get: Get): void {
    if (this.#answering < MAX_ANSWERING) return void this.#answer(get)
    if (this.#waitingToAnswer.length >= MAX_WAITING_QUESTIONS)
      throw new SyncProtocolError('More questions came in than any device may have open.')
    this.#waitingToAnswer.push(get)
  }

  async #answer(get: Get): Promise<void> {
    this.#answering++
    const lane = get.lane ? this.#link.lane : undefined
    let laneBroke = false
    /** All parts by one way, so that they come in their order. */
    const sendPart = (answer: Answer): Promise<void> => {
      if (!lane) return get.chunks.length ? this.sendBulk({ answer }) : this.send({ answer })
      return this.#sendOn(lane, { answer }).catch((error) => {
        laneBroke = true
        throw error
      })
    }
    // An empty part: the device that asked is not to take a slow answer for none.
    const idle = () =>
      void sendPart({ id: get.id, done: false, revisions: [], chunks: [], documents: [] }).catch(() => {})
    const send = async (answer: Answer) => {
      const pair = this.#pairs.get(hex(get.root))
      if (answer.documents.length) pair?.onTold(answer.documents)
      const bytes = answer.chunks.reduce((sum, chunk) => sum + chunk.length, 0)
      await pair?.mayAnswer?.(bytes, idle)
      return sendPart(answer)
    }
    try {
      await answerQuestion(this.#shared(get.root), get, send)
    } catch (error) {
      // The peer asks again when its end of the lane is over.
      if (!this.#over && !laneBroke) this.#link.abort(error as Error)
    }
    this.#answering--
    const next = this.#over ? undefined : this.#waitingToAnswer.shift()
    if (next) void this.#answer(next)
  }

  #send(body: FrameBody): void {
    this.send(body).catch(() => {
      // the link is over: `run` tells
    })
  }

  async #sendOn(channel: ChannelPort | LanePort, body: FrameBody): Promise<void> {
    if (this.#over) throw this.#over
    const bytes = encodeFrame(body)
    this.bytesOut += bytes.length
    await channel.send(bytes)
  }

  #end(error: Error): void {
    if (this.#over) return
    this.#over = error
    this.#questions.end(error)
    this.#waitingToAnswer.length = 0
  }
}
