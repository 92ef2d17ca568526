// Loads fuse-native, with the libfuse 2 that it brings along where the system has none. Owns nothing.

import { createRequire } from 'node:module'
import os from 'node:os'
import path from 'node:path'
import { NativeDriverError } from './errors.js'

/** The part of fuse-native that is used. `_op_…` handlers are looked up on the instance, so that they can be replaced. */
export interface NativeFuse {
  mount(done: (error: Error | null) => void): void
  unmount(done: (error: Error | null) => void): void
  _op_getxattr: (signal: Signal, path: string, name: string, into: Buffer, position: number) => void
  _op_listxattr: (signal: Signal, path: string, into: Buffer) => void
}

/** Answers an operation: an errno or a count, then what the operation gives. */
export type Signal = (result: number, ...rest: unknown[]) => void

export interface NativeFuseClass {
  new (mountPoint: string, operations: object, options: Record<string, unknown>): NativeFuse
  unmount(mountPoint: string, done: (error: Error | null) => void): void
}

let loaded: NativeFuseClass | undefined

/** Throws NativeDriverError. Main thread only: fuse-native runs on the default event loop. */
export function loadNative(mountPoint: string): NativeFuseClass {
  if (loaded) return loaded
  const require = createRequire(import.meta.url)
  try {
    loaded = require('fuse-native')
  } catch (error) {
    if (!/libfuse\.so\.2/.test((error as Error).message)) throw failure(mountPoint, error)
    try {
      preload(require)
      loaded = require('fuse-native')
    } catch (second) {
      throw failure(mountPoint, second)
    }
  }
  return loaded!
}

function failure(mountPoint: string, error: unknown): NativeDriverError {
  return new NativeDriverError(mountPoint, (error as Error).message.split('\n')[0], { cause: error })
}

/**
 * The add-on needs libfuse.so.2, and the loader is content with any library of that name that is in the process already: the package has one
 * beside the prebuilt add-on. Node closes a library in which it finds no add-on, hence RTLD_NODELETE.
 */
function preload(require: NodeJS.Require): void {
  const home = path.dirname(require.resolve('fuse-native/package.json'))
  const library = path.join(home, 'prebuilds', `${process.platform}-${process.arch}`, 'libfuse.so')
  const RTLD_NODELETE = 0x1000
  const { RTLD_NOW, RTLD_GLOBAL } = os.constants.dlopen
  try {
    process.dlopen({ exports: {} }, library, RTLD_NOW | RTLD_GLOBAL | RTLD_NODELETE)
  } catch (error) {
    if (!/self-register/.test((error as Error).message)) throw error
  }
}
