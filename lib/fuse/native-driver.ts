// Mounts by fuse-native (libfuse 2): macOS, and whoever asks for it. Owns, per mount, the instance of fuse-native. Main thread only.
// What it cannot do is listed in docs/fuse.md.

import path from 'node:path'
import type { MountDriver, Mounted, MountRequest } from './driver.js'
import { MountFailedError, UnmountFailedError } from './errors.js'
import { detach, FILE_SYSTEM_NAME, prepare } from './mount.js'
import { loadNative, type NativeFuse } from './native-module.js'
import { PathFace } from './path-face.js'

/**
 * Options that fuse-native does not know go to libfuse inside of `fsname`. Attributes are not cached, because two names of a
 * file are two nodes here, and nothing can be invalidated; names are for a second.
 */
const LINUX_OPTIONS = 'big_writes,max_write=131072,use_ino,attr_timeout=0,entry_timeout=1,negative_timeout=0'

class NativeMount implements Mounted {
  private unmounting: Promise<void> | undefined

  constructor(
    readonly mountPoint: string,
    private readonly fuse: NativeFuse,
  ) {}

  async invalidate(): Promise<void> {}

  unmount(): Promise<void> {
    this.unmounting ??= new Promise<void>((resolve, reject) => {
      this.fuse.unmount((error) => {
        if (error) {
          this.unmounting = undefined
          reject(new UnmountFailedError(this.mountPoint, error.message))
        } else resolve()
      })
    })
    return this.unmounting
  }

  async close(): Promise<void> {}
}

export const nativeDriver: MountDriver = {
  name: 'fuse-native',
  async mount(request: MountRequest): Promise<Mounted> {
    const mountPoint = path.resolve(request.mountPoint)
    const options = request.options ?? {}
    await prepare(mountPoint, options.allowNonEmpty ?? false)
    const Fuse = loadNative(mountPoint)
    if (process.platform === 'linux')
      // Its own way runs a shell and needs fusermount of libfuse 2, or a link by that name.
      Fuse.unmount = (where, done) => detach(where).then(() => done(null), done)
    const face = new PathFace(request.fileSystem, request.onError ?? (() => {}))
    const name = options.source ?? FILE_SYSTEM_NAME
    const fuse = new Fuse(mountPoint, face.operations(), {
      timeout: false,
      fsname: process.platform === 'linux' ? `${name},${LINUX_OPTIONS}` : name,
      subtype: FILE_SYSTEM_NAME,
      defaultPermissions: true,
      allowOther: options.allowOther ?? process.geteuid?.() === 0,
    })
    fuse._op_getxattr = (signal, at, attribute, into) => face.getxattr(signal, at, attribute, into)
    fuse._op_listxattr = (signal, at, into) => face.listxattr(signal, at, into)
    await new Promise<void>((resolve, reject) => {
      fuse.mount((error) => {
        if (error) reject(new MountFailedError(mountPoint, error.message, 'Is FUSE installed and /dev/fuse there?'))
        else resolve()
      })
    })
    return new NativeMount(mountPoint, fuse)
  },
}
