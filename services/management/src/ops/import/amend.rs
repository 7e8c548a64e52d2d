//! Adds, changes and revokes certificates of users who are there, many with one statement.

use std::collections::HashSet;

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, FromQueryResult, Statement};
use serde_json::{Value, json};
use vpnmanager_nats::{
    ids::{CommonName, NodeId},
    username::Username,
};

use super::{
    order::{Order, Step},
    rows,
};
use crate::{
    domain::{
        audit_action::AuditAction,
        import::planned::{Amendment, Planned, Work},
    },
    ops::{
        audit::{self, Entry},
        publications::make_due::{Urgency, want_newest},
        users::next_revision::next_revisions,
    },
};

/// Users that are changed with one statement.
const CHUNK: usize = 1_000;

/// A user who is there, and what becomes of the certificates.
struct Amended<'a> {
    username: Username,
    amendment: &'a Amendment,
}

/// Changes the certificates of those of whom it is planned, in the order of their rows. Who was removed meanwhile is a conflict.
pub(super) async fn amend(
    transaction: &DatabaseTransaction,
    order: &Order<'_>,
    planned: &mut [Planned],
    step: &mut Step<'_>,
) -> Result<(), DbErr> {
    let mut users: Vec<&mut Planned> = planned
        .iter_mut()
        .filter(|planned| user_of(planned).is_some())
        .collect();
    users.sort_by_key(|planned| user_of(planned));
    for chunk in users.chunks_mut(CHUNK) {
        let ids: Vec<i64> = chunk.iter().filter_map(|planned| user_of(planned)).collect();
        let count = ids.len();
        let living = lock(transaction, ids).await?;
        for planned in chunk.iter_mut() {
            if user_of(planned).is_some_and(|user| !living.contains(&user)) {
                planned.lose("somebody removed the user");
            }
        }
        let amended: Vec<Amended<'_>> = chunk.iter().filter_map(|planned| amended(planned)).collect();
        amend_some(transaction, order, &amended).await?;
        step.done(count);
    }
    Ok(())
}

fn user_of(planned: &Planned) -> Option<i64> {
    match &planned.work {
        Work::Amend(amendment) => Some(amendment.user),
        Work::None | Work::Create(_) => None,
    }
}

fn amended(planned: &Planned) -> Option<Amended<'_>> {
    match (&planned.work, &planned.username) {
        (Work::Amend(amendment), Some(username)) => Some(Amended {
            username: username.clone(),
            amendment,
        }),
        (Work::Amend(_), None) | (Work::None | Work::Create(_), _) => None,
    }
}

#[derive(FromQueryResult)]
struct UserId {
    id: i64,
}

/// Locks those of these users who are not removed.
async fn lock(transaction: &DatabaseTransaction, ids: Vec<i64>) -> Result<HashSet<i64>, DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "SELECT id FROM users WHERE id = ANY($1) AND removed_at IS NULL ORDER BY id FOR NO KEY UPDATE",
        [ids.into()],
    );
    let users = UserId::find_by_statement(statement).all(transaction).await?;
    Ok(users.into_iter().map(|user| user.id).collect())
}

async fn amend_some(
    transaction: &DatabaseTransaction,
    order: &Order<'_>,
    amended: &[Amended<'_>],
) -> Result<(), DbErr> {
    let (mut add, mut change, mut revoke) = (Vec::new(), Vec::new(), Vec::new());
    let (mut lose, mut gain) = (Vec::new(), Vec::new());
    for Amended { amendment, .. } in amended {
        add.extend(amendment.add.iter().map(|certificate| (amendment.user, certificate)));
        change.extend(amendment.change.iter().map(|(row, certificate)| (*row, certificate)));
        revoke.extend(amendment.revoke.iter().map(|(row, _)| *row));
        if amendment.change.is_empty() && amendment.revoke.is_empty() {
            gain.push(amendment.user);
        } else {
            lose.push(amendment.user);
        }
    }
    rows::insert(transaction, order.node, &add).await?;
    rows::change(transaction, &change).await?;
    rows::revoke(transaction, revoke).await?;
    for (users, urgency) in [(lose, Urgency::EndsAccess), (gain, Urgency::Ordinary)] {
        if users.is_empty() {
            continue;
        }
        next_revisions(transaction, &users, Vec::new()).await?;
        place(transaction, order.node, users.clone()).await?;
        want_newest(transaction, &users, urgency).await?;
    }
    audit::record_all(transaction, amended.iter().flat_map(|amended| entries(order, amended))).await
}

/// Whoever has a certificate that the node accepts is placed on it.
async fn place(transaction: &DatabaseTransaction, node: &NodeId, users: Vec<i64>) -> Result<(), DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "INSERT INTO placements (user_id, server_id, role, wanted_revision)
         SELECT u.id, $2, 'standby', u.revision FROM users u
         WHERE u.id = ANY($1) AND EXISTS (
             SELECT FROM old_certificates o WHERE o.user_id = u.id AND o.server_id = $2 AND o.revoked_at IS NULL)
         ORDER BY u.id
         ON CONFLICT (user_id, server_id) DO UPDATE SET wanted_present = true",
        [users.into(), node.to_string().into()],
    );
    transaction.execute_raw(statement).await.map(drop)
}

fn entries(order: &Order<'_>, amended: &Amended<'_>) -> Vec<Entry> {
    let Amendment {
        user: _,
        add,
        change,
        revoke,
    } = amended.amendment;
    let names = |names: Vec<&CommonName>| -> Option<Value> {
        (!names.is_empty()).then(|| json!({ "server_id": order.node, "common_names": names }))
    };
    let added = names(add.iter().map(|certificate| &certificate.common_name).collect());
    let changed = names(change.iter().map(|(_, certificate)| &certificate.common_name).collect());
    let revoked = names(revoke.iter().map(|(_, common_name)| common_name).collect());
    let entry = |action| Entry::new(order.actor, action, order.node).about(&amended.username);
    let added = added.map(|added| entry(AuditAction::OldCertificateAdded).after(added));
    let changed = changed.map(|changed| entry(AuditAction::OldCertificateChanged).after(changed));
    let revoked = revoked.map(|revoked| entry(AuditAction::OldCertificateRevoked).before(revoked));
    [added, changed, revoked].into_iter().flatten().collect()
}
