// History over the live tree: what lib/volume/history needs of the engine. Owns nothing; reads only.

import type { FileSystem } from '../../fuse/file-system.js'
import type { DeviceNames } from '../history/devices.js'
import { History } from '../history/history.js'
import { HistoryOperations } from '../history/history-operations.js'
import { nameOf } from '../history/names.js'
import { VersionedFileSystem } from '../history/versioned-file-system.js'
import type { Contents } from './contents.js'
import { errnoOf } from './errno.js'
import type { ChunkFinder } from './leaf-cache.js'
import type { LiveState } from './live-state.js'
import type { DurableState } from './ports.js'

export interface PastComponents {
  live: FileSystem
  state: LiveState
  durable: DurableState
  finder: ChunkFinder
  contents: Contents
  devices: DeviceNames
  /** Throws NotYet, see VolumeFileSystem. */
  notYet: (error: unknown) => void
  onError: (error: unknown) => void
}

export function withHistory(
  components: PastComponents,
  init: { generation?: number; nodesMax?: number },
): { fileSystem: FileSystem; history: History } {
  const { live, state, durable, finder, contents, devices, notYet, onError } = components
  const { folders } = state
  const store = {
    head: (document: Uint8Array) => durable.document(document)?.head,
    encoded: (rid: Uint8Array) => durable.revision(rid),
    source: finder.source,
  }
  const folder = (ino: number) => {
    const inode = state.inode(ino)
    return inode?.isFolder && inode.nlink > 0 ? inode : undefined
  }
  const tree = {
    folder,
    document(ino: number, name: string) {
      const entry = folder(ino) && folders.find(folders.of(ino), name, nameOf(name))
      return entry && state.inode(entry.ino)?.document
    },
    names: (ino: number) => (folder(ino) ? folders.list(folders.of(ino)).map(({ key }) => key) : []),
  }
  const history = new History({ store, devices, live: tree }, init)
  const operations = new HistoryOperations(
    {
      history,
      refresh: () => durable.refresh(),
      readContent: (content, offset, into, length) =>
        contents.readContent({ kind: 'committed', content }, offset, into, 0, length),
    },
    init,
  )
  const failed = (error: unknown) => {
    notYet(error)
    onError(error)
    return errnoOf(error)
  }
  return { fileSystem: new VersionedFileSystem({ live, history: operations, failed }), history }
}
