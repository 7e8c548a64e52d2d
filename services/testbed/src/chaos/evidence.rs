//! The evidence that a run leaves for a person to look into.

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use anyhow::Context;
use sea_orm::{DatabaseConnection, FromQueryResult, Statement};
use vpnmanager_testbed::stack::{Part, Stack};

use super::timeline::Timeline;

/// The tables, each with its order.
const TABLES: [(&str, &str); 10] = [
    ("users", "id"),
    ("placements", "id"),
    ("credentials", "id"),
    ("servers", "id"),
    ("pools", "id"),
    ("groups", "name"),
    ("node_reissues", "server_id"),
    ("audit_log", "id"),
    ("sessions", "since, server_id, cid"),
    ("traffic_days", "day, user_id, server_id"),
];

#[derive(FromQueryResult)]
struct Line {
    line: serde_json::Value,
}

/// Copies logs, journals and tables into a folder of this run and returns it. Journals hold keys: the folder is private.
pub(super) async fn keep(
    stack: &Stack,
    db: &DatabaseConnection,
    (out, seed): (&Path, u64),
    timeline: &Timeline,
) -> anyhow::Result<PathBuf> {
    let dir = out.join(format!("seed-{seed}-{}", chrono::Utc::now().format("%H%M%S")));
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&dir)
        .with_context(|| format!("cannot make {}", dir.display()))?;
    fs::write(dir.join("timeline.txt"), timeline.text())?;
    let state = stack.state();
    let replicas = state.replicas.iter().map(|replica| Part::Replica(replica.number));
    let nodes = state.nodes.iter().map(|node| node.number);
    let parts = [Part::Management, Part::Nats, Part::Postgres]
        .into_iter()
        .chain(replicas);
    let parts = parts.chain(nodes.flat_map(|number| [Part::Node(number), Part::Openvpn(number)]));
    for part in parts {
        // A part may have no log.
        let _ = fs::copy(state.log(part), dir.join(format!("{part}.log")));
    }
    for node in stack.nodes() {
        for suffix in ["", "-wal"] {
            let name = format!("journal.db{suffix}");
            let _ = fs::copy(node.dir().join(&name), dir.join(format!("{}-{name}", node.id())));
        }
    }
    for (table, order) in TABLES {
        let statement = Statement::from_string(
            db.get_database_backend(),
            format!("SELECT to_jsonb(t) AS line FROM {table} t ORDER BY {order}"),
        );
        let rows = Line::find_by_statement(statement).all(db).await?;
        let text: String = rows.iter().map(|row| format!("{}\n", row.line)).collect();
        fs::write(dir.join(format!("{table}.jsonl")), text)?;
    }
    Ok(dir)
}
