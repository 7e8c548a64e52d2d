//! `profile`: what only this node has of a credential's profile, private key included. It travels only as this answer.

use secrecy::ExposeSecret;
use vpnmanager_nats::{
    ids::{CommonName, UserKey},
    node_requests::{NodeAnswer, ProfileParts},
};
use vpnmanager_profile::{
    parts::{CERTIFICATE, PRIVATE_KEY},
    pem::{self, InvalidPem},
    tls_crypt_v2::CLIENT_LABEL,
};

use crate::{
    journal::{JournalError, StoredParts},
    shared::Shared,
};

/// The parts could not be read. The text of the error goes to management.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProfileError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("a part of the profile in the journal is not usable")]
    Part(#[from] InvalidPem),
}

pub(super) async fn answer(shared: &Shared, user: UserKey, name: CommonName) -> Result<NodeAnswer, ProfileError> {
    let parts = shared
        .journal
        .read(move |records| records.profile_parts(user, &name))
        .await?;
    Ok(match parts {
        Some(parts) => NodeAnswer::ProfileParts(written_for_the_wire(&parts)?),
        None => NodeAnswer::NotFound {
            detail: "this node holds no profile of that credential".to_owned(),
        },
    })
}

/// Management takes nothing but one PEM block in its plainest form.
fn written_for_the_wire(parts: &StoredParts) -> Result<ProfileParts, InvalidPem> {
    Ok(ProfileParts {
        certificate: pem::normal(&parts.certificate, CERTIFICATE)?,
        key: pem::normal(parts.key.expose_secret(), PRIVATE_KEY)?,
        tls_crypt_v2: pem::normal(parts.tls_crypt_v2.expose_secret(), CLIENT_LABEL)?,
    })
}
