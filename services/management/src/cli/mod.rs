//! The commands of the binary.

mod audit_archive;
mod audit_verify;
mod backup;
mod bus_init;
mod ca_rollover;
mod doctor;
mod export;
mod folder;
mod import;
mod migrate;
mod openapi;
mod restoration;
mod restore;
mod restore_decide;
mod restore_review;
mod sealing;
mod serve;

use clap::Subcommand;
use vpnmanager_runtime::config::{Cli, ManualArgs};
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
    /// Find what was changed, removed, inserted or reordered in the audit trail, in the database or in files
    AuditVerify(audit_verify::AuditVerifyArgs),
    /// Import the users of old servers, with the certificates that their nodes go on to accept
    Import(import::ImportArgs),
    /// Write users as CSV, and certificates as an easy-rsa folder has them
    Export(export::ExportArgs),
    /// Put another certificate authority in the place of the present one, without new profiles
    CaRollover(ca_rollover::CaRolloverArgs),
    /// Save the database, the certificate authority, the keys of the bus and the settings in one encrypted file
    Backup(backup::BackupArgs),
    /// Put a backup onto an empty database and empty folders, or only check it
    Restore(restore::RestoreArgs),
    /// Say what the fleet was told since the backup that was restored
    RestoreReview(restore_review::RestoreReviewArgs),
    /// Decide what of that holds; management goes on then
    RestoreDecide(restore_decide::RestoreDecideArgs),
    /// Look at everything that management needs; say what is wrong, why, and which command mends it
    Doctor(doctor::DoctorArgs),
    /// Print a configuration file with every setting
    ConfigSample,
    /// Write the manual pages and the completions of shells into a folder, as packages have them
    Manual(ManualArgs),
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
            Some(Self::AuditVerify(args)) => audit_verify::audit_verify(cli, args),
            Some(Self::Import(args)) => import::import(cli, args),
            Some(Self::Export(args)) => export::export(cli, args),
            Some(Self::CaRollover(args)) => ca_rollover::ca_rollover(cli, args),
            Some(Self::Backup(args)) => backup::backup(cli, args),
            Some(Self::Restore(args)) => restore::restore(cli, args),
            Some(Self::RestoreReview(args)) => restore_review::restore_review(cli, args),
            Some(Self::RestoreDecide(args)) => restore_decide::restore_decide(cli, args),
            Some(Self::Doctor(args)) => doctor::doctor(cli, args),
            Some(Self::ConfigSample) => Err(Stop::Done(SERVICE.sample())),
            Some(Self::Manual(args)) => Ok(SERVICE.write_manual::<Self>(&args.out)?),
        }
    }
}
