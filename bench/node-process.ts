// A node as a child process in a directory of its own, for benchmarks and system tests: started from the built command
// line as a user would, stopped cleanly or killed. Owns the process and nothing in the directory.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { ApiClient } from '../lib/api/client.js'

const MAIN = fileURLToPath(new URL('../lib/cli/main.js', import.meta.url))

export interface NodeProcessInit {
  /** PEERDRIVE_HOME: keys, volumes, socket and mount point lie below it. */
  home: string
  /** Command put in front, e.g. `['ip', 'netns', 'exec', 'name']`. */
  prefix?: string[]
  env?: Record<string, string>
  args?: string[]
}

export class NodeProcess {
  /** Where the volume in use is mounted: the home volume, or the one named by `volumeMounted`. */
  mountPoint: string
  readonly socket: string
  output = ''
  #child?: ChildProcess

  constructor(private readonly init: NodeProcessInit) {
    this.mountPoint = path.join(init.home, 'PeerDrive')
    this.socket = path.join(init.home, 'run', 'api.sock')
  }

  /** Resolves when the node says that it is ready; rejects with what it printed if it ends before. */
  async start(): Promise<void> {
    const [command, ...args] = [...(this.init.prefix ?? []), process.execPath, MAIN, 'start', ...(this.init.args ?? [])]
    const child = spawn(command, args, {
      env: { ...process.env, PEERDRIVE_HOME: this.init.home, ...this.init.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child = child
    this.output = ''
    await new Promise<void>((resolve, reject) => {
      const hear = (data: Buffer) => {
        this.output += data
        if (this.output.includes('Ctrl-C')) resolve()
      }
      child.stdout?.on('data', hear)
      child.stderr?.on('data', hear)
      child.once('error', reject)
      child.once('exit', (code, signal) => reject(new Error(`The node ended (${code ?? signal}):\n${this.output}`)))
    })
  }

  volumeMounted(at: string | undefined): void {
    if (at) this.mountPoint = at
  }

  get pid(): number {
    const { pid } = this.#child ?? {}
    if (!pid) throw new Error('The node is not running.')
    return pid
  }

  /** The consoles' address with its token, as printed. */
  get consoleUrl(): string {
    return /http:\/\/127\.0\.0\.1:\d+\/#token=\S+/.exec(this.output)?.[0] ?? ''
  }

  client(): Promise<ApiClient> {
    return ApiClient.connect(this.socket)
  }

  async with<T>(work: (node: ApiClient) => Promise<T>): Promise<T> {
    const node = await this.client()
    try {
      return await work(node)
    } finally {
      node.close()
    }
  }

  /** Sends `signal` and waits for the end of the process; answers its exit code. */
  async stop(signal: NodeJS.Signals = 'SIGINT'): Promise<number | null> {
    const child = this.#child
    this.#child = undefined
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null
    const ended = once(child, 'exit')
    child.kill(signal)
    const [code] = await ended
    return code
  }
}
