//! `audit-archive`: moves whole months of the audit trail from the database into files.

use std::fmt::Write as _;
use std::path::PathBuf;

use chrono::NaiveDate;
use clap::Args;
use serde::{Deserialize, Serialize};
use vpnmanager_runtime::config::Cli;
use vpnmanager_runtime::process::{self, Stop};
use vpnmanager_runtime::telemetry::{self, LogConfig};
use vpnmanager_runtime::tls;

use crate::config::DatabaseConfig;
use crate::ops::archive::{Archived, Order, archive_months};
use crate::schema;

/// The flags of `audit-archive`.
#[derive(Debug, Args)]
pub struct AuditArchiveArgs {
    /// Move the months before this one, the oldest first; this month at the latest
    #[arg(long, value_name = "YEAR-MONTH", value_parser = month)]
    before: NaiveDate,
    /// Folder for the files, made with mode 0700 when it is absent
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

/// The settings that this command reads.
#[derive(Deserialize, Serialize)]
struct ArchiveConfig {
    server_id: String,
    database: DatabaseConfig,
    log: LogConfig,
}

/// Writes, checks and drops the months.
pub(super) fn audit_archive(cli: &Cli<impl Sized>, args: &AuditArchiveArgs) -> Result<(), Stop> {
    let config: ArchiveConfig = cli.load()?;
    config.database.check(cli)?;
    tls::install_crypto_provider();
    let _log = telemetry::init(&config.log, "audit-archive")?;
    let order = Order {
        before: args.before,
        folder: args.out.clone(),
        recorder: config.server_id,
    };
    let archived = process::block_on(run(&config.database, &order))??;
    Err(Stop::Done(report(&archived)))
}

async fn run(database: &DatabaseConfig, order: &Order) -> anyhow::Result<Vec<Archived>> {
    let db = schema::connect_as_owner(database).await?;
    let archived = archive_months(&db, order).await?;
    db.close().await?;
    Ok(archived)
}

fn report(archived: &[Archived]) -> String {
    if archived.is_empty() {
        return "No month was to be archived.\n".to_owned();
    }
    archived
        .iter()
        .fold(String::new(), |mut text, Archived { path, manifest }| {
            // Writing to a String cannot fail.
            let _infallible = writeln!(
                text,
                "{}: {} entries, SHA-256 {}",
                path.display(),
                manifest.rows,
                manifest.sha256
            );
            text
        })
}

/// `2026-01`.
fn month(text: &str) -> Result<NaiveDate, String> {
    let first = text.split_once('-').and_then(|(year, month)| {
        let is_number = |text: &str, digits| text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
        let is_month = is_number(year, 4) && is_number(month, 2);
        let (year, month) = is_month.then(|| Some((year.parse().ok()?, month.parse().ok()?)))??;
        NaiveDate::from_ymd_opt(year, month, 1)
    });
    first.ok_or_else(|| "expected a year and a month such as 2026-01".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_a_year_and_a_month() {
        assert_eq!(month("2026-01"), Ok(NaiveDate::from_ymd_opt(2026, 1, 1).unwrap()));
        for wrong in ["2026-13", "2026-1", "2026-01-01", "26-001", "-026-01", "", "soon"] {
            month(wrong).unwrap_err();
        }
    }
}
