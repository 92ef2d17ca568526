// Where a case runs: a directory on the mount of a real volume, and one on the machine's own disk, which shows what Linux does.
// Owns the process that serves the volume.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, statfsSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export const isRoot = process.getuid?.() === 0
/** Somebody without rights, and others. */
export const NOBODY = 65534

/** File systems that may be asked what Linux does: ext4, tmpfs, xfs. */
const ORACLES = new Set([0xef53, 0x01021994, 0x58465342])

export class Places {
  /** A directory on the mount. */
  mount = ''
  /** A directory on the disk; empty: there is none to compare with. */
  disk = ''
  #child?: ChildProcess
  #counter = 0
  #said = ''

  /** Skips the suite aloud where nothing can be mounted. */
  static use(options: { root?: boolean } = {}): Places {
    const places = new Places()
    before(async function () {
      this.timeout(60_000)
      const missing =
        process.platform !== 'linux' || !existsSync('/dev/fuse')
          ? '/dev/fuse'
          : options.root && !isRoot
            ? 'root, to act as several users'
            : undefined
      if (missing) {
        console.log(`skipped: this needs ${missing}`)
        return this.skip()
      }
      await places.open()
    })
    after(() => places.close())
    return places
  }

  async open(): Promise<void> {
    const program = fileURLToPath(new URL('volume-process.js', import.meta.url))
    this.#child = spawn(process.execPath, ['--enable-source-maps', program], { stdio: ['pipe', 'pipe', 'pipe'] })
    this.#child.stderr!.on('data', (data) => {
      this.#said += data
    })
    const lines = createInterface(this.#child.stdout!)
    const [mount] = await Promise.race([
      once(lines, 'line'),
      once(this.#child, 'exit').then(() => {
        throw new Error(`No mount: ${this.#said}`)
      }),
    ])
    this.mount = mount
    // Others have to get there.
    chmodSync(path.dirname(mount), 0o755)
    chmodSync(mount, 0o755)
    for (const parent of [os.tmpdir(), '/dev/shm']) {
      if (!existsSync(parent) || !ORACLES.has(statfsSync(parent).type)) continue
      this.disk = mkdtempSync(path.join(parent, 'pd-oracle-'))
      chmodSync(this.disk, 0o755)
      break
    }
    if (!this.disk) console.log('not compared with a disk: neither ext4, xfs nor tmpfs is at hand')
  }

  async close(): Promise<void> {
    if (this.disk) rmSync(this.disk, { recursive: true, force: true })
    const child = this.#child
    if (!child || child.exitCode !== null) return
    const ended = once(child, 'exit')
    child.stdin!.end()
    const [code] = await ended
    if (code !== 0 || this.#said) throw new Error(`The volume ended with ${code}: ${this.#said}`)
  }

  /** New directories of one name in every place. */
  directories(): string[] {
    const name = `t${++this.#counter}`
    return [this.disk, this.mount]
      .filter((place) => place !== '')
      .map((place) => {
        const directory = path.join(place, name)
        mkdirSync(directory, { mode: 0o755 })
        return directory
      })
  }
}

/** Makes system calls as another user. What is given must be synchronous. */
export function as<T>(uid: number, gid: number, groups: number[], action: () => T): T {
  const before = process.getgroups!()
  process.setgroups!(groups)
  process.setegid!(gid)
  process.seteuid!(uid)
  try {
    return action()
  } finally {
    process.seteuid!(0)
    process.setegid!(0)
    process.setgroups!(before)
  }
}
