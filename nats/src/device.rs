//! Devices: the names that tell apart the credentials of one user.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::text::{InvalidId, is_plain_name, text_id};

/// The most devices of one user.
pub const MOST_DEVICES: usize = 16;

/// The name of a device of a user, such as `laptop`. Each device has a credential and a profile of its own.
///
/// 1 to 32 characters: a letter or digit, then letters, digits, `.`, `_` or `-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(
    feature = "sea-orm",
    derive(sea_orm::DeriveValueType),
    sea_orm(value_type = "String")
)]
#[serde(try_from = "String", into = "String")]
pub struct DeviceName(String);

impl DeviceName {
    /// The device that every user gets when it is created.
    pub const DEFAULT: &'static str = "default";
    /// The pattern of a valid name, for API descriptions.
    pub const PATTERN: &'static str = "^[A-Za-z0-9][A-Za-z0-9._-]*$";
    /// The most characters a name may have.
    pub const MAX_LENGTH: usize = 32;

    /// Whether it is the device that every user gets when it is created.
    pub fn is_default(&self) -> bool {
        self.0 == Self::DEFAULT
    }
}

impl Default for DeviceName {
    fn default() -> Self {
        Self(Self::DEFAULT.to_owned())
    }
}

impl FromStr for DeviceName {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if is_plain_name(text, Self::MAX_LENGTH, b"._-") {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId::new(
                "the name of a device",
                "1 to 32 characters: a letter or digit, then letters, digits, '.', '_' or '-'",
            ))
        }
    }
}

text_id!(DeviceName);
