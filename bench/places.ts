// Directories to compare: the node's mount, pass-through and other file systems of FUSE over the same disk, and the disk itself.
// Owns the mounts and takes them down, also after a failure.

import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import path from 'node:path'
import { NodeProcess } from './node-process.js'

export interface Place {
  name: string
  directory: string
}

interface Other {
  name: string
  /** Mounts `below` at `at`. */
  mount(below: string, at: string): [command: string, ...args: string[]]
  prepare?(below: string): [command: string, ...args: string[]]
}

const PASSWORD = ['-extpass', 'echo bench', '-q']
const OTHERS: Other[] = [
  { name: 'bindfs', mount: (below, at) => ['bindfs', below, at] },
  {
    name: 'gocryptfs',
    // The least costly key derivation: what is compared is the file system.
    prepare: (below) => ['gocryptfs', ...PASSWORD, '-scryptn', '10', '-init', below],
    mount: (below, at) => ['gocryptfs', ...PASSWORD, below, at],
  },
  {
    name: 'rclone',
    mount: (below, at) => [
      ...(['rclone', 'mount', '--daemon', '--vfs-cache-mode', 'writes', '--links', '--config', '/dev/null'] as const),
      ...['--cache-dir', `${at}.cache`, below, at],
    ],
  },
]

export class Places {
  private readonly mounted: string[] = []

  private constructor(
    readonly node: NodeProcess,
    readonly list: Place[],
  ) {}

  /** `with`: names of others; one that is not installed is left out, aloud. */
  static async open(scratch: string, others: string[]): Promise<Places> {
    const node = new NodeProcess({ home: path.join(scratch, 'node') })
    await node.start()
    const places = new Places(node, [{ name: 'peerdrive', directory: node.mountPoint }])
    try {
      for (const other of OTHERS) if (others.includes(other.name)) places.add(scratch, other)
      const disk = path.join(scratch, 'disk')
      fs.mkdirSync(disk)
      places.list.push({ name: 'disk', directory: disk })
      return places
    } catch (error) {
      await places.close()
      throw error
    }
  }

  private add(scratch: string, { name, prepare, mount }: Other): void {
    if (spawnSync('which', [name]).status !== 0) {
      console.log(`${name} is not installed and is left out (apt-get install ${name})`)
      return
    }
    const below = path.join(scratch, `${name}-below`)
    const directory = path.join(scratch, name)
    for (const each of [below, directory]) fs.mkdirSync(each)
    for (const [command, ...args] of [prepare?.(below), mount(below, directory)].filter((c) => c !== undefined)) {
      const { status, stderr } = spawnSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'ignore', 'pipe'] })
      if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed: ${stderr}`)
    }
    this.mounted.push(directory)
    this.list.push({ name, directory })
  }

  async close(): Promise<void> {
    for (const directory of this.mounted) spawnSync('umount', [directory])
    await this.node.stop()
  }
}
