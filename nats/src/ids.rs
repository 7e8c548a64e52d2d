//! Identifiers. Each is one subject token (letters, digits, `-`, `_`), so that it needs no escaping in a subject, a permission,
//! a file name or a URL. [`CommonName`] alone may hold dots: it names files and certificates, never a subject.

use std::{fmt, str::FromStr};

use aws_lc_rs::rand;
use chrono::{DateTime, Utc};
use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use crate::text::InvalidId;
use crate::{
    text::{is_plain_name, text_id},
    username::Username,
};

/// The pool of nodes that name none, and of users without a wanted home.
pub const DEFAULT_POOL: &str = "default";

/// The name of one end-node: `SERVER_ID` in its configuration, `servers.name` in the database, a token in its subjects.
///
/// 1 to 63 characters: a letter or digit, then letters, digits, `_` or `-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(
    feature = "sea-orm",
    derive(sea_orm::DeriveValueType),
    sea_orm(value_type = "String")
)]
#[serde(try_from = "String", into = "String")]
pub struct NodeId(String);

impl NodeId {
    /// The pattern of a valid id, for API descriptions.
    pub const PATTERN: &'static str = "^[A-Za-z0-9][A-Za-z0-9_-]*$";
    /// The most characters an id may have.
    pub const MAX_LENGTH: usize = 63;
}

impl FromStr for NodeId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if is_plain_name(text, Self::MAX_LENGTH, b"_-") {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId::new(
                "a server id",
                "1 to 63 characters: a letter or digit, then letters, digits, '_' or '-'",
            ))
        }
    }
}

/// The key of one user for the life of that user: a UUIDv7, never reused when the username is created again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "sea-orm", derive(sea_orm::DeriveValueType))]
#[serde(transparent)]
pub struct UserKey(pub Uuid);

impl UserKey {
    /// A key that no other user has.
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl Default for UserKey {
    fn default() -> Self {
        Self::new()
    }
}

impl FromStr for UserKey {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Uuid::from_str(text)
            .map(Self)
            .map_err(|_| InvalidId::new("a user key", "a UUID"))
    }
}

/// One run of one agent process. Two live instances with one identity mean a cloned node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "sea-orm", derive(sea_orm::DeriveValueType))]
#[serde(transparent)]
pub struct AgentInstance(pub Uuid);

impl AgentInstance {
    /// A fresh instance, once per process.
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// When the run began, by its own clock (RFC 9562, UUIDv7); `None` where the id does not say.
    pub fn began_at(self) -> Option<DateTime<Utc>> {
        let (seconds, nanoseconds) = self.0.get_timestamp()?.to_unix();
        DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanoseconds)
    }
}

impl Default for AgentInstance {
    fn default() -> Self {
        Self::new()
    }
}

/// One local request that a node carries to management. Repeating it changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "sea-orm", derive(sea_orm::DeriveValueType))]
#[serde(transparent)]
pub struct IntentId(pub Uuid);

impl IntentId {
    /// A fresh id, once per local request.
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl Default for IntentId {
    fn default() -> Self {
        Self::new()
    }
}

/// One event of a node. Management records an id once, however often it is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "sea-orm", derive(sea_orm::DeriveValueType))]
#[serde(transparent)]
pub struct EventId(pub Uuid);

impl EventId {
    /// A fresh id, once per event.
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl Default for EventId {
    fn default() -> Self {
        Self::new()
    }
}

/// The generation of a user's desired state: 1 at creation, one more at each change. Only a greater one is applied.
/// On the wire 1 to [`Self::MAX`]: a message with another one cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Revision(pub i64);

impl Revision {
    /// Beyond it a number in JSON is not exact everywhere (RFC 8259, section 6). No user is changed that often.
    pub const MAX: i64 = (1 << 53) - 1;
}

impl TryFrom<i64> for Revision {
    type Error = InvalidId;

    fn try_from(number: i64) -> Result<Self, InvalidId> {
        if (1..=Self::MAX).contains(&number) {
            Ok(Self(number))
        } else {
            Err(InvalidId::new("a revision", "1 to 9007199254740991"))
        }
    }
}

impl From<Revision> for i64 {
    fn from(revision: Revision) -> Self {
        revision.0
    }
}

/// The name of one credential, unique for ever: the subject's common name in its certificate and the name of its allow-list file.
///
/// The first 47 characters of the username, a dot, and 16 random characters of `[a-z2-7]` (80 bits), so that creating a
/// username again never revives an old profile. At most 64 characters, the bound of RFC 5280 (`ub-common-name`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(
    feature = "sea-orm",
    derive(sea_orm::DeriveValueType),
    sea_orm(value_type = "String")
)]
#[serde(try_from = "String", into = "String")]
pub struct CommonName(String);

impl CommonName {
    const SUFFIX_BYTES: usize = 10;
    const USERNAME_PART: usize = 47;
    /// The most characters a common name may have (RFC 5280, appendix A).
    pub const MAX_LENGTH: usize = 64;

    /// A common name for a new credential of this user.
    ///
    /// # Panics
    /// When the operating system provides no randomness.
    pub fn for_user(username: &Username) -> Self {
        let mut suffix = [0_u8; Self::SUFFIX_BYTES];
        rand::fill(&mut suffix).expect("the operating system provides randomness");
        let suffix = BASE32_NOPAD.encode(&suffix).to_ascii_lowercase();
        Self(format!("{}.{suffix}", Self::part_of(username)))
    }

    /// What the common names of this user begin with, before the last dot. Users whose names differ only after it share it.
    pub fn part_of(username: &Username) -> &str {
        // Usernames are ASCII.
        let name = username.as_str();
        name.get(..Self::USERNAME_PART).unwrap_or(name)
    }

    /// What it begins with, before the last dot: [`Self::part_of`] its user.
    pub fn user_part(&self) -> &str {
        self.0.rsplit_once('.').map_or(&self.0, |(user, _)| user)
    }
}

impl FromStr for CommonName {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if is_plain_name(text, Self::MAX_LENGTH, b"._@-") && !text.eq_ignore_ascii_case("DEFAULT") {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId::new(
                "a common name",
                "1 to 64 characters: a letter or digit, then letters, digits, '.', '_', '@' or '-'; not DEFAULT",
            ))
        }
    }
}

text_id!(NodeId, CommonName);

/// `Display` for ids with one printable field.
macro_rules! display_inner {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}
display_inner!(UserKey, AgentInstance, IntentId, EventId, Revision);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_id_refuses_what_is_not_one_token() {
        for bad in ["", "a.b", "a b", "*", ">", "-a", "a\n", "ä", "a/b", &"x".repeat(64)] {
            assert!(bad.parse::<NodeId>().is_err(), "{bad:?} was accepted");
        }
        for good in ["1", "endnode-1", "Server_2", &"x".repeat(63)] {
            assert_eq!(good.parse::<NodeId>().expect(good).as_str(), good);
        }
    }

    #[test]
    fn a_run_says_when_it_began() {
        let (before, run, after) = (Utc::now(), AgentInstance::new(), Utc::now());
        let began_at = run.began_at().expect("said");
        assert!(
            before.timestamp_millis() <= began_at.timestamp_millis() && began_at <= after,
            "{began_at}"
        );
        assert_eq!(AgentInstance(Uuid::new_v4()).began_at(), None);
    }

    #[test]
    fn common_names_of_one_user_differ_and_fit_a_certificate() {
        let username: Username = "a".repeat(64).parse().expect("a valid username");
        let (one, two) = (CommonName::for_user(&username), CommonName::for_user(&username));
        assert_ne!(one, two);
        assert_eq!(one.as_str().len(), CommonName::MAX_LENGTH);
        assert_eq!(one.as_str().parse::<CommonName>(), Ok(one));
    }

    #[test]
    fn common_name_refuses_what_could_leave_its_folder() {
        for bad in [
            "",
            "..",
            ".a",
            "../x",
            "a/b",
            "a\0",
            "DEFAULT",
            "default",
            &"x".repeat(65),
        ] {
            assert!(bad.parse::<CommonName>().is_err(), "{bad:?} was accepted");
        }
    }
}
