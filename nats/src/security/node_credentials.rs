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
/// `revoked_at` is when this key was last revoked, if it ever was: the server refuses what was issued up to that second.
pub fn issue_node_jwt(
    node: &NodeId,
    key: &NodePublicKey,
    revoked_at: Option<DateTime<Utc>>,
    authority: &NodeAuthority,
) -> Result<String, JwtError> {
    let body = UserClaims {
        issuer_account: Some(authority.account.as_str().to_owned()),
        ..UserClaims::default()
    };
    let mut claims = Claims::new(node.as_str(), key.as_str(), body);
    if let Some(revoked_at) = revoked_at {
        claims.issued_at = claims.issued_at.max(revoked_at + TimeDelta::seconds(1));
    }
    claims.sign(&authority.signer)
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
        let revoked_at = Utc::now();

        let token = issue_node_jwt(&node, &key, Some(revoked_at), &authority).unwrap();

        let claims = Claims::<UserClaims>::verify(&token, &[&authority.signer.public_key()]).unwrap();
        assert_eq!((claims.name.as_str(), claims.subject.as_str()), ("n1", key.as_str()));
        assert_eq!(claims.body.issuer_account.as_deref(), Some(authority.account.as_str()));
        assert_eq!(claims.body.permissions, UserPermissions::default());
        assert!(claims.issued_at.timestamp() > revoked_at.timestamp());
    }
}
