//! Finds the sessions that have to end because their users have more devices connected at the same time than they, or their groups, are allowed
//! ([`beyond`]).

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, Utc};
use sea_orm::{DatabaseBackend, DatabaseConnection, DbErr, FromQueryResult, Statement};
use vpnmanager_entities::group::SessionExcess;
use vpnmanager_nats::{
    device::DeviceName,
    groups::GroupName,
    ids::{CommonName, NodeId},
    username::Username,
};

use crate::domain::{
    own_limits::Origin,
    session_id::SessionId,
    session_limits::{Limit, OpenSession, beyond},
};

/// A session whose node was asked to end it is left alone for this long: by whoever else asks, and after a failure.
pub(super) const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(8);
/// A node that is heard tells of each living session every five minutes. A session that it did not tell of for so long counts no more: it may be
/// one that the node has forgotten, which nobody closes for a day.
pub(super) const TOLD_WITHIN: Duration = Duration::from_secs(12 * 60);
/// The most sessions of one user that are looked at, those that were recorded last: a user has 16 devices, and a node may tell of any number of
/// sessions.
const OF_ONE_USER: i64 = 64;

/// A session that has to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExcessSession {
    /// The session.
    pub id: SessionId,
    /// Its credential.
    pub common_name: CommonName,
    /// The row of its user.
    pub user_id: i64,
    /// Its user.
    pub username: Username,
    /// The device of its credential.
    pub device: DeviceName,
    /// The group of the user.
    pub group: GroupName,
    /// The most devices at the same time.
    pub allowed: i16,
    /// Who says so.
    pub allowed_by: Origin,
    /// Which end beyond that.
    pub excess: SessionExcess,
    /// Whether its node was asked lately, and has not answered: it is not asked again yet.
    pub is_asked: bool,
}

#[derive(FromQueryResult)]
struct Row {
    user_id: i64,
    username: Username,
    group_name: GroupName,
    allowed: i16,
    is_own: bool,
    session_excess: SessionExcess,
    server_id: NodeId,
    since: DateTime<Utc>,
    cid: i64,
    common_name: CommonName,
    device: DeviceName,
    first_recorded_at: DateTime<Utc>,
    is_asked: bool,
    now: DateTime<Utc>,
}

/// The sessions of these users that have to end. Users without a limit cost no more than the look at their rows.
///
/// Only what is known to be there counts, so that nobody is thrown out by what nobody closes:
///
/// - sessions on nodes whose heartbeats arrive (`stale_after`), and that are in the fleet: what a node that died or left had, it tells no end of,
///   and its users are elsewhere;
/// - that their node told of since it lost its journal, if it did, and within the last 12 minutes;
/// - of credentials that are not revoked: others are being cut;
/// - of users that the node should hold: what a node says of others moves nobody;
/// - that their node has not answered to have ended, or not to have: their end is on its way.
pub async fn find_excess(
    db: &DatabaseConnection,
    users: &[i64],
    stale_after: Duration,
) -> Result<Vec<ExcessSession>, DbErr> {
    if users.is_empty() {
        return Ok(Vec::new());
    }
    let rows = Row::find_by_statement(query(users, stale_after)).all(db).await?;
    let of_each_user = rows.chunk_by(|one, other| one.user_id == other.user_id);
    Ok(of_each_user.flat_map(excess_of).collect())
}

/// The query of [`find_excess`].
pub fn query(users: &[i64], stale_after: Duration) -> Statement {
    Statement::from_sql_and_values(
        DatabaseBackend::Postgres,
        "SELECT u.id AS user_id, u.username, u.group_name, COALESCE(u.own_sessions, g.sessions) AS allowed,
             u.own_sessions IS NOT NULL AS is_own, COALESCE(u.own_session_excess, g.session_excess) AS session_excess,
             s.server_id, s.since, s.cid, s.common_name, c.device, s.first_recorded_at, COALESCE(s.end_asked_at > now() - make_interval(secs => $4), false) AS is_asked, now() AS now
         FROM users u JOIN groups g ON g.name = u.group_name AND COALESCE(u.own_sessions, g.sessions) IS NOT NULL
         CROSS JOIN LATERAL (
             SELECT server_id, since, cid, common_name, first_recorded_at, recorded_at, end_asked_at FROM sessions
             WHERE user_id = u.id AND ended_at IS NULL AND end_answered_at IS NULL
             ORDER BY first_recorded_at DESC, since DESC LIMIT $5) AS s
         JOIN servers n ON n.name = s.server_id
         JOIN credentials c ON c.user_id = u.id AND c.common_name = s.common_name AND c.revoked_at IS NULL
         JOIN placements p ON p.user_id = u.id AND p.server_id = s.server_id AND p.wanted_present
         WHERE u.id = ANY($1) AND u.removed_at IS NULL
           AND n.state IN ('healthy', 'degraded') AND n.last_seen > now() - make_interval(secs => $2)
           AND (n.leaving_since IS NULL OR n.leaving_for IS NOT NULL)
           AND (n.journal_lost_at IS NULL OR s.recorded_at > n.journal_lost_at)
           AND s.recorded_at > now() - make_interval(secs => $3)
         ORDER BY u.id",
        [
            users.to_vec().into(),
            stale_after.as_secs_f64().into(),
            TOLD_WITHIN.as_secs_f64().into(),
            ASKED_AGAIN_AFTER.as_secs_f64().into(),
            OF_ONE_USER.into(),
        ],
    )
}

/// Those of one user.
fn excess_of(rows: &[Row]) -> Vec<ExcessSession> {
    let Some(first) = rows.first() else {
        return Vec::new();
    };
    let limit = Limit {
        // There is none below 1.
        devices: usize::try_from(first.allowed).unwrap_or(usize::MAX),
        excess: first.session_excess,
    };
    let sessions: Vec<OpenSession> = rows.iter().map(open).collect();
    let ends = beyond(&sessions, limit, first.now);
    let ends: BTreeSet<&SessionId> = ends.into_iter().map(|session| &session.id).collect();
    let both = rows.iter().zip(&sessions);
    both.filter(|(_, session)| ends.contains(&session.id))
        .map(|(row, session)| excess(row, session))
        .collect()
}

fn open(row: &Row) -> OpenSession {
    OpenSession {
        id: SessionId {
            node: row.server_id.clone(),
            since: row.since,
            // A row has none below 0.
            cid: u64::try_from(row.cid).unwrap_or_default(),
        },
        device: row.device.clone(),
        first_recorded_at: row.first_recorded_at,
    }
}

fn excess(row: &Row, session: &OpenSession) -> ExcessSession {
    ExcessSession {
        id: session.id.clone(),
        common_name: row.common_name.clone(),
        user_id: row.user_id,
        username: row.username.clone(),
        device: row.device.clone(),
        group: row.group_name.clone(),
        allowed: row.allowed,
        allowed_by: if row.is_own { Origin::Own } else { Origin::Group },
        excess: row.session_excess,
        is_asked: row.is_asked,
    }
}
