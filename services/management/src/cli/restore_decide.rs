//! `restore-decide`: what holds of what the fleet was told since the backup that was restored. Management goes on then.

use anyhow::bail;
use clap::{Args, ValueEnum};
use vpnmanager_runtime::config::Cli;
use vpnmanager_runtime::process::{self, Stop};
use vpnmanager_runtime::telemetry;
use vpnmanager_runtime::tls;

use super::restoration::{Gathered, RestorationSettings, gather};
use crate::ops::restoration::decide::{Decided, Keep, decide};

/// The flags of `restore-decide`.
#[derive(Debug, Args)]
pub struct RestoreDecideArgs {
    /// What holds
    #[arg(long, value_name = "WHAT")]
    keep: Kept,
    /// Decide although servers do not tell what they hold; users who may be there are suspended, not removed
    #[arg(long)]
    without_silent_servers: bool,
    /// Believe a server that says that it holds a user whom the file does not give it, where that user's own servers hold her no more: she was moved
    /// there. Without this she is suspended
    #[arg(long)]
    believe_moves: bool,
}

/// What holds.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kept {
    /// Removals, suspensions, earlier ends and revocations since the backup stay; all else is as the file says
    Fleet,
    /// All is as the file says: who was removed or suspended since has access again
    File,
}

/// Looks, and carries it out.
pub(super) fn restore_decide(cli: &Cli<impl Sized>, args: &RestoreDecideArgs) -> Result<(), Stop> {
    let config = RestorationSettings::load(cli)?;
    tls::install_crypto_provider();
    let _log = telemetry::init(&config.log, "restore-decide")?;
    let keep = match (args.keep, args.believe_moves) {
        (Kept::Fleet, false) => Keep::Fleet,
        (Kept::Fleet, true) => Keep::FleetAndMoves,
        (Kept::File, _) => Keep::File,
    };
    let decided = process::block_on(run(&config, keep, args.without_silent_servers))??;
    Err(Stop::Done(report(keep, decided)))
}

async fn run(config: &RestorationSettings, keep: Keep, without_silent: bool) -> anyhow::Result<Decided> {
    let Some(gathered) = gather(config).await? else {
        bail!("no restored database waits for a decision");
    };
    let Gathered {
        db,
        undecided,
        found,
        assessment,
    } = gathered;
    if keep.is_fleet() && !found.sightings.is_whole() && !without_silent {
        let silent = found.sightings.silent.iter();
        let silent: Vec<String> = silent.map(|(node, why)| format!("{node}: {why}")).collect();
        bail!(
            "servers do not tell what they hold ({}): start them and try again, or go on with --without-silent-servers",
            silent.join(", ")
        );
    }
    let decided = decide(&db, &config.server_id, &undecided, keep, &assessment.judged).await?;
    db.close().await?;
    Ok(decided)
}

fn report(keep: Keep, decided: Decided) -> String {
    let Decided {
        raised,
        ended,
        suspended,
        removed,
        reissued,
        closed,
    } = decided;
    format!(
        "Kept: {}. Revisions raised: {raised}, access ended: {ended}, suspended: {suspended}, removed: {removed}, devices with new profiles: {reissued}, \
         join tokens and links closed: {closed}.\nManagement goes on within a second; start it if it does not run.\n",
        keep.as_str()
    )
}
