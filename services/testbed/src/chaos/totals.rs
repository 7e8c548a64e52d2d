//! Compares the totals that management keeps of each node with a full count of its placements, as of one moment.

use std::time::Duration;

use sea_orm::{DatabaseConnection, FromQueryResult};
use tokio_util::sync::CancellationToken;

use super::{inventory, timeline::Timeline};

const EVERY: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(10);

/// One statement sees one moment. Totals are what was summed, and the changes that are not summed yet.
const COMPARE: &str = "WITH counted AS (
        SELECT server_id, count(*) FILTER (WHERE wanted_present) AS wanted,
               count(*) FILTER (WHERE applied_revision >= wanted_revision) AS applied,
               count(*) FILTER (WHERE applied_revision < wanted_revision) AS pending, bit_xor(digest) AS digest
        FROM placements GROUP BY server_id),
    kept AS (
        SELECT server_id, sum(wanted)::bigint AS wanted, sum(applied)::bigint AS applied, sum(pending)::bigint AS pending,
               bit_xor(digest) AS digest
        FROM (SELECT server_id, wanted, applied, pending, digest FROM node_totals
              UNION ALL SELECT server_id, wanted, applied, pending, digest FROM node_total_changes) t
        GROUP BY server_id),
    filled AS (
        SELECT server_id,
               ARRAY[COALESCE(c.wanted, 0), COALESCE(c.applied, 0), COALESCE(c.pending, 0), COALESCE(c.digest, 0)] AS counted,
               ARRAY[COALESCE(k.wanted, 0), COALESCE(k.applied, 0), COALESCE(k.pending, 0), COALESCE(k.digest, 0)] AS kept
        FROM counted c FULL JOIN kept k USING (server_id))
    SELECT server_id, counted::text AS counted, kept::text AS kept, counted <> kept AS differs FROM filled";

#[derive(Debug, Clone, FromQueryResult)]
struct Row {
    server_id: String,
    counted: String,
    kept: String,
    differs: bool,
}

/// The comparisons of a run.
#[derive(Debug, Clone, Default)]
pub(super) struct Compared {
    /// Comparisons of all nodes.
    pub(super) times: usize,
    pub(super) violations: Vec<String>,
}

impl Compared {
    /// Compares once. An error is no violation: the database may be away.
    pub(super) async fn compare(&mut self, db: &DatabaseConnection) -> anyhow::Result<()> {
        let rows: Vec<Row> = inventory::rows(db, COMPARE).await?;
        self.times += 1;
        let wrong = rows.into_iter().filter(|row| row.differs);
        self.violations.extend(wrong.map(|row| {
            format!(
                "the totals of {} (wanted, applied, pending, digest) are {}, and a count gives {}",
                row.server_id, row.kept, row.counted
            )
        }));
        Ok(())
    }

    /// Compares now and then until told to stop.
    pub(super) async fn watch(url: &str, timeline: &Timeline, stop: &CancellationToken) -> Self {
        let mut compared = Self::default();
        let mut db = None;
        while !stop.is_cancelled() {
            let once = tokio::time::timeout(PATIENCE, async {
                if db.is_none() {
                    db = Some(inventory::connect_to(url).await?);
                }
                match &db {
                    Some(db) => compared.compare(db).await,
                    None => Ok(()),
                }
            });
            match once.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => timeline.note(format!("the totals cannot be compared now: {error:#}")),
                Err(_elapsed) => timeline.note("the totals cannot be compared now: no answer in time"),
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = stop.cancelled() => {}
            }
        }
        compared
    }
}
