//! `audit`.

mod export;
mod filter;
mod verify;

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta};
use clap::{Args, Subcommand};
use serde_json::Value;

use crate::arguments::Listing;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::output::{Look, Shape, column};
use crate::values::{Moment, moment};
use filter::Filter;

/// How often new entries are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Entries that a list begins with where nothing else is said: a trail of years has millions.
const USUAL: u64 = 100;

const ENTRY: Shape = Shape {
    name: "/id",
    columns: &[
        column("ID", "/id"),
        column("TIME", "/timestamp").shown(Look::Time),
        column("ACTION", "/action"),
        column("ACTOR", "/actor"),
        column("USER", "/username"),
        column("SERVER", "/server_id"),
        column("ADDRESS", "/ip_address"),
        column("DETAILS", "/details"),
    ],
};

/// What to do with the audit trail.
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// List entries, the newest first
    #[command(visible_alias = "ls")]
    List(List),
    /// Print new entries as they come, until Ctrl-C
    Follow(Follow),
    /// Write entries into a file or print them, the oldest first
    Export(export::Export),
    /// Look whether somebody changed the newest entries, or those of files; exit code 1 if so
    Verify(verify::Verify),
}

/// Which entries.
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    filter: Filter,
    /// Only entries from then on: 2h (ago), a date or a time of RFC 3339
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    since: Option<Moment>,
    /// Only entries from before then
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    until: Option<Moment>,
    #[command(flatten)]
    listing: Listing,
    /// All entries; otherwise 100 without --since
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

/// Which entries.
#[derive(Debug, Args)]
pub(crate) struct Follow {
    #[command(flatten)]
    filter: Filter,
    /// How many of the last entries to begin with
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    last: u64,
}

impl Audit {
    /// What needs no management, where this is such a command.
    pub(super) fn run_here(&self) -> Option<Failure> {
        match self {
            Self::Verify(verify) => verify.run_here(),
            Self::List(_) | Self::Follow(_) | Self::Export(_) => None,
        }
    }

    pub(crate) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(desk).await,
            Self::Follow(follow) => follow.run(desk).await,
            Self::Export(export) => export.run(desk).await,
            Self::Verify(verify) => verify.run(desk).await,
        }
    }
}

impl List {
    async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let is_bounded = self.all || self.since.is_some();
        let limit = self.listing.limit.or((!is_bounded).then_some(USUAL));
        let look = async || {
            let since = self.since.as_ref().map(Moment::past);
            let until = self.until.as_ref().map(Moment::past);
            let entries = self.filter.entries(desk, limit, since, until).await?;
            desk.listed(&ENTRY, &entries)
        };
        desk.look(&self.listing.watch, look).await
    }
}

impl Follow {
    async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let mut entries = self.filter.entries(desk, Some(self.last), None, None).await?.items;
        let mut since = window(&entries);
        let before = self.filter.entries(desk, None, since.clone(), None).await?.items;
        let mut printed: BTreeSet<i64> = entries.iter().chain(&before).filter_map(id).collect();
        loop {
            for entry in entries.iter().rev() {
                if !desk.print_on(desk.output.line(&ENTRY, entry)?.as_bytes())? {
                    return Ok(());
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
            let seen = self
                .filter
                .entries(desk, since.is_none().then_some(USUAL), since.clone(), None)
                .await?
                .items;
            since = window(&seen).or(since);
            entries = seen
                .into_iter()
                .filter(|entry| id(entry).is_some_and(|id| printed.insert(id)))
                .collect();
        }
    }
}

fn id(entry: &Value) -> Option<i64> {
    entry.get("id").and_then(Value::as_i64)
}

/// A minute before the newest of them: entries are recorded in another order than their transactions end in.
fn window(entries: &[Value]) -> Option<String> {
    let times = entries
        .iter()
        .filter_map(|entry| DateTime::parse_from_rfc3339(entry.get("timestamp")?.as_str()?).ok());
    let since = times.max()?.checked_sub_signed(TimeDelta::minutes(1))?;
    Some(since.to_utc().to_rfc3339_opts(SecondsFormat::Secs, true))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn entries_of_the_last_minute_are_looked_at_again() {
        let entry = |time: &str| json!({ "id": 1, "timestamp": time });
        let entries = [
            entry("2026-11-30T10:05:00.5Z"),
            entry("2026-11-30T10:00:00Z"),
            json!({}),
        ];
        assert_eq!(window(&entries).as_deref(), Some("2026-11-30T10:04:00Z"));
        assert_eq!(window(&[]), None);
    }
}
