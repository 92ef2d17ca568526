// A node: puts the parts together, starts them in order, stops them in the reverse order. What outlives crashes of actors
// (volumes' resources, peers, sessions) is held here; what does the work is in the tree below `rootSupervisor`.

import { randomBytes } from 'node:crypto'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { clientApiSupervisor, SESSIONS } from '../../supervisors/client-api.js'
import { interfacesSupervisor } from '../../supervisors/interfaces.js'
import { CONNECTIONS, peersSupervisor } from '../../supervisors/peers.js'
import { rootSupervisor } from '../../supervisors/root.js'
import { SYNC, syncSupervisor } from '../../supervisors/sync.js'
import { volumeSupervisor } from '../../supervisors/volume.js'
import { VOLUMES, volumesSupervisor } from '../../supervisors/volumes.js'
import { ActorSystem, type ChildSpec, type SupervisorMessage, startChild, stopChild } from '../actors/index.js'
import { ApiClient } from '../api/client.js'
import { listenerSpec } from '../api/listener-actor.js'
import { consoleSpec } from '../console/console-actor.js'
import type { DriverName } from '../fuse/driver.js'
import { hex } from '../model/bytes.js'
import { connectionSpecs, deviceKeyOf, discoverySpec, followTrust, Peers } from '../peers/index.js'
import { type ManagerArgs, type ManagerMessage, manager } from '../sync/manager.js'
import { FEATURE_HOLDING, type Session } from '../sync/session.js'
import type { Volume } from '../volume/contract.js'
import { attachmentsSpec } from './attachments.js'
import { readConfig, writeConfig } from './config.js'
import { openLog } from './log.js'
import type { NodePaths } from './paths.js'
import { Services } from './services.js'
import { VolumeList } from './volume-list.js'

export interface NodeInit {
  paths: NodePaths
  name?: string
  /** Where the home volume is mounted from now on; where it was before if not given. Absolute. */
  mountPoint?: string
  /** TCP port for peers; the one in the configuration if not given. */
  port?: number
  consolePort: number
  driver: DriverName
  discovery: boolean
}

export interface RunningNode {
  name: string
  mountPoint?: string
  consoleUrl: string
  /** Everything is written, the mounts are gone. */
  stop(): Promise<void>
  /** Settles when the node has ended: with an error if not because of `stop`. */
  ended: Promise<Error | undefined>
}

/** Another node of this user is running. */
export class NodeRunningError extends Error {
  override name = 'NodeRunningError'
  readonly code = 'NODE_RUNNING'
}

/**
 * Starts a node and its volumes; makes the home volume if there is none.
 * @throws NodeRunningError, ConfigError, errors of keys, volumes and mounts, each saying what to do
 */
export async function startNode(init: NodeInit): Promise<RunningNode> {
  const { paths } = init
  await refuseSecond(paths.socket)
  for (const directory of [paths.config, paths.data, paths.runtime])
    mkdirSync(directory, { recursive: true, mode: 0o700 })
  const log = openLog(path.join(paths.data, 'node.log'))
  const config = readConfig(paths.config)
  const peers = await Peers.open({
    directory: paths.config,
    name: init.name,
    port: init.port ?? config.port,
    discovery: { enabled: init.discovery },
    link: { features: [FEATURE_HOLDING] },
  })
  const system = new ActorSystem(
    {},
    { onCrash: (actor, crash) => log.warn({ actor, reason: crash.reason, stack: crash.stack }, 'actor ended') },
  )
  const sessions = new Map<string, Session>()
  const tellManager = (message: ManagerMessage) => void system.whereis<ManagerMessage>('manager')?.cast(message)
  const volumes = new VolumeList(
    {
      author: peers.key.publicKey,
      report: (text) => log.info(text),
      devices: () => [
        { author: peers.key.publicKey, name: peers.name },
        ...peers.trust.list().map(({ id, name }) => ({ author: deviceKeyOf(id), name })),
      ],
      supervise: volumeSupervisor,
      async start(volume) {
        const supervisor = system.whereis<SupervisorMessage>(VOLUMES)
        if (supervisor) await startChild(supervisor, volumeSupervisor(volume))
      },
      async stop(volume) {
        const supervisor = system.whereis<SupervisorMessage>(VOLUMES)
        if (supervisor) await stopChild(supervisor, volume.key)
      },
    },
    { paths, config, driver: init.driver, mountPoint: init.mountPoint },
  )
  const services = new Services({
    system,
    peers,
    volumes,
    sessions,
    steer(volume, peer, action, document) {
      log.info({ volume, peer, action }, 'sync steered')
      tellManager({ type: 'steer', volume, peer, action, document })
    },
  })

  // Paired devices may take part in every volume of this one; what they do is versioned like everything else.
  const share = () => {
    for (const device of peers.trust.list())
      for (const { volume } of volumes.list())
        if (!peers.trust.permission(device.id, hex(volume.root)))
          peers.trust.permit(device.id, hex(volume.root), 'write')
    tellManager({ type: 'changed' })
  }
  volumes.onChange = () => {
    share()
    services.tell({ kind: 'volumes' })
  }
  const renamed = () => volumes.nameDevices()
  peers.trust.on('paired', share).on('revoked', share)
  peers.trust.on('paired', renamed).on('changed', renamed)
  const linksChanged = () => {
    tellManager({ type: 'changed' })
    services.tell({ kind: 'peers' })
  }
  peers.links.on('up', linksChanged).on('down', linksChanged)

  let consoleUrl = ''
  const urlFile = path.join(paths.runtime, 'console-url')
  const { promise: ended, resolve: end } = Promise.withResolvers<Error | undefined>()
  const stopOnce = once(async () => {
    await services.end()
    await volumes.unmount()
    await system.stop()
    await volumes.close()
    await peers.stop()
    rmSync(urlFile, { force: true })
    rmSync(paths.socket, { force: true })
    log.flush()
    end(undefined)
  })

  const managerArgs: ManagerArgs = {
    volumes: () => shown(volumes, false),
    attached: () => shown(volumes, true),
    links: () =>
      peers.links.list().map((link) => Object.assign(link, { name: peers.trust.get(link.peer)?.name ?? link.peer })),
    permission: (peer, root) => peers.trust.permission(peer, hex(root)),
    workers: () => system.whereis<SupervisorMessage>(SYNC),
    sessions,
    changed: () => services.tell({ kind: 'sync' }),
    report: (text) => log.warn(text),
  }
  const connectionParts = {
    switchboard: peers.switchboard,
    trust: peers.trust,
    discovery: peers.discovery,
    links: peers.links,
  }
  try {
    await volumes.openAll()
    await system.start(
      rootSupervisor({
        volumes: volumesSupervisor(() => volumes.specs()),
        peers: peersSupervisor({
          discovery: discoverySpec(peers.discovery),
          connections: () => connectionSpecs(connectionParts),
        }),
        sync: syncSupervisor(() => [
          { id: 'manager', name: 'manager', behaviour: manager, args: managerArgs } as ChildSpec,
          attachmentsSpec(volumes.attachments) as ChildSpec,
        ]),
        interfaces: interfacesSupervisor({
          clientApi: clientApiSupervisor(
            listenerSpec({
              socketPath: paths.socket,
              services,
              stop: () => void stopOnce(),
              sessions: () => system.whereis<SupervisorMessage>(SESSIONS),
            }),
          ),
          console: consoleSpec({
            components: { services },
            token: randomBytes(24).toString('base64url'),
            port: init.consolePort,
            onUrl(url) {
              consoleUrl = url
              writeFileSync(urlFile, `${url}\n`, { mode: 0o600 })
            },
          }),
        }),
      }),
    )
    followTrust(connectionParts, () => system.whereis<SupervisorMessage>(CONNECTIONS))
    await volumes.ready()
    share()
  } catch (error) {
    await stopOnce().catch(() => {})
    throw error
  }
  void system.ended.then((error) => error && end(error))
  const port = peers.node.port
  if (config.port !== port && init.port === undefined) {
    config.port = port
    writeConfig(paths.config, config)
  }
  log.info({ pid: process.pid, device: peers.key.id }, 'started')
  return {
    name: peers.name,
    mountPoint: volumes.list()[0]?.mountPoint,
    consoleUrl,
    stop: stopOnce,
    ended,
  }
}

const shown = (volumes: VolumeList, attached: boolean): Volume[] =>
  volumes.list().flatMap((open) => (open.attached === attached ? [open.volume] : []))

async function refuseSecond(socket: string): Promise<void> {
  const running = await ApiClient.connect(socket).catch(() => undefined)
  if (!running) return
  const { pid } = await running.info()
  running.close()
  throw new NodeRunningError(
    `A PeerDrive node is running already (pid ${pid}). \`peerdrive status\` shows it, \`peerdrive stop\` ends it.`,
  )
}

function once(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined
  return () => {
    running ??= work()
    return running
  }
}
