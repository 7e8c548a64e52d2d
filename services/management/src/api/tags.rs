//! The groups of operations in the description of the API.

use poem_openapi::Tags;

#[derive(Tags)]
pub(super) enum Tag {
    /// The users of the fleet and their profiles.
    Users,
    /// What old servers left, and what became of it.
    Imports,
    /// The OpenVPN servers of the fleet.
    Endnodes,
    /// Groups of servers, and what their users reach through the tunnel.
    Pools,
    /// What users may reach, how fast, with how many devices, and for how long.
    Groups,
    /// Who is connected at this moment, who was, and with how much traffic.
    Sessions,
    /// Who may call this API.
    ApiKeys,
    /// One-time tokens that servers enrol with.
    JoinTokens,
    /// Who changed what.
    Audit,
    /// What happens, as it happens: streams and webhooks.
    Events,
    /// Which certificates the fleet has, and when they end.
    Certificates,
    /// The health of management itself.
    Service,
}
