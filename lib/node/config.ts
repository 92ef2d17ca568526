// What this device remembers between runs besides keys, trust and volumes themselves: which volumes there are and
// where they are mounted, and the port that peers know. One JSON file, replaced atomically.

import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import path from 'node:path'

export interface VolumeEntry {
  label: string
  directory: string
  mountPoint?: string
  /** A replica for this device alone, on a disk that may be away; see attachments.ts. */
  attached?: boolean
}

export interface NodeConfig {
  version: 1
  /** TCP port for peers, chosen at the first start, so that they find us again. */
  port: number
  volumes: VolumeEntry[]
}

/** The file is there but is not a configuration of this version. */
export class ConfigError extends Error {
  override name = 'ConfigError'
  readonly code = 'CONFIG_DAMAGED'
}

const EMPTY: NodeConfig = { version: 1, port: 0, volumes: [] }

/** The configuration in `directory`, or an empty one. Throws ConfigError; nothing is overwritten then. */
export function readConfig(directory: string): NodeConfig {
  const file = path.join(directory, 'node.json')
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { ...EMPTY, volumes: [] }
    throw error
  }
  try {
    const value = JSON.parse(text) as NodeConfig
    const sound =
      value.version === 1 &&
      Number.isInteger(value.port) &&
      Array.isArray(value.volumes) &&
      value.volumes.every((v) => typeof v.label === 'string' && typeof v.directory === 'string')
    if (sound) return value
  } catch {
    // told below
  }
  throw new ConfigError(
    `${file} cannot be understood. Mend it, or move it away: the node then starts with its home volume and the others can be added again.`,
  )
}

export function writeConfig(directory: string, config: NodeConfig): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const file = path.join(directory, 'node.json')
  const fd = openSync(`${file}.new`, 'w', 0o600)
  try {
    writeSync(fd, `${JSON.stringify(config, null, 2)}\n`)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  renameSync(`${file}.new`, file)
}
