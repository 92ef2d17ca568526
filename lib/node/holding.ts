// What people say of what is held here, checked and done: hold, pin, unpin; and what is told of it. Owns nothing.

import { type HoldingInfo, type HoldOptions, ServiceError } from '../api/services.js'
import { BUDGET_MIN } from '../model/holding.js'
import type { Volume } from '../volume/contract.js'

const RETAIN_MIN_MS = 60_000

/** Throws ServiceError. Durable when resolved. */
export async function setHolding(volume: Volume, { hold, budget, retainMs }: HoldOptions): Promise<void> {
  if (budget !== undefined && !(Number.isSafeInteger(budget) && budget >= BUDGET_MIN))
    throw new ServiceError('BAD_REQUEST', 'A budget is a whole number of bytes, 1 MiB at least.')
  if (retainMs !== undefined && retainMs !== 0 && !(Number.isSafeInteger(retainMs) && retainMs >= RETAIN_MIN_MS))
    throw new ServiceError('BAD_REQUEST', 'Old versions are kept for a minute at least, or for ever.')
  if (hold === undefined && budget === undefined && retainMs === undefined) return
  await volume.holding.set({
    ...(hold === undefined ? {} : { hold }),
    ...(budget === undefined ? {} : { budget }),
    ...(retainMs === undefined ? {} : { retain: retainMs === 0 ? undefined : retainMs }),
  })
}

/** Throws ServiceError, PathError, TooManyPinsError. Durable when resolved. */
export async function pinPath(volume: Volume, names: Uint8Array[], pinned: boolean): Promise<void> {
  const { document } = await volume.walk(names)
  if (pinned) return volume.holding.pin(document)
  if (await volume.holding.unpin(document)) return
  throw new ServiceError('NOT_PINNED', 'It is not pinned itself; `peerdrive status` lists what is.')
}

export async function holdingInfo(volume: Volume): Promise<HoldingInfo> {
  const { policy, pins } = volume.holding
  const { bytes = 0, lacking = 0 } = volume.status().held ?? {}
  const paths = await Promise.all(
    pins.map(async (document) => {
      const names = await volume.path(volume.head(document)?.ino ?? 0).catch(() => undefined)
      return names && `/${names.map((name) => Buffer.from(name).toString()).join('/')}`
    }),
  )
  const shown = paths.filter((path) => path !== undefined)
  return { hold: policy.hold, budget: policy.budget, retainMs: policy.retain ?? 0, pins: shown, bytes, lacking }
}
