//! Revoking a node's credential: a new token of the NODES account that lists the key, sent to the running server.
//!
//! The caller keeps the account's current token: [`revoke_key`] makes the next one from it, and after a wiped server store
//! [`publish_account`] brings the stored one back.

use std::time::Duration;

use async_nats::Client;
use chrono::{DateTime, TimeDelta, Utc};
use nkeys::KeyPair;
use serde::Deserialize;

use super::{
    claims::{AccountClaims, SigningKey},
    jwt::{Claims, JwtError},
    keys::{AccountKey, InvalidKey, NodePublicKey},
    revocations::Revocations,
};
use crate::permissions;

const UPDATE_SUBJECT: &str = "$SYS.REQ.CLAIMS.UPDATE";
const UPDATE_DEADLINE: Duration = Duration::from_secs(5);

/// The next account token: it also refuses every credential that was issued to `key` up to `revoked_at`.
pub fn revoke_key(
    current: &str,
    key: &NodePublicKey,
    revoked_at: DateTime<Utc>,
    operator: &KeyPair,
) -> Result<String, JwtError> {
    let mut account = Claims::<AccountClaims>::verify_signature(current)?;
    let until = account.body.revocations.entry(key.as_str().to_owned()).or_default();
    *until = revoked_at.timestamp().max(*until);
    reissue(account, operator)
}

/// When `key` was last revoked; [`super::node_credentials::time_of_issue`] needs it.
pub fn revoked_at(current: &str, key: &NodePublicKey) -> Result<Option<DateTime<Utc>>, JwtError> {
    let account = Claims::<AccountClaims>::verify_signature(current)?;
    Ok(account
        .body
        .revocations
        .get(key.as_str())
        .and_then(|seconds| DateTime::from_timestamp(*seconds, 0)))
}

/// Why the account token was not rebuilt.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The current token was not read, or the new one not signed.
    #[error("could not read or sign the account's token")]
    Token(#[source] JwtError),
    /// The token was not created by `bus-init`.
    #[error("the token is not of a NODES account: {what}")]
    Foreign {
        /// What the token lacks.
        what: &'static str,
    },
    /// It names something that is not a key.
    #[error("the account's token names a broken key")]
    Key(#[source] InvalidKey),
}

/// The NODES account as this build wants it (exports, imports, template), with the identity and keys of `current` and
/// exactly these revocations: for upgrades, and for a list kept elsewhere.
pub fn rebuild_nodes_account(
    current: &str,
    revocations: &Revocations,
    operator: &KeyPair,
) -> Result<String, RebuildError> {
    let mut account = Claims::<AccountClaims>::verify_signature(current).map_err(RebuildError::Token)?;
    let vpn = account.body.imports.first().map(|import| import.account.clone());
    let scoped = account.body.signing_keys.iter().find_map(|key| match key {
        SigningKey::Scoped(scope) => Some(scope.key.clone()),
        SigningKey::Plain(_) => None,
    });
    let vpn = vpn.ok_or(RebuildError::Foreign {
        what: "it imports nothing",
    })?;
    let scoped = scoped.ok_or(RebuildError::Foreign {
        what: "it has no scoped signing key",
    })?;
    let key = |text: String| text.parse::<AccountKey>().map_err(RebuildError::Key);
    let mut body = permissions::nodes_account(&key(vpn)?, &key(scoped)?);
    body.revocations = revocations.entries();
    account.body = body;
    reissue(account, operator).map_err(RebuildError::Token)
}

/// Signs the claims again with the key that signed them before. The server would store a token of another signer without an
/// error, ignore it while it runs, and start the next time without the account. Times are whole seconds, and only a newer token
/// counts.
fn reissue(mut account: Claims<AccountClaims>, operator: &KeyPair) -> Result<String, JwtError> {
    if account.issuer != operator.public_key() {
        return Err(JwtError::Issuer);
    }
    account.issued_at = Utc::now().max(account.issued_at + TimeDelta::seconds(1));
    account.sign(operator)
}

/// Why the server did not accept the account token.
#[derive(Debug, thiserror::Error)]
pub enum PublishAccountError {
    /// The token is none of an account.
    #[error("the account's token cannot be read")]
    Token(#[source] JwtError),
    /// The request failed.
    #[error("the server did not answer the account update")]
    Request(#[source] async_nats::client::RequestError),
    /// The server did not answer in time.
    #[error("the server did not answer the account update within {}s", UPDATE_DEADLINE.as_secs())]
    TimedOut,
    /// The answer could not be read.
    #[error("the server's answer to the account update is not understood")]
    Answer(#[source] serde_json::Error),
    /// The server refused it.
    #[error("the server refused the account update ({code}): {description}")]
    Refused {
        /// Its code.
        code: u16,
        /// Its words.
        description: String,
    },
}

/// Sends an account token to the running server, unless the server has one with the same content. An update costs something: the server
/// loses every answer that is on its way between the accounts at that moment (measured), and who waits for it waits in vain.
///
/// The server takes a newer token only, by whole seconds. Where the token is not newer than the one that the server has (it was published in
/// this second, or while the clock was ahead), it is signed again as the next one.
///
/// # Errors
/// As [`publish_account`].
pub async fn publish_account_if_changed(
    system: &Client,
    token: String,
    operator: &KeyPair,
) -> Result<Change, PublishAccountError> {
    let wanted = Claims::<AccountClaims>::verify_signature(&token).map_err(PublishAccountError::Token)?;
    let token = match account_of(system, &wanted.subject).await {
        Some(present) if present.issuer == wanted.issuer && present.body == wanted.body => return Ok(Change::None),
        Some(present) if present.issued_at.timestamp() >= wanted.issued_at.timestamp() => {
            let next = Claims {
                issued_at: present.issued_at,
                ..wanted
            };
            reissue(next, operator).map_err(PublishAccountError::Token)?
        }
        Some(_) | None => token,
    };
    publish_account(system, token).await.map(|()| Change::Published)
}

/// Whether an account was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The server had it.
    None,
    /// The server has it now.
    Published,
}

/// Whether the server has this account. `system` is a user of the system account.
pub async fn knows_account(system: &Client, account: &AccountKey) -> bool {
    account_of(system, account.as_str()).await.is_some()
}

/// What the server says that it has of an account. A server that does not answer has nothing.
async fn account_of(system: &Client, account: &str) -> Option<Claims<AccountClaims>> {
    let subject = format!("$SYS.REQ.ACCOUNT.{account}.CLAIMS.LOOKUP");
    let asked = tokio::time::timeout(UPDATE_DEADLINE, system.request(subject, "".into())).await;
    let answer = asked.ok()?.ok()?;
    let token = str::from_utf8(&answer.payload).ok()?;
    Claims::<AccountClaims>::verify_signature(token).ok()
}

/// Sends an account token to the running server, as a user of the system account. Clients whose credential it revokes are
/// disconnected at once.
pub async fn publish_account(system: &Client, token: String) -> Result<(), PublishAccountError> {
    let request = system.request(UPDATE_SUBJECT, token.into());
    let answer = tokio::time::timeout(UPDATE_DEADLINE, request)
        .await
        .map_err(|_| PublishAccountError::TimedOut)?
        .map_err(PublishAccountError::Request)?;
    let answer: UpdateAnswer = serde_json::from_slice(&answer.payload).map_err(PublishAccountError::Answer)?;
    match answer {
        UpdateAnswer {
            data: Some(data),
            error: None,
        } if data.code == 200 => Ok(()),
        UpdateAnswer {
            error: Some(status), ..
        }
        | UpdateAnswer { data: Some(status), .. } => Err(PublishAccountError::Refused {
            code: status.code,
            description: status.description.or(status.message).unwrap_or_default(),
        }),
        UpdateAnswer {
            data: None,
            error: None,
        } => Err(PublishAccountError::Refused {
            code: 0,
            description: "an empty answer".to_owned(),
        }),
    }
}

#[derive(Deserialize)]
struct UpdateAnswer {
    data: Option<UpdateStatus>,
    error: Option<UpdateStatus>,
}

#[derive(Deserialize)]
struct UpdateStatus {
    #[serde(default)]
    code: u16,
    message: Option<String>,
    description: Option<String>,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::security::node_credentials::NodeAuthority;

    fn account() -> (String, KeyPair, NodeAuthority) {
        let key = || KeyPair::new_account().public_key().parse::<AccountKey>().unwrap();
        let (operator, signer, nodes) = (KeyPair::new_operator(), KeyPair::new_account(), key());
        let body = permissions::nodes_account(&key(), &signer.public_key().parse().unwrap());
        let token = Claims::new("NODES", nodes.as_str(), body).sign(&operator).unwrap();
        (token, operator, NodeAuthority { signer, account: nodes })
    }

    #[test]
    fn a_revocation_only_adds_its_key_and_makes_the_token_newer() {
        let (before, operator, _) = account();
        let key = NodePublicKey::of(&KeyPair::new_user()).unwrap();
        let now = Utc::now();

        let after = revoke_key(&before, &key, now, &operator).unwrap();
        let again = revoke_key(&after, &key, now - TimeDelta::hours(1), &operator).unwrap();

        let [before, after] = [before, again].map(|token| Claims::<AccountClaims>::verify_signature(&token).unwrap());
        assert_eq!(
            after.body.revocations,
            BTreeMap::from([(key.as_str().to_owned(), now.timestamp())])
        );
        assert_eq!(after.body.imports, before.body.imports);
        assert_eq!(after.body.signing_keys, before.body.signing_keys);
        assert_eq!(after.subject, before.subject);
        assert!(after.issued_at > before.issued_at);
    }

    #[test]
    fn only_the_operator_key_that_signed_the_account_signs_it_again() {
        let (current, _, _) = account();
        let key = NodePublicKey::of(&KeyPair::new_user()).unwrap();
        let refused = revoke_key(&current, &key, Utc::now(), &KeyPair::new_operator());
        assert!(matches!(refused, Err(JwtError::Issuer)));
    }

    #[test]
    fn a_rebuilt_account_keeps_its_identity_and_takes_the_list() {
        let (before, operator, authority) = account();
        let key = NodePublicKey::of(&KeyPair::new_user()).unwrap();
        let list = Revocations {
            of_keys: BTreeMap::from([(key.clone(), Utc::now())]),
            ..Revocations::default()
        };

        let rebuilt = rebuild_nodes_account(&before, &list, &operator).unwrap();

        let claims = Claims::<AccountClaims>::verify(&rebuilt, &[&operator.public_key()]).unwrap();
        assert_eq!(claims.subject, authority.account.as_str());
        assert!(revoked_at(&rebuilt, &key).unwrap().is_some());
        let [SigningKey::Scoped(scope)] = claims.body.signing_keys.as_slice() else {
            panic!("one scoped key")
        };
        assert_eq!(scope.key, authority.signer.public_key());
    }
}
