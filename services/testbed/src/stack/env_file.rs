//! The shell file with the addresses, pids and files of the stack, for people and scripts.

use std::{fmt::Display, path::PathBuf};

use super::{
    Part, State, listener,
    service_state::{SERVICE_IPERF, SERVICE_NAME},
};

impl State {
    /// `NAME='value'` lines. A part that does not run has an empty pid.
    #[must_use]
    pub fn env_file(&self) -> String {
        let management_ca = self.tls.then(|| line("MANAGEMENT_CA", self.ca_file().display()));
        // The command line reads these from the environment.
        let exported = if self.tls { " MANAGEMENT_CA" } else { "" };
        let mut lines = vec![
            line("MANAGEMENT_URL", self.management_url()),
            line("API_KEY", &self.api_key),
            line("DATABASE_URL", self.database_url()),
            line("NATS_URL", self.nats_url()),
            line("NATS_MONITOR_URL", self.nats_monitor_url()),
            line("NATS_CREDS", self.bus_dir().join("management.creds").display()),
            line("RUN_DIR", self.dir.display()),
            line("MANAGEMENT_PID", self.pid(Part::Management)),
            line("NATS_PID", self.pid(Part::Nats)),
            line("POSTGRES_PID", self.pid(Part::Postgres)),
        ];
        lines.extend(management_ca);
        lines.push(format!("export MANAGEMENT_URL API_KEY{exported}\n"));
        lines.extend(self.service_lines().into_iter().map(|(name, value)| line(name, value)));
        for node in &self.nodes {
            let number = node.number;
            let dir = self.node_dir(number);
            let netns = node.namespace.as_ref().map_or("", |namespace| &namespace.name);
            let mut add = |name: &str, value: &dyn Display| lines.push(line(&format!("NODE_{number}_{name}"), value));
            add("ID", &format_args!("node-{number}"));
            add("URL", &self.node_url(number));
            add("PID", &self.pid(Part::Node(number)));
            add("CREDS", &dir.join("node.creds").display());
            add("DIR", &dir.display());
            add("NETNS", &netns);
            add("LISTENERS", &listener::setting(&self.listeners(number)));
            add("OPENVPN_PID", &self.pid(Part::Openvpn(number)));
            add("OPENVPN_PIDS", &self.pids(Part::Openvpn(number)));
        }
        lines.concat()
    }

    /// Management's URL for callers on this machine.
    #[must_use]
    pub fn management_url(&self) -> String {
        format!("{}://127.0.0.1:{}", self.scheme(), self.management_port)
    }

    /// The same for its nodes.
    #[must_use]
    pub fn management_url_for_nodes(&self) -> String {
        format!("{}://{}:{}", self.scheme(), self.gateway(), self.management_port)
    }

    /// The fleet's CA, which management makes at its first start.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.dir.join("pki/ca.pem")
    }

    fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    /// The database's URL.
    #[must_use]
    pub fn database_url(&self) -> String {
        format!(
            "postgres://vpnmanager@127.0.0.1:{}/vpnmanager?sslmode=disable",
            self.postgres_port
        )
    }

    /// The bus for tools, without TLS.
    #[must_use]
    pub fn nats_url(&self) -> String {
        format!("nats://{}", self.nats_address())
    }

    /// nats-server's monitoring endpoint.
    #[must_use]
    pub fn nats_monitor_url(&self) -> String {
        format!("http://{}", self.nats_monitor())
    }

    /// A node's local API.
    #[must_use]
    pub fn node_url(&self, number: u8) -> String {
        let node = self.node_state(number);
        let port = node.map_or(0, |node| node.port);
        match node.and_then(|node| node.namespace.as_ref()) {
            Some(namespace) => format!("http://{}:{port}", namespace.address),
            None => format!("http://127.0.0.1:{port}"),
        }
    }

    /// What the environment file says of it.
    fn service_lines(&self) -> Vec<(&'static str, String)> {
        let Some(service) = &self.service else {
            return Vec::new();
        };
        vec![
            ("SERVICE_HOST", nth(&service.addresses, 0)),
            ("SERVICE_HOST6", nth(&service.addresses, 1)),
            ("SERVICE_NAME", SERVICE_NAME.to_owned()),
            ("SERVICE_URL", service.url()),
            ("SERVICE_IPERF", SERVICE_IPERF.to_string()),
            ("SERVICE_NETWORK", nth(&service.networks, 0)),
            ("SERVICE_NETWORK6", nth(&service.networks, 1)),
            ("SERVICE_NETNS", service.namespace.name.clone()),
        ]
    }

    fn pid(&self, part: Part) -> String {
        self.process(part)
            .map(|process| process.pid.to_string())
            .unwrap_or_default()
    }

    /// Of every process of the part, with blanks between them.
    fn pids(&self, part: Part) -> String {
        let pids: Vec<String> = self
            .processes(part)
            .iter()
            .map(|process| process.pid.to_string())
            .collect();
        pids.join(" ")
    }
}

/// Empty where there is none.
fn nth(values: &[impl ToString], place: usize) -> String {
    values.get(place).map(ToString::to_string).unwrap_or_default()
}

fn line(name: &str, value: impl Display) -> String {
    format!("{name}='{}'\n", value.to_string().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_quote_in_a_value_stays_one_value() {
        assert_eq!(super::line("A", "it's $HOME"), "A='it'\\''s $HOME'\n");
    }
}
