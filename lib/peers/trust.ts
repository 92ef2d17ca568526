// Whom this device trusts: the paired devices and what each may do with which volume. The file is the truth; every change is
// on disk before anybody is told. Survives crashes of actors (it is not one) and kill -9. Never asks the network anything.
//
// A device is *provisional* while pairing has not been confirmed by it: it may connect (that confirms it), it is not shown as
// paired, and it is forgotten when its invitation runs out.
import { EventEmitter } from 'node:events'
import { cleanName, type DeviceId, deviceKeyOf } from './device-id.js'
import { readPrivateJson, writePrivateJson } from './private-file.js'

export type Permission = 'read' | 'write' | 'backup'

export interface Device {
  id: DeviceId
  name: string
  /** Milliseconds since the epoch. */
  pairedAt: number
  /** Multiaddrs without device id, the one that worked last comes first. */
  addresses: string[]
  /** Volume id in hex → what the device may do with it. Absent: nothing. */
  volumes: Record<string, Permission>
  /** Until when (ms) pairing must be confirmed; absent: it is. */
  provisionalUntil?: number
}

export interface TrustEvents {
  /** The device is paired, for good. */
  paired: [Device]
  revoked: [Device]
  /** Name, addresses or volumes changed. */
  changed: [Device]
}

export const MAX_DEVICES = 256
export const MAX_ADDRESSES = 8
const MAX_VOLUMES = 1024
const FORMAT = 1
const PERMISSIONS = new Set(['read', 'write', 'backup'])

export class Trust extends EventEmitter<TrustEvents> {
  readonly #file: string
  readonly #clock: () => number
  readonly #devices = new Map<DeviceId, Device>()

  /** @throws PrivateFileExposedError, PrivateFileDamagedError: never starts with an empty list instead */
  constructor(components: { clock?: () => number }, init: { file: string }) {
    super()
    this.#clock = components.clock ?? Date.now
    this.#file = init.file
    for (const device of readPrivateJson(init.file, checkFile) ?? []) this.#devices.set(device.id, device)
  }

  /** May this device connect at all? True for provisional ones too. */
  trusts(id: DeviceId): boolean {
    return this.get(id) !== undefined
  }

  get(id: DeviceId): Readonly<Device> | undefined {
    const device = this.#devices.get(id)
    return device && !this.#lapsed(device) ? device : undefined
  }

  /** Paired devices in the order they were paired; provisional ones are not among them. */
  list(): Readonly<Device>[] {
    return [...this.#devices.values()].filter((device) => device.provisionalUntil === undefined)
  }

  /** What the device may do with a volume (id in hex). */
  permission(id: DeviceId, volume: string): Permission | undefined {
    return this.get(id)?.volumes[volume]
  }

  /** Adds a device or renews it (name, addresses; volumes are kept). With `provisionalUntil` it must be confirmed by then. */
  add(device: { id: DeviceId; name: string; addresses?: string[] }, provisionalUntil?: number): void {
    deviceKeyOf(device.id)
    this.#forgetLapsed()
    const before = this.get(device.id)
    if (!before && this.#devices.size >= MAX_DEVICES) {
      throw new RangeError(`There are already ${MAX_DEVICES} paired devices; revoke one first`)
    }
    const addresses = unique([...(device.addresses ?? []), ...(before?.addresses ?? [])])
    const confirmed = before !== undefined && before.provisionalUntil === undefined
    const after: Device = {
      id: device.id,
      name: cleanName(device.name),
      pairedAt: before?.pairedAt ?? this.#clock(),
      addresses,
      volumes: before?.volumes ?? {},
      ...(provisionalUntil !== undefined && !confirmed && { provisionalUntil }),
    }
    this.#put(after)
    if (confirmed) this.emit('changed', after)
    else if (after.provisionalUntil === undefined) this.emit('paired', after)
  }

  /** The device has shown that it finished pairing. No-op if that was known. */
  confirm(id: DeviceId): void {
    const device = this.get(id)
    if (device?.provisionalUntil === undefined) return
    const { provisionalUntil: _, ...after } = device
    this.#put(after)
    this.emit('paired', after)
  }

  /** Trusts the device no more. @returns whether it was trusted */
  revoke(id: DeviceId): boolean {
    const device = this.#devices.get(id)
    if (!device) return false
    this.#devices.delete(id)
    this.#save(() => this.#devices.set(id, device))
    this.emit('revoked', device)
    return true
  }

  rename(id: DeviceId, name: string): void {
    this.#change(id, (device) => ({ ...device, name: cleanName(name) }))
  }

  /** Sets what the device may do with a volume (id in hex); undefined takes it away. */
  permit(id: DeviceId, volume: string, permission: Permission | undefined): void {
    if (!/^[0-9a-f]{32}$/.test(volume)) throw new RangeError(`Not a volume id: ${volume.slice(0, 40)}`)
    this.#change(id, (device) => {
      const { [volume]: _, ...volumes } = device.volumes
      if (permission) volumes[volume] = permission
      if (Object.keys(volumes).length > MAX_VOLUMES) throw new RangeError(`At most ${MAX_VOLUMES} volumes per device`)
      return { ...device, volumes }
    })
  }

  /** Keeps an address that works, in front. Writes only if that changes anything. */
  rememberAddress(id: DeviceId, address: string): void {
    if (this.get(id)?.addresses[0] === address) return
    this.#change(id, (device) => ({ ...device, addresses: unique([address, ...device.addresses]) }))
  }

  /** Replaces all known addresses (multiaddrs such as `/ip4/192.168.1.5/tcp/4001`). */
  setAddresses(id: DeviceId, addresses: string[]): void {
    this.#change(id, (device) => ({ ...device, addresses: unique(addresses) }))
  }

  #change(id: DeviceId, change: (device: Device) => Device): void {
    const before = this.get(id)
    if (!before) return
    const after = change(before)
    if (JSON.stringify(after) === JSON.stringify(before)) return
    this.#put(after)
    this.emit('changed', after)
  }

  #put(device: Device): void {
    const before = this.#devices.get(device.id)
    this.#devices.set(device.id, device)
    this.#save(() => (before ? this.#devices.set(device.id, before) : this.#devices.delete(device.id)))
  }

  /** What could not be written has not happened. */
  #save(undo: () => void): void {
    try {
      writePrivateJson(this.#file, { format: FORMAT, devices: [...this.#devices.values()] })
    } catch (error) {
      undo()
      throw error
    }
  }

  #lapsed(device: Device): boolean {
    return device.provisionalUntil !== undefined && device.provisionalUntil <= this.#clock()
  }

  #forgetLapsed(): void {
    for (const device of this.#devices.values()) if (this.#lapsed(device)) this.#devices.delete(device.id)
  }
}

function unique(addresses: string[]): string[] {
  return [...new Set(addresses.filter((address) => address.length <= 256))].slice(0, MAX_ADDRESSES)
}

function checkFile(value: unknown): Device[] {
  const file = value as { format?: unknown; devices?: unknown }
  if (file?.format !== FORMAT) throw new Error(`format ${JSON.stringify(file?.format)} is not ${FORMAT}`)
  if (!Array.isArray(file.devices) || file.devices.length > MAX_DEVICES)
    throw new Error('"devices" is not a list of devices')
  return file.devices.map(checkDevice)
}

function checkDevice(value: unknown): Device {
  const device = value as Device
  if (typeof device?.id !== 'string' || typeof device.name !== 'string') throw new Error('a device has no id or name')
  deviceKeyOf(device.id)
  if (!Number.isFinite(device.pairedAt)) throw new Error(`${device.id}: "pairedAt" is not a time`)
  if (!Array.isArray(device.addresses) || !device.addresses.every((a) => typeof a === 'string')) {
    throw new Error(`${device.id}: "addresses" is not a list of addresses`)
  }
  const volumes = Object.entries(device.volumes ?? {})
  if (!volumes.every(([sid, may]) => /^[0-9a-f]{32}$/.test(sid) && PERMISSIONS.has(may))) {
    throw new Error(`${device.id}: "volumes" is not a map of volume ids to permissions`)
  }
  const until = device.provisionalUntil
  if (until !== undefined && !Number.isFinite(until)) throw new Error(`${device.id}: "provisionalUntil" is not a time`)
  return {
    id: device.id,
    name: cleanName(device.name),
    pairedAt: device.pairedAt,
    addresses: unique(device.addresses),
    volumes: Object.fromEntries(volumes),
    ...(until !== undefined && { provisionalUntil: until }),
  }
}
