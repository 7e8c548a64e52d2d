//! How each service of a stack is started. All its settings are environment variables.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use super::{NodeMode, Part, StackError, State, listener};
use crate::{binaries, net::has_ipv6, process::Spec};

/// The network inside the tunnels, where the stack has IPv6 there.
const INNER6: &str = "fd00:8::/64";

impl State {
    pub(super) fn management_spec(&self) -> Result<Spec, StackError> {
        let work = self.folder("work/management", 0o700)?;
        let program = self.program(Part::Management, binaries::management)?;
        let mut listen = format!("127.0.0.1:{}", self.management_port);
        let mut public_bus = format!("tls://127.0.0.1:{}", self.nats_port);
        let mut public_urls = self.management_url();
        if let Some(network) = &self.network {
            listen = format!("{listen},{}:{}", network.gateway(), self.management_port);
            let port = self.public_nats_port.unwrap_or(self.nats_port);
            public_bus = format!("tls://{}:{port}", network.gateway());
            public_urls = format!("{public_urls},{}", self.management_url_for_nodes());
        }
        let mut spec = Spec::new("management", program, &work, self.log(Part::Management))
            .env("SERVER_ID", "management-server")
            .env("API_KEY", &self.api_key)
            .env("LISTEN", listen)
            .env("DATABASE_URL", self.database_url())
            .env("NATS_URL", format!("tls://127.0.0.1:{}", self.nats_port))
            .env("BUS_DIR", self.bus_dir())
            .env("BUS_PUBLIC_URLS", public_bus)
            .env("PKI_DIR", self.dir.join("pki"))
            .env("RUST_BACKTRACE", "1");
        if self.tls {
            spec = spec.env("PUBLIC_URLS", public_urls).env("TLS_ON_LOOPBACK", "true");
        } else if self.network.is_some() {
            // The network of the stack is within this machine.
            spec = spec.env("ALLOW_PLAIN_HTTP", "true");
        }
        spec.open_files = self.management_open_files;
        Ok(self
            .management_env
            .iter()
            .fold(spec, |spec, (name, value)| spec.env(name, value)))
    }

    /// One more management. Only its id and its address differ from the first.
    pub(super) fn replica_spec(&self, number: u8) -> Result<Spec, StackError> {
        let part = Part::Replica(number);
        let replica = self.replica(number).ok_or(StackError::NoSuchPart(part))?;
        let mut spec = self.management_spec()?;
        spec.name = part.to_string();
        spec.program = self.program(part, binaries::management)?;
        spec.dir = self.folder(&format!("work/{part}"), 0o700)?;
        spec.log = self.log(part);
        if self.tls {
            // It listens at a loopback address alone.
            spec = spec.env("TLS_ON_LOOPBACK", "false");
        }
        Ok(spec
            .env("SERVER_ID", format!("management-{part}"))
            .env("LISTEN", format!("127.0.0.1:{}", replica.port)))
    }

    pub(super) fn node_spec(&self, number: u8) -> Result<Spec, StackError> {
        let node = self
            .node_state(number)
            .ok_or(StackError::NoSuchPart(Part::Node(number)))?;
        let work = self.folder(&format!("work/node-{number}"), 0o700)?;
        let namespace = node.namespace.as_ref();
        let listen = if namespace.is_some() { "0.0.0.0" } else { "127.0.0.1" };
        let mut spec = Spec::new(
            format!("node-{number}"),
            self.program(Part::Node(number), binaries::endnode)?,
            &work,
            self.log(Part::Node(number)),
        )
        .netns(namespace.map(|namespace| namespace.name.as_str()))
        .env("SERVER_ID", format!("node-{number}"))
        .env("MANAGEMENT_URL", self.management_url_for_nodes())
        .env("API_KEY", &self.api_key)
        .env("JOIN_TOKEN_FILE", self.join_token_file(number))
        .env("STATE_DIR", self.node_dir(number))
        .env("LISTEN", format!("{listen}:{}", node.port))
        .env("RUST_BACKTRACE", "1");
        spec = match namespace {
            Some(namespace) => {
                // The network of the stack is within this machine.
                let spec = spec.env("ALLOW_PLAIN_HTTP", "true");
                let spec = match node.mode {
                    NodeMode::Managed => {
                        let spec = spec
                            .env("OPENVPN_MODE", "managed")
                            .env("OPENVPN_BINARY", binaries::openvpn()?)
                            .env("OPENVPN_RUN_DIR", self.run_dir(number)?);
                        match node.listeners.as_slice() {
                            [] => spec,
                            listeners => spec.env("LISTENERS", listener::setting(listeners)),
                        }
                    }
                    NodeMode::External => spec
                        .env("OPENVPN_MODE", "external")
                        .env("OPENVPN_CONF_FILE", self.operators_conf(number))
                        .env("OPENVPN_RUN_DIR", self.run_dir(number)?),
                    NodeMode::None => spec.env("OPENVPN_MODE", "none"),
                };
                spec.env("PUBLIC_HOST", namespace.address.to_string())
            }
            None => spec.env("OPENVPN_MODE", "none").env("PUBLIC_HOST", "127.0.0.1"),
        };
        if let Some(pool) = &node.pool {
            spec = spec.env("POOL", pool);
        }
        if self.service.is_some() && has_ipv6() {
            spec = spec.env("OPENVPN_NETWORK6", INNER6);
        }
        if self.node_disk.is_some() {
            // It is meant to be full at times.
            spec = spec.env("DISK_RESERVE", "0");
        }
        Ok(self
            .node_env
            .iter()
            .fold(spec, |spec, (name, value)| spec.env(name, value)))
    }

    /// Where the management socket of a node's OpenVPN is. A socket path must stay below 108 bytes.
    pub(super) fn run_dir(&self, number: u8) -> Result<PathBuf, StackError> {
        Ok(self.folder("s", 0o755)?.join(number.to_string()))
    }

    pub(super) fn join_token_file(&self, number: u8) -> PathBuf {
        self.dir.join("work").join(format!("node-{number}.token"))
    }

    /// Each service runs in its own folder, so that it does not read a configuration file from the operator's current folder.
    pub(super) fn folder(&self, name: &str, mode: u32) -> Result<PathBuf, StackError> {
        let dir = self.dir.join(name);
        let made = fs::create_dir_all(&dir).and_then(|()| fs::set_permissions(&dir, fs::Permissions::from_mode(mode)));
        made.map_err(StackError::file(&dir))?;
        Ok(dir)
    }
}
