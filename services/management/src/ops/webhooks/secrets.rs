//! The secrets of webhooks: random, encrypted in the database, and shown once.

use std::iter;

use aws_lc_rs::rand;
use chrono::{DateTime, Utc};
use vpnmanager_entities::webhook;

use crate::{
    domain::webhook_signature::{SECRET_BYTES, signature},
    pki::Pki,
};

const PURPOSE: &str = "webhook";

/// A random secret.
pub(super) fn random() -> [u8; SECRET_BYTES] {
    let mut secret = [0; SECRET_BYTES];
    rand::fill(&mut secret).expect("the operating system provides randomness");
    secret
}

/// A secret as the database keeps it.
pub(super) fn sealed(pki: &Pki, secret: &[u8]) -> Vec<u8> {
    pki.seal(PURPOSE, secret)
}

/// A secret of the database encrypted anew, with the key of the authority that stays; `None`: it cannot be read.
pub(super) fn resealed(pki: &Pki, before: &[u8]) -> Option<Vec<u8>> {
    pki.unseal(PURPOSE, before).map(|secret| sealed(pki, &secret))
}

/// The secret cannot be read with the key of this replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret was encrypted with the key of another CA: give the webhook another one (rotate-secret)")]
pub struct Unreadable;

/// What the header `webhook-signature` has for a message with this id, sent now: one signature, or two while a former secret is good too.
pub(super) fn signatures(
    pki: &Pki,
    webhook: &webhook::Model,
    (id, body): (&str, &str),
    now: DateTime<Utc>,
) -> Result<String, Unreadable> {
    let secret = pki.unseal(PURPOSE, &webhook.secret).ok_or(Unreadable)?;
    let former = webhook.former_secret.as_deref();
    let former = former.filter(|_| webhook.former_until.is_some_and(|until| until > now));
    // Where that one cannot be read, another secret was the remedy.
    let former = former.and_then(|sealed| pki.unseal(PURPOSE, sealed));
    let secrets = iter::once(secret).chain(former);
    let signatures = secrets.map(|secret| signature(&secret, id, now.timestamp(), body));
    Ok(signatures.collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn webhook(secret: Vec<u8>, former: Vec<u8>, now: DateTime<Utc>) -> webhook::Model {
        webhook::Model {
            id: 1,
            url: "https://hooks.example.com".to_owned(),
            description: None,
            types: Vec::new(),
            subjects: Vec::new(),
            enabled: true,
            secret,
            former_secret: Some(former),
            former_until: Some(now + TimeDelta::hours(1)),
            position: 0,
            created_by: "key:admin".to_owned(),
            created_at: now,
            changed_at: now,
            failing_since: None,
            disabled_reason: None,
            leased_by: None,
            leased_until: None,
        }
    }

    #[test]
    fn another_secret_is_the_remedy_for_one_that_cannot_be_read() {
        let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let [ours, other] = folders
            .each_ref()
            .map(|folder| Pki::load_or_create(folder.path()).unwrap());
        let now = Utc::now();
        let signed = |webhook: &webhook::Model| signatures(&ours, webhook, ("msg_1", "{}"), now);

        let lost = webhook(sealed(&other, b"former"), sealed(&other, b"older"), now);
        assert_eq!(signed(&lost), Err(Unreadable));
        let remedied = webhook(sealed(&ours, b"new"), lost.secret, now);
        assert_eq!(signed(&remedied), Ok(signature(b"new", "msg_1", now.timestamp(), "{}")));
        let rotated = webhook(sealed(&ours, b"new"), sealed(&ours, b"former"), now);
        assert!(signed(&rotated).is_ok_and(|two| two.split(' ').count() == 2));
    }
}
