//! The operations on users, and what each does.

use chrono::{DateTime, Utc};

use super::{
    being::{Being, Living},
    device::{Device, Devices},
    group::Group,
    own_limits::{LimitsChange, OwnLimits},
};

/// What becomes of the profiles that a device has when it gets another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OldProfiles {
    Keep,
    Revoke,
}

impl OldProfiles {
    /// As the API writes it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Revoke => "revoke",
        }
    }
}

/// One operation on one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Operation {
    Create {
        expires_at: Option<DateTime<Utc>>,
        group: Group,
    },
    Suspend,
    Resume,
    Expire {
        at: Option<DateTime<Utc>>,
    },
    /// The time of the user is over in a moment: nodes end it by their own clocks.
    Shorten {
        at: DateTime<Utc>,
    },
    /// Into another group of the same pool.
    Move {
        to: Group,
    },
    /// Other limits of its own.
    Limit {
        change: LimitsChange,
    },
    Delete,
    /// Another profile of a device.
    Reissue {
        device: Device,
        old: OldProfiles,
    },
    AddDevice {
        device: Device,
    },
    /// All profiles of a device are revoked.
    RevokeDevice {
        device: Device,
    },
    ReadProfile {
        device: Device,
    },
    ListDevices,
    Look,
}

impl Operation {
    /// A user as most are.
    pub(super) const CREATE: Self = Self::Create {
        expires_at: None,
        group: Group::Default,
    };

    /// Its name in reports.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Expire { .. } => "expiry",
            Self::Shorten { .. } => "shortening",
            Self::Move { .. } => "move",
            Self::Limit { .. } => "own limits",
            Self::Delete => "delete",
            Self::Reissue {
                old: OldProfiles::Revoke,
                ..
            } => "reissue",
            Self::Reissue {
                old: OldProfiles::Keep, ..
            } => "reissue that keeps",
            Self::AddDevice { .. } => "new device",
            Self::RevokeDevice { .. } => "end of a device",
            Self::ReadProfile { .. } => "profile",
            Self::ListDevices => "list of devices",
            Self::Look => "look",
        }
    }

    /// The device that it is about.
    pub(super) fn device(&self) -> Option<Device> {
        match self {
            Self::Reissue { device, .. }
            | Self::AddDevice { device }
            | Self::RevokeDevice { device }
            | Self::ReadProfile { device } => Some(*device),
            Self::Create { .. }
            | Self::Suspend
            | Self::Resume
            | Self::Expire { .. }
            | Self::Shorten { .. }
            | Self::Move { .. }
            | Self::Limit { .. }
            | Self::Delete
            | Self::ListDevices
            | Self::Look => None,
        }
    }

    /// Its action in the audit trail; `None` for an operation that only reads.
    pub(super) fn action(&self) -> Option<&'static str> {
        match self {
            Self::Create { .. } => Some("user_created"),
            Self::Suspend => Some("user_suspended"),
            Self::Resume => Some("user_resumed"),
            Self::Expire { .. } | Self::Shorten { .. } | Self::Move { .. } | Self::Limit { .. } => Some("user_changed"),
            Self::Delete => Some("user_removed"),
            Self::Reissue { .. } => Some("user_reissued"),
            Self::AddDevice { .. } => Some("device_created"),
            Self::RevokeDevice { .. } => Some("device_revoked"),
            Self::ReadProfile { .. } | Self::ListDevices | Self::Look => None,
        }
    }

    /// Whether it ends somebody's access at once, or at [`Self::due`].
    pub(super) fn ends_access(&self) -> bool {
        match self {
            Self::Suspend | Self::Shorten { .. } | Self::Delete | Self::RevokeDevice { .. } => true,
            Self::Reissue { old, .. } => *old == OldProfiles::Revoke,
            Self::Create { .. }
            | Self::Resume
            | Self::Expire { .. }
            | Self::Move { .. }
            | Self::Limit { .. }
            | Self::AddDevice { .. }
            | Self::ReadProfile { .. }
            | Self::ListDevices
            | Self::Look => false,
        }
    }

    /// When access ends, if not at once.
    pub(super) fn due(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Shorten { at } => Some(*at),
            Self::Create { .. }
            | Self::Suspend
            | Self::Resume
            | Self::Expire { .. }
            | Self::Move { .. }
            | Self::Limit { .. }
            | Self::Delete
            | Self::Reissue { .. }
            | Self::AddDevice { .. }
            | Self::RevokeDevice { .. }
            | Self::ReadProfile { .. }
            | Self::ListDevices
            | Self::Look => None,
        }
    }

    /// Whether it ends the credentials that a user has, or one of her devices, and not only access by them.
    pub(super) fn ends_credentials(&self) -> bool {
        Device::ALL.into_iter().any(|device| self.revokes(device))
    }

    /// The only device whose access it ends; `None` if it ends that of all, or none.
    pub(super) fn ends_device(&self) -> Option<Device> {
        self.device().filter(|_| self.ends_access())
    }

    /// Whether it ends the credentials that this device has.
    pub(super) fn revokes(&self, of: Device) -> bool {
        match self {
            Self::Delete => true,
            Self::RevokeDevice { device } => *device == of,
            Self::Reissue { device, old } => *device == of && *old == OldProfiles::Revoke,
            Self::Create { .. }
            | Self::Suspend
            | Self::Resume
            | Self::Expire { .. }
            | Self::Shorten { .. }
            | Self::Move { .. }
            | Self::Limit { .. }
            | Self::AddDevice { .. }
            | Self::ReadProfile { .. }
            | Self::ListDevices
            | Self::Look => false,
        }
    }

    /// Whether it writes. That a profile was read is in the audit trail before it is handed out.
    pub(super) fn writes(&self) -> bool {
        !matches!(self, Self::ListDevices | Self::Look)
    }

    /// Whether it is refused because it would give a user a further device beyond its own limit. A device that is there is refused as such.
    pub(super) fn is_beyond_limit(&self, on: &Being) -> bool {
        let Being::Living(living, devices) = on else {
            return false;
        };
        let (Self::AddDevice { device }
        | Self::Reissue {
            device: device @ Device::Default,
            ..
        }) = self
        else {
            return false;
        };
        !devices.contains(device) && living.limits.is_reached(devices.len())
    }

    /// The state of a user after the operation; `None` if the operation is refused.
    pub(super) fn effect(&self, on: &Being) -> Option<Being> {
        match on {
            Being::Absent => self.effect_on_nobody(),
            Being::Living(..) if self.is_beyond_limit(on) => None,
            Being::Living(living, devices) => self.effect_on(*living, devices),
        }
    }

    fn effect_on_nobody(&self) -> Option<Being> {
        match self {
            Self::Create { expires_at, group } => {
                let living = Living {
                    active: true,
                    expires_at: *expires_at,
                    group: *group,
                    limits: OwnLimits::default(),
                };
                Some(Being::Living(living, Devices::from([Device::Default])))
            }
            Self::Suspend
            | Self::Resume
            | Self::Expire { .. }
            | Self::Shorten { .. }
            | Self::Move { .. }
            | Self::Limit { .. }
            | Self::Delete
            | Self::Reissue { .. }
            | Self::AddDevice { .. }
            | Self::RevokeDevice { .. }
            | Self::ReadProfile { .. }
            | Self::ListDevices
            | Self::Look => None,
        }
    }

    fn effect_on(&self, mut living: Living, devices: &Devices) -> Option<Being> {
        let mut devices = devices.clone();
        match self {
            Self::Create { .. } => return None,
            Self::Delete => return Some(Being::Absent),
            Self::Suspend => living.active = false,
            Self::Resume => living.active = true,
            Self::Expire { at } => living.expires_at = *at,
            Self::Shorten { at } => living.expires_at = Some(*at),
            Self::Move { to } => living.group = *to,
            Self::Limit { change } => living.limits = change.effect(living.limits),
            Self::AddDevice { device } => devices.insert(*device).then_some(())?,
            Self::RevokeDevice { device } => devices.remove(device).then_some(())?,
            // A user without this device gets it again.
            Self::Reissue {
                device: Device::Default,
                ..
            } => {
                devices.insert(Device::Default);
            }
            Self::Reissue { device, .. } | Self::ReadProfile { device } => devices.contains(device).then_some(())?,
            Self::ListDevices | Self::Look => {}
        }
        Some(Being::Living(living, devices))
    }
}
