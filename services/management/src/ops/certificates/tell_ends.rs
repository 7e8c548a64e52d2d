//! Tells in the audit trail that a certificate ends soon which is not of a user. Those of users are told together: see
//! [`tell_clients`](super::tell_clients).

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ColumnTrait as _, DatabaseConnection, DatabaseTransaction, DbErr, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
    sea_query::{Expr, LockBehavior, LockType},
};
use serde_json::json;
use vpnmanager_entities::certificate;

use crate::{
    domain::{
        actor::Actor,
        audit_action::AuditAction,
        certificates::{
            ends::{TOLD_AT, days_at, is_news},
            kind::CertificateKind,
        },
        shown_time::shown_time,
    },
    ops::{
        audit::{self, Entry},
        transact::transact,
    },
    pki::CertificateFacts,
};

/// Tells of each certificate once at 30, 14, 7 and 1 days before its end. `recorder` is this replica. Replicas may do this at once: what one tells
/// no other one tells.
pub async fn tell_ends(db: &DatabaseConnection, recorder: &str) -> Result<(), DbErr> {
    transact(db, |tx| async move { tell_within(&tx, recorder, Utc::now()).await }).await
}

async fn tell_within(transaction: &DatabaseTransaction, recorder: &str, now: DateTime<Utc>) -> Result<(), DbErr> {
    use certificate::Column;
    let longest = TOLD_AT.into_iter().max().unwrap_or_default();
    let near = certificate::Entity::find()
        .filter(Column::ReplacedAt.is_null())
        .filter(Column::NotAfter.gt(now))
        .filter(Column::NotAfter.lte(now + TimeDelta::days(longest.into())))
        .order_by_asc(Column::Id)
        .lock_with_behavior(LockType::NoKeyUpdate, LockBehavior::SkipLocked)
        .all(transaction)
        .await?;
    let mut entries = Vec::new();
    for row in near {
        let Some(days) = days_at(row.not_after - now).filter(|days| is_news(row.told_days, *days)) else {
            continue;
        };
        certificate::Entity::update_many()
            .col_expr(Column::ToldDays, Expr::value(days))
            .filter(Column::Id.eq(row.id))
            .exec(transaction)
            .await?;
        entries.push(entry_of(&row, days, recorder));
    }
    audit::record_all(transaction, entries).await
}

fn entry_of(row: &certificate::Model, days: i16, recorder: &str) -> Entry {
    let kind = CertificateKind::from(row.kind);
    let subject = CertificateFacts::of_pem(&row.certificate).map(|facts| facts.subject);
    let subject = subject.unwrap_or_else(|| row.holder.clone());
    let concerned = row.server_id.as_ref().map_or(recorder, |node| node.as_str());
    let details = format!(
        "the certificate of {subject} ends at {}, within {days} days: {}",
        shown_time(row.not_after),
        kind.advice()
    );
    Entry::new(&Actor::system(), AuditAction::CertificateNearEnd, concerned)
        .details(details)
        .after(json!({
            "kind": kind.as_str(),
            "subject": subject,
            "fingerprint": row.fingerprint,
            "not_after": row.not_after,
            "days": days,
        }))
}
