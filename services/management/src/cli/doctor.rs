//! `doctor`: looks at everything that management needs, and says what is wrong, why, and which command mends it.

use clap::Args;
use vpnmanager_runtime::config::Cli;
use vpnmanager_runtime::doctor::{Examined, Report, ReportArgs, configuration};
use vpnmanager_runtime::process::{self, Stop};
use vpnmanager_runtime::tls;

use crate::config::{Config, SERVICE};
use crate::doctor::examine;

/// The flags of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    report: ReportArgs,
}

/// Looks, and prints what was seen. It logs nothing: what goes wrong is in the report.
pub(super) fn doctor(cli: &Cli<impl Sized>, args: &DoctorArgs) -> Result<(), Stop> {
    let loaded = Config::load(cli).and_then(|config| {
        config.check_https(cli)?;
        Ok(config)
    });
    let configuration = configuration::look(cli, SERVICE.name, loaded)?;
    tls::install_crypto_provider();
    let found = process::block_on(examine(configuration))?;
    let examined = Examined {
        program: SERVICE.name,
        version: SERVICE.version,
    };
    args.report.finish(&Report::new(examined, found))
}
