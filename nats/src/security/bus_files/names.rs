//! The names of the files, and what belongs to a complete folder.

pub(super) const OPERATOR_KEY: &str = "operator.nk";
pub(super) const OPERATOR_SIGNING_KEY: &str = "operator-signing.nk";
pub(super) const NODES_SIGNING_KEY: &str = "nodes-signing.nk";
pub(super) const MANAGEMENT_CREDS: &str = "management.creds";
pub(super) const SYSTEM_CREDS: &str = "sys.creds";
pub(super) const OPERATOR_JWT: &str = "operator.jwt";
pub(super) const SYSTEM_JWT: &str = "SYS.jwt";
pub(super) const VPN_JWT: &str = "VPN.jwt";
pub(super) const NODES_JWT: &str = "NODES.jwt";
pub(super) const CA_CERTIFICATE: &str = "ca.pem";
pub(super) const CA_KEY: &str = "ca.key";
pub(super) const SERVER_CERTIFICATE: &str = "server.pem";
pub(super) const SERVER_KEY: &str = "server.key";
pub(super) const SERVER_CONFIG: &str = "nats-server.conf";

/// Made once and never replaced, but for [`VPN_JWT`]: a later release may add to the account, which keeps its key. All but [`OPERATOR_KEY`]
/// must be there to render the others: nothing reads that one.
pub(super) const KEPT: [&str; 12] = [
    OPERATOR_KEY,
    OPERATOR_SIGNING_KEY,
    NODES_SIGNING_KEY,
    MANAGEMENT_CREDS,
    SYSTEM_CREDS,
    OPERATOR_JWT,
    SYSTEM_JWT,
    VPN_JWT,
    NODES_JWT,
    CA_CERTIFICATE,
    CA_KEY,
    SERVER_KEY,
];

/// Rendered anew by every run.
pub(super) const RENDERED: [&str; 2] = [SERVER_CERTIFICATE, SERVER_CONFIG];
