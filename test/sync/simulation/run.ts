// One run of the simulation: devices, users, links that come and go, crashes, as a list of steps says; then all is healed and
// everything is checked. A seed makes the list; a list that fails is made shorter before it is shown. Test support only.

import assert from 'node:assert/strict'
import { LARGE_BYTES, large } from '../../../lib/sync/large-contents.js'
import { Network, turn } from './network.js'
import { RandomUser, randomOf } from './user.js'

const KINDS = ['use', 'connect', 'cut', 'restart', 'kill', 'wait'] as const

export interface Step {
  kind: (typeof KINDS)[number]
  device: number
  /** Decides everything else about it. */
  seed: number
}

export interface Plan {
  seed: number
  devices: number
  /** The last device holds contents on demand, and gives them away whenever it can. */
  lean?: boolean
  steps: Step[]
}

const NAMES = 'abcdefgh'
/** How wrong the clocks of the devices are, milliseconds: a little, minutes, years. */
const SKEWS = [0, 250_000, -86_400_000 * 365 * 3, 3_600_000 * 5]

export function planOf(seed: number, devices: number, lean = false, length = 40): Plan {
  const random = randomOf(seed)
  const steps = Array.from({ length }, (): Step => {
    const device = Math.floor(random() * devices)
    const what = random()
    const at = [0.7, 0.8, 0.85, 0.88, 0.91, 1].findIndex((limit) => what < limit)
    return { kind: KINDS[at], device, seed: Math.floor(random() * 2 ** 31) }
  })
  return { seed, devices, lean, steps }
}

export async function take(net: Network, users: RandomUser[], step: Step): Promise<void> {
  const random = randomOf(step.seed)
  const { device } = step
  const count = net.devices.length
  if (step.kind === 'use') await users[device].act(random)
  else if (step.kind === 'connect') {
    const other = (device + 1 + Math.floor(random() * (count - 1))) % count
    const cutAfter = random() < 0.6 ? Math.floor(random() * 60) + 1 : undefined
    net.connect(net.devices[device], net.devices[other], { delay: 3, random, cutAfter })
  } else if (step.kind === 'cut') net.cutAll()
  else if (step.kind === 'restart') await net.devices[device].restart(random() < 0.4)
  else if (step.kind === 'kill') await net.devices[device].killSomething(random)
  else for (let turns = random() * 30; turns > 0; turns--) await turn()
}

/** Throws what is wrong at the end. `seconds`: how long it may take to come to rest. */
/** How many chunks were given away in all runs so far. */
export let givenAway = 0

export async function runPlan({ seed, devices, lean, steps }: Plan, seconds = 25): Promise<void> {
  const random = randomOf(seed ^ 0x5eed)
  const net = new Network()
  try {
    const skewed = random() < 0.5
    for (let i = 0; i < devices; i++) {
      const now = 1_700_000_000_000 + (skewed ? SKEWS[i % SKEWS.length] : 0)
      const holding = lean && i === devices - 1 ? 'on-demand' : 'everything'
      await net.device(NAMES[i], { now, turns: () => Math.ceil(random() * 30) }, holding)
    }
    const moves = random() < 0.5
    if (moves) await startTogether(net, random)
    const users = net.devices.map((device) => new RandomUser(device, device.id, moves))
    for (const step of steps) {
      await take(net, users, step)
      if (lean) void net.giveAway(net.devices[devices - 1])
    }
    await heal(net, random, () => net.converge(seconds))
    net.assertEqual()
    net.assertNothingLost()
    net.assertNoCrash()
    if (lean) {
      const last = net.devices[devices - 1]
      await net.giveAway(last)
      // A version that was taken back before anybody heard of it stays.
      const kept = last.volume
        .data()
        .filter((id) => net.devices.some(({ volume }) => volume !== last.volume && volume.hasChunk(id)))
      assert.deepEqual(kept, [], 'what others keep need not stay')
      net.assertEqual()
    }
    const applied = net.devices.map(({ volume }) => volume.counts.applied)
    await heal(net, random, () => net.converge(seconds))
    const again = net.devices.map(({ volume }) => volume.counts.applied)
    assert.deepEqual(again, applied, 'nothing is left to do in the second run')
  } finally {
    givenAway += net.givenAway
    await net.stop()
  }
}

/** All have a few files and folders, and then are apart. */
async function startTogether(net: Network, random: () => number): Promise<void> {
  const { volume } = net.devices[0]
  const folders = [volume.root]
  for (const name of ['n1', 'n2', 'n3']) folders.push(volume.mkdir(volume.root, name))
  for (const [i, folder] of folders.entries()) volume.create(folder, `n${i + 4}`, `file ${i}`)
  await heal(net, random, () => net.converge())
  net.cutAll()
}

/** All links are new and whole; until it is `done`. */
export async function heal(net: Network, random: () => number, done: () => Promise<void>): Promise<void> {
  net.cutAll()
  for (let turns = 0; turns < 5; turns++) await turn()
  net.mesh({ delay: 2, random })
  await done()
}

const failureOf = (plan: Plan, seconds: number): Promise<Error | undefined> =>
  runPlan(plan, seconds).then(
    () => undefined,
    (error) => error as Error,
  )

/** Leaves out steps as long as it still fails, in ever smaller pieces; so many runs at the most. */
async function shrunk(plan: Plan, runs: number): Promise<Plan> {
  let best = plan
  let left = runs
  for (let size = Math.ceil(plan.steps.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < best.steps.length && left > 0; left--) {
      const steps = [...best.steps.slice(0, at), ...best.steps.slice(at + size)]
      if (await failureOf({ ...best, steps }, 5)) best = { ...best, steps }
      else at += size
    }
  }
  return best
}

export class SimulationError extends Error {
  override name = 'SimulationError'
}

/** Runs what a seed says. Fails with the seed and a history that is as short as it could be made. */
export async function simulate(
  seed: number,
  devices: number,
  options: { shrink?: number; lean?: boolean } = {},
): Promise<void> {
  // In half of the histories contents of a few thousand bytes come beside the feed.
  large.bytes = Math.floor(seed / 10) % 2 === 0 ? 2000 : LARGE_BYTES
  const plan = planOf(seed, devices, options.lean)
  const error = await failureOf(plan, 25)
  if (!error) return
  const short = await shrunk(plan, options.shrink ?? 60)
  const why = (await failureOf(short, 10)) ?? error
  const steps = short.steps.map(({ kind, device, seed }) => `  ${NAMES[device]} ${kind} ${seed}`).join('\n')
  throw new SimulationError(
    `seed ${seed}, ${devices} devices: ${why.message}\nthe shortest history found that fails:\n${steps}`,
    { cause: why },
  )
}
