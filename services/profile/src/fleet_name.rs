//! What a fleet is called.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The name of a fleet, which clients show for a profile: 1 to 64 letters, digits, spaces, '.', '_' or '-', no space first or last. Nothing in
/// it needs escaping in a profile. OpenVPN 3 takes names of up to 256 bytes (`FRIENDLY_NAME` in its cliopthelper.hpp).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FleetName(String);

/// Why a text is no name of a fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fleet's name must be {}", FleetName::EXPECTED)]
pub struct InvalidFleetName;

impl FleetName {
    /// What is expected, for people.
    pub const EXPECTED: &'static str =
        "1 to 64 letters, digits, spaces, '.', '_' or '-', the first and the last no space";
}

impl FromStr for FleetName {
    type Err = InvalidFleetName;

    fn from_str(text: &str) -> Result<Self, InvalidFleetName> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b" ._-".contains(&byte);
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(is_plain) && text.trim() == text;
        match fits {
            true => Ok(Self(text.to_owned())),
            false => Err(InvalidFleetName),
        }
    }
}

impl TryFrom<String> for FleetName {
    type Error = InvalidFleetName;

    fn try_from(text: String) -> Result<Self, InvalidFleetName> {
        text.parse()
    }
}

impl From<FleetName> for String {
    fn from(name: FleetName) -> Self {
        name.0
    }
}

impl fmt::Display for FleetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_plain_words_that_need_no_escaping() {
        let longest = "x".repeat(64);
        for name in ["x", "Example Corp. VPN", "fleet_1-a", "2", longest.as_str()] {
            assert_eq!(name.parse::<FleetName>().expect(name).to_string(), name);
        }
        let too_long = "x".repeat(65);
        for bad in [
            "",
            " ",
            " a",
            "a ",
            "a\n",
            "a\nup /bin/evil",
            "a\tb",
            "a\"b",
            "a\\b",
            "a'b",
            "a;b",
            "a#b",
            "<a>",
            "\u{e9}",
            too_long.as_str(),
        ] {
            assert_eq!(bad.parse::<FleetName>(), Err(InvalidFleetName), "{bad:?}");
        }
    }
}
