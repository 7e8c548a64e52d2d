//! `vpnmanager-endnode`: see the crate's documentation.

use std::process::ExitCode;

use vpnmanager_endnode::{
    api,
    app::{self, Ended},
    config::{Config, SERVICE},
    doctor::{DoctorArgs, doctor},
    local_client::{UsersArgs, users},
};
use vpnmanager_runtime::{
    config::{Cli, ManualArgs},
    descriptors,
    process::{self, Stop},
    telemetry, tls,
};

#[derive(clap::Subcommand)]
enum Command {
    /// Run the agent (the default)
    Serve,
    /// Print the description of the local API
    Openapi {
        /// Print YAML; the default is JSON
        #[arg(long)]
        yaml: bool,
    },
    /// Look at everything that this node needs; say what is wrong, why, and which command mends it
    Doctor(DoctorArgs),
    /// Ask the agent of this machine for users; as root, at its socket, without a key
    Users(UsersArgs),
    /// Print a sample configuration file
    ConfigSample,
    /// Write the manual pages and the completions of shells into a folder, as packages have them
    Manual(ManualArgs),
}

fn main() -> ExitCode {
    process::run(|| {
        let cli = SERVICE.parse::<Command>()?;
        match &cli.command {
            Some(Command::ConfigSample) => Err(Stop::Done(SERVICE.sample())),
            Some(Command::Doctor(args)) => doctor(&cli, args),
            Some(Command::Users(args)) => users(&cli, args),
            Some(Command::Manual(args)) => Ok(SERVICE.write_manual::<Command>(&args.out)?),
            Some(Command::Openapi { yaml }) => Err(Stop::Done(if *yaml { api::spec_yaml() } else { api::spec_json() })),
            None | Some(Command::Serve) => serve(&cli),
        }
    })
}

fn serve(cli: &Cli<Command>) -> Result<(), Stop> {
    // OpenVPN faces the network.
    descriptors::keep_from_programs();
    let (config, unused, exposed) = (&Config::load(cli)?, cli.unused()?, cli.exposed_secrets());
    tls::install_crypto_provider();
    let _log = telemetry::init(&config.log, "endnode")?;
    descriptors::raise_limit()?;
    if !unused.is_empty() {
        tracing::warn!(
            settings = unused.join(", "),
            "A node has no database: these settings have no effect"
        );
    }
    if !exposed.is_empty() {
        tracing::warn!(
            flags = exposed.join(", "),
            "Secrets given as flags show in the list of processes"
        );
    }
    cli.warn_of_unknown_variables();
    // A runtime for each run: nothing of an earlier one goes on.
    while process::block_on(app::run(config))?? == Ended::Anew {}
    Ok(())
}
