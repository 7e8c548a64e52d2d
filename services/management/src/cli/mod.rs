//! The commands of the binary.

mod audit_archive;
mod bus_init;
mod migrate;
mod openapi;
mod serve;

use clap::Subcommand;
use vpnmanager_runtime::config::Cli;
use vpnmanager_runtime::process::Stop;

use crate::config::SERVICE;

/// The commands of the binary; the default is [`Command::Serve`].
#[derive(Debug, Subcommand)]
#[command(about = SERVICE.about, long_about = None)]
pub enum Command {
    /// Run the service (the default)
    Serve,
    /// Make the keys, accounts, certificates and server configuration of a new bus
    BusInit(bus_init::BusInitArgs),
    /// Print the description of the HTTP API
    Openapi(openapi::OpenapiArgs),
    /// Bring the database to this release's schema and exit; the service does so itself when it starts
    Migrate,
    /// Move whole months of the audit trail from the database into files, each checked before its month is dropped
    AuditArchive(audit_archive::AuditArchiveArgs),
    /// Print a configuration file with every setting
    ConfigSample,
}

impl Command {
    /// Runs the command. [`Stop`] carries the exit code and what to print; a command that only prints ends with it too.
    pub fn run(cli: &Cli<Self>) -> Result<(), Stop> {
        match &cli.command {
            None | Some(Self::Serve) => serve::serve(cli),
            Some(Self::BusInit(args)) => bus_init::bus_init(cli, args),
            Some(Self::Openapi(args)) => openapi::openapi(args),
            Some(Self::Migrate) => migrate::migrate(cli),
            Some(Self::AuditArchive(args)) => audit_archive::audit_archive(cli, args),
            Some(Self::ConfigSample) => Err(Stop::Done(SERVICE.sample())),
        }
    }
}
