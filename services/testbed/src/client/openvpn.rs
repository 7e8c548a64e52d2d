//! One client.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    error::ClientError,
    profile::{profile_at, write_profile},
};
use crate::{
    NotReady, binaries,
    net::Namespace,
    process::{Log, Process, Spec},
    wait::TimedOut,
};

const CONNECTED: &str = "Initialization Sequence Completed";
const REFUSED: &str = "AUTH_FAILED";
const STOP: Duration = Duration::from_secs(5);

/// How a client behaves.
#[derive(Debug, Clone, Default)]
pub struct ClientOptions {
    /// Handshakes only: no tunnel device, no addresses, so that many fit into one namespace.
    pub without_device: bool,
    /// The only port that it dials: other servers of the profile are left out. `None`: all of them, in their order.
    pub port: Option<u16>,
    /// The OpenVPN that it is. `None`: that of this machine.
    pub program: Option<PathBuf>,
    /// More OpenVPN arguments; they come after the profile's own lines.
    pub args: Vec<String>,
}

/// A running client.
#[derive(Debug)]
pub struct OpenvpnClient {
    process: Process,
    spec: Spec,
}

impl OpenvpnClient {
    /// Starts a client with this profile (its text) in a namespace; profile and log are written to `dir/<name>.*`.
    pub fn start(
        namespace: &Namespace,
        profile: &str,
        (dir, name): (&Path, &str),
        options: &ClientOptions,
    ) -> Result<Self, ClientError> {
        let file = dir.join(format!("{name}.ovpn"));
        match options.port {
            Some(port) => write_profile(&file, &profile_at(profile, port)?)?,
            None => write_profile(&file, profile)?,
        }
        let spec = Self::spec(namespace, &file, dir, name, options)?;
        Ok(Self {
            process: Process::spawn(&spec)?,
            spec,
        })
    }

    fn spec(ns: &Namespace, file: &Path, dir: &Path, name: &str, options: &ClientOptions) -> Result<Spec, ClientError> {
        let program = match &options.program {
            Some(program) => program.clone(),
            None => binaries::openvpn()?,
        };
        let mut spec = ns.spec(name, program, dir, &dir.join(format!("{name}.log")));
        spec = spec.args(["--config"]).args([file]);
        if options.without_device {
            spec = spec.args(["--dev", "null", "--ifconfig-noexec", "--route-noexec"]);
        }
        Ok(spec.args(&options.args))
    }

    /// Waits until the tunnel is up. If the client ends, the wait ends too.
    ///
    /// # Errors
    /// [`NotReady`] with the end of the log.
    pub async fn connected(&self, deadline: Duration) -> Result<Duration, NotReady> {
        let connected = async || {
            if self.connections() > 0 {
                Ok(())
            } else {
                Err("not connected")
            }
        };
        self.process.ready(deadline, connected).await
    }

    /// Waits until it has connected `times` times.
    pub async fn connected_times(&self, times: usize, deadline: Duration) -> Result<Duration, TimedOut> {
        self.log().wait_for(CONNECTED, times, deadline).await
    }

    /// How often the tunnel came up.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.log().count(CONNECTED)
    }

    /// Waits until the client has ended by itself.
    pub async fn exited(&self, deadline: Duration) -> Result<Duration, TimedOut> {
        self.process.exited(deadline).await
    }

    /// Waits until the server has refused the client with `AUTH_FAILED`.
    pub async fn refused(&self, deadline: Duration) -> Result<Duration, TimedOut> {
        self.log().wait_for(REFUSED, 1, deadline).await
    }

    /// Whether the server has refused the client with `AUTH_FAILED`.
    #[must_use]
    pub fn was_refused(&self) -> bool {
        self.log().contains(REFUSED)
    }

    /// Whether the client runs.
    #[must_use]
    pub fn alive(&self) -> bool {
        self.process.alive()
    }

    /// OpenVPN's log.
    #[must_use]
    pub fn log(&self) -> &Log {
        self.process.log()
    }

    /// The client's process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The profile's file.
    #[must_use]
    pub fn profile(&self) -> PathBuf {
        self.spec.log.with_extension("ovpn")
    }

    /// Ends the client with SIGTERM, so that it tells the server.
    pub async fn stop(&self) {
        self.process.stop(STOP).await;
    }

    /// kill -9: the server is not told.
    pub async fn kill(&self) {
        self.process.kill().await;
    }

    /// Starts the same client again, with an empty log.
    pub async fn restart(&mut self) -> Result<(), ClientError> {
        self.stop().await;
        // A missing log counts as an empty one.
        let _ = fs::remove_file(&self.spec.log);
        self.process = Process::spawn(&self.spec)?;
        Ok(())
    }
}

impl Drop for OpenvpnClient {
    /// A client never outlives the test that started it.
    fn drop(&mut self) {
        self.process.signal(rustix::process::Signal::KILL);
    }
}
