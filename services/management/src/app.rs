//! What operations need: the database, the bus, the keys, and the wake-ups of the background tasks.

use std::sync::Arc;

use sea_orm::DatabaseConnection;
use vpnmanager_nats::{connect::Bus, topology::Topology};
use vpnmanager_runtime::reconcile::Wake;

use crate::{
    bus_access::BusAccess,
    config::Config,
    ops::{
        credentials::sign::Signatures, keys::authenticate::KeyCache, users::create::Creates, users::waiters::Waiters,
    },
    pki::Pki,
};

/// The parts of a running management. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App {
    /// What was configured.
    pub config: Arc<Config>,
    /// PostgreSQL, the truth.
    pub db: DatabaseConnection,
    /// The same for leases and notes of what is in the stream: commits do not wait for the disk, and a lost one means to publish once
    /// more, which changes nothing.
    pub leases: DatabaseConnection,
    /// The connection to NATS.
    pub bus: Bus,
    /// The bus CA, PEM, for nodes; `None` where the bus has no TLS.
    pub bus_ca: Option<Arc<str>>,
    /// Streams and consumers.
    pub topology: Topology,
    /// Who may connect to the bus.
    pub bus_access: BusAccess,
    /// The fleet's CA.
    pub pki: Arc<Pki>,
    /// Wakes the task that publishes placements.
    pub publisher: Wake,
    /// Wakes the task that places users on nodes.
    pub placer: Wake,
    /// Wakes the task that tells nodes to move their clients away.
    pub drains: Wake,
    /// Who waits for which user.
    pub waiters: Waiters,
    /// API keys seen a moment ago.
    pub keys: KeyCache,
    /// Creates share their commits here.
    pub creates: Creates,
    /// Signatures share their commits here.
    pub signatures: Signatures,
}
