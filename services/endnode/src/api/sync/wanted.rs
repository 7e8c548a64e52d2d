//! The list that is applied.

use std::{fmt::Display, str::FromStr};

use poem_openapi::{Enum, Object, types::Example};
use uuid::Uuid;
use vpnmanager_nats::{
    commands::{Command, Issue, Protocol, PutUser, Remote, RemoveUser, Role},
    ids::{NodeId, Revision, UserKey},
};

use crate::api::user_options::UserOptions;

/// A list of users.
#[derive(Debug, Object)]
#[oai(example)]
pub(super) struct UserList {
    /// Whether the list holds all users of the node: users that are not listed are removed.
    #[oai(default)]
    pub(super) full: bool,
    /// The users. A body holds 1 MiB, so a few thousand of them.
    pub(super) users: Vec<WantedUser>,
}

/// What the node should hold of one user.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub(super) struct WantedUser {
    /// Whether the user is wanted here.
    r#type: Wanted,
    /// The key that management gave the user.
    pub(super) user_key: Uuid,
    /// The name.
    #[oai(validator(max_length = 255))]
    pub(super) username: String,
    /// Revision of this state, below 2^53; it is applied only when it is greater than the one that the node holds.
    #[oai(validator(minimum(value = "1"), maximum(value = "9007199254740992", exclusive = true)))]
    revision: i64,
    /// `false` suspends the user. Required for `put_user`.
    active: Option<bool>,
    /// What the node is to the user. Required for `put_user`.
    role: Option<WantedRole>,
    /// Every credential that is let in. Required for `put_user`. Each new home of a user adds one for each device.
    #[oai(validator(max_items = 1000))]
    credentials: Option<Vec<String>>,
    /// The profiles that this node makes; only for the role `home`.
    issue: Option<WantedProfile>,
    /// The optional fields. Last in the struct, because parsing them copies what the fields before them left.
    #[oai(flatten)]
    options: UserOptions,
}

/// A profile to make, and those of further devices.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub(super) struct WantedProfile {
    /// Its credential.
    #[oai(validator(max_length = 64))]
    common_name: String,
    /// The credentials of further devices of the user. Each gets a profile of its own.
    #[oai(validator(max_items = 15))]
    further: Option<Vec<String>>,
    /// Where clients connect, in this order.
    #[oai(validator(max_items = 100))]
    remotes: Vec<WantedRemote>,
}

/// One node that a profile names.
#[derive(Debug, Object)]
pub(super) struct WantedRemote {
    /// A DNS name or an IP address.
    #[oai(validator(max_length = 253))]
    host: String,
    /// The port.
    port: u16,
    /// The transport.
    protocol: WantedProtocol,
}

/// Whether a user is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub(super) enum Wanted {
    /// The node should hold the user.
    PutUser,
    /// The node should hold nothing of the user.
    RemoveUser,
}

/// What the node is to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub(super) enum WantedRole {
    /// Makes and keeps the profile.
    Home,
    /// Also lets the user in.
    Standby,
}

/// The transport of a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub(super) enum WantedProtocol {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
}

impl WantedUser {
    /// The command of the bus that says the same, by the rules of the wire's types. The error is for people.
    pub(super) fn into_command(self, node: &NodeId) -> Result<Command, String> {
        match self.r#type {
            Wanted::PutUser => self.into_put(node).map(Command::PutUser),
            Wanted::RemoveUser => Ok(Command::RemoveUser(RemoveUser {
                node: node.clone(),
                user_key: UserKey(self.user_key),
                revision: revision(self.revision)?,
                username: parsed(&self.username)?,
            })),
        }
    }

    fn into_put(self, node: &NodeId) -> Result<PutUser, String> {
        let active = self.active.ok_or("active is required")?;
        let role = self.role.ok_or("role is required")?;
        let credentials = self.credentials.ok_or("credentials is required")?;
        let revision = revision(self.revision)?;
        let put = PutUser {
            active,
            role: match role {
                WantedRole::Home => Role::Home,
                WantedRole::Standby => Role::Standby,
            },
            credentials: credentials.iter().map(|name| parsed(name)).collect::<Result<_, _>>()?,
            issue: self.issue.map(WantedProfile::into_issue).transpose()?,
            ..PutUser::new(node.clone(), UserKey(self.user_key), parsed(&self.username)?, revision)
        };
        self.options.set_in(put)
    }
}

impl WantedProfile {
    fn into_issue(self) -> Result<Issue, String> {
        Ok(Issue {
            common_name: parsed(&self.common_name)?,
            further: self
                .further
                .unwrap_or_default()
                .iter()
                .map(|name| parsed(name))
                .collect::<Result<_, _>>()?,
            remotes: self
                .remotes
                .iter()
                .map(WantedRemote::to_remote)
                .collect::<Result<_, _>>()?,
        })
    }
}

impl WantedRemote {
    fn to_remote(&self) -> Result<Remote, String> {
        Ok(Remote {
            host: parsed(&self.host)?,
            port: self.port,
            protocol: match self.protocol {
                WantedProtocol::Udp => Protocol::Udp,
                WantedProtocol::Tcp => Protocol::Tcp,
            },
        })
    }
}

fn revision(number: i64) -> Result<Revision, String> {
    Revision::try_from(number).map_err(|error| error.to_string())
}

fn parsed<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

impl Example for UserList {
    fn example() -> Self {
        Self {
            full: false,
            users: vec![WantedUser {
                r#type: Wanted::PutUser,
                user_key: Uuid::from_u128(0x0193_5b0e_7a00_7000_8000_0000_0000_0001),
                username: "alice".to_owned(),
                revision: 1,
                active: Some(true),
                role: Some(WantedRole::Standby),
                credentials: Some(vec!["alice.abcdefghijklmnop".to_owned()]),
                issue: None,
                options: UserOptions::example(),
            }],
        }
    }
}

#[cfg(test)]
mod tests {
    use poem_openapi::types::ParseFromJSON as _;
    use serde_json::{Value, json};

    use super::*;

    const KEY: &str = "01935b0e-7a00-7000-8000-000000000001";

    fn command(entry: Value) -> Result<Command, String> {
        let wanted = WantedUser::parse_from_json(Some(entry)).map_err(poem_openapi::types::ParseError::into_message)?;
        wanted.into_command(&"n1".parse().unwrap())
    }

    fn full() -> Value {
        json!({
            "type": "put_user", "user_key": KEY, "username": "alice", "revision": 3, "active": true,
            "expires_at": "2027-03-01T12:00:00.123456Z", "group": "engineering", "role": "home", "credentials": ["alice.x", "alice.y"],
            "old_certificates": [
                { "common_name": "alice", "expires_at": "2027-02-01T12:00:00Z", "revoked": ["258"] },
                { "common_name": "alice-phone" },
            ],
            "issue": {
                "common_name": "alice.y",
                "further": ["alice.x"],
                "remotes": [
                    { "host": "vpn1.example.com", "port": 1194, "protocol": "udp" },
                    { "host": "2001:db8::1", "port": 443, "protocol": "tcp" },
                ],
            },
        })
    }

    fn with(field: &str, value: Value) -> Value {
        let mut entry = full();
        entry[field] = value;
        entry
    }

    #[test]
    fn an_entry_is_the_command_of_the_wire() {
        let standby = json!({
            "type": "put_user", "user_key": KEY, "username": "alice", "revision": 3, "active": false,
            "role": "standby", "credentials": [],
        });
        let removed = json!({ "type": "remove_user", "user_key": KEY, "username": "alice", "revision": 4 });
        let mut one_device = full();
        one_device["issue"].as_object_mut().unwrap().remove("further");
        for entry in [full(), one_device, standby, removed] {
            let command = command(entry.clone()).unwrap();
            let mut expected = entry;
            expected["node"] = json!("n1");
            assert_eq!(serde_json::to_value(command).unwrap(), expected);
        }
    }

    #[test]
    fn the_group_default_is_that_of_whoever_is_in_no_other_one() {
        let Command::PutUser(put) = command(with("group", json!("default"))).unwrap() else {
            panic!("a put");
        };
        assert_eq!(put.group, None);
        let refused = command(with("group", json!("Sales"))).unwrap_err();
        assert!(refused.contains("a lower-case letter or digit"), "{refused}");
    }

    #[test]
    fn an_old_certificate_of_another_form_than_that_of_the_wire_is_refused() {
        for (entry, said) in [
            (json!({ "common_name": "../alice" }), "a common name"),
            (json!({ "common_name": "DEFAULT" }), "not DEFAULT"),
            (json!({ "common_name": "alice", "revoked": ["0x1"] }), "a serial number"),
        ] {
            let refused = command(with("old_certificates", json!([entry]))).unwrap_err();
            assert!(refused.contains(said), "{refused}");
        }
    }

    #[test]
    fn a_wrong_entry_is_refused_in_the_words_of_the_wire() {
        let mut no_host = full();
        no_host["issue"]["remotes"][0]["host"] = json!("a b");
        let mut no_credential = full();
        no_credential["issue"]["common_name"] = json!("");
        let mut no_further = full();
        no_further["issue"]["further"] = json!(["alice.x", "a b"]);
        let refusals: Vec<String> = [
            with("active", Value::Null),
            with("role", Value::Null),
            with("credentials", Value::Null),
            with("username", json!("../alice")),
            with("credentials", json!(["a b"])),
            no_credential,
            no_further,
            no_host,
            json!({ "type": "remove_user", "user_key": KEY, "username": "../alice", "revision": 4 }),
        ]
        .into_iter()
        .map(|entry| command(entry).unwrap_err())
        .collect();
        insta::assert_debug_snapshot!(refusals);
    }
}
