// Waiting with an end.
import { TimeOutError } from './errors.js'

/** Settles like the promise, or rejects with TimeOutError after `ms`. The promise itself goes on. */
export async function within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new TimeOutError(`${what} took longer than ${ms} ms.`)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
