// The few numbers shared with the committer. Owns nothing; writes what the volume thread writes of them. Wakes the committer when
// it sleeps: through the main thread, once, and never waits for it.

import { type Lsn, PROGRESS_ASLEEP, PROGRESS_COMMITTED, PROGRESS_JOURNAL_END } from '../../store/records.js'
import type { Progress } from './ports.js'

/** More than this without being folded: operations are slowed down. */
const BACKLOG_BYTES = 256 << 20
/** The same for inodes in memory, while some of them wait to be folded. */
const BACKLOG_INODES = 200_000
/** Waits in steps, at most this long altogether before requests get a turn. Milliseconds. */
const STEP = 20
const WAIT_MAX = 1000

export class SharedProgress implements Progress {
  readonly #slots: BigInt64Array
  readonly #wake: () => void
  readonly #report: (text: string) => void
  #end: Lsn = -1
  #slow = false

  constructor(components: { shared: SharedArrayBuffer; wake: () => void; report: (text: string) => void }) {
    this.#slots = new BigInt64Array(components.shared)
    this.#wake = components.wake
    this.#report = components.report
  }

  committed(): Lsn {
    return Number(Atomics.load(this.#slots, PROGRESS_COMMITTED))
  }

  journalEnd(lsn: Lsn): void {
    if (lsn === this.#end) return
    this.#end = lsn
    Atomics.store(this.#slots, PROGRESS_JOURNAL_END, BigInt(lsn))
    if (Atomics.load(this.#slots, PROGRESS_ASLEEP) === 0n) return
    if (Atomics.exchange(this.#slots, PROGRESS_ASLEEP, 0n) === 1n) this.#wake()
  }

  /** Waits a little if the committer is far behind. Never for ever: it may be down. `inodes`: in memory. */
  throttle(inodes: number): void {
    let committed = this.committed()
    const behind = () => this.#end - committed
    const far = () => behind() >= BACKLOG_BYTES || (inodes >= BACKLOG_INODES && behind() > 0)
    if (!far()) {
      this.#slow = false
      return
    }
    if (!this.#slow) this.#report(`The journal is ${behind() >> 20} MiB ahead: changes are slowed down`)
    this.#slow = true
    for (let waited = 0; waited < WAIT_MAX && far(); waited += STEP) {
      Atomics.wait(this.#slots, PROGRESS_COMMITTED, BigInt(committed), STEP)
      committed = this.committed()
    }
  }
}
