//! `profile`: the profile of a credential, private key included. It travels only as this answer.

use secrecy::ExposeSecret;
use vpnmanager_nats::{
    ids::{CommonName, UserKey},
    node_requests::NodeAnswer,
};

use crate::{journal::JournalError, shared::Shared};

pub(super) async fn answer(shared: &Shared, user: UserKey, name: CommonName) -> Result<NodeAnswer, JournalError> {
    let profile = shared.journal.read(move |records| records.profile(user, &name)).await?;
    Ok(match profile {
        Some(profile) => NodeAnswer::Profile {
            profile: profile.text.expose_secret().to_owned(),
            checksum: profile.checksum,
        },
        None => NodeAnswer::NotFound {
            detail: "this node holds no profile of that credential".to_owned(),
        },
    })
}
