//! Of which nodes the history may lack sessions of a moment.

use chrono::{DateTime, Utc};
use sea_orm::{DbErr, FromQueryResult, Statement};
use vpnmanager_nats::ids::NodeId;

use super::list_sessions::Missing;
use crate::{
    app::App,
    domain::{scope::Scope, shown_time::shown_time},
    ops::scope::pools_of,
};

#[derive(FromQueryResult)]
struct Unheard {
    name: NodeId,
    last_seen: Option<DateTime<Utc>>,
    /// Its agent watches no OpenVPN.
    is_blind: bool,
}

/// The nodes of the fleet that management has not heard from since before `at`, in the order of their names: what they did then is not known
/// yet. So is one whose agent watches no OpenVPN. A node that is heard as usual is none of them, however lately `at` is; nor is one that enrolled later. Which of them held a user at
/// that time is not known, so all count for each user. A caller that is narrowed to pools hears of their nodes only.
pub async fn unheard(
    app: &App,
    server_id: Option<&NodeId>,
    scope: &Scope,
    at: DateTime<Utc>,
) -> Result<Vec<Missing>, DbErr> {
    let statement = Statement::from_sql_and_values(
        app.db.get_database_backend(),
        "SELECT s.name, s.last_seen, COALESCE(h.openvpn_state = 'absent', false) AS is_blind
         FROM servers s LEFT JOIN health_status h ON h.server_id = s.name
         WHERE ($1::text IS NULL OR s.name = $1) AND s.created_at <= $2
           AND (s.last_seen IS NULL OR s.last_seen < LEAST($2, now() - make_interval(secs => $3)) OR h.openvpn_state = 'absent')
           AND ($4::text[] IS NULL OR s.pool = ANY($4))
         ORDER BY s.name",
        [
            server_id.map(ToString::to_string).into(),
            at.into(),
            app.config.health.stale_after.as_secs_f64().into(),
            pools_of(scope),
        ],
    );
    let unheard = Unheard::find_by_statement(statement).all(&app.db).await?;
    Ok(unheard.into_iter().map(missing).collect())
}

fn missing(unheard: Unheard) -> Missing {
    let Unheard {
        name,
        last_seen,
        is_blind,
    } = unheard;
    let reason = match last_seen {
        _ if is_blind => "its agent watches no OpenVPN server (OPENVPN_MODE is none)".to_owned(),
        Some(at) => format!("not heard from since {}", shown_time(at)),
        None => "not heard from yet".to_owned(),
    };
    Missing { node: name, reason }
}
