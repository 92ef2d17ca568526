// Two or more hosts on one machine: network namespaces joined by a bridge, each with an address and a route for
// multicast, so that discovery and cut links are real. Needs root. Owns the namespaces it made and takes them away.

import { spawnSync } from 'node:child_process'

function ip(...args: string[]): void {
  const done = spawnSync('ip', args, { encoding: 'utf8' })
  if (done.status !== 0) throw new Error(`ip ${args.join(' ')}: ${done.stderr || done.error?.message}`)
}

/** True where namespaces can be made at all; otherwise tests say that they are skipped and why. */
export function namespacesAllowed(): boolean {
  const name = `pd-probe-${process.pid}`
  const made = spawnSync('ip', ['netns', 'add', name]).status === 0
  if (made) spawnSync('ip', ['netns', 'delete', name])
  return made
}

export class Namespaces {
  readonly #id = `pd${process.pid % 100000}`
  readonly names: string[] = []

  /** `count` hosts, 10.77.0.1 and up, all on one link. */
  constructor(count: number) {
    try {
      ip('netns', 'add', this.#switch)
      ip('-n', this.#switch, 'link', 'add', 'br0', 'type', 'bridge')
      ip('-n', this.#switch, 'link', 'set', 'br0', 'up')
      for (let i = 0; i < count; i++) this.#host(i)
    } catch (error) {
      this.destroy()
      throw error
    }
  }

  get #switch(): string {
    return `${this.#id}-sw`
  }

  #host(i: number): void {
    const name = `${this.#id}-h${i}`
    ip('netns', 'add', name)
    this.names.push(name)
    ip('link', 'add', 'eth0', 'netns', name, 'type', 'veth', 'peer', 'name', `port${i}`, 'netns', this.#switch)
    ip('-n', this.#switch, 'link', 'set', `port${i}`, 'master', 'br0', 'up')
    ip('-n', name, 'address', 'add', `10.77.0.${i + 1}/24`, 'dev', 'eth0')
    ip('-n', name, 'link', 'set', 'lo', 'up')
    ip('-n', name, 'link', 'set', 'eth0', 'up')
    ip('-n', name, 'route', 'add', 'default', 'dev', 'eth0')
  }

  /** Command to put in front of another to run it on host `i`; unlike `ip netns exec` it leaves mounts visible to all. */
  prefix(i: number): string[] {
    return ['nsenter', `--net=/run/netns/${this.names[i]}`]
  }

  /** Cuts host `i` off, or joins it again. */
  link(i: number, up: boolean): void {
    ip('-n', this.#switch, 'link', 'set', `port${i}`, up ? 'up' : 'down')
  }

  destroy(): void {
    for (const name of [...this.names.splice(0), this.#switch]) spawnSync('ip', ['netns', 'delete', name])
  }
}
