// Errors of mounting and unmounting. Each says what happened, why, and what to do.

export abstract class MountError extends Error {
  abstract readonly code: string
  constructor(
    message: string,
    readonly mountPoint: string,
    options?: ErrorOptions,
  ) {
    super(message, options)
    this.name = new.target.name
  }
}

export class MountPointMissingError extends MountError {
  readonly code = 'MOUNT_POINT_MISSING'
  constructor(mountPoint: string) {
    super(`There is no directory ${mountPoint} to mount on. Create it first: mkdir -p '${mountPoint}'.`, mountPoint)
  }
}

export class MountPointNotDirectoryError extends MountError {
  readonly code = 'MOUNT_POINT_NOT_DIRECTORY'
  constructor(mountPoint: string) {
    super(`${mountPoint} is not a directory. Choose an empty directory to mount on.`, mountPoint)
  }
}

export class MountPointNotEmptyError extends MountError {
  readonly code = 'MOUNT_POINT_NOT_EMPTY'
  constructor(mountPoint: string) {
    super(
      `${mountPoint} is not empty: mounting would hide what is in it. Choose an empty directory, or move its content away first.`,
      mountPoint,
    )
  }
}

export class MountPointInUseError extends MountError {
  readonly code = 'MOUNT_POINT_IN_USE'
  constructor(mountPoint: string, type: string) {
    super(
      `Something (${type}) is mounted on ${mountPoint} already. Unmount it first (umount '${mountPoint}', or fusermount3 -u '${mountPoint}'), or choose another directory.`,
      mountPoint,
    )
  }
}

export class StaleMountError extends MountError {
  readonly code = 'STALE_MOUNT'
  constructor(mountPoint: string, why: string, options?: ErrorOptions) {
    super(
      `${mountPoint} is the mount of a process that is gone, and could not be cleaned up (${why}). Run: sudo umount -l '${mountPoint}'.`,
      mountPoint,
      options,
    )
  }
}

export class NoFuseDeviceError extends MountError {
  readonly code = 'NO_FUSE_DEVICE'
  constructor(mountPoint: string, why: string) {
    super(
      `/dev/fuse cannot be opened (${why}), so that nothing can be mounted. Load the kernel module (modprobe fuse) or let others use it (chmod a+rw /dev/fuse); in a container, give it the device (--device /dev/fuse --cap-add SYS_ADMIN).`,
      mountPoint,
    )
  }
}

export class NoFusermountError extends MountError {
  readonly code = 'NO_FUSERMOUNT'
  constructor(mountPoint: string) {
    super(
      'Mounting as an ordinary user needs the program fusermount3, which is not installed. Install the package fuse3 (apt-get install fuse3), or mount as root.',
      mountPoint,
    )
  }
}

export class MountFailedError extends MountError {
  readonly code = 'MOUNT_FAILED'
  constructor(mountPoint: string, why: string, advice: string) {
    super(`Mounting on ${mountPoint} failed: ${why}. ${advice}`, mountPoint)
  }
}

export class UnmountFailedError extends MountError {
  readonly code = 'UNMOUNT_FAILED'
  constructor(mountPoint: string, why: string) {
    super(
      `${mountPoint} could not be unmounted: ${why}. Close what is open on it (fuser -vm '${mountPoint}'), then: umount -l '${mountPoint}'.`,
      mountPoint,
    )
  }
}

export class UnsupportedPlatformError extends MountError {
  readonly code = 'UNSUPPORTED_PLATFORM'
  constructor(mountPoint: string, platform: string) {
    super(
      `The kernel driver speaks to Linux only, and this is ${platform}. Use the other driver: --fuse-driver fuse-native.`,
      mountPoint,
    )
  }
}

export class NativeDriverError extends MountError {
  readonly code = 'NATIVE_DRIVER'
  constructor(mountPoint: string, why: string, options?: ErrorOptions) {
    super(
      `The driver fuse-native could not be loaded: ${why}. Install libfuse 2 (apt-get install libfuse2), or use the kernel driver on Linux.`,
      mountPoint,
      options,
    )
  }
}
