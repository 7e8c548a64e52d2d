//! An OpenVPN server that the stack runs, as an operator would, beside an agent in external mode.

use std::{fs, path::PathBuf};

use super::{Part, StackError, State};
use crate::{binaries, net::has_ipv6, process::Spec};

/// What an operator starts from.
const EXAMPLE: &str = include_str!("../../../../deploy/examples/server.conf");
/// The paths in it.
const STATE_DIR: &str = "/var/lib/vpnmanager/endnode";
const SOCKET: &str = "/run/vpnmanager/node-1.sock";

impl State {
    /// The operator's configuration, beside the state folder of the agent.
    pub(super) fn operators_conf(&self, number: u8) -> PathBuf {
        self.dir.join("work").join(format!("openvpn-{number}.conf"))
    }

    /// Writes the example with the paths of this stack.
    pub(super) fn write_operators_conf(&self, number: u8) -> Result<(), StackError> {
        let socket = self.run_dir(number)?.join(format!("node-{number}.sock"));
        let mut text = EXAMPLE
            .replace(STATE_DIR, &self.node_dir(number).display().to_string())
            .replace(SOCKET, &socket.display().to_string());
        if !has_ipv6() {
            text = text.replace("proto udp6", "proto udp");
        }
        self.folder("work", 0o711)?;
        let conf = self.operators_conf(number);
        fs::write(&conf, text).map_err(StackError::file(conf))
    }

    /// The server.
    pub(super) fn operators_spec(&self, number: u8) -> Result<Spec, StackError> {
        let part = Part::Openvpn(number);
        self.folder(&format!("s/{number}"), 0o755)?;
        let namespace = self.node_state(number).and_then(|node| node.namespace.as_ref());
        let namespace = namespace.ok_or(StackError::NoTunnels)?;
        let name = part.to_string();
        let spec = namespace.spec(&name, binaries::openvpn()?, &self.dir, &self.log(part));
        Ok(spec.args(["--config"]).args([self.operators_conf(number)]))
    }
}
