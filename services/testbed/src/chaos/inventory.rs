//! The rows of PostgreSQL that the checks compare.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context;
use chrono::{DateTime, Utc};
use sea_orm::{ConnectOptions, Database, DatabaseConnection, FromQueryResult, Statement};
use serde_json::Value;
use vpnmanager_testbed::stack::Stack;

use super::own_limits::{OwnLimits, Period, Quota};

/// How long to wait for a database that is away.
const AWAY: Duration = Duration::from_secs(2);

/// A user. Removed users are included while a node holds them.
#[derive(Debug, Clone, FromQueryResult)]
pub(super) struct User {
    pub(super) id: i64,
    pub(super) key: String,
    pub(super) username: String,
    /// The home.
    pub(super) server_id: String,
    pub(super) revision: i64,
    pub(super) active: bool,
    pub(super) expires_at: Option<DateTime<Utc>>,
    pub(super) synced: bool,
    /// The group that it is in.
    pub(super) group: String,
    pub(super) own_devices: Option<i16>,
    pub(super) own_sessions: Option<i16>,
    pub(super) own_traffic_bytes: Option<i64>,
    pub(super) own_traffic_period: Option<String>,
    pub(super) own_down: Option<i32>,
    /// The group in which nodes know it.
    pub(super) node_group: String,
    pub(super) removed: bool,
}

impl User {
    /// Its own limits. What no run gives is read as none.
    pub(super) fn own_limits(&self) -> OwnLimits {
        let count = |stored: Option<i16>| stored.and_then(|count| u8::try_from(count).ok());
        let period = self.own_traffic_period.as_deref().and_then(Period::named);
        let bytes = self.own_traffic_bytes.and_then(|bytes| u64::try_from(bytes).ok());
        OwnLimits {
            devices: count(self.own_devices),
            sessions: count(self.own_sessions),
            traffic: bytes.zip(period).map(|(bytes, period)| Quota { bytes, period }),
            down: self.own_down.and_then(|down| u32::try_from(down).ok()),
        }
    }
}

/// One user on one node.
#[derive(Debug, Clone, FromQueryResult)]
pub(super) struct Placement {
    pub(super) user_id: i64,
    pub(super) server_id: String,
    pub(super) role: String,
    pub(super) wanted_present: bool,
    pub(super) wanted_revision: i64,
    pub(super) applied_revision: i64,
    pub(super) published_revision: i64,
    pub(super) outcome: Option<String>,
    pub(super) error: Option<String>,
}

/// One credential: what a profile is for.
#[derive(Debug, Clone, FromQueryResult)]
pub(super) struct Credential {
    pub(super) id: i64,
    pub(super) user_id: Option<i64>,
    pub(super) device: String,
    /// The node that makes its profile.
    pub(super) server_id: String,
    pub(super) common_name: String,
    pub(super) serial: Option<String>,
    pub(super) certificate: Option<String>,
    /// The checksum of its profile, once that was made.
    pub(super) profile: Option<String>,
    pub(super) revoked: bool,
    pub(super) created_at: DateTime<Utc>,
}

impl Credential {
    /// The user that it was made for. A common name is the username, a dot and a suffix.
    pub(super) fn owner(&self) -> &str {
        let name = self.common_name.as_str();
        name.rsplit_once('.').map_or(name, |(owner, _)| owner)
    }
}

/// A node.
#[derive(Debug, Clone, FromQueryResult)]
pub(super) struct Server {
    pub(super) name: String,
    pub(super) pool: String,
}

/// A pool.
#[derive(Debug, Clone, FromQueryResult)]
pub(super) struct Pool {
    pub(super) name: String,
    pub(super) revision: i64,
    pub(super) network: Option<Value>,
}

/// New profiles for all users of a node, the last that were asked for.
#[derive(Debug, Clone, FromQueryResult)]
pub(super) struct NodeReissue {
    pub(super) server_id: String,
    /// The newest credential that counts as lost.
    pub(super) upto: i64,
    pub(super) started_at: DateTime<Utc>,
    pub(super) goes_on: bool,
    pub(super) stopped: bool,
    pub(super) total: i64,
    pub(super) done: i64,
    pub(super) failed: i64,
}

/// A row of the audit trail.
#[derive(Debug, Clone, FromQueryResult)]
pub(super) struct Audited {
    pub(super) at: DateTime<Utc>,
    /// Who or what it is about, where it is no user: for a change of a node's state the node.
    pub(super) server_id: String,
    pub(super) action: String,
    pub(super) username: Option<String>,
    /// Of the HTTP request that caused it.
    pub(super) request_id: Option<String>,
    pub(super) details: Option<String>,
    pub(super) before: Option<Value>,
    pub(super) after: Option<Value>,
}

/// The state of the database at one moment.
#[derive(Debug, Clone)]
pub(super) struct Inventory {
    pub(super) servers: Vec<Server>,
    pub(super) users: Vec<User>,
    pub(super) placements: Vec<Placement>,
    /// The oldest first.
    pub(super) credentials: Vec<Credential>,
}

/// Connects to management's database.
pub(super) async fn connect(stack: &Stack) -> anyhow::Result<DatabaseConnection> {
    stack.connect_database().await.context("cannot connect to PostgreSQL")
}

/// The same without the stack. A statement waits a moment at most for a database that is away.
pub(super) async fn connect_to(url: &str) -> anyhow::Result<DatabaseConnection> {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(1)
        .acquire_timeout(AWAY)
        .connect_timeout(AWAY)
        .sqlx_logging(false);
    Database::connect(options).await.context("cannot connect to PostgreSQL")
}

impl Inventory {
    pub(super) async fn read(db: &DatabaseConnection) -> anyhow::Result<Self> {
        let users = "SELECT id, key::text AS key, username, server_id, revision, active, expires_at, synced, group_name AS \"group\",
            own_devices, own_sessions, own_traffic_bytes, own_traffic_period, (own_rules->>'down')::int AS own_down,
            COALESCE(own_group, group_name) AS node_group, removed_at IS NOT NULL AS removed FROM users";
        let placements = "SELECT user_id, server_id, role, wanted_present, wanted_revision, applied_revision, published_revision, outcome, error
            FROM placements";
        let credentials =
            "SELECT id, user_id, device, server_id, common_name, serial, certificate, profile_checksum AS profile,
            revoked_at IS NOT NULL AS revoked, created_at FROM credentials ORDER BY id";
        Ok(Self {
            servers: rows(db, "SELECT name, pool FROM servers").await?,
            users: rows(db, users).await?,
            placements: rows(db, placements).await?,
            credentials: rows(db, credentials).await?,
        })
    }

    /// The pool that this node is in.
    pub(super) fn pool_of(&self, node: &str) -> Option<&str> {
        let mut servers = self.servers.iter();
        servers
            .find(|server| server.name == node)
            .map(|server| server.pool.as_str())
    }

    /// The credentials of this user that are not revoked.
    pub(super) fn valid_credentials_of(&self, user: &User) -> impl Iterator<Item = &Credential> {
        let id = user.id;
        self.credentials
            .iter()
            .filter(move |credential| credential.user_id == Some(id) && !credential.revoked)
    }

    /// The valid credentials of each device of this user, the oldest first.
    pub(super) fn devices_of(&self, user: &User) -> BTreeMap<&str, Vec<&Credential>> {
        let mut devices: BTreeMap<&str, Vec<&Credential>> = BTreeMap::new();
        for credential in self.valid_credentials_of(user) {
            devices.entry(&credential.device).or_default().push(credential);
        }
        devices
    }

    /// The credential of each device of this user whose profile its home makes: the newest one of the home. `None` if the device has none.
    pub(super) fn current_of(&self, user: &User) -> BTreeMap<&str, Option<&Credential>> {
        let devices = self.devices_of(user).into_iter();
        devices
            .map(|(device, held)| (device, newest_of(&user.server_id, &held)))
            .collect()
    }

    /// The credential whose certificate is in this profile.
    pub(super) fn credential_in(&self, profile: &str) -> Option<&Credential> {
        self.credentials.iter().find(|credential| {
            let certificate = credential.certificate.as_deref();
            certificate.is_some_and(|certificate| profile.contains(certificate.trim()))
        })
    }
}

fn newest_of<'a>(home: &str, credentials: &[&'a Credential]) -> Option<&'a Credential> {
    let mut newest_first = credentials.iter().rev();
    newest_first.find(|credential| credential.server_id == home).copied()
}

/// All pools.
pub(super) async fn pools(db: &DatabaseConnection) -> anyhow::Result<Vec<Pool>> {
    rows(db, "SELECT name, revision, network FROM pools").await
}

/// Of each node that new profiles were ever asked for.
pub(super) async fn node_reissues(db: &DatabaseConnection) -> anyhow::Result<Vec<NodeReissue>> {
    let reissues = "SELECT server_id, upto, started_at, ended_at IS NULL AS goes_on, stopped, total, done, failed FROM node_reissues";
    rows(db, reissues).await
}

/// The whole audit trail, oldest first.
pub(super) async fn audit_trail(db: &DatabaseConnection) -> anyhow::Result<Vec<Audited>> {
    let trail = "SELECT timestamp AS at, server_id, action, username, request_id, details, before, after FROM audit_log ORDER BY id";
    rows(db, trail).await
}

pub(super) async fn rows<T: FromQueryResult>(db: &DatabaseConnection, sql: &str) -> anyhow::Result<Vec<T>> {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    T::find_by_statement(statement)
        .all(db)
        .await
        .context("cannot read the inventory")
}
