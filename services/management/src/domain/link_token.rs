//! The token of a link to a profile: whoever has it gets the profile.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use secrecy::{ExposeSecret as _, SecretString};
use vpnmanager_openapi::auth::hash_key;

/// Below this path are the pages of links, each under its token.
pub const PAGES: &str = "/p/";

/// Operators and secret scanners recognise a token by it.
const PREFIX: &str = "vpnlink-";
/// Random bytes of a token.
pub const RANDOM_BYTES: usize = 32;

/// A token. It shows itself redacted.
#[derive(Clone)]
pub struct LinkToken(SecretString);

/// The text is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not the token of a link")]
pub struct NoLinkToken;

impl LinkToken {
    /// The token of these random bytes.
    #[must_use]
    pub fn of(random: [u8; RANDOM_BYTES]) -> Self {
        let token = format!("{PREFIX}{}", BASE32_NOPAD.encode(&random).to_ascii_lowercase());
        Self(token.into())
    }

    /// SHA-256 of the token, which is stored in its place.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        hash_key(self.0.expose_secret())
    }

    /// The path of its page. As secret as the token.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{PAGES}{}", self.0.expose_secret())
    }
}

impl FromStr for LinkToken {
    type Err = NoLinkToken;

    fn from_str(text: &str) -> Result<Self, NoLinkToken> {
        let encoded = text.strip_prefix(PREFIX).ok_or(NoLinkToken)?;
        if encoded.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(NoLinkToken);
        }
        let random = BASE32_NOPAD
            .decode(encoded.to_ascii_uppercase().as_bytes())
            .map_err(|_no_base32| NoLinkToken)?;
        if random.len() != RANDOM_BYTES {
            return Err(NoLinkToken);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Debug for LinkToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkToken([REDACTED])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_in_its_path_and_nothing_else_is_one() {
        let made = LinkToken::of([7; RANDOM_BYTES]);
        let path = made.path();
        let text = path.strip_prefix(PAGES).expect("below the pages");
        let read: LinkToken = text.parse().expect("a token");
        assert_eq!(read.hash(), made.hash());
        let (shorter, longer, upper) = (&text[..text.len() - 1], format!("{text}a"), text.to_uppercase());
        let wrongs = ["", "vpnlink-", "vpnjoin-aaaa", shorter, longer.as_str(), upper.as_str()];
        for wrong in wrongs {
            assert_eq!(wrong.parse::<LinkToken>().err(), Some(NoLinkToken), "{wrong}");
        }
    }

    #[test]
    fn a_token_shows_nothing() {
        let token = LinkToken::of([7; RANDOM_BYTES]);
        assert_eq!(format!("{token:?}"), "LinkToken([REDACTED])");
    }
}
