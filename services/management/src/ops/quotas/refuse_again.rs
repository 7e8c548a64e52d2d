//! Refuses once more who is over a quota and is connected all the same. A replica of an older release knows no quotas: it may have sent the
//! newest command of such a user with access, and a node that has applied a revision compares nothing but its number.

use std::{collections::BTreeMap, time::Duration};

use chrono::{SubsecRound as _, Utc};
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ConnectionTrait, DatabaseTransaction, DbErr, FromQueryResult,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, Statement,
};
use vpnmanager_entities::user;
use vpnmanager_nats::ids::NodeId;

use super::judge::{BATCH, next_revision};
use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        audit::{Entry, user_snapshot},
        audit_room::{Caused, record_caused},
        publications::make_due::{Urgency, want_newest},
        transact::transact,
    },
};

/// Who is refused is cut within 15 s. A session that was seen alive so much later goes on.
const CUT_WITHIN: Duration = Duration::from_secs(60);
/// A user is refused once more at most so often: a node may tell of any session, and a command that it does not carry out helps nobody.
const AT_MOST_EVERY: Duration = Duration::from_secs(10 * 60);

#[derive(FromQueryResult)]
struct Connected {
    id: i64,
    node: NodeId,
}

/// Gives those of these users another revision, which ends their access, who are connected.
pub(super) async fn refuse_again(app: &App, users: &[i64]) -> Result<(), DbErr> {
    let connected: Vec<i64> = connected(&app.db, users).await?.into_keys().collect();
    for users in connected.chunks(BATCH) {
        transact(&app.db, |tx| async move { refuse_within(&tx, app, users).await }).await?;
        app.wake_publishers();
    }
    Ok(())
}

/// Those of these users who are connected although they were refused, by row id, each with the node that says so. Only what a node
/// says counts that has applied their newest revision: for another one that is on its way.
async fn connected(db: &impl ConnectionTrait, users: &[i64]) -> Result<BTreeMap<i64, NodeId>, DbErr> {
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "SELECT u.id, min(s.server_id) AS node
         FROM users u JOIN sessions s ON s.user_id = u.id AND s.ended_at IS NULL AND s.end_answered_at IS NULL
         JOIN placements p ON p.user_id = u.id AND p.server_id = s.server_id AND p.applied_revision >= u.revision
         WHERE u.id = ANY($1)
           AND u.removed_at IS NULL AND u.over_quota_since < now() - make_interval(secs => $2)
           AND (u.refused_again_at IS NULL OR u.refused_again_at < now() - make_interval(secs => $3))
           AND s.seen_at > GREATEST(u.over_quota_since, u.refused_again_at) + make_interval(secs => $2)
         GROUP BY u.id",
        [
            users.to_vec().into(),
            CUT_WITHIN.as_secs_f64().into(),
            AT_MOST_EVERY.as_secs_f64().into(),
        ],
    );
    let connected = Connected::find_by_statement(statement).all(db).await?;
    Ok(connected.into_iter().map(|user| (user.id, user.node)).collect())
}

/// Looks once more, with the rows of these users locked in the order of their ids. The entries take room of the nodes: who is connected is their
/// word.
async fn refuse_within(transaction: &DatabaseTransaction, app: &App, users: &[i64]) -> Result<(), DbErr> {
    let locked = user::Entity::find_living()
        .filter(user::COLUMN.id.is_in(users.iter().copied()))
        .order_by_asc(user::Column::Id)
        .lock_exclusive()
        .all(transaction)
        .await?;
    let connected = connected(transaction, users).await?;
    let (mut refused, mut entries) = (Vec::new(), Vec::new());
    for before in locked {
        let Some(node) = connected.get(&before.id) else {
            continue;
        };
        let mut row = next_revision(&before);
        row.refused_again_at = Set(Some(Utc::now().trunc_subsecs(6)));
        let after = row.update(transaction).await?;
        refused.push(after.id);
        let action = AuditAction::UserOverQuota;
        let entry = Entry::new(&Actor::system(), action, &app.config.server_id)
            .about(&after.username)
            .details(format!("connected to {node} all the same: refused once more"))
            .before(user_snapshot(&before))
            .after(user_snapshot(&after));
        entries.push(Caused {
            by: node.clone(),
            action,
            entry,
        });
    }
    if refused.is_empty() {
        return Ok(());
    }
    want_newest(transaction, &refused, Urgency::EndsAccess).await?;
    record_caused(transaction, entries).await
}
