//! The devices of a user, as its credentials make them: a user has those devices that have a credential which is not revoked.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use vpnmanager_entities::credential;
use vpnmanager_nats::{
    device::DeviceName,
    ids::{CommonName, NodeId},
    username::Username,
};

/// A device of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its name.
    pub name: DeviceName,
    /// Its current credential. While there is none, because its user is on no node, its newest one.
    pub common_name: CommonName,
    /// SHA-256 of its profile, lower-case hex; `None`: the home has not made it.
    pub checksum: Option<String>,
    /// When the certificate of its current credential ends; `None`: it is not signed.
    pub certificate_expires_at: Option<DateTime<Utc>>,
    /// When the oldest of its valid credentials was created.
    pub created_at: DateTime<Utc>,
    /// How many of its credentials are valid; at least 1.
    pub credentials: usize,
    /// When a session with one of its valid credentials was last seen alive; `None` until one is used.
    pub last_access: Option<DateTime<Utc>>,
}

/// The current credential of each device, in the order of their ids: the newest one that the home makes. `credentials` are those of one user
/// that are not revoked, oldest first. A device without one that the home makes is left out.
pub fn current_credentials<'a>(
    credentials: impl IntoIterator<Item = &'a credential::Model>,
    home: &NodeId,
) -> Vec<&'a credential::Model> {
    let mut newest: BTreeMap<&DeviceName, &credential::Model> = BTreeMap::new();
    for credential in credentials {
        if credential.server_id == *home {
            newest.insert(&credential.device, credential);
        }
    }
    let mut current: Vec<&credential::Model> = newest.into_values().collect();
    current.sort_by_key(|credential| credential.id);
    current
}

/// The devices of a user in the order of their names. `credentials` are those of the user that are not revoked, oldest first.
pub fn devices(credentials: &[credential::Model], home: &NodeId) -> Vec<Device> {
    let mut by_name: BTreeMap<&DeviceName, Vec<&credential::Model>> = BTreeMap::new();
    for credential in credentials {
        by_name.entry(&credential.device).or_default().push(credential);
    }
    by_name
        .into_values()
        .filter_map(|of_device| device(&of_device, home))
        .collect()
}

fn device(credentials: &[&credential::Model], home: &NodeId) -> Option<Device> {
    let (oldest, newest) = (credentials.first()?, credentials.last()?);
    let current = credentials
        .iter()
        .rev()
        .find(|credential| credential.server_id == *home);
    Some(Device {
        name: oldest.device.clone(),
        common_name: current.unwrap_or(newest).common_name.clone(),
        checksum: current.and_then(|credential| credential.profile_checksum.clone()),
        certificate_expires_at: current.and_then(|credential| credential.not_after),
        created_at: oldest.created_at,
        credentials: credentials.len(),
        last_access: credentials.iter().filter_map(|credential| credential.last_access).max(),
    })
}

/// The name of a device's profile: that of its file without `.ovpn`. It has no character that would need quoting. No name of a user or of a
/// device has a `+`, so no two profiles have one name.
pub fn profile_name(username: &Username, device: &DeviceName) -> String {
    if device.is_default() {
        username.to_string()
    } else {
        format!("{username}+{device}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(id: i64, device: &str, home: &str, checksum: Option<&str>) -> credential::Model {
        credential::Model {
            id,
            user_id: Some(1),
            device: device.parse().expect("the name of a device"),
            common_name: format!("alice.{id:016}").parse().expect("a common name"),
            server_id: home.parse().expect("a valid id"),
            serial: None,
            public_key_sha256: None,
            certificate: None,
            not_before: None,
            not_after: None,
            created_at: DateTime::from_timestamp(id, 0).expect("a time"),
            revoked_at: None,
            profile_checksum: checksum.map(ToOwned::to_owned),
            last_access: None,
        }
    }

    #[test]
    fn the_newest_credential_that_the_home_makes_is_the_current_one_of_its_device() {
        let credentials = [
            credential(1, "default", "node-1", Some("01")),
            credential(2, "laptop", "node-1", Some("02")),
            credential(3, "default", "node-1", None),
            credential(4, "default", "node-2", Some("04")),
            credential(5, "away", "node-2", Some("05")),
        ];
        let home: NodeId = "node-1".parse().expect("a valid id");
        let current: Vec<i64> = current_credentials(&credentials, &home)
            .into_iter()
            .map(|credential| credential.id)
            .collect();
        assert_eq!(current, [2, 3]);

        let shown: Vec<_> = devices(&credentials, &home)
            .into_iter()
            .map(|device| {
                let created = device.created_at.timestamp();
                let name = device.name.to_string();
                let credential = device.common_name.to_string();
                (name, credential, device.checksum, created, device.credentials)
            })
            .collect();
        let named = |id: i64| format!("alice.{id:016}");
        assert_eq!(
            shown,
            [
                ("away".to_owned(), named(5), None, 5, 1),
                ("default".to_owned(), named(3), None, 1, 3),
                ("laptop".to_owned(), named(2), Some("02".to_owned()), 2, 1),
            ]
        );
    }

    #[test]
    fn the_last_access_of_a_device_is_that_of_any_of_its_credentials() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).expect("a time");
        let used = |id: i64, device: &str, seconds: Option<i64>| credential::Model {
            last_access: seconds.map(at),
            ..credential(id, device, "node-1", None)
        };
        let credentials = [
            used(1, "default", Some(50)),
            used(2, "default", Some(20)),
            used(3, "default", None),
            used(4, "laptop", None),
        ];
        let home: NodeId = "node-1".parse().expect("a valid id");
        let shown: Vec<_> = devices(&credentials, &home)
            .into_iter()
            .map(|device| device.last_access)
            .collect();
        assert_eq!(shown, [Some(at(50)), None]);
    }

    #[test]
    fn the_profile_of_the_default_device_has_the_name_of_the_user() {
        let alice: Username = "alice".parse().expect("a valid username");
        for (device, name) in [("default", "alice"), ("laptop", "alice+laptop")] {
            let device = device.parse().expect("the name of a device");
            assert_eq!(profile_name(&alice, &device), name);
        }
    }
}
