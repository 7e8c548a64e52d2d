//! `openapi`: the description of the HTTP interface, without a database or a bus.

use clap::Args;
use vpnmanager_runtime::process::Stop;

use crate::api;

/// The flags of `openapi`.
#[derive(Debug, Args)]
pub struct OpenapiArgs {
    /// As YAML; JSON when not given
    #[arg(long)]
    yaml: bool,
}

/// Prints it.
pub(super) fn openapi(args: &OpenapiArgs) -> Result<(), Stop> {
    let spec = api::spec();
    Err(Stop::Done(if args.yaml { spec.yaml() } else { spec.json() }))
}
