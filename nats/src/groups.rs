//! Groups: what their members may reach through the tunnel, and how fast. Management decides it; each node holds its members to it, also while
//! its agent is dead.

use std::{fmt, num::NonZeroU16, num::NonZeroU32, ops::Not, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::{
    bounded::at_most,
    ids::{InvalidId, Revision},
    network::Prefix,
    text::{as_text, is_plain_name, text_id, word_enum},
};

/// The most groups of a fleet: each costs a node two chains of its firewall, and a range of addresses.
pub const MOST_GROUPS: usize = 64;

/// The name of a group, such as `engineering`. It names a file on nodes.
///
/// 1 to 32 characters: a lower-case letter or digit, then lower-case letters, digits, `_` or `-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(
    feature = "sea-orm",
    derive(sea_orm::DeriveValueType),
    sea_orm(value_type = "String")
)]
#[serde(try_from = "String", into = "String")]
pub struct GroupName(String);

impl GroupName {
    /// The group of every user that is put into no other one.
    pub const DEFAULT: &'static str = "default";
    /// The pattern of a valid name, for API descriptions.
    pub const PATTERN: &'static str = "^[a-z0-9][a-z0-9_-]*$";
    /// The most characters a name may have.
    pub const MAX_LENGTH: usize = 32;

    /// Whether it is the group of every user that is put into no other one.
    pub fn is_default(&self) -> bool {
        self.0 == Self::DEFAULT
    }
}

impl Default for GroupName {
    fn default() -> Self {
        Self(Self::DEFAULT.to_owned())
    }
}

impl FromStr for GroupName {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let has_capitals = text.bytes().any(|byte| byte.is_ascii_uppercase());
        if is_plain_name(text, Self::MAX_LENGTH, b"_-") && !has_capitals {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId::new(
                "the name of a group",
                "1 to 32 characters: a lower-case letter or digit, then lower-case letters, digits, '_' or '-'",
            ))
        }
    }
}

text_id!(GroupName);

/// The groups of the fleet, as a node should know them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Groups {
    /// Counts the changes of all groups.
    pub revision: Revision,
    /// Each group once, in the order of their names. A member of a group that is not here reaches nothing.
    #[serde(default, deserialize_with = "at_most::<_, MOST_GROUPS, _>")]
    pub groups: Vec<Group>,
}

/// One group, as a node should know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: GroupName,
    /// What holds for its members.
    #[serde(default)]
    pub rules: GroupRules,
    /// Whether management counts the traffic of its members against a quota: a node tells of it within seconds. Agents of before quotas tell every
    /// five minutes.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub metered: bool,
}

/// What holds for the members of a group on every node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "sea-orm", derive(sea_orm::FromJsonQueryResult))]
pub struct GroupRules {
    /// What members may reach of what the network of the pool and [`Self::routes`] lead to, on the node itself too; `None`: all of it.
    #[serde(default, deserialize_with = "reach_at_most", skip_serializing_if = "Option::is_none")]
    pub reach: Option<Vec<Reach>>,
    /// What members send into the tunnel besides the routes of the pool.
    #[serde(
        default,
        deserialize_with = "at_most::<_, { GroupRules::MOST_ROUTES }, _>",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub routes: Vec<Prefix>,
    /// The speed of each member's device towards the node; `None`: as fast as it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up: Option<Speed>,
    /// The speed from the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down: Option<Speed>,
}

impl GroupRules {
    /// The most entries of [`Self::reach`].
    pub const MOST_REACH: usize = 32;
    /// The most entries of [`Self::routes`].
    pub const MOST_ROUTES: usize = 32;

    /// Whether they ask nothing of a node.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Something that members of a group may reach.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reach {
    /// Where; `None`: wherever the network leads, over both families.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Prefix>,
    /// With which protocol; `None`: every one. With [`Self::ports`] it is TCP or UDP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Transport>,
    /// On which ports; empty: every one.
    #[serde(
        default,
        deserialize_with = "at_most::<_, { Reach::MOST_PORTS }, _>",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub ports: Vec<PortRange>,
}

impl Reach {
    /// The most entries of [`Self::ports`].
    pub const MOST_PORTS: usize = 16;
}

/// A protocol that members of a group may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// TCP (RFC 9293).
    Tcp,
    /// UDP (RFC 768).
    Udp,
    /// ICMP (RFC 792) and ICMPv6 (RFC 4443), for `ping`.
    Icmp,
}

word_enum!(Transport, "a protocol", "tcp, udp or icmp", Tcp => "tcp", Udp => "udp", Icmp => "icmp");

impl Transport {
    /// Whether it has ports.
    pub fn has_ports(self) -> bool {
        match self {
            Self::Tcp | Self::Udp => true,
            Self::Icmp => false,
        }
    }
}

/// A port, `443`, or ports, `8000-8100`: 1 to 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PortRange {
    first: NonZeroU16,
    last: NonZeroU16,
}

impl PortRange {
    /// The pattern of a valid text, for API descriptions.
    pub const PATTERN: &'static str = "^[1-9][0-9]{0,4}(-[1-9][0-9]{0,4})?$";
    /// The most characters of a text.
    pub const MAX_LENGTH: usize = 11;

    /// The first port.
    pub fn first(self) -> u16 {
        self.first.get()
    }

    /// The last port, which may be the first.
    pub fn last(self) -> u16 {
        self.last.get()
    }
}

impl FromStr for PortRange {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || {
            InvalidId::new(
                "ports",
                "a port, such as 443, or two with the smaller first, such as 8000-8100",
            )
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let port = |text: &str| text.parse::<NonZeroU16>().map_err(|_| invalid());
        let range = Self {
            first: port(first)?,
            last: port(last)?,
        };
        // `0443` and `+443` are numbers too, and `443-443` is written as `443`.
        if range.first <= range.last && range.to_string() == text {
            Ok(range)
        } else {
            Err(invalid())
        }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

as_text!(PortRange);

/// A speed, 64 to 10,000,000 kilobits (1,000 bits) in a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Speed(NonZeroU32);

impl Speed {
    /// The slowest, kilobits in a second: a slower tunnel loses its own keepalives.
    pub const LEAST: u32 = 64;
    /// The fastest.
    pub const MOST: u32 = 10_000_000;

    /// In kilobits in a second.
    pub fn kilobits(self) -> u32 {
        self.0.get()
    }
}

impl TryFrom<u32> for Speed {
    type Error = InvalidId;

    fn try_from(kilobits: u32) -> Result<Self, InvalidId> {
        NonZeroU32::new(kilobits)
            .filter(|_| (Self::LEAST..=Self::MOST).contains(&kilobits))
            .map(Self)
            .ok_or_else(|| InvalidId::new("a speed", "64 to 10000000 kilobits in a second"))
    }
}

impl From<Speed> for u32 {
    fn from(speed: Speed) -> Self {
        speed.kilobits()
    }
}

/// For `#[serde(deserialize_with)]`: a list of what may be reached, not longer than it may be, of which each entry makes sense.
pub(crate) fn reach_at_most<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Reach>>, D::Error> {
    let reach = at_most::<Reach, { GroupRules::MOST_REACH }, D>(deserializer)?;
    let is_odd = |reach: &Reach| !reach.ports.is_empty() && !reach.protocol.is_some_and(Transport::has_ports);
    match reach.iter().any(is_odd) {
        true => Err(D::Error::custom("ports need the protocol tcp or udp")),
        false => Ok(Some(reach)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_lower_case_and_short() {
        for name in ["default", "a", "0-x_y", &"a".repeat(32)] {
            assert_eq!(name.parse::<GroupName>().expect(name).as_str(), name);
        }
        for name in ["", "-a", "Sales", "a.b", "../x", "a b", "é", &"a".repeat(33)] {
            assert!(name.parse::<GroupName>().is_err(), "{name}");
        }
    }

    #[test]
    fn ports_are_one_or_two_in_order() {
        let range: PortRange = "8000-8100".parse().expect("ports");
        assert_eq!((range.first(), range.last()), (8000, 8100));
        assert_eq!("443".parse::<PortRange>().expect("a port").to_string(), "443");
        for text in [
            "", "0", "65536", "443-443", "2-1", "+1", "01", "1-", "-1", "1-2-3", "http",
        ] {
            assert!(text.parse::<PortRange>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_group_says_that_it_is_metered_only_if_it_is() {
        for (metered, text) in [
            (false, json!({ "name": "sales", "rules": {} })),
            (true, json!({ "name": "sales", "rules": {}, "metered": true })),
        ] {
            let group = Group {
                name: "sales".parse().expect("a name"),
                rules: GroupRules::default(),
                metered,
            };
            assert_eq!(serde_json::to_value(&group).expect("json"), text);
            assert_eq!(serde_json::from_value::<Group>(text).expect("a group"), group);
        }
        let older: Group = serde_json::from_value(json!({ "name": "sales" })).expect("a group");
        assert!(!older.metered);
    }

    #[test]
    fn rules_say_only_what_they_hold_and_refuse_what_makes_no_sense() {
        assert_eq!(serde_json::to_value(GroupRules::default()).expect("json"), json!({}));
        assert!(GroupRules::default().is_empty());
        let text = json!({ "reach": [{ "to": "10.20.0.0/16", "protocol": "tcp", "ports": ["443", "8000-8100"] }, {}], "up": 10_000 });
        let rules: GroupRules = serde_json::from_value(text.clone()).expect("rules");
        assert_eq!(serde_json::to_value(&rules).expect("json"), text);
        assert!(!rules.is_empty());
        for (odd, why) in [
            (json!({ "reach": [{ "ports": ["443"] }] }), "need the protocol"),
            (
                json!({ "reach": [{ "ports": ["443"], "protocol": "icmp" }] }),
                "need the protocol",
            ),
            (json!({ "reach": vec![json!({}); 33] }), "at most 32"),
            (json!({ "up": 63 }), "64 to 10000000"),
            (json!({ "down": 0 }), "64 to 10000000"),
        ] {
            let refused = serde_json::from_value::<GroupRules>(odd).expect_err(why).to_string();
            assert!(refused.contains(why), "{refused}");
        }
    }
}
