// Where a node keeps its things, after the XDG Base Directory Specification. Pure: reads the environment it is given.

import { homedir, tmpdir } from 'node:os'
import path from 'node:path'

export interface NodePaths {
  /** Key, trust and settings of this device. */
  config: string
  /** Volumes. */
  data: string
  /** Socket of the client API and the console's token: gone when the node is. */
  runtime: string
  socket: string
  /** Where the home volume is mounted. */
  mountPoint: string
}

/** A UNIX socket's path may not be longer (sun_path of Linux, less its NUL). */
const SOCKET_PATH_MAX = 107

/**
 * PEERDRIVE_HOME puts everything below one directory (for tests and for several nodes on one machine);
 * PEERDRIVE_MOUNT moves the mount point.
 */
export function nodePaths(env: NodeJS.ProcessEnv, uid: number): NodePaths {
  const home = env.HOME || homedir()
  const own = env.PEERDRIVE_HOME
  const config = own
    ? path.join(own, 'config')
    : path.join(env.XDG_CONFIG_HOME || path.join(home, '.config'), 'peerdrive')
  const data = own
    ? path.join(own, 'data')
    : path.join(env.XDG_DATA_HOME || path.join(home, '.local/share'), 'peerdrive')
  const runtime = own
    ? path.join(own, 'run')
    : env.XDG_RUNTIME_DIR
      ? path.join(env.XDG_RUNTIME_DIR, 'peerdrive')
      : path.join(tmpdir(), `peerdrive-${uid}`)
  const mountPoint = path.resolve(env.PEERDRIVE_MOUNT || path.join(own ?? home, 'PeerDrive'))
  const socket = path.join(runtime, 'api.sock')
  if (Buffer.byteLength(socket) > SOCKET_PATH_MAX)
    throw new Error(
      `The path ${socket} is too long for a socket; set XDG_RUNTIME_DIR or PEERDRIVE_HOME to something shorter.`,
    )
  return { config, data, runtime, socket, mountPoint }
}
