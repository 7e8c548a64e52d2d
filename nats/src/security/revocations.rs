//! Which credentials of nodes the bus refuses.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::keys::NodePublicKey;

/// Stands for every key (`All` of `github.com/nats-io/jwt/v2`).
const EVERY_KEY: &str = "*";

/// Credentials of nodes that the bus refuses, by the time of their issue, in whole seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revocations {
    /// Whatever was issued until then, to any key.
    pub of_all: Option<DateTime<Utc>>,
    /// What was issued to one key until then.
    pub of_keys: BTreeMap<NodePublicKey, DateTime<Utc>>,
}

impl Revocations {
    /// So many keys have room: the server takes the account's token in one message (`max_payload` of its configuration, 1 MiB).
    pub const MOST_KEYS: usize = 11_000;

    /// As the token of an account has them.
    pub(super) fn entries(&self) -> BTreeMap<String, i64> {
        let of_keys = self.of_keys.iter().map(|(key, until)| (key.as_str(), until));
        let of_all = self.of_all.iter().map(|until| (EVERY_KEY, until));
        let entries = of_keys.chain(of_all);
        entries
            .map(|(key, until)| (key.to_owned(), until.timestamp()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use nkeys::KeyPair;

    use super::*;
    use crate::{
        permissions,
        security::{jwt::Claims, keys::AccountKey},
    };

    #[test]
    fn an_account_has_each_key_and_a_star_for_all() {
        let key = NodePublicKey::of(&KeyPair::new_user()).unwrap();
        let at = |seconds| DateTime::from_timestamp(seconds, 999_999_999).unwrap();
        let mut revocations = Revocations {
            of_keys: BTreeMap::from([(key.clone(), at(7))]),
            ..Revocations::default()
        };
        assert_eq!(revocations.entries(), BTreeMap::from([(key.as_str().to_owned(), 7)]));

        revocations.of_all = Some(at(3));
        let both = [(key.as_str().to_owned(), 7), ("*".to_owned(), 3)];
        assert_eq!(revocations.entries(), BTreeMap::from(both));
    }

    #[test]
    fn the_token_of_an_account_with_the_most_keys_fits_into_one_message() {
        let key = || KeyPair::new_account().public_key().parse::<AccountKey>().unwrap();
        let mut body = permissions::nodes_account(&key(), &key());
        let keys = 0..Revocations::MOST_KEYS;
        body.revocations = keys.map(|number| (format!("U{number:055}"), 1_795_867_200)).collect();
        let token = Claims::new("NODES", key().as_str(), body)
            .sign(&KeyPair::new_operator())
            .unwrap();
        assert!(token.len() <= 1024 * 1024, "{} bytes", token.len());
    }
}
