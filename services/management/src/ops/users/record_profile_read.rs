//! Records that a profile was handed out: it holds a private key, so who has had it must be known.

use sea_orm::DbErr;
use serde_json::json;
use vpnmanager_nats::username::Username;

use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        audit::{self, Entry},
        transact::transact,
        users::fetch_profile::Profile,
    },
};

/// Records the read, before the profile leaves: one that cannot be recorded must not be handed out.
pub async fn record_profile_read(
    app: &App,
    actor: &Actor,
    username: &Username,
    profile: &Profile,
) -> Result<(), DbErr> {
    let entry = || profile_read(app, actor, username, profile);
    transact(&app.db, |tx| async move { audit::record_one(&tx, entry()).await }).await
}

/// The entry that says so.
pub(crate) fn profile_read(app: &App, actor: &Actor, username: &Username, profile: &Profile) -> Entry {
    Entry::new(actor, AuditAction::UserProfileRead, &app.config.server_id)
        .about(username)
        .details(format!("the profile of the device {}", profile.device))
        .after(json!({
            "common_name": profile.common_name,
            "checksum": profile.checksum,
            "server_id": profile.server,
        }))
}
