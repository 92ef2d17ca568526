// The other end of peer-process.ts: starts a device in a process, waits for what it tells, kills it after the test.
import { type ChildProcess, spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import path from 'node:path'
import { createInterface } from 'node:readline'
import type { PeersInit } from '../../lib/peers/index.js'
import { cleanUp } from './support.js'

export interface Told {
  event: string
  id: string
  peer: string
  token: string
  port: number
  address: string
  addresses: string[]
  codes: string[]
  error: string
}

export class Child {
  readonly process: ChildProcess
  readonly #told: Told[] = []
  readonly #more = new EventEmitter()

  /** @param namespace network namespace to run in */
  constructor(init: PeersInit, namespace?: string) {
    const command = [process.execPath, path.join(import.meta.dirname, 'peer-process.js'), JSON.stringify(init)]
    const [program, ...args] = namespace ? ['ip', 'netns', 'exec', namespace, ...command] : command
    this.process = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    createInterface({ input: this.process.stdout! }).on('line', (line) => {
      const told = JSON.parse(line) as Told
      this.#told.push(told)
      this.#more.emit('more')
    })
    cleanUp(() => this.kill())
  }

  /** The first event of this kind that was not taken yet. */
  async next(event: string, matches: (told: Told) => boolean = () => true): Promise<Told> {
    for (;;) {
      const at = this.#told.findIndex((told) => told.event === event && matches(told))
      if (at >= 0) return this.#told.splice(at, 1)[0]
      const failed = this.#told.find((told) => told.event === 'failed')
      if (failed) throw new Error(`Instead of "${event}": ${failed.error}`)
      const signal = AbortSignal.timeout(60_000)
      await once(this.#more, 'more', { signal }).catch(() => {
        throw new Error(`Never told "${event}"; the last was ${JSON.stringify(this.#told.slice(-20))}`)
      })
    }
  }

  tell(command: object): void {
    this.process.stdin!.write(`${JSON.stringify(command)}\n`)
  }

  async kill(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return
    const gone = once(this.process, 'close')
    this.process.kill('SIGKILL')
    await gone
  }
}
