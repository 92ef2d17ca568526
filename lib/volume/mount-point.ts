// A volume's place in the tree of files: mounts it, notices that the mount was taken away, gives it back at the end. Owns the
// mount and its descriptors, which outlive threads and actors. When to mount again is the mount actor's business.

import { statfs } from 'node:fs/promises'
import type { AsyncFileSystem } from '../fuse/async-file-system.js'
import { type DriverName, type Mounted, mountDriver } from '../fuse/driver.js'
import type { Invalidation } from '../fuse/file-system.js'
import type { AttachOptions } from '../fuse/mount.js'
import type { KernelSession } from '../fuse/session.js'

export interface MountPointInit {
  mountPoint: string
  driver?: DriverName
  options?: AttachOptions
}

export interface MountPointComponents {
  /** The volume thread is to serve this session from now on; undefined: none. */
  serve(session: KernelSession | undefined): void
  /** For a driver without a session: operations as calls. */
  fileSystem: AsyncFileSystem
  report(text: string): void
}

export class MountPoint {
  readonly mountPoint: string
  readonly #components: MountPointComponents
  readonly #init: MountPointInit
  #mounted?: Mounted
  #closing = false
  /** Told when the mount was taken away from outside. */
  onLost: () => void = () => {}

  constructor(components: MountPointComponents, init: MountPointInit) {
    this.#components = components
    this.#init = init
    this.mountPoint = init.mountPoint
  }

  get mounted(): boolean {
    return this.#mounted !== undefined
  }

  get session(): KernelSession | undefined {
    return this.#mounted?.session
  }

  /** Does nothing if it is mounted. Rejects with a MountError. */
  async mount(): Promise<void> {
    if (this.#mounted || this.#closing) return
    const driver = await mountDriver(this.#init.driver)
    this.#mounted = await driver.mount({
      mountPoint: this.#init.mountPoint,
      options: this.#init.options,
      fileSystem: this.#components.fileSystem,
      serve: (session) => this.#components.serve(session),
      onError: (error) => this.#components.report(`Mount ${this.mountPoint}: ${error.message}`),
    })
  }

  /** Resolves when the kernel has forgotten what changed. */
  async invalidate(changes: Invalidation[]): Promise<void> {
    await this.#mounted?.invalidate(changes)
  }

  /** The volume thread died; the next one has not begun. What it did of the request that it died over is told to the kernel. */
  forgetUnanswered(): void {
    void this.#mounted?.forgetUnanswered?.()
  }

  /**
   * Resolves when everything that was asked of the mount before is served: close(2) does not wait for the kernel's RELEASE, but the
   * kernel asks in order, so an answer to a later question says that it was served.
   */
  async served(): Promise<void> {
    if (this.#mounted && !this.#closing) await statfs(this.mountPoint).catch(() => {})
  }

  /** The volume thread found that the kernel has ended the session. */
  async ended(): Promise<void> {
    const mounted = this.#mounted
    if (!mounted || this.#closing) return
    this.#mounted = undefined
    this.#components.serve(undefined)
    await mounted.close()
    this.#components.report(`${this.mountPoint} was unmounted from outside`)
    this.onLost()
  }

  /** Unmounts for good, lazily if files are open. The descriptors stay until `close`. */
  async unmount(): Promise<void> {
    this.#closing = true
    await this.#mounted?.unmount()
  }

  /** After the thread that served has ended. */
  async close(): Promise<void> {
    this.#closing = true
    await this.#mounted?.close()
    this.#mounted = undefined
  }
}
