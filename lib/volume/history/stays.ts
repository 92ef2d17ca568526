// How long files had their names in a folder: those that were there for a moment only, as the temporaries and locks of programs are.
// Owns one number for each name. In doubt a name was there for long.

/** Milliseconds that are a moment. */
export const MOMENT = 5000

const LONG = 0
const BRIEF = -1

export class Stays {
  /** Since when a name is there (> 0), or how it was there. */
  readonly #names = new Map<string, number>()

  /** The name was in no earlier revision. In order of time, as `left`. */
  came(name: string, ms: number): void {
    const known = this.#names.get(name)
    if (known === undefined || known === BRIEF) this.#names.set(name, Math.max(1, ms))
  }

  left(name: string, ms: number): void {
    const since = this.#names.get(name) ?? LONG
    this.#names.set(name, since > 0 && ms - since < MOMENT ? BRIEF : LONG)
  }

  /** It is not known when the name came. */
  long(name: string): void {
    this.#names.set(name, LONG)
  }

  /** Whether the name was never there for longer than a moment, and is not now. */
  wasBrief(name: string): boolean {
    return this.#names.get(name) === BRIEF
  }
}
