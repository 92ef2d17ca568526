// Mounts by the kernel protocol. Owns, per mount, the fuse descriptor, the doorbell and the queue of notifications: they belong
// to the process, so that the thread that serves can die and be replaced while the mount stays.

import { closeSync } from 'node:fs'
import path from 'node:path'
import type { MountDriver, Mounted, MountRequest } from './driver.js'
import { MountFailedError } from './errors.js'
import type { Invalidation } from './file-system.js'
import { attach, detach } from './mount.js'
import { Notifier } from './notify.js'
import { createShared, type KernelSession } from './session.js'
import { eventfd } from './syscalls.js'
import { unanswered } from './unanswered.js'

class KernelMount implements Mounted {
  private readonly notifier: Notifier
  private unmounting: Promise<void> | undefined
  private closing: Promise<void> | undefined

  constructor(
    readonly mountPoint: string,
    readonly session: KernelSession,
    onError?: (error: Error) => void,
  ) {
    this.notifier = new Notifier(session.fd, onError)
  }

  invalidate(changes: Invalidation[]): Promise<void> {
    return this.notifier.invalidate(changes)
  }

  forgetUnanswered(): Promise<void> {
    return this.invalidate(unanswered(this.session))
  }

  unmount(): Promise<void> {
    this.unmounting ??= detach(this.mountPoint).catch((error) => {
      this.unmounting = undefined
      throw error
    })
    return this.unmounting
  }

  close(): Promise<void> {
    this.closing ??= this.notifier.close().then(() => {
      closeSync(this.session.fd)
      closeSync(this.session.doorbell)
    })
    return this.closing
  }
}

export const kernelDriver: MountDriver = {
  name: 'kernel',
  async mount(request: MountRequest): Promise<Mounted> {
    const mountPoint = path.resolve(request.mountPoint)
    const fd = await attach(mountPoint, request.options)
    const doorbell = eventfd()
    if (doorbell < 0) {
      await detach(mountPoint)
      closeSync(fd)
      throw new MountFailedError(mountPoint, `eventfd(2): errno ${-doorbell}`, 'Too many open files? See ulimit -n.')
    }
    const mounted = new KernelMount(mountPoint, { fd, doorbell, shared: createShared() }, request.onError)
    try {
      await request.serve(mounted.session)
    } catch (error) {
      await mounted.unmount()
      throw error
    }
    return mounted
  },
}
