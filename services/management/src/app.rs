//! What operations need: the database, the bus, the keys, and the wake-ups of the background tasks.

use std::sync::Arc;

use sea_orm::DatabaseConnection;
use tokio::sync::Mutex;
use vpnmanager_nats::{connect::Bus, endpoint::BusPlace, topology::Topology, username::Username};
use vpnmanager_runtime::{in_turn::InTurn, reconcile::Wake, tasks::Tasks};

use crate::{
    bus_access::BusAccess,
    bus_reach::BusReach,
    config::Config,
    database_clock::DatabaseClock,
    hearing::Hearing,
    https::HttpsCertificate,
    metrics::figures::Figures,
    newly_connected::NewlyConnected,
    ops::{
        credentials::sign::Signatures, events::feed::Feed, keys::authenticate::KeyCache, keys::refuse::Gatekeeper,
        quotas::unjudged::Unjudged, users::creates::Creates, users::waiters::Waiters,
    },
    pki::Pki,
    reach::Reach,
    storage::Storage,
    traffic_watch::TrafficWatch,
    user_traces::UserTraces,
};

/// The parts of the running service. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App {
    /// The configuration.
    pub config: Arc<Config>,
    /// PostgreSQL, the source of truth.
    pub db: DatabaseConnection,
    /// The way to it outside the pool, which says why it cannot be reached.
    pub reach: Reach,
    /// Its clock, by which replicas compare what they write.
    pub clock: DatabaseClock,
    /// The same database, for leases and publication records: its commits do not wait for the disk. After a lost commit a command is
    /// published once more, which changes nothing.
    pub leases: DatabaseConnection,
    /// The connection to NATS: commands, answers, and what management asks.
    pub bus: Bus,
    /// Why it is not connected, if so.
    pub bus_reach: BusReach,
    /// A second connection, for what nodes send without being asked: too much of it delays nothing else.
    pub inbound: Bus,
    /// Since when this replica has heard nodes.
    pub hearing: Hearing,
    /// Whether the bus stores commands.
    pub storage: Storage,
    /// Wakes the task that finds that out.
    pub storage_probe: Wake,
    /// Whether the servers of the bus say what nodes send.
    pub traffic_watch: TrafficWatch,
    /// The bus CA, PEM, for nodes; `None` where the bus has no TLS.
    pub bus_ca: Option<Arc<str>>,
    /// Streams and consumers.
    pub topology: Topology,
    /// Signs bus credentials and publishes which of them are revoked.
    pub bus_access: BusAccess,
    /// The fleet's CA.
    pub pki: Arc<Pki>,
    /// What the API is served with.
    pub https: HttpsCertificate,
    /// Wakes the task that publishes placements.
    pub publisher: Wake,
    /// Wakes the task that sends commands that end access directly.
    pub urgent: Wake,
    /// Wakes the task that listens to nodes.
    pub listeners: Wake,
    /// Wakes the task that places users on nodes.
    pub placer: Wake,
    /// Wakes the task that tells nodes to move their clients away.
    pub drains: Wake,
    /// Wakes the task that revokes the credentials of nodes whose keys others may have.
    pub revocations: Wake,
    /// Wakes the task that gives all users of a node new credentials.
    pub reissues: Wake,
    /// Wakes the task that restarts OpenVPN on the nodes of pools.
    pub rollouts: Wake,
    /// Wakes the task that lifts users who are not over a quota any more.
    pub quotas: Wake,
    /// Users whom that task is to judge, because it failed where they got another quota.
    pub unjudged: Unjudged,
    /// Users of whom a session has just begun, for the task that holds them to what their groups allow at the same time.
    pub newly_connected: NewlyConnected,
    /// The requests that wait until a user is synced.
    pub waiters: Waiters,
    /// What is new in the audit trail, for whoever listens.
    pub events: Feed,
    /// Wakes the task that sends events to webhooks.
    pub webhooks: Wake,
    /// API keys that were checked in the last seconds.
    pub keys: KeyCache,
    /// Counts refusals of callers without a valid key.
    pub gatekeeper: Gatekeeper,
    /// For what must end although nobody waits for it any more.
    pub tasks: Tasks,
    /// Batches the creation of users, so that many share a commit.
    pub creates: Creates,
    /// Whose turn it is to change a user.
    pub turns_of_users: InTurn<Username>,
    /// Whose turn it is to change nodes, pools and groups.
    pub turn_of_fleet: Arc<Mutex<()>>,
    /// Whose turn it is to make a group for own rules of users.
    pub own_group_turn: Arc<Mutex<()>>,
    /// Batches the signing of certificates, so that many share a commit.
    pub signatures: Signatures,
    /// Figures for monitoring.
    pub figures: Figures,
    /// The traces of requests that changed users.
    pub user_traces: UserTraces,
}

impl App {
    /// Where nodes reach the bus.
    pub fn bus_place(&self) -> BusPlace {
        BusPlace {
            urls: self.config.bus.urls_for_nodes().to_vec(),
            ca: self.bus_ca.as_deref().map(str::to_owned),
        }
    }

    /// Wakes whatever brings the newest commands to the nodes.
    pub fn wake_publishers(&self) {
        self.urgent.wake();
        self.publisher.wake();
    }

    /// Wakes whatever follows from a drain that begins or ends: the node is told, and users may be placed elsewhere, or there again.
    pub fn wake_of_drains(&self) {
        self.drains.wake();
        self.placer.wake();
    }
}
