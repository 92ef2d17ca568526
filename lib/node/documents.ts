// What is done with one document of a volume: its versions shown, read, restored, its conflicts listed and ended. Documents are
// named by absolute paths below a mount point. Owns nothing; errors are sentences for people.

import { type ConflictInfo, type RestoredInfo, ServiceError, type VersionInfo } from '../api/services.js'
import { hex } from '../model/bytes.js'
import { conflictSides } from '../model/conflict.js'
import { PART_CONTENT, type RId, TYPE_FOLDER } from '../model/types.js'
import type { Peers } from '../peers/index.js'
import { resolveConflict } from '../sync/resolve.js'
import type { Head, Volume } from '../volume/contract.js'
import { deviceName } from './devices.js'
import { FolderRestore } from './restore-folder.js'
import { findVersion, history, versionInfos, wasAt } from './versions.js'
import { shownPath, type VolumeList } from './volume-list.js'

const PIECE = 1 << 20
/** More are not listed. */
export const MAX_CONFLICTS = 1000
/** A folder that was just changed is sealed before the next one. */
const RESOLVE_ATTEMPTS = 3

export class Documents {
  readonly #volumes: VolumeList
  readonly #deviceName: (author: Uint8Array) => string

  constructor(volumes: VolumeList, peers: Peers) {
    this.#volumes = volumes
    this.#deviceName = (author) => deviceName(peers, author)
  }

  async log(path: Uint8Array, limit: number): Promise<VersionInfo[]> {
    const { volume, head } = await this.find(path)
    return versionInfos(history(volume, head.head, limit), head.ino > 0 ? head.head : undefined, this.#deviceName)
  }

  async cat(path: Uint8Array, version: string, sink: (bytes: Uint8Array) => Promise<void>): Promise<void> {
    const { volume, head, names } = await this.find(path)
    const { revision } = findVersion(volume, names, head.head, version)
    const content = revision.parts.get(PART_CONTENT)
    if (revision.type === TYPE_FOLDER) {
      for (const entry of volume.entries(revision)) await sink(Buffer.concat([entry.name, Buffer.from('\n')]))
      return
    }
    for (let at = 0; content && at < content.size; at += PIECE) await sink(await volume.read(content, at, PIECE))
  }

  async restore(path: Uint8Array, version: string): Promise<RestoredInfo> {
    const { volume, head, ino, names } = await this.find(path)
    const { rid, revision, at } = findVersion(volume, names, head.head, version)
    const told = async (ofFolder?: FolderRestore['restored']) => {
      const { document } = await volume.walk(names)
      return { version: await this.#current(volume, document), ...(ofFolder ?? ONE_FILE) }
    }
    if (revision.type === TYPE_FOLDER) {
      const restore = new FolderRestore(volume, at)
      await restore.folder(names, head.document, rid, revision)
      return told(restore.restored)
    }
    if (ino > 0) await volume.restore(ino, rid)
    else await volume.revive(names, head.document, rid)
    return told()
  }

  async conflicts(): Promise<ConflictInfo[]> {
    const found: ConflictInfo[] = []
    for (const open of this.#volumes.list()) {
      for (const head of open.volume.conflicts(MAX_CONFLICTS)) {
        const look = (rid: RId) => open.volume.revision(rid)
        const shown = [head.head, ...conflictSides(head.head, look)].flatMap((rid) => {
          const revision = look(rid)
          return revision ? [{ rid, revision }] : []
        })
        found.push({
          path: await shownPath(open, head.ino),
          volume: open.volume.label,
          document: hex(head.document),
          versions: versionInfos(shown, head.head, this.#deviceName),
        })
      }
    }
    return found
  }

  async resolve(path: Uint8Array, version?: string, both = false): Promise<VersionInfo> {
    const { volume, head, names } = await this.find(path)
    const keep = version ? findVersion(volume, names, head.head, version).rid : undefined
    for (let attempt = 0; ; attempt++) {
      const result = await resolveConflict(volume, { document: head.document, keep, both })
      if (result === 'resolved') return this.#current(volume, head.document)
      if (result === 'none')
        throw new ServiceError('NO_CONFLICT', 'There is no conflict here; `peerdrive conflicts` lists those there are.')
      if (attempt === RESOLVE_ATTEMPTS)
        throw new ServiceError(
          'BUSY',
          'The file was changed at this moment, or is open for writing. Look at it and try again.',
        )
      await volume.flush()
    }
  }

  /** What lives at this path, once everything acknowledged is committed; if nothing does (`ino` 0), what was there last. */
  async find(path: Uint8Array): Promise<{ volume: Volume; head: Head; ino: number; names: Uint8Array[] }> {
    const { volume, names } = this.#volumes.locate(path)
    // On a full disk the versions that there are can be seen nevertheless.
    const failure = await volume.flush().then(noError, noSpace)
    const { ino, document } = await volume.walk(names).catch((error) => wasAt(volume, names, error))
    const head = volume.head(document)
    if (!head && failure) throw failure
    if (!head) throw new ServiceError('NO_VERSION_YET', 'It has no version yet: it is still being written or hashed.')
    return { volume, head, ino, names }
  }

  async #current(volume: Volume, document: Uint8Array): Promise<VersionInfo> {
    await volume.flush()
    const head = volume.head(document)
    if (!head) throw new ServiceError('NO_VERSION_YET', 'The document is gone.')
    return versionInfos(history(volume, head.head, 1), head.head, this.#deviceName)[0]
  }
}

const ONE_FILE = { files: 1, same: 0, later: 0, problems: [] }
const noError = () => undefined

/** The error if it tells of a full disk; throws any other. */
function noSpace(error: Error & { code?: string }): Error {
  if (error.code === 'ENOSPC' || error.code === 'EDQUOT') return error
  throw error
}
