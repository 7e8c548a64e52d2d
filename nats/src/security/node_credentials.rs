//! The bus credential of a node: a token that names it and its key, and carries no permission of its own.

use chrono::{DateTime, TimeDelta, Utc};
use nkeys::KeyPair;

use super::{
    claims::UserClaims,
    jwt::{Claims, JwtError},
    keys::{AccountKey, NodePublicKey},
};
use crate::ids::NodeId;

/// Signs a node's token with the scoped key of the NODES account: the server gives the bearer that scope's template,
/// filled with the token's name.
///
/// `issued_at` is its [`time_of_issue`].
pub fn issue_node_jwt(
    node: &NodeId,
    key: &NodePublicKey,
    issued_at: DateTime<Utc>,
    authority: &NodeAuthority,
) -> Result<String, JwtError> {
    let body = UserClaims {
        issuer_account: Some(authority.account.as_str().to_owned()),
        ..UserClaims::default()
    };
    let claims = Claims {
        issued_at,
        ..Claims::new(node.as_str(), key.as_str(), body)
    };
    claims.sign(&authority.signer)
}

/// When a token is issued that is asked for at `now`. `revoked_at` is when its key was last revoked, if it ever was: the server refuses what
/// was issued up to that second, and takes what is issued at a time that is yet to come.
pub fn time_of_issue(now: DateTime<Utc>, revoked_at: Option<DateTime<Utc>>) -> DateTime<Utc> {
    revoked_at.map_or(now, |revoked_at| now.max(revoked_at + TimeDelta::seconds(1)))
}

/// The key and account that sign node tokens: the scoped signing key, and the account it signs for. Debug does not show the seed.
#[derive(Debug, Clone)]
pub struct NodeAuthority {
    /// The scoped signing key, `nodes-signing.nk`.
    pub signer: KeyPair,
    /// The NODES account.
    pub account: AccountKey,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::security::claims::UserPermissions;

    #[test]
    fn a_node_token_carries_its_name_and_key_and_nothing_else() {
        let authority = NodeAuthority {
            signer: KeyPair::new_account(),
            account: KeyPair::new_account().public_key().parse().unwrap(),
        };
        let key = NodePublicKey::of(&KeyPair::new_user()).unwrap();
        let node = "n1".parse().unwrap();
        let issued_at = Utc::now() + TimeDelta::minutes(10);

        let token = issue_node_jwt(&node, &key, issued_at, &authority).unwrap();

        let claims = Claims::<UserClaims>::verify(&token, &[&authority.signer.public_key()]).unwrap();
        assert_eq!((claims.name.as_str(), claims.subject.as_str()), ("n1", key.as_str()));
        assert_eq!(claims.body.issuer_account.as_deref(), Some(authority.account.as_str()));
        assert_eq!(claims.body.permissions, UserPermissions::default());
        assert_eq!(claims.issued_at.timestamp(), issued_at.timestamp());
    }

    #[test]
    fn a_token_is_issued_after_the_second_in_which_its_key_was_revoked() {
        let at = |seconds| DateTime::from_timestamp(seconds, 900_000_000).unwrap();
        for (revoked_at, issued_at) in [(None, 100), (Some(50), 100), (Some(100), 101), (Some(700), 701)] {
            assert_eq!(
                time_of_issue(at(100), revoked_at.map(at)),
                at(issued_at),
                "{revoked_at:?}"
            );
        }
    }
}
