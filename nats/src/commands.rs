//! Commands, `vpn.cmd.<node>.<user key>`: what one node should hold of one user. Level-triggered: each carries the whole desired state.

use std::{ops::Not, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    groups::GroupName,
    ids::{CommonName, InvalidId, NodeId, Revision, UserKey},
    old_certificates::OldCertificate,
    text::{text_id, word_enum},
    times,
    username::Username,
};

/// One command. The stream keeps only the newest of each user on each node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Command {
    /// The node should hold this user.
    PutUser(PutUser),
    /// The node should hold nothing of this user. Kept until the node acked it.
    RemoveUser(RemoveUser),
}

/// The desired state of a user that is placed on the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutUser {
    /// The node that it is for; equals the node in the subject.
    pub node: NodeId,
    /// The user.
    pub user_key: UserKey,
    /// The name of the user.
    pub username: Username,
    /// The revision of this state.
    pub revision: Revision,
    /// Whether the user has access; `false`: suspended, no credential of the user is accepted.
    pub active: bool,
    /// When access ends. The node enforces it by its own clock, also without management.
    #[serde(
        default,
        deserialize_with = "times::bounded_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub expires_at: Option<DateTime<Utc>>,
    /// The group that the user is in; `None`: `default`. Agents of before groups hold its members to nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupName>,
    /// Whether management counts the traffic of the user against a quota of its own, whatever its group has: a node tells of it within seconds, as
    /// of members of a [metered](crate::groups::Group::metered) group. Agents of before that tell of it as their group asks.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub metered: bool,
    /// The role of the node for this user.
    pub role: Role,
    /// The credentials that are accepted while the user is active and not expired.
    pub credentials: Vec<CommonName>,
    /// Certificates of the server that this node took over, which its old listener accepts while the user is active and not expired. Agents of
    /// before old servers accept none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub old_certificates: Vec<OldCertificate>,
    /// The credential whose key and profile this node creates and stores; only for [`Role::Home`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issue: Option<Issue>,
}

impl PutUser {
    /// A user with access and without credentials, for a standby. Everything optional is absent.
    pub fn new(node: NodeId, user_key: UserKey, username: Username, revision: Revision) -> Self {
        Self {
            node,
            user_key,
            username,
            revision,
            active: true,
            expires_at: None,
            group: None,
            metered: false,
            role: Role::Standby,
            credentials: Vec::new(),
            old_certificates: Vec::new(),
            issue: None,
        }
    }
}

/// The profiles that the home node creates, one for each device of the user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issue {
    /// A credential that one is for, one of [`PutUser::credentials`].
    pub common_name: CommonName,
    /// The credentials of further devices, each one of [`PutUser::credentials`]. Absent: there is none. Agents of before devices make only the
    /// first profile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub further: Vec<CommonName>,
    /// Where clients connect, in this order: over UDP first, and of each transport the home node first. At most [`Self::MOST_REMOTES`].
    pub remotes: Vec<Remote>,
}

impl Issue {
    /// The most remotes of a profile: OpenVPN 2.5 refuses one with more (`CONNECTION_LIST_SIZE`). 16 nodes with
    /// [`Listeners::MOST`](crate::listeners::Listeners::MOST) listeners each have as many.
    pub const MOST_REMOTES: usize = 64;

    /// The credentials, the first one first.
    pub fn common_names(&self) -> impl Iterator<Item = &CommonName> {
        std::iter::once(&self.common_name).chain(&self.further)
    }
}

/// The removal of a user from the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveUser {
    /// The node that it is for; equals the node in the subject.
    pub node: NodeId,
    /// The user.
    pub user_key: UserKey,
    /// The name of the user.
    pub username: Username,
    /// The revision of this state.
    pub revision: Revision,
}

impl Command {
    /// The node that this is for.
    pub fn node(&self) -> &NodeId {
        match self {
            Self::PutUser(put) => &put.node,
            Self::RemoveUser(remove) => &remove.node,
        }
    }

    /// The user that this is about.
    pub fn user_key(&self) -> UserKey {
        match self {
            Self::PutUser(put) => put.user_key,
            Self::RemoveUser(remove) => remove.user_key,
        }
    }

    /// The name of the user that it is about.
    pub fn username(&self) -> &Username {
        match self {
            Self::PutUser(put) => &put.username,
            Self::RemoveUser(remove) => &remove.username,
        }
    }

    /// The revision of the state that it carries.
    pub fn revision(&self) -> Revision {
        match self {
            Self::PutUser(put) => put.revision,
            Self::RemoveUser(remove) => remove.revision,
        }
    }
}

/// The role of a node for a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(
    feature = "sea-orm",
    derive(sea_orm::DeriveValueType),
    sea_orm(value_type = "String")
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Creates and stores the profile, and is its first `remote` of each transport.
    Home,
    /// Accepts the same credentials.
    Standby,
}

word_enum!(Role, "a role", "home or standby", Home => "home", Standby => "standby");

/// One `remote` line of a profile.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Remote {
    /// The DNS name or address that clients connect to.
    pub host: Host,
    /// UDP or TCP port, 1 to 65535.
    pub port: u16,
    /// The tunnel's transport.
    pub protocol: Protocol,
}

/// The transport of a tunnel. The order is that of profiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(
    feature = "sea-orm",
    derive(sea_orm::DeriveValueType),
    sea_orm(value_type = "String")
)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// The default and the faster one.
    Udp,
    /// For networks that let nothing else through.
    Tcp,
}

word_enum!(Protocol, "a protocol", "udp or tcp", Udp => "udp", Tcp => "tcp");

/// A DNS name (RFC 1123) or an IP address: fit for a configuration line.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(
    feature = "sea-orm",
    derive(sea_orm::DeriveValueType),
    sea_orm(value_type = "String")
)]
#[serde(try_from = "String", into = "String")]
pub struct Host(String);

impl Host {
    /// The most characters a host may have (RFC 1123, section 2.1).
    pub const MAX_LENGTH: usize = 253;
}

impl FromStr for Host {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        let name = text.len() <= Self::MAX_LENGTH && text.split('.').all(label);
        if name || text.parse::<std::net::IpAddr>().is_ok() {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId::new("a host", "a DNS name or an IP address"))
        }
    }
}

impl From<std::net::IpAddr> for Host {
    fn from(address: std::net::IpAddr) -> Self {
        Self(address.to_string())
    }
}

text_id!(Host);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_refuses_what_could_end_a_configuration_line() {
        for bad in [
            "",
            "a b",
            "a\nremote b",
            "-a",
            "a-",
            "a..b",
            "a;b",
            &"x".repeat(64),
            "[::1]",
        ] {
            assert!(bad.parse::<Host>().is_err(), "{bad:?} was accepted");
        }
        for good in ["vpn.example.com", "10.0.0.1", "2001:db8::1", "localhost"] {
            assert_eq!(good.parse::<Host>().expect(good).as_str(), good);
        }
    }
}
