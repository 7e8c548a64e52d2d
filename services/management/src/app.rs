//! What every operation needs: the database, the bus, the keys, and the wake-ups of the background tasks.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use backon::{ExponentialBuilder, Retryable};
use sea_orm::{ConnectOptions, Database, DatabaseConnection, DbErr};
use secrecy::ExposeSecret;
use tracing::{info, warn};
use vpnmanager_nats::{
    connect::{self, Bus, BusAddress, Identity},
    security::bus_files::open::BusFiles,
    sign::SignResult,
    topology::{Topology, TopologyOptions},
};
use vpnmanager_runtime::{
    batch::{BatchLimits, Batcher},
    reconcile::Wake,
    tasks::Tasks,
};

use crate::{
    bus_access::BusAccess,
    config::{BusConfig, Config},
    domain::health::Thresholds,
    ops::{
        credentials::sign::{self, NodeRequest},
        keys::{authenticate::KeyCache, bootstrap::bootstrap},
        users::{
            create::{self, CreateUserError, NewUser, PlacementRules},
            read::UserView,
            waiters::Waiters,
        },
    },
    pki::Pki,
    tasks,
};

/// How long PostgreSQL and NATS may take to come up beside us.
const START_TIMEOUT: Duration = Duration::from_secs(30);
const POOL_SIZE: u32 = 16;
const LEASES_POOL_SIZE: u32 = 4;
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);
/// A connection that was idle for longer is tested before it is used.
const TEST_IF_IDLE_FOR: Duration = Duration::from_secs(30);

/// The parts of a running management. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App {
    /// PostgreSQL, the truth.
    pub db: DatabaseConnection,
    /// The same for leases and notes of what is in the stream: commits do not wait for the disk, and a lost one means to publish once
    /// more, which changes nothing.
    pub leases: DatabaseConnection,
    /// The connection to NATS.
    pub bus: Bus,
    /// Streams and consumers.
    pub topology: Topology,
    /// Who may connect to the bus.
    pub bus_access: BusAccess,
    /// The fleet's CA.
    pub pki: Arc<Pki>,
    /// What was configured.
    pub settings: Arc<Settings>,
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
    pub creates: Batcher<NewUser, Result<UserView, CreateUserError>>,
    /// Signatures share their commits here.
    pub signs: Batcher<NodeRequest, SignResult>,
}

/// What of the configuration the operations need.
#[derive(Debug, Clone)]
pub struct Settings {
    /// This replica in the audit trail.
    pub server_id: String,
    /// How users are placed.
    pub placement: PlacementRules,
    /// When a node is called something else than healthy.
    pub thresholds: Thresholds,
    /// When the homes of a lost node go to others.
    pub rehome_after: Duration,
    /// Clients that a drained node moves in one second.
    pub drain_pace: u32,
    /// Where nodes find the bus.
    pub bus_public_urls: Vec<String>,
    /// The bus CA, PEM; `None` where the bus has no TLS.
    pub bus_ca: Option<String>,
}

impl App {
    /// Connects to everything, brings the schema up to date, and starts the background tasks.
    ///
    /// # Errors
    /// When PostgreSQL or NATS stay away for 30 s, or one of them is not what it should be.
    pub async fn start(config: &Config, tasks: &Tasks) -> anyhow::Result<Self> {
        let pki = Arc::new(Pki::load_or_create(&config.pki.dir)?.with_client_validity(config.pki.client_validity));
        let db = connect_database(config, POOL_SIZE, Commits::Synced).await?;
        let leases = connect_database(config, LEASES_POOL_SIZE, Commits::Relaxed).await?;
        (|| vpnmanager_migration::run(&db))
            .retry(patience())
            .notify(|error: &DbErr, after| warn!(error = %error, ?after, "The schema is not up to date yet"))
            .await
            .context("bringing the database schema up to date failed")?;
        bootstrap(&db, &config.api_key, &pki).await?;
        let (address, files) = (bus_address(&config.bus), BusFiles::new(&config.bus.dir));
        let bus_access = BusAccess::open(&files, address.clone())?;
        let (bus, topology) = connect_bus(&address, &files, &config.server_id).await?;

        let settings = Settings {
            server_id: config.server_id.clone(),
            placement: PlacementRules {
                replicas: config.placement.replicas,
                recorder: config.server_id.clone(),
            },
            thresholds: Thresholds {
                stale_after: config.health.stale_after,
                lost_after: config.health.lost_after,
                max_clock_skew: config.health.max_clock_skew,
            },
            rehome_after: config.health.rehome_after,
            drain_pace: config.drain.pace,
            bus_public_urls: config.bus.urls_for_nodes().to_vec(),
            bus_ca: address.ca_file.is_some().then(|| files.ca_pem()).transpose()?,
        };
        let publisher = Wake::new();
        let app = Self {
            creates: start_creates(tasks, &db, &settings.placement, &publisher),
            signs: start_signs(tasks, &db, &pki),
            db,
            leases,
            bus,
            topology,
            bus_access,
            pki,
            settings: Arc::new(settings),
            publisher,
            placer: Wake::new(),
            drains: Wake::new(),
            waiters: Waiters::default(),
            keys: KeyCache::default(),
        };
        tasks::start(&app, tasks).await?;
        Ok(app)
    }
}

fn start_creates(
    tasks: &Tasks,
    db: &DatabaseConnection,
    rules: &PlacementRules,
    publisher: &Wake,
) -> Batcher<NewUser, Result<UserView, CreateUserError>> {
    let (db, rules, publisher) = (db.clone(), rules.clone(), publisher.clone());
    // Two workers: the next batch is written while the one before is being synced to disk.
    let limits = BatchLimits {
        batch: 64,
        workers: 2,
        ..BatchLimits::default()
    };
    Batcher::start(tasks, "create-users", limits, move |batch| {
        let (db, rules, publisher) = (db.clone(), rules.clone(), publisher.clone());
        async move {
            let results = create::create_batch(&db, &rules, batch).await;
            publisher.wake();
            results
        }
    })
}

fn start_signs(tasks: &Tasks, db: &DatabaseConnection, pki: &Arc<Pki>) -> Batcher<NodeRequest, SignResult> {
    let (db, pki) = (db.clone(), Arc::clone(pki));
    let limits = BatchLimits {
        batch: 128,
        workers: 2,
        ..BatchLimits::default()
    };
    Batcher::start(tasks, "sign-certificates", limits, move |batch| {
        let (db, pki) = (db.clone(), Arc::clone(&pki));
        async move { sign::sign_batch(&db, &pki, batch).await }
    })
}

/// How PostgreSQL plans our statements. All are short and have an index, but a plan that was made while the tables were small, and is
/// kept with the prepared statement, reads whole tables until the first ANALYZE, a minute later. And compiling a plan (JIT), which takes
/// hundreds of milliseconds, never pays.
const PLANNING: [(&str, &str); 2] = [("enable_seqscan", "off"), ("jit", "off")];

/// Whether a commit waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Commits {
    Synced,
    /// PostgreSQL manual, `synchronous_commit`: the last fraction of a second may be lost in a crash of the server.
    Relaxed,
}

async fn connect_database(config: &Config, connections: u32, commits: Commits) -> anyhow::Result<DatabaseConnection> {
    let url = config.database.connection_url();
    let mut options = ConnectOptions::new(url.expose_secret());
    options
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_timeout(ACQUIRE_TIMEOUT)
        .statement_timeout(STATEMENT_TIMEOUT)
        .test_before_acquire_if_idle_for(TEST_IF_IDLE_FOR)
        .sqlx_logging(false);
    options.map_sqlx_postgres_opts(move |options| {
        let options = options.options(PLANNING);
        match commits {
            Commits::Synced => options,
            Commits::Relaxed => options.options([("synchronous_commit", "off")]),
        }
    });
    (|| Database::connect(options.clone()))
        .retry(patience())
        .notify(|error: &DbErr, after| warn!(error = %error, ?after, "PostgreSQL does not answer yet"))
        .await
        .context("connecting to PostgreSQL failed")
}

fn bus_address(config: &BusConfig) -> BusAddress {
    let uses_tls = config.url.iter().any(|url| url.starts_with("tls://"));
    let ca_file = uses_tls.then(|| BusFiles::new(&config.dir).ca_path());
    BusAddress {
        urls: config.url.clone(),
        ca_file,
    }
}

async fn connect_bus(address: &BusAddress, files: &BusFiles, server_id: &str) -> anyhow::Result<(Bus, Topology)> {
    let name = format!("vpnmanager-management {server_id}");
    let identity = || Identity::Credentials(files.management_creds_path());
    let bus = (|| connect::connect(address, &name, identity()))
        .retry(patience())
        .when(|error| matches!(error, connect::ConnectError::Connect(_)))
        .notify(|error, after| warn!(error = %error, ?after, "NATS does not answer yet"))
        .await
        .context("connecting to NATS failed")?;
    let topology = Topology::ensure(&bus.client, TopologyOptions::default()).await?;
    info!(nats.version = bus.client.server_info().version, "The bus is ready");
    Ok((bus, topology))
}

/// Tries again for [`START_TIMEOUT`].
fn patience() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(2))
        .without_max_times()
        .with_total_delay(Some(START_TIMEOUT))
        .with_jitter()
}
