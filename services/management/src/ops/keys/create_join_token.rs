//! Creates the one-time tokens that nodes enrol with.

use std::time::Duration;

use aws_lc_rs::rand;
use chrono::{DateTime, SubsecRound, Utc};
use data_encoding::BASE32_NOPAD;
use sea_orm::{ActiveValue::Set, DbErr, EntityTrait};
use secrecy::SecretString;
use vpnmanager_entities::join_token;
use vpnmanager_nats::ids::NodeId;

use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        audit::{self, Entry, join_token_snapshot},
        transact::transact,
    },
};

use vpnmanager_openapi::auth::hash_key;
use vpnmanager_openapi::contract::join_token::pinned;

/// Operators and secret scanners recognise a token by it.
const PREFIX: &str = "vpnjoin-";
const RANDOM_BYTES: usize = 32;

/// A token. It is returned once and stored only as a hash.
#[derive(Debug)]
pub struct JoinToken {
    /// The id of its row.
    pub id: i64,
    /// What the node is given: the secret that it sends, and the CA of the HTTPS that it tells it to, where that has one of the fleet.
    pub token: SecretString,
    /// When it expires.
    pub expires_at: DateTime<Utc>,
}

/// Creates a token for one node, or for any new node if `server_id` is `None`.
///
/// # Panics
/// When the operating system has no randomness to give.
pub async fn create_join_token(
    app: &App,
    actor: &Actor,
    server_id: Option<&NodeId>,
    time_to_live: Duration,
) -> Result<JoinToken, DbErr> {
    let mut random = [0_u8; RANDOM_BYTES];
    rand::fill(&mut random).expect("the operating system provides randomness");
    let token = format!("{PREFIX}{}", BASE32_NOPAD.encode(&random).to_ascii_lowercase());
    let expires_at = (Utc::now() + time_to_live).trunc_subsecs(6);
    let hash = hash_key(&token);
    let id = transact(&app.db, |tx| async move {
        let row = join_token::ActiveModel {
            hash: Set(hash.to_vec()),
            server_id: Set(server_id.cloned()),
            created_by: Set(actor.name.clone()),
            expires_at: Set(expires_at),
            ..Default::default()
        };
        let made = join_token::Entity::insert(row).exec_with_returning(&*tx).await?;
        let entry =
            Entry::new(actor, AuditAction::JoinTokenCreated, &app.config.server_id).after(join_token_snapshot(&made));
        audit::record_one(&tx, entry).await?;
        Ok::<i64, DbErr>(made.id)
    })
    .await?;
    let shown = match app.https.authority() {
        Some(authority) => pinned(&token, &authority),
        None => token,
    };
    Ok(JoinToken {
        id,
        token: shown.into(),
        expires_at,
    })
}
