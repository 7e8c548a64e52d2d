//! The section `openvpn`.

use std::{
    num::{NonZeroU16, NonZeroU32},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use crate::{
    interface::InterfaceName,
    openvpn::{keepalive::Keepalive, vpn_network::VpnNetwork6},
};

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
