//! Inserts users, and what every user has.

use std::collections::HashMap;

use sea_orm::{
    ActiveModelTrait,
    ActiveValue::{NotSet, Set},
    DatabaseTransaction, DbErr, EntityTrait, IntoActiveModel,
    sea_query::OnConflict,
};
use vpnmanager_entities::{placement, user};
use vpnmanager_nats::{device::DeviceName, ids::UserKey};

use crate::{
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        audit::{self, Entry, user_snapshot},
        credentials::give::{NewCredential, give_credentials},
        users::read::UserView,
    },
};

/// Placements in one INSERT; PostgreSQL accepts at most 65,535 values in one statement.
const CHUNK: usize = 10_000;

/// Inserts the users whose names are free, and returns their ids by key. The rows are in the order of the names, so that two batches
/// with the same names wait for each other and do not deadlock.
pub(super) async fn insert_users(
    transaction: &DatabaseTransaction,
    mut users: Vec<&user::Model>,
) -> Result<HashMap<UserKey, i64>, DbErr> {
    if users.is_empty() {
        return Ok(HashMap::new());
    }
    users.sort_by(|one, other| one.username.cmp(&other.username));
    let rows = users.into_iter().map(|user| user::ActiveModel {
        id: NotSet,
        ..user.clone().into_active_model().reset_all()
    });
    let inserted = user::Entity::insert_many(rows)
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .exec_with_returning(transaction)
        .await?;
    Ok(inserted.into_iter().map(|user| (user.key, user.id)).collect())
}

/// Inserts credentials, placements and audit rows of users who were created, each with who asked for it. `recorder` is the management replica.
pub(super) async fn insert_details(
    transaction: &DatabaseTransaction,
    recorder: &str,
    created: &[(&Actor, &UserView)],
) -> Result<(), DbErr> {
    if created.is_empty() {
        return Ok(());
    }
    let device = DeviceName::default();
    let credentials: Vec<NewCredential> = created
        .iter()
        .map(|(_, view)| NewCredential::new(view.user.id, &view.user.username, &device, &view.user.server_id))
        .collect();
    give_credentials(transaction, &credentials).await?;

    let placements = created
        .iter()
        .flat_map(|(_, view)| &view.placements)
        .map(|placement| placement::ActiveModel {
            user_id: Set(placement.user_id),
            server_id: Set(placement.server_id.clone()),
            role: Set(placement.role),
            wanted_revision: Set(placement.wanted_revision),
            ..Default::default()
        });
    let placements: Vec<placement::ActiveModel> = placements.collect();
    for some in placements.chunks(CHUNK) {
        placement::Entity::insert_many(some.to_vec())
            .exec_without_returning(transaction)
            .await?;
    }

    let entries = created.iter().map(|(actor, view)| {
        Entry::new(actor, AuditAction::UserCreated, recorder)
            .about(&view.user.username)
            .after(user_snapshot(&view.user))
    });
    audit::record_all(transaction, entries).await
}
