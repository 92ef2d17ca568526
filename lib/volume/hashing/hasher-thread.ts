// Entry point of a hasher thread: one job after another, as they come. Owns what it opens to read; writes nothing.
// Whatever is not the disk's fault ends the thread: the pool starts another and tries once more.

import { parentPort, receiveMessageOnPort } from 'node:worker_threads'
import type { ChunkSource } from '../../model/types.js'
import { ChunkMissingError } from '../../store/errors.js'
import { VolumeLayout } from '../../store/layout.js'
import { PackReader } from '../../store/packs.js'
import { StoreReader } from '../../store/tables.js'
import type { HasherAnswer, HasherLeave, HasherRequest } from './hash-job.js'
import { hashSpool } from './hash-spool.js'

/** Errors of files, and of chunks that are not there or are damaged. */
const isDiskFault = (error: unknown) => typeof (error as NodeJS.ErrnoException).code === 'string'

async function serve({ id, job }: HasherRequest): Promise<void> {
  const port = parentPort!
  const answer = (value: HasherAnswer) => port.postMessage(value)
  let reader: StoreReader | undefined
  let packs: PackReader | undefined
  const source: ChunkSource = (chunk) => {
    const layout = new VolumeLayout(job.volume)
    reader ??= StoreReader.open(layout.db)
    packs ??= new PackReader({ reader, layout })
    return packs.chunk(chunk)
  }
  try {
    const result = hashSpool(job, source, (bytes) => {
      // A thread that has a job is sent nothing but the request to leave.
      if (receiveMessageOnPort(port)) process.exit(1)
      answer({ id, kind: 'progress', bytes })
    })
    answer({ id, kind: 'done', result })
  } catch (error) {
    if (!isDiskFault(error)) throw error
    const missing = error instanceof ChunkMissingError ? error.id : undefined
    answer({ id, kind: 'failed', unreadable: true, message: (error as Error).message, missing })
  } finally {
    packs?.close()
    await reader?.close()
  }
}

parentPort?.on('message', (message: HasherRequest | HasherLeave) => {
  if ('leave' in message) process.exit(1)
  void serve(message)
})
