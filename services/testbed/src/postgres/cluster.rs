//! One cluster: `initdb`, start, stop.

use std::{
    fs, io,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rustix::process::Signal;

use super::aftermath;
use crate::{
    NotReady,
    binaries::{self, Missing},
    ports,
    process::{Identity, Process, SpawnError, Spec},
    scratch::{Medium, Scratch, ScratchError},
};

const SUPERUSER: &str = "vpnmanager";
const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(20);

/// Whether a commit waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// No fsync: for tests, whose data is not needed after a power failure.
    Fast,
    /// fsync, as in production: for stacks that are kept or measured.
    Durable,
}

/// A cluster could not be started.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// PostgreSQL is not installed.
    #[error("PostgreSQL is missing")]
    Missing(#[from] Missing),
    /// No folder for it.
    #[error("cannot make a folder for PostgreSQL")]
    Scratch(#[from] ScratchError),
    /// Its folder or port could not be prepared.
    #[error("cannot prepare PostgreSQL in {dir}")]
    Prepare {
        /// Data folder.
        dir: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// `initdb` failed.
    #[error("initdb failed: {0}")]
    Init(String),
    /// It could not be started.
    #[error("cannot start PostgreSQL")]
    Spawn(#[from] SpawnError),
    /// It did not come up.
    #[error("PostgreSQL did not come up")]
    NotReady(#[from] NotReady),
}

/// A running cluster. One started with [`Postgres::start`] ends with its owner.
#[derive(Debug)]
pub struct Postgres {
    data: PathBuf,
    port: u16,
    durability: Durability,
    process: Process,
    scratch: Option<Scratch>,
}

impl Postgres {
    /// A fresh cluster in a folder of its own, gone when it is dropped or its owner dies.
    pub async fn start(durability: Durability) -> Result<Self, PostgresError> {
        let medium = match durability {
            Durability::Fast => Medium::Memory,
            Durability::Durable => Medium::Disk,
        };
        let scratch = Scratch::guarded(medium)?;
        let data = scratch.dir().join("postgres");
        let port = ports::free().map_err(|source| prepare_error(&data, source))?;
        Self::init(&data, durability).await?;
        let mut cluster = Self::run(&data, port, durability).await?;
        scratch.stop_at_end(cluster.identity(), "QUIT");
        cluster.scratch = Some(scratch);
        Ok(cluster)
    }

    /// Makes the data folder of a new cluster.
    pub async fn init(data: &Path, durability: Durability) -> Result<(), PostgresError> {
        let programs = binaries::postgres()?;
        let user = unprivileged();
        let prepare = || {
            fs::create_dir_all(data)?;
            fs::set_permissions(data, fs::Permissions::from_mode(0o700))?;
            match user {
                Some((uid, gid)) => chown(data, Some(uid), Some(gid)),
                None => Ok(()),
            }
        };
        prepare().map_err(|source| prepare_error(data, source))?;
        let mut spec = Spec::new("initdb", programs.initdb, data, data.with_extension("log")).args([
            "--auth=trust",
            "--no-locale",
            "--encoding=UTF8",
            "--no-sync",
            "--no-instructions",
            "--username",
            SUPERUSER,
            "--pgdata",
        ]);
        spec = spec.args([data]);
        spec.user = user;
        let mut command = tokio::process::Command::from(spec.command());
        let output = command
            .stdin(Stdio::null())
            .output()
            .await
            .map_err(|source| prepare_error(data, source))?;
        if !output.status.success() {
            return Err(PostgresError::Init(
                String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            ));
        }
        let settings = settings(durability);
        let conf = data.join("postgresql.auto.conf");
        fs::write(&conf, settings).map_err(|source| prepare_error(data, source))
    }

    /// Starts the cluster in an existing data folder and waits until it takes connections.
    pub async fn run(data: &Path, port: u16, durability: Durability) -> Result<Self, PostgresError> {
        let programs = binaries::postgres()?;
        aftermath::remove_stale_lock(data).await;
        let mut spec = Spec::new("postgres", programs.postgres, data, data.with_extension("log"));
        spec = spec
            .args(["-D"])
            .args([data])
            .args(["-p", &port.to_string(), "-h", "127.0.0.1"]);
        spec.user = unprivileged();
        let process = Process::spawn(&spec)?;
        let cluster = Self {
            data: data.to_path_buf(),
            port,
            durability,
            process,
            scratch: None,
        };
        cluster
            .process
            .ready(START, async || cluster.connect("postgres").await.map(drop))
            .await?;
        Ok(cluster)
    }

    /// A cluster that an earlier command started.
    #[must_use]
    pub fn adopt(data: &Path, port: u16, durability: Durability, identity: Identity) -> Self {
        let process = Process::adopt("postgres", identity, data.with_extension("log"));
        Self {
            data: data.to_path_buf(),
            port,
            durability,
            process,
            scratch: None,
        }
    }

    /// Connection URL of one database.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!(
            "postgres://{SUPERUSER}@127.0.0.1:{}/{database}?sslmode=disable",
            self.port
        )
    }

    /// The data folder.
    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The main process.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.process.identity()
    }

    /// The main process, with its log.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Fast shutdown: sessions are ended, data is written.
    pub async fn stop(&self) {
        self.process.stop_with(Signal::INT, STOP).await;
    }

    /// kill -9 of the main process; its children end by themselves, which is waited for.
    pub async fn kill(&self) {
        self.process.kill().await;
        aftermath::wait_for_children(&self.data).await;
    }

    /// Starts it again after [`Postgres::stop`] or [`Postgres::kill`], at the same port.
    pub async fn restart(&mut self) -> Result<(), PostgresError> {
        let again = Self::run(&self.data, self.port, self.durability).await?;
        if let Some(scratch) = &self.scratch {
            scratch.stop_at_end(again.identity(), "QUIT");
        }
        self.process = again.process;
        Ok(())
    }
}

fn prepare_error(dir: &Path, source: io::Error) -> PostgresError {
    PostgresError::Prepare {
        dir: dir.display().to_string(),
        source,
    }
}

/// The user to run PostgreSQL as. It refuses to run as root, so root runs it as the unprivileged user that every system has.
pub(super) fn unprivileged() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let nobody = passwd.lines().find_map(|line| line.strip_prefix("nobody:"));
    let ids = nobody.and_then(|rest| {
        let mut fields = rest.split(':').skip(1);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    Some(ids.unwrap_or((65534, 65534)))
}

fn settings(durability: Durability) -> &'static str {
    match durability {
        Durability::Fast => concat!(
            "unix_socket_directories = ''\nmax_connections = 1000\n",
            "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\nautovacuum = off\n",
        ),
        Durability::Durable => "unix_socket_directories = ''\nmax_connections = 300\n",
    }
}
