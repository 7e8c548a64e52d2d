//! `audit-verify`: finds what was changed, removed, inserted or reordered in the audit trail.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::Args;
use serde::{Deserialize, Serialize};
use vpnmanager_runtime::config::Cli;
use vpnmanager_runtime::process::{self, Stop};
use vpnmanager_runtime::telemetry::{self, LogConfig};
use vpnmanager_runtime::tls;

use super::folder::Folder;
use crate::config::DatabaseConfig;
use crate::domain::audit_chain::{Begins, Report, Signers, Trail};
use crate::domain::shown_time::shown_time;
use crate::ops::audit_chain::read_database::read_database;
use crate::ops::audit_chain::read_files::read_file;
use crate::pki::all_certificates;
use crate::schema;

/// Findings that are printed.
const PRINTED: usize = 100;

/// The flags of `audit-verify`.
#[derive(Debug, Args)]
pub struct AuditVerifyArgs {
    /// Archive of the trail to read beside the database; repeat it for each
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    archive: Vec<PathBuf>,
    /// File of JSON lines (an export, an archive or a dump) to read in place of the database; repeat it for each
    #[arg(long, value_name = "FILE")]
    file: Vec<PathBuf>,
    /// The files are a part of the trail: what was before it is not missed
    #[arg(long, requires = "file")]
    part: bool,
    /// File with the certificate of the fleet's authority, which signs the checkpoints [default: those in PKI_DIR, former ones too]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Hash of a checkpoint that was noted before, which must still be in the trail
    #[arg(long, value_name = "HASH")]
    expect: Option<String>,
}

/// The settings that this command reads.
#[derive(Deserialize, Serialize)]
struct VerifyConfig {
    database: DatabaseConfig,
    pki: Folder,
    log: LogConfig,
}

/// Reads the trail and says what is wrong with it. Exit code 1 if anything is.
pub(super) fn audit_verify(cli: &Cli<impl Sized>, args: &AuditVerifyArgs) -> Result<(), Stop> {
    let config: VerifyConfig = cli.load()?;
    tls::install_crypto_provider();
    let _log = telemetry::init(&config.log, "audit-verify")?;
    let signers = match &args.ca {
        Some(file) => signers_of(file, || fs::read_to_string(file))?,
        None => signers_of(&config.pki.dir, || all_certificates(&config.pki.dir))?,
    };
    let mut trail = Trail::default();
    for file in args.archive.iter().chain(&args.file) {
        read_file(file, &mut trail).map_err(anyhow::Error::from)?;
    }
    if args.file.is_empty() {
        config.database.check(cli)?;
        process::block_on(read(&config.database, &mut trail))??;
    }
    let begins = if args.part { Begins::Anywhere } else { Begins::First };
    let report = trail.verify(&signers, begins, args.expect.as_deref());
    let text = shown(&report);
    if report.is_sound() {
        return Err(Stop::Done(text));
    }
    process::print(&text)?;
    Err(Stop::Failed(anyhow!("the audit trail is not what was recorded")))
}

fn signers_of(place: &Path, read: impl FnOnce() -> io::Result<String>) -> anyhow::Result<Signers> {
    let reading = || {
        format!(
            "reading the certificate of the fleet's authority from {} failed",
            place.display()
        )
    };
    let pem = read().with_context(reading)?;
    Signers::of_pem(&pem).with_context(reading)
}

async fn read(database: &DatabaseConfig, trail: &mut Trail) -> anyhow::Result<()> {
    let db = schema::connect_as_service(database).await?;
    read_database(&db, trail)
        .await
        .context("reading the audit trail failed")?;
    db.close().await?;
    Ok(())
}

fn shown(report: &Report) -> String {
    let mut text = String::new();
    for finding in report.findings.iter().take(PRINTED) {
        // Writing to a String cannot fail.
        let _infallible = writeln!(text, "{finding}");
    }
    let more = report.left_out + report.findings.len().saturating_sub(PRINTED);
    if more > 0 {
        let _infallible = writeln!(text, "... and {more} more");
    }
    let Report {
        entries, checkpoints, ..
    } = report;
    let _infallible = writeln!(text, "{entries} entries, {checkpoints} signed checkpoints");
    let notes = [
        (
            report.unchained as u64,
            "from before the trail had chains: nothing is proven of them",
        ),
        (
            report.archived.unsigned_abs(),
            "are only in archives: --archive verifies them, too",
        ),
        (
            report.unproven as u64,
            "after the last checkpoint: that they are all there is not proven yet",
        ),
    ];
    for (number, note) in notes.iter().filter(|(number, _)| *number > 0) {
        let _infallible = writeln!(text, "{number} entries {note}");
    }
    match &report.last {
        Some(last) => {
            let _infallible = writeln!(
                text,
                "The last checkpoint is {} of {}: {}",
                last.number,
                shown_time(last.at),
                last.hash
            );
        }
        None => text.push_str("There is no checkpoint: an owner of the database could have rewritten everything.\n"),
    }
    if report.is_sound() {
        text.push_str("Nothing was changed, removed, inserted or reordered.\n");
    }
    text
}
