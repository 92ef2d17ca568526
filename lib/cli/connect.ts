// How every command but `start` reaches the node, and how it fails: one sentence on stderr, exit code 1.

import { ApiClient } from '../api/client.js'
import { nodePaths } from '../node/paths.js'
import { parseTime } from '../volume/history/times.js'
import { absoluteBytes, rawBytes } from './raw-arguments.js'

/** Runs `work` with a connection to this user's node and closes it after. */
export async function withNode<T>(work: (node: ApiClient) => Promise<T>): Promise<T> {
  const node = await ApiClient.connect(nodePaths(process.env, process.getuid?.() ?? 0).socket)
  try {
    return await work(node)
  } finally {
    node.close()
  }
}

/** Wraps a command's action: failures become one line and exit code 1. */
export function action<A extends unknown[]>(run: (...args: A) => Promise<void>): (...args: A) => Promise<void> {
  return async (...args) => {
    try {
      await run(...args)
    } catch (error) {
      console.error(`peerdrive: ${error instanceof Error ? error.message : String(error)}`)
      process.exitCode = 1
    }
  }
}

/** What somebody typed where a number from 1 to `most` belongs. Throws an Error for people. */
export function countOf(text: string, most: number, what: string): number {
  const count = Number(text)
  if (Number.isInteger(count) && count >= 1 && count <= most) return count
  throw new Error(`'${text}' is not a number of ${what}: 1 to ${most}.`)
}

/** Absolute path as bytes, as they were typed; links in the folders above are followed, the last name is taken as it is. */
export function absolute(file: string): Uint8Array {
  return absoluteBytes(rawBytes(file))
}

/** Splits `FILE@VERSION` at the last `@`. */
export function fileAndVersion(argument: string): { file: Uint8Array; version: string } {
  const at = argument.lastIndexOf('@')
  const version = at < 0 ? '' : argument.slice(at + 1)
  if (!(/^[0-9a-f]{4,66}$/.test(version) || parseTime(version)))
    throw new Error(
      `Say which version: FILE@VERSION, as \`peerdrive log FILE\` lists them, or a time (got '${argument}').`,
    )
  const bytes = rawBytes(argument)
  return { file: absoluteBytes(bytes.subarray(0, bytes.lastIndexOf(0x40))), version }
}
