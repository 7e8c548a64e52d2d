//! A device in the API: the bodies of requests and of answers.

use chrono::DateTime;
use poem_openapi::Object;
use poem_openapi::types::Example;
use vpnmanager_nats::device::DeviceName;
use vpnmanager_openapi::time::Timestamp;

use crate::api::scalars::DeviceText;
use crate::domain::device;

/// A device to create.
#[derive(Debug, Object)]
#[oai(example)]
pub(crate) struct NewDevice {
    /// The name: a letter or digit, then letters, digits, `.`, `_` or `-`.
    name: DeviceText,
}

/// A device of a user.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub(crate) struct Device {
    /// Its name, unique among the devices of the user.
    name: String,
    /// Its credential: the common name of the certificate in its profile.
    common_name: String,
    /// Whether its profile is there.
    issued: bool,
    /// When it was created: its first valid credential.
    created_at: Timestamp,
    /// When the certificate in its profile ends; absent until it is signed.
    certificate_expires_at: Option<Timestamp>,
    /// SHA-256 of its profile, lower-case hex; absent until the profile exists.
    checksum: Option<String>,
    /// How many of its credentials are valid: more than one after a reissue that kept the older ones, or after another server became the home.
    credentials: u64,
    /// When a session with one of those was last seen alive, by the server's clock: to five minutes while it lives. Absent until there was one.
    last_access: Option<Timestamp>,
    /// Whether all servers of the user have applied it, and the profiles of all devices exist. Only in the answer to a change.
    synced: Option<bool>,
}

/// All devices of a user.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub(crate) struct Devices {
    /// The devices, in the order of their names.
    items: Vec<Device>,
}

impl NewDevice {
    pub(super) fn into_name(self) -> DeviceName {
        self.name.0
    }
}

impl Device {
    pub(super) fn of(device: device::Device) -> Self {
        Self {
            name: device.name.to_string(),
            common_name: device.common_name.to_string(),
            issued: device.checksum.is_some(),
            created_at: device.created_at.into(),
            certificate_expires_at: device.certificate_expires_at.map(Timestamp::from),
            checksum: device.checksum,
            credentials: u64::try_from(device.credentials).unwrap_or(u64::MAX),
            last_access: device.last_access.map(Timestamp::from),
            synced: None,
        }
    }

    /// One that was just created.
    pub(super) fn created(device: device::Device, is_synced: bool) -> Self {
        Self {
            synced: Some(is_synced),
            ..Self::of(device)
        }
    }
}

impl Devices {
    pub(super) fn of(devices: Vec<device::Device>) -> Self {
        Self {
            items: devices.into_iter().map(Device::of).collect(),
        }
    }
}

impl Example for NewDevice {
    fn example() -> Self {
        Self {
            name: DeviceText("laptop".parse().expect("the name of a device")),
        }
    }
}

impl Example for Device {
    fn example() -> Self {
        let at = |seconds| Timestamp::from(DateTime::from_timestamp(seconds, 0).unwrap_or_default());
        Self {
            name: "laptop".to_owned(),
            common_name: "alice.k3nq6zt5m7wd2xya".to_owned(),
            issued: true,
            created_at: at(1_795_000_000),
            certificate_expires_at: Some(at(1_858_072_000)),
            checksum: Some("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned()),
            credentials: 1,
            last_access: Some(at(1_795_086_400)),
            synced: None,
        }
    }
}

impl Example for Devices {
    fn example() -> Self {
        Self {
            items: vec![Device::example()],
        }
    }
}
