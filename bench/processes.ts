// What processes use, as the kernel tells it: processor time, memory, and whether they rest.

import { readFileSync } from 'node:fs'

const TICK_MS = 10

/** Resident memory without the pages of files that it maps (the database), which the kernel may take away. MiB. */
export function memoryOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(/^RssAnon:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024
}

/** Milliseconds of processor time used so far, of user and kernel together. */
export function processorTime(pids: number[]): number {
  return pids.reduce((sum, pid) => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')
    return sum + (Number(fields[11]) + Number(fields[12])) * TICK_MS
  }, 0)
}

export const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

/** Resolves when the processes have used next to nothing for a second, or after `limitMs`. */
export async function resting(pids: number[], limitMs = 60_000): Promise<void> {
  const end = performance.now() + limitMs
  for (let calm = 0; calm < 2 && performance.now() < end; ) {
    const before = processorTime(pids)
    await pause(500)
    calm = processorTime(pids) - before <= 2 * TICK_MS ? calm + 1 : 0
  }
}
