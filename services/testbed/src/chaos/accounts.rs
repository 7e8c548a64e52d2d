//! The devices of each user, and how many credentials each has, as the audit trail tells it from its beginning. Its words are those of
//! `docs/audit-actions.md`.

use std::collections::BTreeMap;

use super::inventory::Audited;

const DEFAULT: &str = "default";

/// The number of valid credentials of each device.
pub(super) type Account<'a> = BTreeMap<&'a str, usize>;

/// What the audit trail tells.
#[derive(Debug, Default)]
pub(super) struct Accounts<'a> {
    /// The living users.
    pub(super) living: BTreeMap<&'a str, Account<'a>>,
    /// How many credentials the users of each name ever got.
    pub(super) made: BTreeMap<&'a str, usize>,
    /// The credentials that are named in it.
    pub(super) named: BTreeMap<&'a str, Named<'a>>,
    /// What contradicts itself in it: one sentence for each.
    pub(super) wrong: Vec<String>,
}

/// A credential that the trail names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Named<'a> {
    pub(super) owner: &'a str,
    pub(super) device: &'a str,
    pub(super) is_revoked: bool,
}

/// A change of a device, as the details of its row say it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Change<'a> {
    Created {
        device: &'a str,
        credential: &'a str,
    },
    Revoked {
        device: &'a str,
        credentials: Vec<&'a str>,
    },
    /// With the number of credentials that were revoked; `None`: the older ones stay valid.
    Reissued {
        device: &'a str,
        credential: &'a str,
        revoked: Option<usize>,
    },
}

impl<'a> Accounts<'a> {
    /// Plays the trail, which is whole and in order.
    pub(super) fn of(trail: &'a [Audited]) -> Self {
        let mut accounts = Self::default();
        for row in trail {
            let Some(name) = row.username.as_deref() else { continue };
            match row.action.as_str() {
                "user_created" => {
                    accounts.living.insert(name, Account::from([(DEFAULT, 1)]));
                    *accounts.made.entry(name).or_default() += 1;
                }
                "user_removed" => drop(accounts.living.remove(name)),
                // The new home makes a profile of its own for each device, and the older ones stay valid.
                "user_rehomed" => {
                    let account = accounts.living.entry(name).or_default();
                    account.values_mut().for_each(|credentials| *credentials += 1);
                    *accounts.made.entry(name).or_default() += account.len();
                }
                action @ ("device_created" | "device_revoked" | "user_reissued") => {
                    let details = row.details.as_deref().unwrap_or_default();
                    match read(action, details) {
                        Some(changes) => changes.iter().for_each(|change| accounts.play(name, change)),
                        None => accounts.wrong.push(format!(
                            "the audit trail has {action} of {name} without its device and its credential: {details:?}"
                        )),
                    }
                }
                _ => {}
            }
        }
        accounts
    }

    fn play(&mut self, owner: &'a str, change: &Change<'a>) {
        let account = self.living.entry(owner).or_default();
        match *change {
            Change::Created { device, credential } => {
                if account.insert(device, 1).is_some() {
                    self.wrong.push(format!(
                        "the audit trail creates the device {device} of {owner}, which was there"
                    ));
                }
                self.name(owner, device, credential);
            }
            Change::Revoked {
                device,
                ref credentials,
            } => {
                let had = account.remove(device);
                self.compare_revoked((owner, device), had.unwrap_or_default(), credentials.len());
                let named = Named {
                    owner,
                    device,
                    is_revoked: true,
                };
                self.named
                    .extend(credentials.iter().map(|credential| (*credential, named)));
            }
            Change::Reissued {
                device,
                credential,
                revoked,
            } => {
                let held = account.entry(device).or_default();
                let had = *held;
                *held = if revoked.is_some() { 1 } else { had + 1 };
                if let Some(revoked) = revoked {
                    self.compare_revoked((owner, device), had, revoked);
                }
                self.name(owner, device, credential);
            }
        }
    }

    /// Another credential of this device is named.
    fn name(&mut self, owner: &'a str, device: &'a str, credential: &'a str) {
        *self.made.entry(owner).or_default() += 1;
        let named = Named {
            owner,
            device,
            is_revoked: false,
        };
        if self.named.insert(credential, named).is_some() {
            self.wrong
                .push(format!("the audit trail gives the credential {credential} twice"));
        }
    }

    fn compare_revoked(&mut self, (owner, device): (&str, &str), had: usize, revoked: usize) {
        if had != revoked {
            self.wrong.push(format!(
                "the audit trail revokes {revoked} credentials of the device {device} of {owner}, which had {had}"
            ));
        }
    }
}

/// The changes of a row: only a reissue may be of several devices, when all users of a node get new profiles.
fn read<'a>(action: &str, details: &'a str) -> Option<Vec<Change<'a>>> {
    match action {
        "device_created" => {
            let (device, credential) = details
                .strip_prefix("the device ")?
                .split_once("; its credential is ")?;
            Some(vec![Change::Created { device, credential }])
        }
        "device_revoked" => {
            let (device, credentials) = details.strip_prefix("the device ")?.split_once("; revoked: ")?;
            let credentials = credentials.split(", ").collect();
            Some(vec![Change::Revoked { device, credentials }])
        }
        // Neither the name of a device nor a credential has a blank.
        "user_reissued" => details.split(". ").map(reissued).collect(),
        _ => None,
    }
}

fn reissued(details: &str) -> Option<Change<'_>> {
    let named = details.strip_prefix("the new credential of the device ")?;
    let (device, rest) = named.split_once(" is ")?;
    let (credential, fate) = rest.split_once("; ")?;
    let revoked = match fate {
        "the older ones stay valid (old_profiles: keep)" => None,
        _ => Some(
            fate.strip_suffix(" older ones were revoked (old_profiles: revoke)")?
                .parse()
                .ok()?,
        ),
    };
    Some(Change::Reissued {
        device,
        credential,
        revoked,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(action: &str, details: &str) -> Audited {
        Audited {
            at: chrono::DateTime::<chrono::Utc>::UNIX_EPOCH,
            server_id: "management".to_owned(),
            action: action.to_owned(),
            username: Some("alice".to_owned()),
            request_id: None,
            details: Some(details.to_owned()),
            before: None,
            after: None,
        }
    }

    #[test]
    fn credentials_of_each_device_are_counted_from_the_beginning() {
        let trail = [
            row("user_created", ""),
            row("device_created", "the device phone; its credential is alice.b"),
            row("user_rehomed", "its home node-1 is lost"),
            row(
                "user_reissued",
                "the new credential of the device phone is alice.c; the older ones stay valid (old_profiles: keep)",
            ),
            row(
                "user_reissued",
                "the new credential of the device default is alice.d; 2 older ones were revoked (old_profiles: revoke)",
            ),
        ];
        let accounts = Accounts::of(&trail);
        assert_eq!(accounts.wrong, Vec::<String>::new());
        let alice = Account::from([("default", 1), ("phone", 3)]);
        assert_eq!(accounts.living, BTreeMap::from([("alice", alice)]));
        // Two at the beginning, two of the new home, two reissued.
        assert_eq!(accounts.made, BTreeMap::from([("alice", 6)]));
        let named: Vec<&str> = accounts.named.keys().copied().collect();
        assert_eq!(named, ["alice.b", "alice.c", "alice.d"]);
    }

    #[test]
    fn a_reissue_of_all_users_of_a_node_counts_for_each_device() {
        let kept = "the older ones stay valid (old_profiles: keep)";
        let both = format!(
            "the new credential of the device default is alice.c; {kept}. the new credential of the device tablet-2.x_y is alice.d; {kept}"
        );
        let trail = [
            row("user_created", ""),
            row("device_created", "the device tablet-2.x_y; its credential is alice.b"),
            row("user_reissued", &both),
        ];
        let accounts = Accounts::of(&trail);
        assert_eq!(accounts.wrong, Vec::<String>::new());
        let alice = Account::from([("default", 2), ("tablet-2.x_y", 2)]);
        assert_eq!(accounts.living, BTreeMap::from([("alice", alice)]));
        assert_eq!(accounts.made, BTreeMap::from([("alice", 4)]));
    }

    #[test]
    fn a_trail_that_contradicts_itself_is_told() {
        let phone = "the device phone; its credential is alice.b";
        let trail = [
            row("user_created", ""),
            row("device_created", phone),
            row("device_created", phone),
            row("device_revoked", "the device phone; revoked: alice.b, alice.c"),
            row("device_revoked", "the device phone"),
        ];
        let accounts = Accounts::of(&trail);
        assert_eq!(
            accounts.wrong,
            [
                "the audit trail creates the device phone of alice, which was there",
                "the audit trail gives the credential alice.b twice",
                "the audit trail revokes 2 credentials of the device phone of alice, which had 1",
                "the audit trail has device_revoked of alice without its device and its credential: \"the device phone\"",
            ]
        );
    }
}
