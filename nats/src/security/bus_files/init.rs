//! Creating a bus: operator, accounts, first credentials, CA, server certificate and server configuration.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use vpnmanager_secret_file as secret_file;

use super::{
    accounts::{self, Accounts, NewAccounts},
    folder,
    hosts::{self, Hosts},
    names, server_config, tls,
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
    /// The names and addresses that the server's certificate is for.
    pub certified: Vec<String>,
    /// Those that the certificate before it was for, and this one is not.
    pub lost: Vec<String>,
    /// The most bytes that the server stores or reserves for streams.
    pub max_store: u64,
    /// The folder in which it does.
    pub store_dir: PathBuf,
    /// Whether plaintext connections are allowed.
    pub allow_plaintext: bool,
}

impl BusInit {
    /// Creates the bus. If there is one, it keeps its keys and renders only the server's configuration and certificate again. The account
    /// of management gets what was added to it since it was made.
    pub fn run(&self) -> Result<BusSummary, BusInitError> {
        if !self.monitor.ip().is_loopback() {
            return Err(BusInitError::MonitorNotLoopback { address: self.monitor });
        }
        hosts::check(&self.hosts)?;
        let dir = absolute(&self.dir)?;
        folder::make_private(&dir)?;
        let created = is_new(&dir)?;
        if created {
            self.create(&dir)?;
        }
        let mut accounts = accounts::read(&dir)?;
        accounts.renew(&dir)?;
        let hosts = Hosts::choose(&dir, &self.hosts, self.listen.ip())?;
        let store_dir = absolute(&self.store_dir)?;
        self.render(&dir, &store_dir, &hosts, &accounts)?;
        Ok(BusSummary {
            created,
            dir,
            listen: self.listen,
            operator: accounts.operator,
            certified: hosts.names,
            lost: hosts.lost,
            max_store: self.max_store,
            store_dir,
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

    fn render(&self, dir: &Path, store_dir: &Path, hosts: &Hosts, accounts: &Accounts) -> Result<(), BusInitError> {
        let certificate = tls::server_certificate(dir, &hosts.names)?;
        secret_file::write(&dir.join(names::SERVER_CERTIFICATE), certificate)?;
        let config = server_config::render(self, dir, store_dir, accounts)?;
        Ok(secret_file::write(&dir.join(names::SERVER_CONFIG), config)?)
    }
}

/// Whether the folder holds no bus yet. Refuses one that lacks what rendering needs.
fn is_new(dir: &Path) -> Result<bool, BusInitError> {
    let is_there = |name: &&str| dir.join(name).exists();
    // At first the keys are made, then this: where it is, there was a bus.
    let was_rendered = names::RENDERED.iter().any(is_there);
    if !was_rendered && !names::KEPT.iter().any(is_there) {
        return Ok(true);
    }
    let missing: Vec<_> = names::KEPT
        .into_iter()
        .filter(|name| *name != names::OPERATOR_KEY && !is_there(name))
        .collect();
    let dir = dir.to_owned();
    match missing.as_slice() {
        [] => Ok(false),
        // It is made before the key of the server: it was there.
        [names::CA_KEY] => Err(BusInitError::CaKeyAway {
            path: dir.join(names::CA_KEY),
        }),
        _ if was_rendered => Err(BusInitError::FilesLost { dir, missing }),
        _ => Err(BusInitError::HalfWritten { dir, missing }),
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
            certified,
            lost,
            max_store,
            store_dir,
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
            writeln!(
                f,
                "rendered its server configuration and certificate again, which nats-server reads when it starts."
            )?;
        }
        writeln!(
            f,
            "  start the server   nats-server -c {dir}/{}   (listens on {listen})",
            names::SERVER_CONFIG
        )?;
        writeln!(f, "  certificate for    {}", certified.join(", "))?;
        if !lost.is_empty() {
            writeln!(
                f,
                "  no longer for      {}: who connects by that will be refused; --host for each name keeps it",
                lost.join(", ")
            )?;
        }
        writeln!(
            f,
            "  stores             at most {} GiB in {}",
            max_store >> 30,
            store_dir.display()
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
        write!(
            f,
            "  keep offline       {}, {} (bring the latter back for another run)",
            names::OPERATOR_KEY,
            names::CA_KEY
        )?;
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
