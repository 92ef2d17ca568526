// The errors of lib/peers. Each says what happened, why, and what to do; `code` is for programs and never changes.

export class PeersError extends Error {
  readonly code: string = 'PEERS'

  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = new.target.name
  }
}

// Files

export class PrivateFileExposedError extends PeersError {
  override readonly code = 'PRIVATE_FILE_EXPOSED'
}
export class PrivateFileDamagedError extends PeersError {
  override readonly code = 'PRIVATE_FILE_DAMAGED'
}

// Node

export class ListenError extends PeersError {
  override readonly code = 'LISTEN'
}
export class DeviceUnreachableError extends PeersError {
  override readonly code = 'DEVICE_UNREACHABLE'
}
/** Another device answers at the address. */
export class WrongDeviceError extends PeersError {
  override readonly code = 'WRONG_DEVICE'
}
export class NotPairedError extends PeersError {
  override readonly code = 'NOT_PAIRED'
}

// Invitations and pairing

export class InvitationMalformedError extends PeersError {
  override readonly code = 'INVITATION_MALFORMED'
}
export class InvitationExpiredError extends PeersError {
  override readonly code = 'INVITATION_EXPIRED'
}
export class InvitationUsedError extends PeersError {
  override readonly code = 'INVITATION_USED'
}
/** The device that made it does not know it (any more), or does not say more. */
export class InvitationRefusedError extends PeersError {
  override readonly code = 'INVITATION_REFUSED'
}
/** A device was given its own invitation. */
export class InvitationOwnError extends PeersError {
  override readonly code = 'INVITATION_OWN'
}
export class TooManyInvitationsError extends PeersError {
  override readonly code = 'TOO_MANY_INVITATIONS'
}
export class PairingFailedError extends PeersError {
  override readonly code = 'PAIRING_FAILED'
}

// Channels and links

/** The channel was closed here; nothing more can be sent. */
export class ChannelClosedError extends PeersError {
  override readonly code = 'CHANNEL_CLOSED'
}
/** The stream or the connection under the channel ended without a good-bye. */
export class ChannelBrokenError extends PeersError {
  override readonly code = 'CHANNEL_BROKEN'
}
/** The lane beside a link ended, or could not be made; the link itself goes on. */
export class LaneBrokenError extends PeersError {
  override readonly code = 'LANE_BROKEN'
}
/** A frame is larger than the channel allows. */
export class FrameTooLargeError extends PeersError {
  override readonly code = 'FRAME_TOO_LARGE'
}
/** The other device sent something that is not the protocol. */
export class ProtocolError extends PeersError {
  override readonly code = 'PROTOCOL'
}
export class UnsupportedVersionError extends PeersError {
  override readonly code = 'UNSUPPORTED_VERSION'
}
export class UnsupportedFeatureError extends PeersError {
  override readonly code = 'UNSUPPORTED_FEATURE'
}
export class DuplicateLinkError extends PeersError {
  override readonly code = 'DUPLICATE_LINK'
}
/** The other device was silent for too long. */
export class LinkDeadError extends PeersError {
  override readonly code = 'LINK_DEAD'
}
export class TimeOutError extends PeersError {
  override readonly code = 'TIME_OUT'
}
/** The device is no longer trusted. */
export class RevokedError extends PeersError {
  override readonly code = 'REVOKED'
}

/** Whatever was thrown, as an Error. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown))
}
