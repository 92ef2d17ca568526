// Paired devices as people name them: by id or by name.

import { type DeviceInfo, ServiceError } from '../api/services.js'
import { deviceIdOf, type Peers } from '../peers/index.js'

/** What to call the device that made a revision; the end of its id if it is not known. */
export function deviceName(peers: Peers, author: Uint8Array): string {
  const id = deviceIdOf(author)
  return id === peers.key.id ? peers.name : (peers.trust.get(id)?.name ?? `${id.slice(-8)}`)
}

/** The one paired device with this id or name. Throws ServiceError. */
export function findPeer(peers: Peers, peer: string): DeviceInfo {
  const found = peers.trust.list().filter((device) => device.id === peer || device.name === peer)
  if (found.length === 1) return found[0]
  if (found.length > 1) throw new ServiceError('AMBIGUOUS_DEVICE', `Several devices are called '${peer}': give the id.`)
  throw new ServiceError('NO_SUCH_DEVICE', `No paired device is called '${peer}'; \`peerdrive status\` lists them.`)
}
