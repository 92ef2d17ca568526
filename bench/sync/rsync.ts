// rsync with a daemon on loopback: run when everything is in place, which is more than the others are given.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import path from 'node:path'
import type { Pair } from './pair.js'
import { freePort, listening } from './ports.js'

export class RsyncPair implements Pair {
  readonly name = 'rsync'
  readonly from: string
  readonly to: string
  readonly #daemon: ChildProcess
  readonly #port: number
  #sent = 0

  private constructor(scratch: string, daemon: ChildProcess, port: number) {
    this.from = path.join(scratch, 'rsync-from')
    this.to = path.join(scratch, 'rsync-to')
    this.#daemon = daemon
    this.#port = port
  }

  static async start(scratch: string): Promise<RsyncPair> {
    const port = await freePort()
    const config = path.join(scratch, 'rsyncd.conf')
    const to = path.join(scratch, 'rsync-to')
    for (const directory of [to, path.join(scratch, 'rsync-from')]) fs.mkdirSync(directory)
    fs.writeFileSync(config, `use chroot = no\n[to]\npath = ${to}\nread only = no\nuid = ${process.getuid?.() ?? 0}\n`)
    const daemon = spawn(
      'rsync',
      ['--daemon', '--no-detach', '--address=127.0.0.1', `--port=${port}`, `--config=${config}`],
      { stdio: 'ignore' },
    )
    await listening(port)
    return new RsyncPair(scratch, daemon, port)
  }

  pids(): number[] {
    return [this.#daemon.pid!]
  }

  async sent(): Promise<number> {
    return this.#sent
  }

  push(): void {
    const target = `rsync://127.0.0.1:${this.#port}/to/`
    const done = spawnSync('rsync', ['-a', '--delete', '--stats', `${this.from}/`, target], { encoding: 'utf8' })
    if (done.status !== 0) throw new Error(`rsync failed: ${done.stderr}`)
    for (const [, bytes] of done.stdout.matchAll(/^Total bytes (?:sent|received): ([\d,]+)/gm))
      this.#sent += Number(bytes.replaceAll(',', ''))
  }

  async stop(): Promise<void> {
    this.#daemon.kill()
  }
}
