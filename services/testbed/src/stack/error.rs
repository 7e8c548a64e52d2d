//! Errors of stacks and their parts.

use std::{io, path::PathBuf};

use super::Part;
use crate::{
    NotReady,
    api::ApiError,
    binaries::Missing,
    client::ClientError,
    nats::NatsError,
    net::NetworkError,
    postgres::{DatabaseError, PostgresError},
    process::SpawnError,
    scratch::ScratchError,
    wait::TimedOut,
};

/// An operation on a stack failed.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// A program is missing.
    #[error("a program of the stack is missing")]
    Missing(#[from] Missing),
    /// Its folder could not be made.
    #[error("cannot make the folder of the stack")]
    Scratch(#[from] ScratchError),
    /// Its network could not be built.
    #[error("cannot build the network of the stack")]
    Network(#[from] NetworkError),
    /// PostgreSQL.
    #[error("no PostgreSQL")]
    Postgres(#[from] PostgresError),
    /// The database.
    #[error("no database")]
    Database(#[from] DatabaseError),
    /// nats-server.
    #[error("no nats-server")]
    Nats(#[from] NatsError),
    /// `bus-init` failed.
    #[error("`vpnmanager-management bus-init` failed: {0}")]
    BusInit(String),
    /// A service could not be started.
    #[error("cannot start a service")]
    Spawn(#[from] SpawnError),
    /// A service did not come up.
    #[error("a service did not come up")]
    NotReady(#[from] NotReady),
    /// A request to management failed.
    #[error("a request to management failed")]
    Api(#[from] ApiError),
    /// An OpenVPN client.
    #[error("cannot start a client")]
    Client(#[from] ClientError),
    /// No port left.
    #[error("no free port")]
    Port(#[source] io::Error),
    /// A file of the stack.
    #[error("cannot read or write {file}")]
    File {
        /// File.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is no such stack.
    #[error("no stack is up here ({file} is missing): `make up`, with the same NAME, starts one")]
    NotUp {
        /// State file that was looked for.
        file: PathBuf,
    },
    /// There is one already.
    #[error("a stack is up here already ({dir}): `make down`, with the same NAME, ends it")]
    AlreadyUp {
        /// Its folder.
        dir: PathBuf,
    },
    /// This stack has no such part.
    #[error("this stack has no {0}")]
    NoSuchPart(Part),
    /// The part runs already.
    #[error("{part} runs already (pid {pid})")]
    Running {
        /// Part.
        part: Part,
        /// Its pid.
        pid: i32,
    },
    /// OpenVPN cannot be started because its agent does not run.
    #[error("openvpn-{0} is started by node-{0}, which does not run: start node-{0}")]
    NoAgent(u8),
    /// The service host did not serve in time.
    #[error("the service host behind the nodes did not come up")]
    Service(#[source] TimedOut),
    /// The service host was asked for where there is none.
    #[error("this stack has no service host behind its nodes")]
    NoService,
    /// A tunnel was asked for where there is none.
    #[error("this stack has no tunnels (they need root and /dev/net/tun)")]
    NoTunnels,
}

impl StackError {
    pub(crate) fn file(file: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let file = file.into();
        move |source| Self::File { file, source }
    }
}
