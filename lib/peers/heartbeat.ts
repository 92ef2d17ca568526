// Tells within seconds whether the other device is gone (frozen, unplugged), and measures the round trip. A ping that stays
// unanswered counts only when nothing at all came in meanwhile: behind megabytes of bulk data an answer is late, not lost.
// When this process itself was busy, the other gets another round.
import type { Channel } from './channel.js'
import { asError, LinkDeadError } from './errors.js'
import type { Traffic } from './gate.js'
import { decodeBeat, encodeBeat } from './messages.js'

export interface HeartbeatInit {
  /** Between pings, ms; 2 s. */
  interval?: number
  /** Silence after a ping that means death, ms; 3 s. */
  timeout?: number
}

export class Heartbeat {
  /** Of the last ping that was answered, ms. */
  rtt: number | undefined
  readonly #channel: Channel
  readonly #traffic: Traffic
  readonly #interval: number
  readonly #timeout: number
  readonly #onDead: (error: Error) => void
  #timer: NodeJS.Timeout | undefined
  #number = 0
  #sentAt = 0
  #pending: number | undefined
  #due = 0
  #over = false

  constructor(
    components: { channel: Channel; traffic: Traffic; onDead: (error: Error) => void },
    init: HeartbeatInit = {},
  ) {
    this.#channel = components.channel
    this.#traffic = components.traffic
    this.#onDead = components.onDead
    this.#interval = init.interval ?? 2000
    this.#timeout = init.timeout ?? 3000
    void this.#listen()
    this.ping()
  }

  stop(): void {
    this.#over = true
    clearTimeout(this.#timer)
  }

  /** Asks for a sign of life now. */
  ping(): void {
    if (this.#over) return
    this.#pending ??= ++this.#number
    this.#sentAt = performance.now()
    this.#send({ answer: false, number: this.#pending })
    this.#schedule(this.#timeout)
  }

  #schedule(ms: number): void {
    clearTimeout(this.#timer)
    this.#due = performance.now() + ms
    this.#timer = setTimeout(() => this.#onTimer(), ms)
  }

  #onTimer(): void {
    if (this.#pending === undefined) return this.ping()
    const now = performance.now()
    const busy = now - this.#due > this.#timeout / 2
    const silence = now - Math.max(this.#traffic.last, this.#sentAt)
    if (busy) return this.#schedule(this.#timeout)
    if (silence < this.#timeout - 1) return this.#schedule(this.#timeout - silence)
    this.stop()
    this.#onDead(new LinkDeadError(`The other device was silent for ${Math.round(silence)} ms.`))
  }

  async #listen(): Promise<void> {
    try {
      for await (const frame of this.#channel.frames) {
        const { answer, number } = decodeBeat(frame)
        if (!answer) this.#send({ answer: true, number })
        else if (number === this.#pending) this.#onAnswer()
      }
    } catch (error) {
      if (!this.#over) this.#onDead(asError(error))
    }
    this.stop()
  }

  #onAnswer(): void {
    this.#pending = undefined
    this.rtt = performance.now() - this.#sentAt
    this.#schedule(this.#interval)
  }

  #send(beat: { answer: boolean; number: number }): void {
    this.#channel.send(encodeBeat(beat)).catch(() => {})
  }
}
