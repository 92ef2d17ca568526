// Names of actors. A name belongs to one living actor and is free again when that is gone.

import type { Actor, ActorRef } from './actor.js'
import { ActorNameError } from './errors.js'

export class Registry {
  readonly #byName = new Map<string, Actor>()

  /** Throws ActorNameError if another actor has the name. */
  register(name: string, actor: Actor): void {
    const holder = this.#byName.get(name)
    if (holder && holder !== actor) throw new ActorNameError(`The name '${name}' belongs to ${holder.path}.`)
    this.#byName.set(name, actor)
  }

  whereis<M>(name: string): ActorRef<M> | undefined {
    return this.#byName.get(name)?.ref as ActorRef<M> | undefined
  }

  /** All names of `actor` become free. */
  free(actor: Actor): void {
    for (const [name, holder] of this.#byName) if (holder === actor) this.#byName.delete(name)
  }
}
