//! Reads the history of sessions.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use ipnetwork::IpNetwork;
use sea_orm::{
    ConnectionTrait as _, DatabaseBackend, DatabaseConnection, DbErr, FromQueryResult as _, Statement,
    TransactionTrait as _, Value,
};
use vpnmanager_entities::session;
use vpnmanager_nats::{ids::NodeId, listeners::Listener, username::Username};

use crate::{
    domain::{scope::Scope, session_id::SessionId},
    ops::{
        columns::columns_of,
        scope::{groups_of, is_within, pools_of},
    },
};

/// The newest first, as [`SessionId`] is ordered.
const ORDER: &str = "since DESC, server_id, cid DESC";

/// Which sessions to list; a session must match all fields that are set.
#[derive(Debug, Clone, Default)]
pub struct HistoryFilter {
    /// Sessions of users of this name.
    pub username: Option<Username>,
    /// Sessions on this node.
    pub server_id: Option<NodeId>,
    /// Sessions whose client had this address inside the tunnel, or connected from it.
    pub address: Option<IpAddr>,
    /// Sessions whose client came to this listener of their node.
    pub listener: Option<Listener>,
    /// When they were alive.
    pub alive: Alive,
    /// What the caller is narrowed to: the sessions of users who are in it.
    pub scope: Scope,
}

/// When sessions were alive, as far as is known. A session is alive at its start, and at its end no more. One whose end is assumed counts until it
/// was found gone: it may have lived until then. One whose end is not known is alive for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alive {
    /// At this moment.
    At(DateTime<Utc>),
    /// At any time from the first moment on and before the second.
    Between(Option<DateTime<Utc>>, Option<DateTime<Utc>>),
}

impl Default for Alive {
    fn default() -> Self {
        Self::Between(None, None)
    }
}

/// Reads at most `limit` sessions that come after the session `after`.
pub async fn read_history(
    db: &DatabaseConnection,
    filter: &HistoryFilter,
    after: Option<&SessionId>,
    limit: u64,
) -> Result<Vec<session::Model>, DbErr> {
    if let Alive::Between(Some(from), Some(until)) = filter.alive
        && from >= until
    {
        return Ok(Vec::new());
    }
    // Some users, nodes and addresses have a million sessions and others one: a plan for all of them alike is wrong for some.
    let transaction = db.begin().await?;
    transaction
        .execute_unprepared("SET LOCAL plan_cache_mode = force_custom_plan")
        .await?;
    let sessions = session::Model::find_by_statement(query(filter, after, limit))
        .all(&transaction)
        .await?;
    transaction.commit().await?;
    Ok(sessions)
}

/// The query of [`read_history`]. What is found by an address or by a moment, with the GiST indexes, is collected before it is sorted: with the
/// limit in sight PostgreSQL would rather read the whole history from its end, which is endless for an address that nobody had. What begins
/// in a time is read in order.
pub fn query(filter: &HistoryFilter, after: Option<&SessionId>, limit: u64) -> Statement {
    let mut text = Text::default();
    let common = text.common(filter, after);
    let columns = columns_of::<session::Entity>("s");
    let sql = match (filter.address, filter.alive) {
        (Some(address), alive) => {
            let alive = text.overlaps(alive);
            let value = text.bind(IpNetwork::from(address));
            let inside = match address {
                IpAddr::V4(_) => "virtual_address",
                IpAddr::V6(_) => "virtual_address6",
            };
            let of = |which: &str| format!("SELECT {columns} FROM sessions s WHERE {which}{alive}{common}");
            let by_inside = of(&format!("s.{inside} = {value}"));
            let by_outside = of(&format!("s.real_ip = {value} AND s.{inside} IS DISTINCT FROM {value}"));
            let found = format!("{by_inside} UNION ALL {by_outside}");
            format!("WITH found AS MATERIALIZED ({found}) SELECT {columns} FROM found s ORDER BY {ORDER} LIMIT {limit}")
        }
        (None, Alive::At(_)) => {
            let alive = text.overlaps(filter.alive);
            format!(
                "WITH found AS MATERIALIZED (SELECT {columns} FROM sessions s WHERE true{alive}{common})
                 SELECT {columns} FROM found s ORDER BY {ORDER} LIMIT {limit}"
            )
        }
        (None, Alive::Between(None, until)) => {
            let before = text.before(until);
            format!("SELECT {columns} FROM sessions s WHERE true{before}{common} ORDER BY {ORDER} LIMIT {limit}")
        }
        (None, Alive::Between(Some(from), until)) => {
            let before = text.before(until);
            let from = text.bind(from);
            format!(
                "WITH found AS MATERIALIZED (
                     SELECT {columns} FROM sessions s
                     WHERE tstzrange(s.since, s.gone_at) @> {from}::timestamptz AND s.since < {from}{common})
                 (SELECT {columns} FROM sessions s WHERE s.since >= {from}{before}{common} ORDER BY {ORDER} LIMIT {limit})
                 UNION ALL (SELECT {columns} FROM found s ORDER BY {ORDER} LIMIT {limit})
                 ORDER BY {ORDER} LIMIT {limit}"
            )
        }
    };
    Statement::from_sql_and_values(DatabaseBackend::Postgres, sql, text.values)
}

/// Conditions, each with an `AND` before it, and the values of their parameters.
#[derive(Default)]
struct Text {
    values: Vec<Value>,
}

impl Text {
    /// The parameter with this value.
    fn bind(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    /// The conditions that every part of a query has.
    fn common(&mut self, filter: &HistoryFilter, after: Option<&SessionId>) -> String {
        let mut conditions = String::new();
        if let Some(username) = &filter.username {
            let username = self.bind(username.to_string());
            conditions += &format!(" AND s.username = {username}");
        }
        if let Some(server_id) = &filter.server_id {
            let server_id = self.bind(server_id.to_string());
            conditions += &format!(" AND s.server_id = {server_id}");
        }
        if let Some(listener) = &filter.listener {
            let listener = self.bind(listener.to_string());
            conditions += &format!(" AND s.listener = {listener}");
        }
        if !filter.scope.is_whole() {
            let (groups, pools) = (self.bind(groups_of(&filter.scope)), self.bind(pools_of(&filter.scope)));
            let within = is_within("u", &groups, &pools);
            conditions += &format!(
                " AND EXISTS (SELECT FROM users u WHERE u.id = s.user_id AND u.removed_at IS NULL AND {within})"
            );
        }
        if let Some(SessionId { node, since, cid }) = after {
            let since = self.bind(*since);
            let node = self.bind(node.to_string());
            let cid = self.bind(i64::try_from(*cid).unwrap_or(i64::MAX));
            conditions += &format!(
                " AND s.since <= {since}
                  AND (s.since < {since} OR s.server_id > {node} OR (s.server_id = {node} AND s.cid < {cid}))"
            );
        }
        conditions
    }

    /// Beginning before this time.
    fn before(&mut self, until: Option<DateTime<Utc>>) -> String {
        let Some(until) = until else {
            return String::new();
        };
        let until = self.bind(until);
        format!(" AND s.since < {until}")
    }

    /// Alive then, as the GiST indexes find it.
    fn overlaps(&mut self, alive: Alive) -> String {
        match alive {
            Alive::At(at) => {
                let at = self.bind(at);
                format!(" AND tstzrange(s.since, s.gone_at) @> {at}::timestamptz")
            }
            Alive::Between(None, None) => String::new(),
            Alive::Between(from, until) => {
                let (from, until) = (self.bind(from), self.bind(until));
                format!(" AND tstzrange(s.since, s.gone_at) && tstzrange({from}, {until})")
            }
        }
    }
}
