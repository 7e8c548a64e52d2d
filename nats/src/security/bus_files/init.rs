//! Making a bus: operator, accounts, first credentials, CA, server certificate and server configuration.

use std::{
    fmt, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use super::{
    accounts::{self, Accounts, NewAccounts},
    names, server_config, tls, write,
};
use crate::security::{creds::CredentialsError, jwt::JwtError};

/// What `bus-init` was asked for.
#[derive(Debug, Clone)]
pub struct BusInit {
    /// Where the files go; made with mode 0700.
    pub dir: PathBuf,
    /// Where the server listens for management and nodes.
    pub listen: SocketAddr,
    /// Where the server answers its unauthenticated monitoring requests; a loopback address.
    pub monitor: SocketAddr,
    /// Where the server keeps streams and account tokens.
    pub store_dir: PathBuf,
    /// DNS names and IP addresses by which management and nodes reach the server; loopback names are always added.
    pub hosts: Vec<String>,
    /// Let clients connect without TLS too: for development on one machine.
    pub allow_plaintext: bool,
}

/// Why there is no bus.
#[derive(Debug, thiserror::Error)]
pub enum BusInitError {
    /// Monitoring would show connections and subjects to the network.
    #[error("the monitoring address {address} must be a loopback address, such as 127.0.0.1:8222")]
    MonitorNotLoopback {
        /// What was asked for.
        address: SocketAddr,
    },
    /// A path that the server's configuration cannot hold.
    #[error("the path {path:?} is not UTF-8")]
    Path {
        /// The path.
        path: PathBuf,
    },
    /// A run that did not finish, or files that somebody took away. Making new keys would cut off whoever holds the old ones.
    #[error(
        "{dir} holds only a part of a bus: {missing} missing; put them back from a backup, or, if no node was ever enrolled, empty the folder and run again",
        missing = missing.join(", ")
    )]
    HalfWritten {
        /// The folder.
        dir: PathBuf,
        /// What is not there.
        missing: Vec<&'static str>,
    },
    /// A folder with other things in it, which others may enter.
    #[error(
        "{dir} holds other files and is open to other users; give the bus a folder of its own, or make this one private (chmod 700)"
    )]
    SharedFolder {
        /// The folder.
        dir: PathBuf,
    },
    /// A file or folder was not read or written.
    #[error("could not {action} {path}")]
    File {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Keys or tokens were not made.
    #[error("could not make the accounts")]
    Accounts(#[source] JwtError),
    /// Keys were not encoded.
    #[error("could not encode a key")]
    Key(#[source] nkeys::error::Error),
    /// Credentials were not written.
    #[error("could not write the credentials")]
    Credentials(#[source] CredentialsError),
    /// A name that no certificate can hold.
    #[error("{host:?} is no DNS name or IP address")]
    Host {
        /// The name.
        host: String,
    },
    /// The certificates were not made.
    #[error("could not make the certificates")]
    Certificate(#[source] rcgen::Error),
}

/// What was done, for people: its Display says it in a few lines.
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
    /// Makes the bus, or, where there is one, leaves its keys alone and renders the server's configuration and certificate again.
    ///
    /// # Errors
    /// When something asked for is wrong, the folder holds a part of a bus, or a file cannot be written.
    pub fn run(&self) -> Result<BusSummary, BusInitError> {
        if !self.monitor.ip().is_loopback() {
            return Err(BusInitError::MonitorNotLoopback { address: self.monitor });
        }
        tls::check_hosts(&self.hosts)?;
        let dir = absolute(&self.dir)?;
        write::private_folder(&dir)?;
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
            write::new_secret(&dir.join(name), &content)?;
        }
        Ok(())
    }

    fn render(&self, dir: &Path, accounts: &Accounts) -> Result<(), BusInitError> {
        let certificate = tls::server_certificate(dir, &self.hosts, self.listen.ip())?;
        write::replace(&dir.join(names::SERVER_CERTIFICATE), &certificate)?;
        let store_dir = absolute(&self.store_dir)?;
        let config = server_config::render(self, dir, &store_dir, accounts)?;
        write::replace(&dir.join(names::SERVER_CONFIG), &config)
    }
}

enum State {
    Empty,
    Complete,
    Partial { missing: Vec<&'static str> },
}

/// Rendered files do not count: they can be made again.
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
    std::path::absolute(path).map_err(|source| BusInitError::File {
        action: "find",
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
