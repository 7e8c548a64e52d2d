//! One server, from a configuration that the caller has written.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    num::NonZero,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use tokio::{io::AsyncReadExt, net::TcpStream};

use crate::{
    NotReady,
    binaries::{self, Missing},
    ports,
    process::{Identity, Process, SpawnError, Spec},
    scratch::{Medium, Scratch, ScratchError},
};

const START: Duration = Duration::from_secs(20);
const STOP: Duration = Duration::from_secs(15);

/// As docs/deployment.md advises: a flood takes what others leave.
const NICE: u8 = 5;

/// As docs/deployment.md advises: twice the cores.
fn threads() -> usize {
    2 * thread::available_parallelism().map_or(2, NonZero::get)
}

/// A nats-server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum NatsError {
    /// nats-server is not installed.
    #[error("nats-server is missing")]
    Missing(#[from] Missing),
    /// No folder for it.
    #[error("cannot make a folder for nats-server")]
    Scratch(#[from] ScratchError),
    /// Its port or configuration could not be prepared.
    #[error("cannot prepare nats-server")]
    Prepare(#[source] io::Error),
    /// It could not be started.
    #[error("cannot start nats-server")]
    Spawn(#[from] SpawnError),
    /// It did not come up.
    #[error("nats-server did not come up")]
    NotReady(#[from] NotReady),
}

/// The addresses and folders that the configuration of a test's server must contain.
#[derive(Debug, Clone)]
pub struct NatsSite {
    /// Folder for the configuration and all that belongs to it.
    pub dir: PathBuf,
    /// Folder for JetStream.
    pub store: PathBuf,
    /// Address for clients.
    pub listen: SocketAddr,
    /// Address of the monitoring endpoint.
    pub monitor: SocketAddr,
}

impl NatsSite {
    /// A configuration without accounts: JetStream and the two addresses. Room is reserved for each node; without a number the server takes
    /// what the machine has free at this moment.
    #[must_use]
    pub fn plain_config(&self) -> String {
        format!(
            "listen: \"{}\"\nhttp: \"{}\"\njetstream {{ store_dir: \"{}\", max_file: 100GB }}\n",
            self.listen,
            self.monitor,
            self.store.display()
        )
    }
}

/// A running server. One started with [`Nats::start`] ends with its owner.
#[derive(Debug)]
pub struct Nats {
    config: PathBuf,
    log: PathBuf,
    listen: SocketAddr,
    monitor: SocketAddr,
    process: Process,
    scratch: Option<Scratch>,
}

impl Nats {
    /// A server in a folder of its own, gone when it is dropped or its owner dies. `configure` returns the
    /// configuration's text, or writes all of it itself (as bus-init does) and returns the file's path as
    /// `include "<path>"`.
    pub async fn start(configure: impl FnOnce(&NatsSite) -> String) -> Result<Self, NatsError> {
        let scratch = Scratch::guarded(Medium::Memory)?;
        let address = || ports::free().map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let site = NatsSite {
            dir: scratch.sub("bus", 0o700)?,
            store: scratch.sub("jetstream", 0o700)?,
            listen: address().map_err(NatsError::Prepare)?,
            monitor: address().map_err(NatsError::Prepare)?,
        };
        let config = site.dir.join("test.conf");
        fs::write(&config, configure(&site)).map_err(NatsError::Prepare)?;
        let log = scratch.dir().join("nats-server.log");
        let mut server = Self::run(&config, &log, site.listen, site.monitor).await?;
        scratch.stop_at_end(server.identity(), "TERM");
        server.scratch = Some(scratch);
        Ok(server)
    }

    /// Starts the server with an existing configuration and waits until it takes clients.
    pub async fn run(config: &Path, log: &Path, listen: SocketAddr, monitor: SocketAddr) -> Result<Self, NatsError> {
        let program = binaries::nats_server()?;
        let dir = config.parent().unwrap_or(Path::new("/"));
        let spec = Spec::new("nats-server", program, dir, log)
            .args(["-c"])
            .args([config])
            .env("GOMAXPROCS", threads().to_string())
            .nice(NICE);
        let process = Process::spawn(&spec)?;
        let server = Self {
            config: config.to_path_buf(),
            log: log.to_path_buf(),
            listen,
            monitor,
            process,
            scratch: None,
        };
        server.process.ready(START, async || greets(listen).await).await?;
        Ok(server)
    }

    /// A server that an earlier command started.
    #[must_use]
    pub fn adopt(config: &Path, log: &Path, listen: SocketAddr, monitor: SocketAddr, identity: Identity) -> Self {
        let process = Process::adopt("nats-server", identity, log);
        Self {
            config: config.to_path_buf(),
            log: log.to_path_buf(),
            listen,
            monitor,
            process,
            scratch: None,
        }
    }

    /// Address for clients, without a scheme.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listen
    }

    /// `nats://` URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://{}", self.listen)
    }

    /// `tls://` URL.
    #[must_use]
    pub fn tls_url(&self) -> String {
        format!("tls://{}", self.listen)
    }

    /// URL of the monitoring endpoint.
    #[must_use]
    pub fn monitor_url(&self) -> String {
        format!("http://{}", self.monitor)
    }

    /// Its configuration file.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Its process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Its process id with the start time.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.process.identity()
    }

    /// SIGTERM.
    pub async fn stop(&self) {
        self.process.stop(STOP).await;
    }

    /// kill -9.
    pub async fn kill(&self) {
        self.process.kill().await;
    }

    /// Starts it again after [`Nats::stop`] or [`Nats::kill`], same addresses and store.
    pub async fn restart(&mut self) -> Result<(), NatsError> {
        let again = Self::run(&self.config, &self.log, self.listen, self.monitor).await?;
        if let Some(scratch) = &self.scratch {
            scratch.stop_at_end(again.identity(), "TERM");
        }
        self.process = again.process;
        Ok(())
    }
}

/// Whether the server is up: it then sends `INFO {...}` first.
async fn greets(address: SocketAddr) -> io::Result<()> {
    let greeting = async {
        let mut stream = TcpStream::connect(address).await?;
        let mut start = [0; 5];
        stream.read_exact(&mut start).await?;
        if &start == b"INFO " {
            Ok(())
        } else {
            Err(io::Error::other("something else answers there"))
        }
    };
    match tokio::time::timeout(Duration::from_secs(2), greeting).await {
        Ok(result) => result,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}
