//! A PgBouncer before a private PostgreSQL.

use std::{fs, io, os::unix::fs::PermissionsExt as _, path::Path, process::Command, time::Duration};

use sea_orm::{ConnectOptions, Database};

use super::{Postgres, cluster::unprivileged};
use crate::{
    NotReady,
    binaries::{self, Missing},
    ports,
    process::{Process, SpawnError, Spec},
    require::require,
    scratch::{Medium, Scratch, ScratchError},
};

const START: Duration = Duration::from_secs(20);
/// The parameters of management's connections that it refuses unless it is told to ignore them.
pub const IGNORED: &str = "extra_float_digits,options";

/// How it is configured.
#[derive(Debug, Clone, Copy)]
pub struct Pooling<'a> {
    /// `pool_mode`.
    pub mode: &'a str,
    /// `ignore_startup_parameters`.
    pub ignored: &'a str,
    /// `max_prepared_statements`, which 1.21 and later know.
    pub prepared_statements: Option<u32>,
}

/// A PgBouncer could not be started.
#[derive(Debug, thiserror::Error)]
pub enum PgBouncerError {
    /// It is not installed.
    #[error("PgBouncer is missing")]
    Missing(#[from] Missing),
    /// No folder for it.
    #[error("cannot make a folder for PgBouncer")]
    Scratch(#[from] ScratchError),
    /// Its port or configuration could not be prepared.
    #[error("cannot prepare PgBouncer")]
    Prepare(#[source] io::Error),
    /// It could not be started.
    #[error("cannot start PgBouncer")]
    Spawn(#[from] SpawnError),
    /// It did not come up.
    #[error("PgBouncer did not come up")]
    NotReady(#[from] NotReady),
}

/// A running PgBouncer. It ends with its owner.
#[derive(Debug)]
pub struct PgBouncer {
    port: u16,
    process: Process,
    _scratch: Scratch,
}

impl PgBouncer {
    /// One that trusts these roles and leads to the databases of the cluster.
    pub async fn start(cluster: &Postgres, roles: &[&str], pooling: Pooling<'_>) -> Result<Self, PgBouncerError> {
        let program = binaries::pgbouncer()?;
        let scratch = Scratch::guarded(Medium::Memory)?;
        let dir = scratch.sub("pgbouncer", 0o755)?;
        let port = ports::free().map_err(PgBouncerError::Prepare)?;
        let (users, config) = (dir.join("users.txt"), dir.join("pgbouncer.ini"));
        let listed: String = roles.iter().map(|role| format!("\"{role}\" \"\"\n")).collect();
        let settings = pooling.render(cluster.port(), port, &users);
        write(&users, &listed).map_err(PgBouncerError::Prepare)?;
        write(&config, &settings).map_err(PgBouncerError::Prepare)?;
        let log = scratch.dir().join("pgbouncer.log");
        let mut spec = Spec::new("pgbouncer", program, &dir, log).args([&config]);
        // As PostgreSQL it refuses to run as root.
        spec.user = unprivileged();
        let process = Process::spawn(&spec)?;
        // It holds nothing; a gentler signal waits for its clients.
        scratch.stop_at_end(process.identity(), "KILL");
        let bouncer = Self {
            port,
            process,
            _scratch: scratch,
        };
        let role = roles.first().copied().unwrap_or_default();
        let url = bouncer.lead(&cluster.url("postgres"), role);
        let answers = async || {
            let mut options = ConnectOptions::new(&url);
            options
                .max_connections(1)
                .connect_timeout(Duration::from_secs(3))
                .sqlx_logging(false);
            // A refusal is an answer too.
            match Database::connect(options).await {
                Err(error) if error.to_string().contains("refused") => Err(error),
                Ok(_) | Err(_) => Ok(()),
            }
        };
        bouncer.process.ready(START, answers).await?;
        Ok(bouncer)
    }

    /// The URL of the same database through this PgBouncer, for that role.
    #[must_use]
    pub fn lead(&self, url: &str, role: &str) -> String {
        let database = url.rsplit_once('/').map_or(url, |(_, database)| database);
        format!("postgres://{role}@127.0.0.1:{}/{database}", self.port)
    }
}

impl Pooling<'_> {
    fn render(&self, server: u16, port: u16, users: &Path) -> String {
        let Self {
            mode,
            ignored,
            prepared_statements,
        } = self;
        let prepared =
            prepared_statements.map_or_else(String::new, |most| format!("max_prepared_statements = {most}\n"));
        format!(
            "[databases]\n* = host=127.0.0.1 port={server}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = {mode}\nmax_client_conn = 500\n\
             default_pool_size = 100\nignore_startup_parameters = {ignored}\n{prepared}",
            users.display()
        )
    }
}

/// The version of the PgBouncer that is installed.
#[must_use]
pub fn pgbouncer_version() -> Option<(u32, u32)> {
    let output = Command::new(binaries::pgbouncer().ok()?)
        .arg("--version")
        .output()
        .ok()?;
    parse_version(&String::from_utf8(output.stdout).ok()?)
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.lines().next()?.strip_prefix("PgBouncer ")?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.trim().parse().ok()?))
}

/// For tests: `Some` if PgBouncer is installed; otherwise prints to standard error that `test` is skipped.
///
/// # Panics
/// If there is none although `VPNMANAGER_REQUIRE_PGBOUNCER` is 1 (as on the project's CI).
#[must_use]
pub fn require_pgbouncer(test: &str) -> Option<()> {
    require(test, "VPNMANAGER_REQUIRE_PGBOUNCER", binaries::pgbouncer()).map(drop)
}

/// Readable for the account that it runs as.
fn write(file: &Path, text: &str) -> io::Result<()> {
    fs::write(file, text)?;
    fs::set_permissions(file, fs::Permissions::from_mode(0o644))
}

#[cfg(test)]
mod tests {
    #[test]
    fn versions_are_read_from_what_it_prints() {
        assert_eq!(
            super::parse_version("PgBouncer 1.18.0\nlibevent 2.1.12\n"),
            Some((1, 18))
        );
        assert_eq!(super::parse_version("PgBouncer 1.24.1"), Some((1, 24)));
        assert_eq!(super::parse_version("garbage"), None);
    }
}
