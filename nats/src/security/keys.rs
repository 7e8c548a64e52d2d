//! Public NKeys as typed values.

use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, ED25519_PUBLIC_KEY_LEN, UnparsedPublicKey};
use data_encoding::BASE32_NOPAD;
use nkeys::{KeyPair, KeyPairType};
use serde::{Deserialize, Serialize};

use crate::text::text_id;

/// A text that is not an NKey of the expected type. Does not hold the text, which may be a seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be {expected}")]
pub struct InvalidKey {
    expected: &'static str,
}

/// The public NKey of one node (`U...`, 56 characters). Its seed never leaves the node.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(
    feature = "sea-orm",
    derive(sea_orm::DeriveValueType),
    sea_orm(value_type = "String")
)]
#[serde(try_from = "String", into = "String")]
pub struct NodePublicKey(String);

impl NodePublicKey {
    /// The public half of a node's key pair.
    pub fn of(key: &KeyPair) -> Result<Self, InvalidKey> {
        key.public_key().parse()
    }

    /// Whether the holder of the key signed this text (Ed25519). It needs nothing else and costs the same for every text and signature, so
    /// it may be asked of strangers.
    #[must_use]
    pub fn has_signed(&self, text: &str, signature: &[u8]) -> bool {
        // The first byte says the kind of key, the last two are a checksum (NKeys, "Encoding").
        let Ok(decoded) = BASE32_NOPAD.decode(self.0.as_bytes()) else {
            return false;
        };
        let Some(key) = decoded.get(1..=ED25519_PUBLIC_KEY_LEN) else {
            return false;
        };
        UnparsedPublicKey::new(&ED25519, key)
            .verify(text.as_bytes(), signature)
            .is_ok()
    }
}

impl FromStr for NodePublicKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        public_key(text, &KeyPairType::User, "the public NKey of a user (U...)").map(Self)
    }
}

/// The public NKey of an account (`A...`, 56 characters).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountKey(String);

impl AccountKey {
    /// The public half of a key pair that is known to be an account's.
    pub(super) fn of(account: &KeyPair) -> Self {
        debug_assert_eq!(account.key_pair_type(), KeyPairType::Account);
        Self(account.public_key())
    }
}

impl FromStr for AccountKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        public_key(text, &KeyPairType::Account, "the public NKey of an account (A...)").map(Self)
    }
}

fn public_key(text: &str, kind: &KeyPairType, expected: &'static str) -> Result<String, InvalidKey> {
    match KeyPair::from_public_key(text) {
        Ok(key) if key.key_pair_type() == *kind => Ok(key.public_key()),
        Ok(_) | Err(_) => Err(InvalidKey { expected }),
    }
}

text_id!(NodePublicKey, AccountKey);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_by_one_key_over_one_text() {
        let (key, other) = (KeyPair::new_user(), KeyPair::new_user());
        let public = NodePublicKey::of(&key).unwrap();
        let signature = key.sign(b"a text").unwrap();
        assert!(public.has_signed("a text", &signature));
        assert!(!public.has_signed("another text", &signature));
        assert!(!NodePublicKey::of(&other).unwrap().has_signed("a text", &signature));
        for bad in [
            &[][..],
            &signature[1..],
            &[0; 64],
            &[0xff; 64],
            &[signature.as_slice(), &[0]].concat(),
        ] {
            assert!(!public.has_signed("a text", bad));
        }
    }

    #[test]
    fn a_key_of_another_type_a_seed_or_noise_is_refused() {
        let user = KeyPair::new_user();
        let account = KeyPair::new_account();
        assert_eq!(
            user.public_key().parse::<NodePublicKey>().unwrap().as_str(),
            user.public_key()
        );
        assert_eq!(
            account.public_key().parse::<AccountKey>().unwrap().as_str(),
            account.public_key()
        );
        let (kept, last) = (&user.public_key()[..55], &user.public_key()[55..]);
        let broken = format!("{kept}{}", if last == "A" { "B" } else { "A" });
        for bad in [
            account.public_key(),
            user.seed().unwrap(),
            String::new(),
            "U".repeat(56),
            "*".into(),
            broken,
        ] {
            assert!(bad.parse::<NodePublicKey>().is_err());
        }
        assert!(user.public_key().parse::<AccountKey>().is_err());
    }
}
