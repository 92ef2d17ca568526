// What paired devices offer, and the one offer that somebody means by a name. Waits for a device that was paired just now.

import { type NodeEvent, ServiceError } from '../api/services.js'
import { hex } from '../model/bytes.js'
import type { Peers } from '../peers/index.js'
import type { Offer } from '../sync/messages.js'
import type { Session } from '../sync/session.js'

/** Milliseconds that a device that was paired just now may take to connect and to say what it offers. */
const OFFER_WAIT = 10_000

export interface OffersComponents {
  peers: Peers
  sessions: Map<string, Session>
  subscribe(listener: (event: NodeEvent) => void): () => void
}

export class Offers {
  readonly #parts: OffersComponents

  constructor(components: OffersComponents) {
    this.#parts = components
  }

  /** The offer of a volume with this label or beginning of its id, from `peer` (an id) or from any. Throws ServiceError. */
  async find(volume: string, peer?: string): Promise<Offer> {
    const isWanted = (offer: Offer) => offer.label === volume || hex(offer.root).startsWith(volume.toLowerCase())
    await this.#until(() => this.#from(peer).some(isWanted) || this.#allHaveOffered(peer))
    const wanted = this.#from(peer).filter(isWanted)
    const roots = new Set(wanted.map(({ root }) => hex(root)))
    if (roots.size === 0)
      throw noOffer(
        volume,
        this.#from(peer).map(({ label }) => label),
      )
    if (roots.size > 1)
      throw new ServiceError('AMBIGUOUS_VOLUME', `Several devices offer a volume '${volume}': say --from DEVICE.`)
    return wanted[0]
  }

  /** What a paired device offers, or all of them do. */
  #from(peer?: string): Offer[] {
    return [...this.#parts.sessions.values()]
      .filter((session) => !peer || session.peer === peer)
      .flatMap((session) => session.offers)
  }

  #allHaveOffered(peer?: string): boolean {
    const { trust } = this.#parts.peers
    const asked = trust.list().filter(({ id }) => !peer || id === peer)
    return asked.every(({ id }) => this.#from(id).length > 0)
  }

  /** Resolves when it holds, at the latest after `OFFER_WAIT`. */
  async #until(holds: () => boolean): Promise<void> {
    if (holds()) return
    await new Promise<void>((resolve) => {
      const done = () => {
        stop()
        clearTimeout(timer)
        resolve()
      }
      const stop = this.#parts.subscribe(() => holds() && done())
      const timer = setTimeout(done, OFFER_WAIT)
    })
  }
}

function noOffer(name: string, offered: string[]): ServiceError {
  if (!offered.length)
    return new ServiceError(
      'NO_SUCH_VOLUME',
      'No connected device offers a volume: is one paired (`peerdrive pair`) and connected (`peerdrive status`)?',
    )
  const labels = [...new Set(offered)].join(', ')
  return new ServiceError('NO_SUCH_VOLUME', `No connected device offers a volume '${name}'. Offered are: ${labels}.`)
}
