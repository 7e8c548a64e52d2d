//! Sends the messages of webhooks.

use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait,
    FromQueryResult, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect, Statement, sea_query::Expr,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use vpnmanager_entities::{audit_log, webhook, webhook_delivery};
use vpnmanager_runtime::backoff::{Backoff, jittered};

use super::{
    courier::{Courier, Message, Outcome, failed},
    secrets::signatures,
    snapshot::webhook_snapshot,
};
use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        audit::{self, Entry},
        count::count,
        events::event::{json_of, json_of_test},
        transact::transact,
    },
};

/// Pauses between two attempts: some 28 of them fit into the time that an event is tried for.
const PAUSES: Backoff = Backoff::new(Duration::from_secs(5), LONGEST_PAUSE);
/// Also where a receiver asks for more.
const LONGEST_PAUSE: Duration = Duration::from_secs(4 * 60 * 60);
/// So long after an event was handed over it is given up.
pub const TRIED_FOR: TimeDelta = TimeDelta::days(3);
/// How long a replica sends for one webhook before others may have their turn.
const TURN: Duration = Duration::from_secs(30);
/// How long no other replica sends for it: the turn, and the attempt that began last, with room.
const LEASED_FOR: &str = "60 seconds";

/// Whose lease it is: a replica between its start and its end.
#[derive(Debug, Clone)]
pub struct Lessee(String);

impl Lessee {
    /// One that is nobody else.
    #[must_use]
    pub fn new() -> Self {
        Self(uuid::Uuid::now_v7().to_string())
    }
}

impl Default for Lessee {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(FromQueryResult)]
struct Leased {
    id: i64,
}

/// Takes webhooks that have something to send, and that nobody else sends for, those first whose last turn is longest ago.
pub async fn lease(app: &App, lessee: &Lessee, most: usize) -> Result<Vec<i64>, DbErr> {
    let statement = Statement::from_sql_and_values(
        app.leases.get_database_backend(),
        format!(
            "UPDATE webhooks SET leased_by = $1, leased_until = now() + interval '{LEASED_FOR}'
             WHERE id IN (
                 SELECT w.id FROM webhooks w
                 WHERE w.enabled AND (w.leased_by IS NULL OR w.leased_until < now())
                   AND EXISTS (SELECT FROM webhook_deliveries d WHERE d.webhook_id = w.id AND d.next_attempt_at <= now())
                 ORDER BY w.leased_until NULLS FIRST, w.id LIMIT $2 FOR UPDATE OF w SKIP LOCKED)
             RETURNING id"
        ),
        [lessee.0.clone().into(), count(most).into()],
    );
    let leased = Leased::find_by_statement(statement).all(&app.leases).await?;
    Ok(leased.into_iter().map(|webhook| webhook.id).collect())
}

/// Gives a webhook back, or all that this one has.
pub async fn give_back(app: &App, lessee: &Lessee, webhook: Option<i64>) -> Result<(), DbErr> {
    let statement = Statement::from_sql_and_values(
        app.leases.get_database_backend(),
        "UPDATE webhooks SET leased_by = NULL, leased_until = now() WHERE leased_by = $1 AND ($2::bigint IS NULL OR id = $2)",
        [lessee.0.clone().into(), webhook.into()],
    );
    app.leases.execute_raw(statement).await.map(drop)
}

/// Sends what is due of a webhook that was leased, one message after another, until nothing is, its turn is over, or
/// nobody answers.
pub async fn deliver(app: &App, courier: &Courier, webhook: i64, stop: &CancellationToken) -> Result<(), DbErr> {
    let end = Instant::now() + TURN;
    while Instant::now() < end && !stop.is_cancelled() {
        let Some(webhook) = webhook::Entity::find_by_id(webhook).one(&app.db).await? else {
            return Ok(());
        };
        if !webhook.enabled {
            return Ok(());
        }
        let Some(delivery) = next_due(app, webhook.id).await? else {
            return Ok(());
        };
        let now = app.clock.now();
        let outcome = attempt(app, courier, (&webhook, &delivery), now).await?;
        record(app, (&webhook, &delivery), &outcome).await?;
        // Each further attempt may take as long, and others wait for their turn.
        if matches!(outcome, Some(Outcome::Failed { status: None, .. })) {
            return Ok(());
        }
    }
    Ok(())
}

async fn next_due(app: &App, webhook: i64) -> Result<Option<webhook_delivery::Model>, DbErr> {
    webhook_delivery::Entity::find()
        .filter(webhook_delivery::Column::WebhookId.eq(webhook))
        .filter(Expr::cust("next_attempt_at <= now()"))
        .order_by_asc(webhook_delivery::Column::NextAttemptAt)
        .order_by_asc(webhook_delivery::Column::Id)
        .one(&app.db)
        .await
}

/// `None`: there is nothing to send, and never will be.
async fn attempt(
    app: &App,
    courier: &Courier,
    (webhook, delivery): (&webhook::Model, &webhook_delivery::Model),
    now: DateTime<Utc>,
) -> Result<Option<Outcome>, DbErr> {
    let body = match delivery.event_id {
        None => json_of_test(delivery.created_at),
        Some(event) => {
            let of_event = audit_log::Entity::find().filter(audit_log::Column::Id.eq(event));
            match of_event.one(&app.db).await? {
                Some(entry) => json_of(&entry),
                None => return Ok(None),
            }
        }
    };
    let id = delivery.message_id();
    let signatures = match signatures(&app.pki, webhook, (&id, &body), now) {
        Ok(signatures) => signatures,
        Err(error) => return Ok(Some(failed(&error.to_string()))),
    };
    let message = Message {
        id,
        timestamp: now.timestamp(),
        signatures,
        body,
    };
    Ok(Some(courier.send(&webhook.url, message).await))
}

async fn record(
    app: &App,
    (webhook, delivery): (&webhook::Model, &webhook_delivery::Model),
    outcome: &Option<Outcome>,
) -> Result<(), DbErr> {
    transact(&app.db, |tx| async move {
        let now = app.clock.now().trunc_subsecs(6);
        let wanted = wanted_pause(outcome);
        let mut row = delivery.clone().into_active_model();
        row.attempts = Set(delivery.attempts.saturating_add(1));
        row.attempted_at = Set(Some(now));
        row.next_attempt_at = Set(None);
        row.error = Set(None);
        match outcome {
            Some(Outcome::Taken { status }) => {
                row.status = Set(i16::try_from(*status).ok());
                row.delivered_at = Set(Some(now));
                works_again(&tx, webhook.id).await?;
            }
            Some(Outcome::Gone) => {
                row.status = Set(Some(410));
                row.error = Set(Some(GONE.to_owned()));
                disable(app, &tx, webhook.id).await?;
            }
            Some(Outcome::Failed { status, error, .. }) => {
                row.status = Set(status.and_then(|status| i16::try_from(status).ok()));
                row.error = Set(Some(error.clone()));
                let again = again_at(delivery, now, wanted);
                row.next_attempt_at = Set(again);
                if again.is_none() && delivery.event_id.is_some() {
                    note_failing(app, &tx, webhook.id, error).await?;
                }
            }
            None => row.error = Set(Some(NO_ENTRY.to_owned())),
        }
        // It may have been deleted with its webhook meanwhile.
        match row.update(&*tx).await {
            Ok(_) | Err(DbErr::RecordNotUpdated) => {}
            Err(error) => return Err(error),
        }
        match wanted {
            Some(pause) => put_off(&tx, webhook.id, now + pause).await,
            None => Ok(()),
        }
    })
    .await
}

/// How long the receiver wants to be left alone.
fn wanted_pause(outcome: &Option<Outcome>) -> Option<Duration> {
    match outcome {
        Some(Outcome::Failed { again_in, .. }) => again_in.map(|pause| pause.min(LONGEST_PAUSE)),
        Some(Outcome::Taken { .. } | Outcome::Gone) | None => None,
    }
}

/// Sends no event that waits before then: each would be refused, too.
async fn put_off(transaction: &DatabaseTransaction, webhook: i64, until: DateTime<Utc>) -> Result<(), DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "UPDATE webhook_deliveries SET next_attempt_at = $2
         WHERE webhook_id = $1 AND next_attempt_at < $2 AND event_id IS NOT NULL",
        [webhook.into(), until.into()],
    );
    transaction.execute_raw(statement).await.map(drop)
}

const GONE: &str = "the receiver answered 410 Gone: the webhook is disabled";
const NO_ENTRY: &str = "the entry is not in the audit trail any more";

/// When a message that did not arrive is sent again, not sooner than the receiver wants; `None`: never. A try is sent once.
fn again_at(delivery: &webhook_delivery::Model, now: DateTime<Utc>, wanted: Option<Duration>) -> Option<DateTime<Utc>> {
    delivery.event_id?;
    let attempts = u32::try_from(delivery.attempts).unwrap_or_default().saturating_add(1);
    let again = now + jittered(PAUSES.after(attempts)).max(wanted.unwrap_or_default());
    (again < delivery.created_at + TRIED_FOR).then(|| again.trunc_subsecs(6))
}

async fn works_again(transaction: &DatabaseTransaction, webhook: i64) -> Result<(), DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "UPDATE webhooks SET failing_since = NULL WHERE id = $1 AND failing_since IS NOT NULL",
        [webhook.into()],
    );
    transaction.execute_raw(statement).await.map(drop)
}

/// Said once, until something gets through again.
async fn note_failing(app: &App, transaction: &DatabaseTransaction, webhook: i64, error: &str) -> Result<(), DbErr> {
    let found = webhook::Entity::find_by_id(webhook)
        .lock_exclusive()
        .one(transaction)
        .await?;
    let Some(before) = found.filter(|webhook| webhook.failing_since.is_none()) else {
        return Ok(());
    };
    let mut row = before.clone().into_active_model();
    row.failing_since = Set(Some(app.clock.now().trunc_subsecs(6)));
    row.update(transaction).await?;
    let entry = Entry::new(&Actor::system(), AuditAction::WebhookFailing, &app.config.server_id)
        .after(webhook_snapshot(&before))
        .details(format!("an event was given up after three days: {error}"));
    audit::record_one(transaction, entry).await
}

async fn disable(app: &App, transaction: &DatabaseTransaction, webhook: i64) -> Result<(), DbErr> {
    let found = webhook::Entity::find_by_id(webhook)
        .lock_exclusive()
        .one(transaction)
        .await?;
    let Some(before) = found.filter(|webhook| webhook.enabled) else {
        return Ok(());
    };
    let mut row = before.clone().into_active_model();
    row.enabled = Set(false);
    row.disabled_reason = Set(Some("the receiver answered 410 Gone".to_owned()));
    let after = row.update(transaction).await?;
    let entry = Entry::new(&Actor::system(), AuditAction::WebhookDisabled, &app.config.server_id)
        .before(webhook_snapshot(&before))
        .after(webhook_snapshot(&after))
        .details("the receiver answered 410 Gone");
    audit::record_one(transaction, entry).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(attempts: i32, event_id: Option<i64>) -> webhook_delivery::Model {
        webhook_delivery::Model {
            id: 1,
            webhook_id: 1,
            event_id,
            kind: "user_created".to_owned(),
            created_at: DateTime::from_timestamp(1_795_000_000, 0).expect("a time"),
            attempts,
            attempted_at: None,
            next_attempt_at: None,
            delivered_at: None,
            status: None,
            error: None,
        }
    }

    #[test]
    fn an_event_is_tried_again_for_three_days_and_a_try_never() {
        let mut now = delivery(0, None).created_at;
        let begun = now;
        assert_eq!(again_at(&delivery(0, None), now, None), None);
        let mut attempts = 0;
        while let Some(again) = again_at(&delivery(attempts, Some(7)), now, None) {
            let pause = (again - now).num_milliseconds();
            assert!(
                (4_400..=16_000_000).contains(&pause),
                "{pause} ms after {attempts} attempts"
            );
            (now, attempts) = (again, attempts + 1);
        }
        assert!(
            now - begun > TRIED_FOR - TimeDelta::hours(5),
            "given up after {}",
            now - begun
        );
        assert!((20..40).contains(&attempts), "{attempts}");
    }

    #[test]
    fn a_receiver_may_ask_for_a_longer_pause_than_usual_but_not_for_any() {
        let failed = |again_in| {
            Some(Outcome::Failed {
                status: Some(429),
                error: String::new(),
                again_in,
            })
        };
        let first = delivery(0, Some(7));
        let now = first.created_at;
        let pause = |seconds| {
            let wanted = wanted_pause(&failed(Some(Duration::from_secs(seconds))));
            again_at(&first, now, wanted).expect("a time") - now
        };
        assert!(pause(0) >= TimeDelta::seconds(4));
        assert_eq!(pause(120), TimeDelta::seconds(120));
        assert_eq!(pause(u64::MAX), TimeDelta::hours(4));
        assert_eq!(wanted_pause(&failed(None)), None);
        assert_eq!(wanted_pause(&Some(Outcome::Gone)), None);
    }
}
