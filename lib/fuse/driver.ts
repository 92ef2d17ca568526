// The face that both drivers show to whoever mounts: mount, invalidate, unmount. Chooses a driver by name. Owns nothing.

import type { AsyncFileSystem } from './async-file-system.js'
import type { Invalidation } from './file-system.js'
import type { AttachOptions } from './mount.js'
import type { KernelSession } from './session.js'

export type DriverName = 'kernel' | 'fuse-native'

export interface MountRequest {
  /** An existing, empty directory. */
  mountPoint: string
  /**
   * Kernel driver: called once, as soon as the session exists, to have a thread serve it (`new KernelLoop(session, …).run()`).
   * The kernel lets no one in before the loop has answered its first request.
   */
  serve(session: KernelSession): void | Promise<void>
  /** fuse-native: the same file system, called from the main thread. */
  fileSystem: AsyncFileSystem
  options?: AttachOptions
  /** Notifications or operations that failed in an unexpected way. */
  onError?(error: Error): void
}

export interface Mounted {
  readonly mountPoint: string
  /** Kernel driver only. */
  readonly session?: KernelSession
  /**
   * Has the kernel forget what changed underneath; resolves when it has. Not to be awaited by anything that a request waits for.
   * fuse-native has no such thing: its caches are short instead.
   */
  invalidate(changes: Invalidation[]): Promise<void>
  /**
   * After a thread that served died, and before the next one begins: what it may have done of the request that it died over is
   * forgotten by the kernel, once that is answered. Kernel driver only.
   */
  forgetUnanswered?(): Promise<void>
  /**
   * Unmounts, lazily if files are open. Idempotent. Serving ends with it (the loop's `run` resolves 'unmounted') as soon as the last
   * file is closed and no other mount namespace holds the mount. Who cannot wait for that stops the loop and closes.
   */
  unmount(): Promise<void>
  /**
   * Closes descriptors, which ends the connection: files still open on it answer ENOTCONN. Only after `unmount` and after the
   * loop has ended. Idempotent.
   */
  close(): Promise<void>
}

export interface MountDriver {
  readonly name: DriverName
  /** Rejects with a MountError. */
  mount(request: MountRequest): Promise<Mounted>
}

/** The driver of that name; without a name the kernel driver on Linux, else fuse-native. Loads nothing else. */
export async function mountDriver(name?: DriverName): Promise<MountDriver> {
  const wanted = name ?? (process.platform === 'linux' ? 'kernel' : 'fuse-native')
  if (wanted === 'kernel') return (await import('./kernel-driver.js')).kernelDriver
  return (await import('./native-driver.js')).nativeDriver
}
