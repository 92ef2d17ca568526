// The clock of the system that actors use unless a test gives another.

import type { Clock } from './types.js'

export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms)
    return () => clearTimeout(timer)
  },
}
