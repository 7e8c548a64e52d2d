//! Creating a bus: operator, accounts, first credentials, CA, server certificate and server configuration.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use vpnmanager_secret_file as secret_file;

use super::{
    accounts::{self, Accounts, NewAccounts},
    folder, names, server_config, tls,
};
pub use super::{init_error::BusInitError, init_request::BusInit};

/// What was done. Its Display is the report for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusSummary {
    /// Whether the keys are new. If not, only the server's configuration and certificate were rendered again.
    pub created: bool,
    /// The folder.
    pub dir: PathBuf,
    /// Where the server will listen.
    pub listen: SocketAddr,
    /// Public key of the operator: the fleet's identity.
    pub operator: String,
    /// Whether plaintext connections are allowed.
    pub allow_plaintext: bool,
}

impl BusInit {
    /// Creates the bus. If there is one, it keeps its keys and renders only the server's configuration and certificate again.
    pub fn run(&self) -> Result<BusSummary, BusInitError> {
        if !self.monitor.ip().is_loopback() {
            return Err(BusInitError::MonitorNotLoopback { address: self.monitor });
        }
        tls::check_hosts(&self.hosts)?;
        let dir = absolute(&self.dir)?;
        folder::make_private(&dir)?;
        let created = match state(&dir) {
            State::Empty => true,
            State::Complete => false,
            State::Partial { missing } => return Err(BusInitError::HalfWritten { dir, missing }),
        };
        if created {
            self.create(&dir)?;
        }
        let accounts = accounts::read(&dir)?;
        self.render(&dir, &accounts)?;
        Ok(BusSummary {
            created,
            dir,
            listen: self.listen,
            operator: accounts.operator.clone(),
            allow_plaintext: self.allow_plaintext,
        })
    }

    fn create(&self, dir: &Path) -> Result<(), BusInitError> {
        let accounts = NewAccounts::generate()?;
        let ca = tls::new_ca()?;
        for (name, content) in accounts.files()?.into_iter().chain(ca.files()) {
            secret_file::write_new(&dir.join(name), &content)?;
        }
        Ok(())
    }

    fn render(&self, dir: &Path, accounts: &Accounts) -> Result<(), BusInitError> {
        let certificate = tls::server_certificate(dir, &self.hosts, self.listen.ip())?;
        secret_file::write(&dir.join(names::SERVER_CERTIFICATE), certificate)?;
        let store_dir = absolute(&self.store_dir)?;
        let config = server_config::render(self, dir, &store_dir, accounts)?;
        Ok(secret_file::write(&dir.join(names::SERVER_CONFIG), config)?)
    }
}

enum State {
    Empty,
    Complete,
    Partial { missing: Vec<&'static str> },
}

/// Rendered files do not count: they can be rendered again.
fn state(dir: &Path) -> State {
    let missing: Vec<_> = names::KEPT
        .into_iter()
        .filter(|name| !dir.join(name).exists())
        .collect();
    if missing.is_empty() {
        State::Complete
    } else if missing.len() == names::KEPT.len() && names::RENDERED.iter().all(|name| !dir.join(name).exists()) {
        State::Empty
    } else {
        State::Partial { missing }
    }
}

fn absolute(path: &Path) -> Result<PathBuf, BusInitError> {
    std::path::absolute(path).map_err(|source| BusInitError::Folder {
        action: "find the folder",
        path: path.to_owned(),
        source,
    })
}

impl fmt::Display for BusSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            created,
            dir,
            listen,
            operator,
            allow_plaintext,
        } = self;
        let dir = dir.display();
        if *created {
            writeln!(f, "Made a new bus in {dir}, operator {operator}.")?;
        } else {
            writeln!(
                f,
                "Kept the keys and accounts of the bus in {dir}, operator {operator};"
            )?;
            writeln!(f, "rendered its server configuration and certificate again.")?;
        }
        writeln!(
            f,
            "  start the server   nats-server -c {dir}/{}   (listens on {listen})",
            names::SERVER_CONFIG
        )?;
        writeln!(
            f,
            "  management needs   {}, {}",
            names::MANAGEMENT_CREDS,
            names::NODES_SIGNING_KEY
        )?;
        writeln!(
            f,
            "  and to revoke      {}, {}, {}",
            names::SYSTEM_CREDS,
            names::OPERATOR_SIGNING_KEY,
            names::NODES_JWT
        )?;
        writeln!(f, "  trust              {}", names::CA_CERTIFICATE)?;
        write!(f, "  keep offline       {}, {}", names::OPERATOR_KEY, names::CA_KEY)?;
        if *allow_plaintext {
            write!(
                f,
                "\n  Connections without TLS are allowed: for development on one machine only."
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "init_tests.rs"]
mod tests;
