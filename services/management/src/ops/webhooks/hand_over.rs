//! Hands events to the deliveries of webhooks, each once.

use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    QuerySelect, Statement,
    sea_query::{LockBehavior, LockType},
};
use vpnmanager_entities::webhook;

use crate::{
    app::App,
    domain::{audit_action::AuditAction, event_subject::EventSubject},
    ops::transact::transact,
};

/// Messages of one webhook that wait, at most. What comes after them waits in the trail.
const MOST_WAITING: i64 = 1000;
/// Ids of the trail that are looked through at once for one webhook.
const WINDOW: i64 = 1000;

/// Hands over what has come since the last time, and says whether there may be more. Replicas may do this at once: each takes other webhooks. A
/// webhook whose messages wait gets no others.
pub async fn hand_over(app: &App) -> Result<bool, DbErr> {
    let Some(settled) = app.events.settled_now() else {
        return Ok(false);
    };
    let is_behind = || {
        webhook::Entity::find()
            .filter(webhook::Column::Enabled.eq(true))
            .filter(webhook::Column::Position.lt(settled))
    };
    // Mostly none is, and a transaction costs more than a look.
    if is_behind().one(&app.db).await?.is_none() {
        return Ok(false);
    }
    transact(&app.db, |tx| async move {
        let behind = is_behind()
            .order_by_asc(webhook::Column::Id)
            .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
            .all(&*tx)
            .await?;
        let mut more = false;
        for webhook in behind {
            if waiting(&tx, webhook.id).await? >= MOST_WAITING {
                continue;
            }
            let upto = settled.min(webhook.position.saturating_add(WINDOW));
            insert(&tx, &webhook, upto).await?;
            more |= upto < settled;
        }
        Ok::<_, DbErr>(more)
    })
    .await
}

#[derive(FromQueryResult)]
struct Count {
    count: i64,
}

async fn waiting(transaction: &DatabaseTransaction, webhook: i64) -> Result<i64, DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "SELECT count(*) AS count FROM (
             SELECT FROM webhook_deliveries WHERE webhook_id = $1 AND next_attempt_at IS NOT NULL LIMIT $2) waiting",
        [webhook.into(), MOST_WAITING.into()],
    );
    let found = Count::find_by_statement(statement).one(transaction).await?;
    Ok(found.map_or(0, |found| found.count))
}

/// One statement inserts the messages, and another one in the same transaction moves the position.
async fn insert(transaction: &DatabaseTransaction, webhook: &webhook::Model, upto: i64) -> Result<(), DbErr> {
    let wanted = wanted(&webhook.types, &webhook.subjects);
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "INSERT INTO webhook_deliveries (webhook_id, event_id, kind)
         SELECT $1, a.id, a.action FROM audit_log a
         WHERE a.id > $2 AND a.id <= $3 AND ($4 OR a.action = ANY($5::text[]))
         ORDER BY a.id ON CONFLICT (webhook_id, event_id) DO NOTHING",
        [
            webhook.id.into(),
            webhook.position.into(),
            upto.into(),
            wanted.is_none().into(),
            wanted.unwrap_or_default().into(),
        ],
    );
    transaction.execute_raw(statement).await?;
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "UPDATE webhooks SET position = $2 WHERE id = $1",
        [webhook.id.into(), upto.into()],
    );
    transaction.execute_raw(statement).await.map(drop)
}

/// The types of events that a webhook gets; `None`: all. Words that only a newer replica knows are kept.
fn wanted(types: &[String], subjects: &[String]) -> Option<Vec<String>> {
    if types.is_empty() && subjects.is_empty() {
        return None;
    }
    let all = || AuditAction::ALL.iter().map(|action| action.as_str().to_owned());
    let types: Vec<String> = if types.is_empty() {
        all().collect()
    } else {
        types.to_vec()
    };
    let is_about = |word: &String| {
        let subject = word.parse::<AuditAction>().ok().map(EventSubject::of);
        subject.is_some_and(|subject| subjects.iter().any(|wanted| wanted == subject.as_str()))
    };
    Some(
        types
            .into_iter()
            .filter(|word| subjects.is_empty() || is_about(word))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn types_and_subjects_must_both_fit() {
        assert_eq!(wanted(&[], &[]), None);
        let both = wanted(&texts(&["user_created", "node_drained"]), &texts(&["nodes"]));
        assert_eq!(both, Some(texts(&["node_drained"])));
        let unknown = wanted(&texts(&["moon_landed"]), &[]);
        assert_eq!(unknown, Some(texts(&["moon_landed"])));
        assert_eq!(wanted(&texts(&["user_created"]), &texts(&["nodes"])), Some(Vec::new()));
        assert!(wanted(&[], &texts(&["users"])).is_some_and(|types| types.len() > 10));
    }
}
