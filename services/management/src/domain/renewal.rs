//! Which devices of a user get another credential, and which of their credentials end with it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use vpnmanager_entities::{credential, node_reissue::OldProfiles};
use vpnmanager_nats::{
    device::DeviceName,
    ids::{CommonName, NodeId},
};

/// Why devices get other credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause<'a> {
    /// Somebody asks for it.
    Asked {
        /// A device that got a credential of its home at this time or later needs no other one; `None`: each device gets one.
        made_before: Option<DateTime<Utc>>,
    },
    /// A node has lost the keys of what it made, or somebody else has them. Devices without a credential of it need none; nor do those that
    /// got one of their home since.
    Lost {
        /// The node.
        node: &'a NodeId,
        /// The row id of the newest credential that is lost.
        upto: i64,
    },
}

/// What becomes of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    /// The device.
    pub device: DeviceName,
    /// The credential that it goes on with.
    pub next: Next,
    /// The row ids of the credentials that are revoked.
    pub ends: Vec<i64>,
}

/// The credential that a device goes on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// A new one.
    New,
    /// One that it has.
    Held(CommonName),
}

impl Renewal {
    /// Of a device that has no credential.
    pub fn first_of(device: DeviceName) -> Self {
        Self {
            device,
            next: Next::New,
            ends: Vec::new(),
        }
    }
}

/// What becomes of the devices of a user, in the order of their names; one that stays as it is is left out. `credentials` are those of the user
/// that are not revoked, oldest first. What is revoked are all that are older than the one that the device goes on with.
pub fn renewals(credentials: &[credential::Model], home: &NodeId, cause: Cause<'_>, old: OldProfiles) -> Vec<Renewal> {
    let mut by_device: BTreeMap<&DeviceName, Vec<&credential::Model>> = BTreeMap::new();
    for credential in credentials {
        by_device.entry(&credential.device).or_default().push(credential);
    }
    let renewals = by_device.into_iter().filter_map(|(device, of_device)| {
        let held = match newer(&of_device, home, cause) {
            Newer::NotNeeded => return None,
            Newer::Missing => None,
            Newer::Held(held) => Some(held),
        };
        let is_older = |credential: &&&credential::Model| held.is_none_or(|held| credential.id < held.id);
        let ends: Vec<i64> = match old {
            OldProfiles::Keep => Vec::new(),
            OldProfiles::Revoke => of_device.iter().filter(is_older).map(|older| older.id).collect(),
        };
        let next = match held {
            Some(_) if ends.is_empty() => return None,
            Some(held) => Next::Held(held.common_name.clone()),
            None => Next::New,
        };
        Some(Renewal {
            device: device.clone(),
            next,
            ends,
        })
    });
    renewals.collect()
}

/// Whether a device has a credential that makes another one needless.
enum Newer<'a> {
    /// The cause is none for this device.
    NotNeeded,
    /// It has none.
    Missing,
    /// It has this one.
    Held(&'a credential::Model),
}

fn newer<'a>(of_device: &[&'a credential::Model], home: &NodeId, cause: Cause<'_>) -> Newer<'a> {
    // The oldest of those that will do: whoever was handed it uses it, also where newer ones were made besides.
    let mut of_home = of_device
        .iter()
        .copied()
        .filter(|credential| credential.server_id == *home);
    let held = match cause {
        Cause::Asked { made_before } => {
            of_home.find(|held| made_before.is_some_and(|before| held.created_at >= before))
        }
        Cause::Lost { node, upto } => {
            let is_lost = |credential: &&&credential::Model| credential.server_id == *node && credential.id <= upto;
            let Some(lost) = of_device.iter().rev().find(is_lost) else {
                return Newer::NotNeeded;
            };
            of_home.find(|held| held.id > lost.id)
        }
    };
    match held {
        Some(held) => Newer::Held(held),
        None => Newer::Missing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(id: i64, device: &str, made_by: &str) -> credential::Model {
        credential::Model {
            id,
            user_id: Some(1),
            device: device.parse().expect("the name of a device"),
            common_name: named(id),
            server_id: node(made_by),
            serial: None,
            public_key_sha256: None,
            certificate: None,
            not_before: None,
            not_after: None,
            created_at: at(id),
            revoked_at: None,
            profile_checksum: None,
            last_access: None,
        }
    }

    fn named(id: i64) -> CommonName {
        format!("alice.{id:016}").parse().expect("a common name")
    }

    fn node(id: &str) -> NodeId {
        id.parse().expect("a valid id")
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).expect("a time")
    }

    fn renewal(device: &str, next: Next, ends: &[i64]) -> Renewal {
        Renewal {
            device: device.parse().expect("the name of a device"),
            next,
            ends: ends.to_vec(),
        }
    }

    #[test]
    fn who_asks_gets_one_for_each_device_unless_it_has_one_of_that_time() {
        let credentials = [
            credential(1, "default", "node-2"),
            credential(2, "laptop", "node-1"),
            credential(5, "default", "node-1"),
            credential(6, "phone", "node-2"),
        ];
        let asked = |made_before: Option<i64>, old| {
            let cause = Cause::Asked {
                made_before: made_before.map(at),
            };
            renewals(&credentials, &node("node-1"), cause, old)
        };
        assert_eq!(
            asked(None, OldProfiles::Revoke),
            [
                renewal("default", Next::New, &[1, 5]),
                renewal("laptop", Next::New, &[2]),
                renewal("phone", Next::New, &[6]),
            ]
        );
        // What another node than the home made is nothing that the device could go on with.
        assert_eq!(
            asked(Some(5), OldProfiles::Revoke),
            [
                renewal("default", Next::Held(named(5)), &[1]),
                renewal("laptop", Next::New, &[2]),
                renewal("phone", Next::New, &[6]),
            ]
        );
        assert_eq!(
            asked(Some(5), OldProfiles::Keep),
            [renewal("laptop", Next::New, &[]), renewal("phone", Next::New, &[])]
        );
    }

    #[test]
    fn of_several_that_are_new_enough_none_ends() {
        let home = node("node-1");
        let of = |ids: &[i64], cause| {
            let credentials: Vec<_> = ids.iter().map(|id| credential(*id, "default", "node-1")).collect();
            renewals(&credentials, &home, cause, OldProfiles::Revoke)
        };
        let asked = Cause::Asked {
            made_before: Some(at(5)),
        };
        let lost = Cause::Lost { node: &home, upto: 1 };
        let first_goes = [renewal("default", Next::Held(named(5)), &[1])];
        assert_eq!(of(&[1, 5, 6], asked), first_goes);
        assert_eq!(of(&[5, 6], asked), []);
        assert_eq!(of(&[1, 5, 6], lost), first_goes);
        assert_eq!(of(&[5, 6], lost), []);
    }

    #[test]
    fn what_a_node_lost_is_replaced_unless_the_home_has_done_it() {
        let (home, lost) = (node("node-2"), node("node-1"));
        let cause = Cause::Lost { node: &lost, upto: 9 };
        let of = |credentials: &[credential::Model], home: &NodeId, old| renewals(credentials, home, cause, old);
        // Its home is the node: also when it has made one since.
        let at_home = [credential(1, "default", "node-1"), credential(2, "default", "node-2")];
        assert_eq!(
            of(&at_home, &lost, OldProfiles::Keep),
            [renewal("default", Next::New, &[])]
        );
        assert_eq!(
            of(&at_home, &lost, OldProfiles::Revoke),
            [renewal("default", Next::New, &[1, 2])]
        );
        let again = [credential(1, "default", "node-1"), credential(10, "default", "node-1")];
        assert!(of(&again, &lost, OldProfiles::Keep).is_empty());
        assert_eq!(
            of(&again, &lost, OldProfiles::Revoke),
            [renewal("default", Next::Held(named(10)), &[1])]
        );
        // It got another home, which made one.
        let moved = [credential(1, "default", "node-1"), credential(2, "default", "node-2")];
        assert!(of(&moved, &home, OldProfiles::Keep).is_empty());
        assert_eq!(
            of(&moved, &home, OldProfiles::Revoke),
            [renewal("default", Next::Held(named(2)), &[1])]
        );
        // And came back, and left once more before the new home could make one.
        let returned = [credential(1, "default", "node-2"), credential(2, "default", "node-1")];
        assert_eq!(
            of(&returned, &home, OldProfiles::Revoke),
            [renewal("default", Next::New, &[1, 2])]
        );
        // The node made nothing for this device.
        let other = [credential(3, "phone", "node-2")];
        assert!(of(&other, &home, OldProfiles::Revoke).is_empty());
    }
}
