// What is said of operations that failed: a sentence where the reason is the disk's, the stack where it is ours, and each thing
// once in a while only, since a full disk or a damaged file fails many operations alike. Owns what was said when.

import { ENOSPC } from '../../fuse/errno.js'
import { StoreError } from '../../store/errors.js'
import { EDQUOT, ErrnoError, errnoOf } from './errno.js'

/** Milliseconds in which the same is not said again. */
const QUIET_MS = 60_000
/** Things that are remembered to have been said. */
const SAID_MAX = 100

export class Complaints {
  readonly #report: (text: string) => void
  readonly #monotonic: () => number
  readonly #said = new Map<string, number>()

  constructor(components: { report: (text: string) => void; monotonic: () => number }) {
    this.#report = components.report
    this.#monotonic = components.monotonic
  }

  /** `path`: of the file that it was about, if that is known. */
  failed(error: unknown, path?: string): void {
    const text = sentence(error, path)
    const now = this.#monotonic()
    const last = this.#said.get(text)
    if (last !== undefined && now - last < QUIET_MS) return
    this.#said.delete(text)
    this.#said.set(text, now)
    if (this.#said.size > SAID_MAX) this.#said.delete(this.#said.keys().next().value!)
    this.#report(text)
  }
}

function sentence(error: unknown, path: string | undefined): string {
  const errno = errnoOf(error)
  if (errno === ENOSPC || errno === EDQUOT)
    return 'The disk is full: changes are refused (ENOSPC) until there is room. What was acknowledged is kept; remove or move other things on that disk.'
  const about = path === undefined ? '' : `${path}: `
  if (error instanceof StoreError || error instanceof ErrnoError) return `${about}${error.message}`
  return `${about}An operation failed: ${(error as Error)?.stack ?? error}`
}
