//! What the hashes of the audit trail cost: creates with them and without them, in turns.
//!
//! Triggers of the database make the hashes, so that management is the same in both: the floor is without the triggers.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use clap::Args;
use sea_orm::{ConnectionTrait, DatabaseConnection, FromQueryResult, Statement};
use serde::Serialize;
use vpnmanager_testbed::stack::{Stack, StackOptions};

use super::{
    accounting::Parties,
    conditions::Conditions,
    load::{Creator, closed_loop, creates},
    on_stack::on_stack,
    options::WAIT,
    ratios::Ratios,
    report,
    rounds::{Begun, Rounds, Side},
};
use crate::screen::{self, say};

/// What creates per second with hashes must reach of those without.
const TARGET: f64 = 0.95;
/// The triggers that make the hashes.
const TRIGGERS: [&str; 3] = ["audit_log_chain_begin", "audit_log_chained", "audit_log_chain_end"];

/// How long, and how many clients create.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Chain {
    /// Seconds of each round
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(2..=3600))]
    seconds: u64,
    /// Number of clients that each create one user after the other
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=250))]
    clients: u16,
    /// Number of turns: a round with hashes, two without, and one with
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=50))]
    turns: u8,
    /// Folder for the result, a JSON file
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
}

#[derive(Debug, Serialize)]
struct Measured {
    at: chrono::DateTime<chrono::Utc>,
    options: Chain,
    conditions: Conditions,
    with: Side,
    /// The floor.
    without: Side,
    /// Of creates per second in all rounds.
    ratio: f64,
    /// The same of each pair of rounds.
    ratios: Option<Ratios>,
    /// Entries that the rounds have added to the trail.
    entries: Entries,
}

/// Entries of the trail.
#[derive(Debug, Clone, Copy, Serialize, FromQueryResult)]
struct Entries {
    with_hash: i64,
    without_hash: i64,
}

impl Chain {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let options = StackOptions::default();
        let measured = on_stack("chain", options, async |stack: &Stack| self.measure(stack).await).await?;
        say(table(&measured));
        let file = report::store(&self.out, "chain", measured.at, &measured)?;
        say(format_args!("Result: {}", file.display()));
        Ok(())
    }

    async fn measure(&self, stack: &Stack) -> anyhow::Result<Measured> {
        let length = Duration::from_secs(self.seconds);
        let db = stack.connect_database().await.context("cannot connect to PostgreSQL")?;
        let (creator, parties) = (Arc::new(Creator::new(stack)), Parties::of(stack));
        let started = Instant::now();
        let warm = closed_loop(self.clients, length, creates(&creator, Some(WAIT))).await?;
        creator.sound()?;
        screen::done("Warm up", &format!("{} users", warm.summary().count), started.elapsed());
        let conditions = Conditions::look(stack, &db).await?;
        let before = Entries::count(&db).await?;
        let mut with = Rounds::new("POST until applied, with hashes");
        let mut without = Rounds::new("POST until applied, without hashes");
        // Each is as often first as second, so that what slows down with the number of users slows down both.
        for pair in 0..2 * self.turns {
            let with_first = pair % 2 == 0;
            for has_hashes in [with_first, !with_first] {
                make_hashes(&db, has_hashes).await?;
                let begun = Begun::now(&parties);
                let done = closed_loop(self.clients, length, creates(&creator, Some(WAIT))).await?;
                creator.sound()?;
                let rounds = if has_hashes { &mut with } else { &mut without };
                rounds.end(&begun, &done);
            }
        }
        make_hashes(&db, true).await?;
        let entries = Entries::count(&db).await?.since(before);
        let (with, without) = (Side::from(with), Side::from(without));
        entries.are_of(&with, &without)?;
        Ok(Measured {
            at: chrono::Utc::now(),
            options: self.clone(),
            conditions,
            ratio: with.per_second / without.per_second,
            ratios: Ratios::of(
                &with.of_each(|round| round.per_second),
                &without.of_each(|round| round.per_second),
            ),
            with,
            without,
            entries,
        })
    }
}

/// Switches the triggers on or off.
async fn make_hashes(db: &DatabaseConnection, on: bool) -> anyhow::Result<()> {
    let switch = if on { "ENABLE" } else { "DISABLE" };
    let switched = TRIGGERS.map(|trigger| format!("{switch} TRIGGER {trigger}")).join(", ");
    db.execute_unprepared(&format!("ALTER TABLE audit_log {switched}"))
        .await
        .with_context(|| format!("cannot {switch} the triggers of the audit trail"))?;
    Ok(())
}

impl Entries {
    async fn count(db: &DatabaseConnection) -> anyhow::Result<Self> {
        let statement = Statement::from_string(
            db.get_database_backend(),
            "SELECT count(hash) AS with_hash, count(*) - count(hash) AS without_hash FROM audit_log",
        );
        Self::find_by_statement(statement)
            .one(db)
            .await?
            .context("PostgreSQL answered nothing")
    }

    fn since(self, before: Self) -> Self {
        Self {
            with_hash: self.with_hash - before.with_hash,
            without_hash: self.without_hash - before.without_hash,
        }
    }

    /// Fails unless each create has its entry, with a hash or without one as its round was to have it.
    fn are_of(self, with: &Side, without: &Side) -> anyhow::Result<()> {
        let (wanted, bare) = (
            i64::try_from(with.latency.count)?,
            i64::try_from(without.latency.count)?,
        );
        ensure!(
            self.with_hash >= wanted && self.without_hash >= bare,
            "{wanted} creates with hashes and {bare} without made {} entries with a hash and {} without",
            self.with_hash,
            self.without_hash
        );
        Ok(())
    }
}

fn table(measured: &Measured) -> String {
    let (options, conditions) = (&measured.options, &measured.conditions);
    let line = |what: &str, side: &Side| {
        let cpu: f64 = side.cpu_ms_each.iter().map(|(_, used)| used).sum();
        format!(
            "{what}: {:.0} creates/s, p50 {:.1}, p99 {:.1} ms, {cpu:.2} ms of CPU each ({})",
            side.per_second, side.latency.p50_ms, side.latency.p99_ms, side.latency.count
        )
    };
    let verdict = if measured.ratio >= TARGET { "reached" } else { "MISSED" };
    let mut lines = vec![
        String::new(),
        format!(
            "{} clients, {} rounds of {} s of each; {}, {} cores, {:.0} GiB, a page synced in {:.2} ms; {} build",
            options.clients,
            2 * options.turns,
            options.seconds,
            conditions.cpu,
            conditions.cores,
            conditions.memory_gib,
            conditions.fdatasync_ms,
            conditions.build
        ),
        line("with the hashes of the audit trail", &measured.with),
        line("floor: without them", &measured.without),
    ];
    lines.extend(
        measured
            .ratios
            .map(|ratios| format!("ratio by pairs of rounds: {ratios}")),
    );
    lines.push(format!(
        "Target: with hashes at least {TARGET} of the creates/s without: {verdict} ({:.3})",
        measured.ratio
    ));
    lines.join("\n")
}
