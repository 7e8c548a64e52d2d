//! The section `openvpn`.

use std::{
    num::{NonZeroU16, NonZeroU32},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};
use vpnmanager_runtime::config::Setting;

use crate::{
    interface::InterfaceName,
    openvpn::{keepalive::Keepalive, vpn_network::VpnNetwork6},
};

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "openvpn.mode",
        "OPENVPN_MODE",
        "Who runs OpenVPN",
        "managed (the agent), external (the operator) or none",
    )
    .default("managed"),
    Setting::new("openvpn.binary", "OPENVPN_BINARY", "The program", "a name or a path").default("openvpn"),
    Setting::new(
        "openvpn.network",
        "OPENVPN_NETWORK",
        "Addresses inside the tunnel",
        "a network such as 10.8.0.0/16, with a prefix of 16 to 29",
    )
    .default("10.8.0.0/16"),
    Setting::new(
        "openvpn.network6",
        "OPENVPN_NETWORK6",
        "IPv6 addresses inside the tunnel; without it clients have none there",
        "a network such as fd12:3456:789a::/64, with a prefix of 64 to 112",
    ),
    Setting::new(
        "openvpn.egress_interface",
        "EGRESS_INTERFACE",
        "The only interface on which clients' packets get the node's address, where the pool says so; without it every one",
        "a name such as eth1",
    ),
    Setting::new(
        "openvpn.port",
        "OPENVPN_PORT",
        "Where OpenVPN listens, if that is not PUBLIC_PORT: a router, a load balancer or a container's port map forwards the one to the other",
        "a port, 1 to 65535",
    ),
    Setting::new(
        "openvpn.max_clients",
        "OPENVPN_MAX_CLIENTS",
        "The most clients at once, on each listener",
        "a number from 1 to 1000000",
    )
    .default("1000"),
    Setting::new(
        "openvpn.keepalive",
        "OPENVPN_KEEPALIVE",
        "After how many seconds of silence a ping is sent, and after how many a client looks for another node",
        "an interval of 1 to 60 and a timeout of more than twice as long, at most 300, such as 1 7",
    )
    .default("1 7"),
    Setting::new(
        "openvpn.run_dir",
        "OPENVPN_RUN_DIR",
        "Folder of the management sockets, one for each listener",
        "an absolute path, short",
    )
    .default("/run/vpnmanager"),
    Setting::new(
        "openvpn.conf_file",
        "OPENVPN_CONF_FILE",
        "The operator's server.conf, checked in external mode",
        "a path",
    ),
    Setting::new(
        "openvpn.user",
        "OPENVPN_USER",
        "Who OpenVPN is once it runs",
        "an account",
    )
    .default("nobody"),
    Setting::new("openvpn.group", "OPENVPN_GROUP", "Its group", "a group").default("nogroup"),
    Setting::new(
        "openvpn.old_server_conf",
        "OLD_SERVER_CONF",
        "The server.conf of the server that was here before: its certificates go on to be accepted where it listens, and there alone",
        "a path",
    ),
    Setting::new(
        "openvpn.old_server",
        "OLD_SERVER",
        "Who runs that server from now on",
        "external (the operator) or managed (the agent)",
    )
    .default("external"),
    Setting::new(
        "openvpn.old_client_dir",
        "OLD_CLIENT_DIR",
        "Its folder of files for single clients, where OLD_SERVER_CONF does not name that any more",
        "a path",
    ),
];

/// How the node's OpenVPN runs.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct OpenvpnConfig {
    /// OPENVPN_MODE, managed.
    pub mode: OpenvpnMode,
    /// OPENVPN_BINARY, openvpn.
    pub binary: PathBuf,
    /// OPENVPN_NETWORK, 10.8.0.0/16.
    pub network: String,
    /// OPENVPN_NETWORK6; without it there is no IPv6 in the tunnel.
    pub network6: Option<VpnNetwork6>,
    /// EGRESS_INTERFACE; without it every interface.
    pub egress_interface: Option<InterfaceName>,
    /// OPENVPN_PORT; without it OpenVPN listens on PUBLIC_PORT.
    pub port: Option<NonZeroU16>,
    /// OPENVPN_MAX_CLIENTS, 1000; 1 to 1,000,000.
    pub max_clients: NonZeroU32,
    /// OPENVPN_KEEPALIVE, 1 7; only for the mode managed.
    pub keepalive: Keepalive,
    /// OPENVPN_RUN_DIR, /run/vpnmanager.
    pub run_dir: PathBuf,
    /// OPENVPN_CONF_FILE, only for the mode external.
    pub conf_file: Option<PathBuf>,
    /// OPENVPN_USER, nobody.
    pub user: String,
    /// OPENVPN_GROUP, nogroup.
    pub group: String,
    /// OLD_SERVER_CONF; without it there is no old listener.
    pub old_server_conf: Option<PathBuf>,
    /// OLD_SERVER, external.
    pub old_server: OldServerMode,
    /// OLD_CLIENT_DIR; without it the `client-config-dir` of OLD_SERVER_CONF.
    pub old_client_dir: Option<PathBuf>,
}

impl OpenvpnConfig {
    /// Whether an old listener is wanted where the node's own server is the operator's.
    pub(super) fn has_old_beside_external(&self) -> bool {
        self.mode == OpenvpnMode::External && self.old_server_conf.is_some()
    }
}

/// Who runs the OpenVPN of the old listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OldServerMode {
    /// The operator; the agent says who may log in, and cuts sessions.
    External,
    /// The agent.
    Managed,
}

/// Who runs OpenVPN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OpenvpnMode {
    /// The agent starts it and finds it again.
    Managed,
    /// The operator; the agent checks the configuration and cuts sessions.
    External,
    /// Nobody: the allow-list is kept and nothing else.
    None,
}
