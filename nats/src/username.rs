//! Usernames: the names that operators give to users.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::text::text_id;

/// A name that is fit for a certificate, a URL and a log line.
///
/// 1 to 64 characters: a letter or digit, then letters, digits, `.`, `_`, `@` or `-`; not the word DEFAULT in any case
/// (OpenVPN manual, `--client-config-dir`: the file of that name applies to everybody).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(
    feature = "sea-orm",
    derive(sea_orm::DeriveValueType),
    sea_orm(value_type = "String")
)]
#[serde(try_from = "String", into = "String")]
pub struct Username(String);

/// The rule that a text breaks, so that it is not a username. Never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUsername {
    /// No character at all.
    #[error("must not be empty")]
    Empty,
    /// More than [`Username::MAX_LENGTH`] characters.
    #[error("must have at most 64 characters")]
    TooLong,
    /// A character outside the permitted set, or a first one that is no letter or digit.
    #[error("must be a letter or digit, then letters, digits, '.', '_', '@' or '-'")]
    Character,
    /// The one name that OpenVPN gives a meaning of its own.
    #[error("must not be the reserved word DEFAULT")]
    Reserved,
}

impl Username {
    /// The pattern of a valid name, for API descriptions.
    pub const PATTERN: &'static str = "^[A-Za-z0-9][A-Za-z0-9._@-]*$";
    /// The most characters a name may have.
    pub const MAX_LENGTH: usize = 64;
}

impl FromStr for Username {
    type Err = InvalidUsername;

    fn from_str(text: &str) -> Result<Self, InvalidUsername> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'@' | b'-');
        let Some(first) = text.as_bytes().first() else {
            return Err(InvalidUsername::Empty);
        };
        if text.chars().count() > Self::MAX_LENGTH {
            return Err(InvalidUsername::TooLong);
        }
        if !first.is_ascii_alphanumeric() || !text.bytes().all(plain) {
            return Err(InvalidUsername::Character);
        }
        if text.eq_ignore_ascii_case("DEFAULT") {
            return Err(InvalidUsername::Reserved);
        }
        Ok(Self(text.to_owned()))
    }
}

text_id!(Username);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_broken_rule_has_its_own_error() {
        let cases = [
            ("", InvalidUsername::Empty),
            (&"x".repeat(300), InvalidUsername::TooLong),
            ("../x", InvalidUsername::Character),
            ("a.b*>", InvalidUsername::Character),
            ("nul\0", InvalidUsername::Character),
            ("two\nlines", InvalidUsername::Character),
            ("\u{202e}evil", InvalidUsername::Character),
            ("DEFAULT", InvalidUsername::Reserved),
            ("Default", InvalidUsername::Reserved),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Username>(), Err(expected), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_parses_is_printable_ascii_without_separators(text in "\\PC{0,80}") {
            if let Ok(name) = text.parse::<Username>() {
                prop_assert!(name.as_str().bytes().all(|b| b.is_ascii_graphic() && !b"/\\*> $".contains(&b)));
                prop_assert_eq!(name.as_str(), text);
            }
        }
    }
}
