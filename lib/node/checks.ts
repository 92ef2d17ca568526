// Checks of whole volumes that somebody asked for: one at a time, with progress, and what was found as sentences. Owns those that run.

import { type CheckCountsInfo, type CheckInfo, ServiceError } from '../api/services.js'
import type { Finding, FindingKind } from '../store/check.js'
import { CheckJob } from '../volume/check-job.js'
import type { VolumeList } from './volume-list.js'

const WHAT: Record<FindingKind, string> = {
  'chunk-missing': 'Bytes of a file are missing: chunk',
  'chunk-damaged': 'Bytes of a file are damaged: chunk',
  'revision-missing': 'A version is missing: revision',
  'revision-damaged': 'A version is damaged: revision',
  'change-wrong': 'The list of changes is wrong: change',
  'document-wrong': 'A document is recorded at a place where it is not: document',
  'inode-missing': 'A name leads to nothing: inode',
  'inode-wrong': 'A file is recorded wrongly: inode',
  'folder-differs': 'The version of a folder does not say what is in it: inode',
  'spool-missing': 'What was written to a file is missing: inode or spool',
  'conflict-wrong': 'A conflict is not listed, or listed without being one: document',
}

export class Checks {
  readonly #volumes: VolumeList
  #running: CheckJob | undefined
  #ended = false

  constructor(volumes: VolumeList) {
    this.#volumes = volumes
  }

  /** Every volume of this label; all of them if it is empty. Throws ServiceError, CheckEndedError. */
  async check(label: string, progress: (counts: CheckCountsInfo) => void): Promise<CheckInfo[]> {
    const wanted = this.#volumes.list().filter(({ volume }) => !label || volume.label === label)
    if (wanted.length === 0)
      throw new ServiceError('NO_SUCH_VOLUME', `There is no volume '${label}' here; \`peerdrive status\` lists them.`)
    if (this.#running)
      throw new ServiceError('BUSY', 'A volume is being checked already; wait for that check to end, and ask again.')
    const checked: CheckInfo[] = []
    for (const { volume, directory, damaged } of wanted) {
      // What was acknowledged is looked at as well.
      await volume.flush()
      const { label } = volume
      const told = (counts: Omit<CheckCountsInfo, 'volume'>) => progress({ volume: label, ...counts })
      const { counts, findings } = await this.#run(directory, told)
      // Sync fetches them again.
      for (const { kind, about } of findings) if (kind === 'chunk-damaged') damaged(Buffer.from(about, 'hex'))
      checked.push({ counts: { volume: label, ...counts }, findings: findings.map(sentence) })
    }
    return checked
  }

  async #run(directory: string, progress: ConstructorParameters<typeof CheckJob>[1]) {
    if (this.#ended) throw new ServiceError('STOPPING', 'The node is being stopped.')
    const job = new CheckJob(directory, progress)
    this.#running = job
    try {
      return await job.result
    } finally {
      this.#running = undefined
    }
  }

  /** Before the volumes are closed. */
  async end(): Promise<void> {
    this.#ended = true
    await this.#running?.end()
  }
}

const sentence = ({ kind, about, message }: Finding): string => `${WHAT[kind]} ${about}. ${message}`
