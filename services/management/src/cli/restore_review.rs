//! `restore-review`: says what the fleet was told since the backup that was restored. Changes nothing.

use anyhow::Context as _;
use clap::Args;
use vpnmanager_runtime::config::Cli;
use vpnmanager_runtime::process::{self, Stop};
use vpnmanager_runtime::telemetry;
use vpnmanager_runtime::tls;

use super::restoration::{Gathered, RestorationSettings, gather};
use crate::ops::restoration::review::Review;

/// The flags of `restore-review`.
#[derive(Debug, Args)]
pub struct RestoreReviewArgs {
    /// Print JSON, with all names
    #[arg(long)]
    json: bool,
}

/// Looks and tells.
pub(super) fn restore_review(cli: &Cli<impl Sized>, args: &RestoreReviewArgs) -> Result<(), Stop> {
    let config = RestorationSettings::load(cli)?;
    tls::install_crypto_provider();
    let _log = telemetry::init(&config.log, "restore-review")?;
    let Some(gathered) = process::block_on(gather(&config))?? else {
        return Err(Stop::Done("No restored database waits for a decision.\n".to_owned()));
    };
    let Gathered {
        undecided,
        found,
        assessment,
        ..
    } = &gathered;
    let review = Review::of(undecided, found, assessment);
    let text = match args.json {
        true => serde_json::to_string_pretty(&review).context("writing the review failed")? + "\n",
        false => format!(
            "{review}Decide with `vpnmanager-management restore-decide --keep fleet` (what ended since stays ended) or `--keep file` (all is as the \
             file says).\n"
        ),
    };
    Err(Stop::Done(text))
}
