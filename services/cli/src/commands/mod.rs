//! One file or folder for each resource.

mod api_keys;
mod audit;
mod batch;
mod bus;
mod certificates;
mod days;
mod devices;
mod events;
mod groups;
mod imports;
mod join_tokens;
mod link;
mod links;
mod nodes;
mod old_certificates;
mod old_profiles;
mod pools;
mod report;
mod rules;
mod secret;
mod sessions;
mod status;
mod users;
mod webhooks;

use clap::Subcommand;

use crate::desk::Desk;
use crate::failure::Failure;

/// What is asked of management.
#[derive(Debug, Subcommand)]
pub(crate) enum Asking {
    /// Users
    #[command(subcommand)]
    Users(users::Users),
    /// Devices of a user
    #[command(subcommand)]
    Devices(devices::Devices),
    /// Groups: what their members may
    #[command(subcommand)]
    Groups(groups::Groups),
    /// Pools: nodes that take each other's users
    #[command(subcommand)]
    Pools(pools::Pools),
    /// Nodes: VPN servers with their agents
    #[command(subcommand)]
    Nodes(nodes::Nodes),
    /// Who is connected, and who was
    #[command(subcommand)]
    Sessions(sessions::Sessions),
    /// Tokens with which machines become nodes
    #[command(subcommand)]
    JoinTokens(join_tokens::JoinTokens),
    /// Links with which users fetch their profiles
    #[command(subcommand)]
    Links(links::Links),
    /// Certificates of old servers that are still accepted
    #[command(subcommand)]
    OldCertificates(old_certificates::OldCertificates),
    /// What was imported from old servers
    #[command(subcommand)]
    Imports(imports::Imports),
    /// Import the users of an old server, with the certificates that its node goes on to accept
    Import(imports::Import),
    /// Write users as CSV; the same as users export
    Export(users::Export),
    /// Do many changes of users in one request
    Batch(batch::Batch),
    /// API keys: who may call management
    #[command(subcommand)]
    ApiKeys(api_keys::ApiKeys),
    /// The audit trail
    #[command(subcommand)]
    Audit(audit::Audit),
    /// What happens, as it happens
    #[command(subcommand)]
    Events(events::Events),
    /// URLs that events are sent to
    #[command(subcommand)]
    Webhooks(webhooks::Webhooks),
    /// Certificates of the fleet, and when they end
    #[command(subcommand)]
    Certificates(certificates::Certificates),
    /// The bus, as management sees it
    #[command(subcommand)]
    Bus(bus::Bus),
    /// Show whether management works as it should
    Status(status::Status),
}

impl Asking {
    /// Does what needs no management, where this is such a command: it returns only where that failed.
    pub(crate) fn run_here(&self) -> Option<Failure> {
        if let Self::Audit(audit) = self {
            return audit.run_here();
        }
        if let Self::Export(export) | Self::Users(users::Users::Export(export)) = self {
            return export.run_here();
        }
        None
    }

    pub(crate) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        match self {
            Self::Users(users) => users.run(desk).await,
            Self::Devices(devices) => devices.run(desk).await,
            Self::Groups(groups) => groups.run(desk).await,
            Self::Pools(pools) => pools.run(desk).await,
            Self::Nodes(nodes) => nodes.run(desk).await,
            Self::Sessions(sessions) => sessions.run(desk).await,
            Self::JoinTokens(tokens) => tokens.run(desk).await,
            Self::Links(links) => links.run(desk).await,
            Self::OldCertificates(certificates) => certificates.run(desk).await,
            Self::Imports(imports) => imports.run(desk).await,
            Self::Import(import) => import.run(desk).await,
            Self::Export(export) => export.run(desk).await,
            Self::Batch(batch) => batch.run(desk).await,
            Self::ApiKeys(keys) => keys.run(desk).await,
            Self::Audit(audit) => audit.run(desk).await,
            Self::Events(events) => events.run(desk).await,
            Self::Webhooks(webhooks) => webhooks.run(desk).await,
            Self::Certificates(certificates) => certificates.run(desk).await,
            Self::Bus(bus) => bus.run(desk).await,
            Self::Status(status) => status.run(desk).await,
        }
    }
}
