// The device's identity: an ed25519 key in a private file, made on first use. Losing the file makes this a new device that
// must be paired again; whoever reads it can pose as this device. Never sent, never logged.
import './promise-polyfill.js'
import os from 'node:os'
import path from 'node:path'
import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys'
import type { Ed25519PrivateKey } from '@libp2p/interface'
import { cleanName, type DeviceId, deviceIdOf } from './device-id.js'
import { PrivateFileDamagedError } from './errors.js'
import { makePrivateDirectory, REPAIR, readPrivateFile, SECRET, writePrivateFile } from './private-file.js'

export interface DeviceKey {
  id: DeviceId
  /** Raw ed25519 public key, 32 bytes: the `author` of revisions. */
  publicKey: Uint8Array
  privateKey: Ed25519PrivateKey
}

/**
 * Reads the key file, or makes key and file (and its directory, 0700).
 * @throws PrivateFileExposedError if others may read it, PrivateFileDamagedError if it holds no ed25519 key
 */
export async function loadDeviceKey(file: string): Promise<DeviceKey> {
  makePrivateDirectory(path.dirname(file))
  const bytes = readPrivateFile(file, SECRET)
  if (bytes) return asDeviceKey(parse(file, bytes))
  const key = await generateKeyPair('Ed25519')
  writePrivateFile(file, privateKeyToProtobuf(key))
  return asDeviceKey(key)
}

/** A key that is not kept: for tests and one-off clients. */
export async function temporaryDeviceKey(): Promise<DeviceKey> {
  return asDeviceKey(await generateKeyPair('Ed25519'))
}

function parse(file: string, bytes: Uint8Array): Ed25519PrivateKey {
  try {
    const key = privateKeyFromProtobuf(bytes)
    if (key.type === 'Ed25519') return key
    throw new Error(`it is of type ${key.type}`)
  } catch (error) {
    const why = (error as Error).message
    throw new PrivateFileDamagedError(`${file} holds no ed25519 key: ${why}. ${REPAIR}`, { cause: error })
  }
}

function asDeviceKey(privateKey: Ed25519PrivateKey): DeviceKey {
  const publicKey = privateKey.publicKey.raw
  return { id: deviceIdOf(publicKey), publicKey, privateKey }
}

/** The name this device goes by until its owner gives another: the host name without domain. */
export function defaultDeviceName(): string {
  return cleanName(os.hostname().split('.')[0])
}
