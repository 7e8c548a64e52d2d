//! Of which nodes the history may lack sessions of a moment.

use chrono::{DateTime, Utc};
use sea_orm::{DbErr, FromQueryResult, Statement};
use vpnmanager_nats::ids::NodeId;

use super::list_sessions::Missing;
use crate::app::App;

#[derive(FromQueryResult)]
struct Unheard {
    name: NodeId,
    last_seen: Option<DateTime<Utc>>,
}

/// The nodes of the fleet that management has not heard from since before `at`, in the order of their names: what they did then is not known
/// yet. A node that is heard as usual is none of them, however lately `at` is; nor is one that enrolled later. Which of them held a user at
/// that time is not known, so all count for each user.
pub async fn unheard(app: &App, server_id: Option<&NodeId>, at: DateTime<Utc>) -> Result<Vec<Missing>, DbErr> {
    let statement = Statement::from_sql_and_values(
        app.db.get_database_backend(),
        "SELECT name, last_seen FROM servers
         WHERE ($1::text IS NULL OR name = $1) AND created_at <= $2
           AND (last_seen IS NULL OR last_seen < LEAST($2, now() - make_interval(secs => $3)))
         ORDER BY name",
        [
            server_id.map(ToString::to_string).into(),
            at.into(),
            app.config.health.stale_after.as_secs_f64().into(),
        ],
    );
    let unheard = Unheard::find_by_statement(statement).all(&app.db).await?;
    Ok(unheard.into_iter().map(missing).collect())
}

fn missing(Unheard { name, last_seen }: Unheard) -> Missing {
    let reason = match last_seen {
        Some(at) => format!("not heard from since {}", at.format("%Y-%m-%dT%H:%M:%SZ")),
        None => "not heard from yet".to_owned(),
    };
    Missing { node: name, reason }
}
