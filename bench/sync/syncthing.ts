// Two instances of Syncthing (Debian's package) on loopback, told by its own interface (REST) what a user who wants it quick there
// would set: no discovery, no relays, no NAT, the shortest delay of its watcher. Everything else as it comes.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import path from 'node:path'
import { pause } from '../processes.js'
import type { Pair } from './pair.js'
import { freePort } from './ports.js'

const FOLDER = 'bench'
const OPTIONS = {
  globalAnnounceEnabled: false,
  localAnnounceEnabled: false,
  relaysEnabled: false,
  natEnabled: false,
  crashReportingEnabled: false,
  urAccepted: -1,
  autoUpgradeIntervalH: 0,
  startBrowser: false,
  reconnectionIntervalS: 5,
  setLowPriority: false,
}

class Instance {
  readonly directory: string
  readonly id: string
  readonly #key: string
  readonly #child: ChildProcess
  readonly #gui: number

  private constructor(home: string, id: string, child: ChildProcess, gui: number) {
    this.directory = path.join(home, 'folder')
    this.id = id
    this.#child = child
    this.#gui = gui
    this.#key = /<apikey>(.*)<\/apikey>/.exec(fs.readFileSync(path.join(home, 'config.xml'), 'utf8'))?.[1] ?? ''
  }

  static async start(home: string, port: number): Promise<Instance> {
    const generated = spawnSync('syncthing', ['generate', `--home=${home}`, '--no-default-folder'], {
      encoding: 'utf8',
    })
    const id = /<device id="([A-Z0-9-]+)"/.exec(fs.readFileSync(path.join(home, 'config.xml'), 'utf8'))?.[1]
    if (!id) throw new Error(`syncthing generate failed: ${generated.stderr}`)
    const gui = await freePort()
    const child = spawn(
      'syncthing',
      [
        'serve',
        `--home=${home}`,
        `--gui-address=127.0.0.1:${gui}`,
        '--no-browser',
        '--no-restart',
        '--no-default-folder',
      ],
      { stdio: 'ignore', env: { ...process.env, STNORESTART: '1', STMONITORED: '1' } },
    )
    const instance = new Instance(home, id, child, gui)
    fs.mkdirSync(instance.directory)
    while (!(await instance.ask('GET', 'system/ping').catch(() => undefined))) await pause(100)
    await instance.ask('PATCH', 'config/options', { ...OPTIONS, listenAddresses: [`tcp://127.0.0.1:${port}`] })
    return instance
  }

  get pid(): number {
    return this.#child.pid!
  }

  async ask<T>(method: string, what: string, body?: unknown): Promise<T> {
    const answer = await fetch(`http://127.0.0.1:${this.#gui}/rest/${what}`, {
      method,
      headers: { 'X-API-Key': this.#key },
      body: body === undefined ? undefined : JSON.stringify(body),
    })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`Syncthing answers ${answer.status} to ${what}: ${text}`)
    return (text ? JSON.parse(text) : undefined) as T
  }

  async share(peer: string, port: number): Promise<void> {
    await this.ask('POST', 'config/devices', { deviceID: peer, addresses: [`tcp://127.0.0.1:${port}`], name: 'peer' })
    await this.ask('POST', 'config/folders', {
      ...{ id: FOLDER, path: this.directory, devices: [{ deviceID: this.id }, { deviceID: peer }] },
      ...{ fsWatcherEnabled: true, fsWatcherDelayS: 1, rescanIntervalS: 3600 },
    })
  }

  async connected(): Promise<boolean> {
    const { connections } = await this.ask<{ connections: Record<string, { connected: boolean }> }>(
      'GET',
      'system/connections',
    )
    return Object.values(connections).some(({ connected }) => connected)
  }

  async sent(): Promise<number> {
    const { total } = await this.ask<{ total: { outBytesTotal: number } }>('GET', 'system/connections')
    return total.outBytesTotal
  }

  async stop(): Promise<void> {
    const ended = once(this.#child, 'exit')
    this.#child.kill()
    await ended
  }
}

export class SyncthingPair implements Pair {
  readonly name = 'syncthing'

  private constructor(
    private readonly a: Instance,
    private readonly b: Instance,
  ) {}

  static async start(scratch: string): Promise<SyncthingPair> {
    const ports = [await freePort(), await freePort()]
    const a = await Instance.start(path.join(scratch, 'syncthing-a'), ports[0])
    const b = await Instance.start(path.join(scratch, 'syncthing-b'), ports[1])
    await a.share(b.id, ports[1])
    await b.share(a.id, ports[0])
    while (!(await a.connected()) || !(await b.connected())) await pause(100)
    return new SyncthingPair(a, b)
  }

  get from(): string {
    return this.a.directory
  }

  get to(): string {
    return this.b.directory
  }

  pids(): number[] {
    return [this.a.pid, this.b.pid]
  }

  async sent(): Promise<number> {
    return (await this.a.sent()) + (await this.b.sent())
  }

  async stop(): Promise<void> {
    await this.b.stop()
    await this.a.stop()
  }
}
