//! What PostgreSQL, the journals and the allow-lists hold, read beside the services.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use rusqlite::OpenFlags;
use sea_orm::{ConnectionTrait, DatabaseConnection, FromQueryResult, Statement};
use serde_json::Value;
use vpnmanager_testbed::wait;

use crate::main_job::site::Site;

/// Whatever was done to a part, the fleet is right again within this time.
pub(super) const REPAIR: Duration = Duration::from_mins(1);

/// What may be wrong is asked about without waiting for the handshake of every half minute.
pub(super) const NOTICED: Duration = Duration::from_secs(10);

/// Who a node should let in.
const ALLOWED: &str =
    "SELECT p.server_id AS node, c.common_name AS text FROM placements p JOIN users u ON u.id = p.user_id
    JOIN credentials c ON c.user_id = u.id
    WHERE p.wanted_present AND u.active AND u.removed_at IS NULL AND c.revoked_at IS NULL";
const PENDING: &str =
    "SELECT p.server_id AS node, u.username AS text FROM placements p JOIN users u ON u.id = p.user_id
    WHERE p.applied_revision <> p.wanted_revision";
const HELD: &str = "SELECT p.server_id AS node, u.key || ' ' || u.revision AS text FROM placements p
    JOIN users u ON u.id = p.user_id WHERE p.wanted_present";
const SERIALS: &str = "SELECT common_name AS node, coalesce(serial, '') AS text FROM credentials";

#[derive(FromQueryResult)]
struct Pair {
    node: String,
    text: String,
}

/// PostgreSQL and the nodes' files, as somebody with a shell sees them.
pub(crate) struct Records {
    db: DatabaseConnection,
}

impl Records {
    pub(crate) async fn open(site: &Site) -> Self {
        let db = site.stack.connect_database().await.unwrap();
        Self { db }
    }

    pub(super) async fn close(self) {
        self.db.close().await.unwrap();
    }

    /// Changes something behind management's back.
    pub(super) async fn change(&self, sql: &str) {
        self.db.execute_unprepared(sql).await.unwrap();
    }

    async fn pairs(&self, sql: &str) -> Result<Vec<Pair>, String> {
        let statement = Statement::from_string(self.db.get_database_backend(), sql);
        Pair::find_by_statement(statement)
            .all(&self.db)
            .await
            .map_err(|error| error.to_string())
    }

    /// The rows that a query of the form `.. FROM ..` gives.
    pub(crate) async fn count(&self, from: &str) -> i64 {
        let sql = format!("SELECT count(*) AS rows FROM {from}");
        let statement = Statement::from_string(self.db.get_database_backend(), sql);
        let row = self.db.query_one_raw(statement).await.unwrap().unwrap();
        row.try_get("", "rows").unwrap()
    }

    /// Serial numbers by common name: what was issued.
    pub(super) async fn serials(&self) -> BTreeMap<String, String> {
        let pairs = self.pairs(SERIALS).await.unwrap();
        pairs.into_iter().map(|pair| (pair.node, pair.text)).collect()
    }

    /// The first disagreement between PostgreSQL, the journals and the allow-lists.
    async fn disagreement(&self, site: &Site) -> Result<(), String> {
        if let Some(pending) = self.pairs(PENDING).await?.first() {
            return Err(format!("{} waits for {}", pending.text, pending.node));
        }
        let (allowed, held) = (self.pairs(ALLOWED).await?, self.pairs(HELD).await?);
        for node in site.stack.nodes() {
            let of_node = |pairs: &[Pair]| -> BTreeSet<String> {
                let pairs = pairs.iter().filter(|pair| pair.node == node.id());
                pairs.map(|pair| pair.text.clone()).collect()
            };
            let number = node.number();
            agree(&node.id(), "allow-list", &of_node(&allowed), &allow_list(site, number))?;
            let journal = journal(site, number)?;
            let present = journal.iter().filter(|(_, held)| held.present);
            let present = present.map(|(key, held)| format!("{key} {}", held.revision)).collect();
            agree(&node.id(), "journal", &of_node(&held), &present)?;
        }
        Ok(())
    }

    /// Waits until nothing is pending and every node holds and lets in exactly what PostgreSQL says; returns how long that took.
    pub(crate) async fn agree(&self, site: &Site) -> Duration {
        let began = Instant::now();
        wait::until_ok(REPAIR, "the fleet to agree with PostgreSQL", async || {
            self.disagreement(site).await
        })
        .await
        .unwrap();
        began.elapsed()
    }
}

fn agree(node: &str, what: &str, wanted: &BTreeSet<String>, found: &BTreeSet<String>) -> Result<(), String> {
    let (missing, excess) = (wanted.difference(found).next(), found.difference(wanted).next());
    if (missing, excess) == (None, None) {
        return Ok(());
    }
    Err(format!(
        "{what} of {node}: {missing:?} is missing, {excess:?} is too much"
    ))
}

/// One user in a node's journal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    pub(super) revision: i64,
    pub(super) present: bool,
}

/// The users of a node's journal by key, tombstones included.
pub(super) fn journal(site: &Site, number: u8) -> Result<BTreeMap<String, Held>, String> {
    let file = site.stack.node(number).unwrap().dir().join("journal.db");
    let read = || {
        let connection = rusqlite::Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let mut users = connection.prepare("SELECT user_key, revision, present FROM users")?;
        let rows = users.query_map([], |row| {
            let held = Held {
                revision: row.get("revision")?,
                present: row.get("present")?,
            };
            Ok((row.get("user_key")?, held))
        })?;
        rows.collect::<rusqlite::Result<_>>()
    };
    read().map_err(|error| error.to_string())
}

/// The names that a node lets in.
pub(super) fn allow_list(site: &Site, number: u8) -> BTreeSet<String> {
    site.stack.node(number).unwrap().allow_list().unwrap()
}

/// The common name that lets the user in at a node.
pub(super) fn common_name(site: &Site, number: u8, username: &str) -> String {
    let prefix = format!("{username}.");
    let mut names = allow_list(site, number).into_iter();
    names.find(|name| name.starts_with(&prefix)).unwrap()
}

/// The audit trail's rows of this action.
pub(super) async fn audited(site: &Site, action: &str) -> Vec<Value> {
    let api = site.stack.api();
    let rows = api.audit(&format!("?action={action}&limit=1000")).await.unwrap();
    rows.expect(200).unwrap().items().to_vec()
}
