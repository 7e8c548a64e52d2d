//! The command.

use std::path::PathBuf;

use clap::Args;
use vpnmanager_runtime::{
    config::Cli,
    doctor::{Examined, Report, ReportArgs, configuration},
    process::{self, Stop},
    tls,
};

use super::examine::examine;
use crate::config::{Config, SERVICE};

/// The flags of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    report: ReportArgs,
    /// Log in with this profile at each of its servers, and ping them through the tunnel; needs root
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
}

/// Looks, and prints what was seen. It logs nothing: what goes wrong is in the report.
///
/// # Errors
/// [`Stop`] with exit code 1 where a check failed, and with 2 where the command line is wrong.
pub fn doctor(cli: &Cli<impl Sized>, args: &DoctorArgs) -> Result<(), Stop> {
    let configuration = configuration::look(cli, SERVICE.name, Config::load(cli))?;
    tls::install_crypto_provider();
    let found = process::block_on(examine(configuration, args.profile.clone()))?;
    let examined = Examined {
        program: SERVICE.name,
        version: SERVICE.version,
    };
    args.report.finish(&Report::new(examined, found))
}
