//! `openapi`: prints the description of the HTTP API. Needs neither database nor bus.

use clap::Args;
use vpnmanager_runtime::process::Stop;

use crate::api;

/// The flags of `openapi`.
#[derive(Debug, Args)]
pub struct OpenapiArgs {
    /// Print YAML; the default is JSON
    #[arg(long)]
    yaml: bool,
}

/// Prints the description.
pub(super) fn openapi(args: &OpenapiArgs) -> Result<(), Stop> {
    let spec = api::spec();
    Err(Stop::Done(if args.yaml { spec.yaml() } else { spec.json() }))
}
