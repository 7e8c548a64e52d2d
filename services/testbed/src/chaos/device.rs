//! The devices that the users of a run may have.

use std::collections::BTreeSet;

use serde_json::Value;

/// A device. There are few names, so that each comes again after its device was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Device {
    /// What every user gets when it is created.
    Default,
    Laptop,
    Phone,
    Tablet,
}

/// The devices of a user.
pub(super) type Devices = BTreeSet<Device>;

impl Device {
    pub(super) const ALL: [Self; 4] = [Self::Default, Self::Laptop, Self::Phone, Self::Tablet];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Laptop => "laptop",
            Self::Phone => "phone",
            Self::Tablet => "tablet-2.x_y",
        }
    }

    /// The device of this name; `None` if no run creates one.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|device| device.name() == name)
    }

    /// Reads a device as the API shows it, with its credential.
    pub(super) fn shown(device: &Value) -> Option<(Self, String)> {
        let device_of_run = Self::named(device["name"].as_str()?)?;
        Some((device_of_run, device["common_name"].as_str()?.to_owned()))
    }
}

/// Reads a list of devices as the API shows it. `None` if one has a name that no run uses, or comes twice.
pub(super) fn devices_shown(items: &[Value]) -> Option<Devices> {
    let mut devices = Devices::new();
    for item in items {
        let (device, _credential) = Device::shown(item)?;
        if !devices.insert(device) {
            return None;
        }
    }
    Some(devices)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_with_a_strange_device_or_with_one_twice_is_no_list_of_devices() {
        let item = |name: &str| json!({ "name": name, "common_name": "alice.aaaaaaaaaaaaaaaa" });
        let shown = devices_shown(&[item("default"), item("phone")]);
        assert_eq!(shown, Some(Devices::from([Device::Default, Device::Phone])));
        assert_eq!(devices_shown(&[item("phone"), item("phone")]), None);
        assert_eq!(devices_shown(&[item("toaster")]), None);
    }
}
