//! Starts management: connects and checks everything that it needs before the first task runs.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use backon::{ExponentialBuilder, Retryable};
use chrono::Utc;
use sea_orm::{ConnectOptions, Database, DatabaseConnection, DbErr};
use secrecy::ExposeSecret;
use tracing::{info, warn};
use vpnmanager_nats::{
    connect::{self, Bus, BusAddress, Identity},
    security::bus_files::open::BusFiles,
    topology::{Topology, TopologyOptions},
};
use vpnmanager_runtime::{error_chain::chain, in_turn::InTurn, reconcile::Wake, tasks::Tasks};

use crate::{
    app::App,
    bus_access::BusAccess,
    bus_reach::BusReach,
    config::{BusConfig, Config},
    database_clock::DatabaseClock,
    hearing::Hearing,
    https::HttpsCertificate,
    metrics::figures::Figures,
    newly_connected::NewlyConnected,
    ops::{
        credentials::sign::Signatures,
        events::feed::Feed,
        keys::authenticate::KeyCache,
        keys::bootstrap::bootstrap,
        keys::refuse::Gatekeeper,
        nodes::sum_totals::recount,
        quotas::unjudged::Unjudged,
        restoration::mark::undecided,
        users::creates::{Created, Creates},
        users::waiters::Waiters,
    },
    pki::Pki,
    pooler,
    reach::Reach,
    schema::{self, SchemaError},
    storage::Storage,
    tasks,
    traffic_watch::TrafficWatch,
    user_traces::UserTraces,
};

/// How long to wait for PostgreSQL and for NATS at the start.
const START_TIMEOUT: Duration = Duration::from_secs(30);
const POOL_SIZE: u32 = 16;
const LEASES_POOL_SIZE: u32 = 4;
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);
/// Messages of one node that wait to be read; more are dropped. With the largest message this is 8 MB.
const INBOUND_ROOM: usize = 128;
/// No connection is used for longer. Whatever it keeps from before a failover ends then.
const MAX_LIFETIME: Duration = Duration::from_secs(5 * 60);
/// A connection that was idle for longer is tested before it is used.
const TEST_IF_IDLE_FOR: Duration = Duration::from_secs(30);

/// Connects to PostgreSQL and NATS, brings the schema up to date, and starts the background tasks. Waits up to 30 s for each of the two.
///
/// # Errors
/// [`Undecided`](crate::ops::restoration::mark::Undecided) while nobody has decided what holds after a restore: nothing was started then.
pub async fn start(config: Config, tasks: &Tasks) -> anyhow::Result<App> {
    let pki = Pki::load_or_create(&config.pki.dir)?
        .with_client_validity(config.pki.client_validity)
        .with_server_validity(config.pki.node_validity);
    let pki = Arc::new(pki);
    let reach = Reach::to(&config.database.connection_url())?;
    let db = connect_database(&config, &reach, POOL_SIZE, Commits::Synced).await?;
    let leases = connect_database(&config, &reach, LEASES_POOL_SIZE, Commits::Relaxed).await?;
    (|| schema::bring_up_to_date(&db, &config.database))
        .retry(patience())
        .when(SchemaError::is_worth_another_try)
        .notify(|error: &SchemaError, after| warn!(error = %chain(error), ?after, "The schema is not up to date yet"))
        .await
        .context("bringing the database schema up to date failed")?;
    schema::warn_of_powers(&db)
        .await
        .context("reading the rights of this role failed")?;
    if let Some(undecided) = undecided(&db).await.context("looking for a restored backup failed")? {
        return Err(undecided.into());
    }
    recount(&db).await.context("counting what the nodes hold failed")?;
    bootstrap(&db, &config.api_key, &pki).await?;
    let (address, files) = (bus_address(&config.bus), BusFiles::new(&config.bus.dir));
    let bus_access = BusAccess::open(&files, address.clone())?;
    let bus_reach = BusReach::to(address.clone(), files.management_creds_path());
    let (bus, topology) = connect_bus(&config.bus, &config.server_id).await?;
    let inbound = connect_inbound(&address, &files, &config.server_id).await?;
    let bus_ca = address.ca_file.is_some().then(|| files.ca_pem()).transpose()?;

    let publisher = Wake::new();
    let waiters = Waiters::start(tasks, &db, config.callers);
    let keys = KeyCache::start(tasks, &db, config.callers.unknown_keys.get());
    let (figures, user_traces) = (Figures::new(), UserTraces::default());
    let gatekeeper = Gatekeeper::new(config.callers.keyless_requests.get(), figures.work.clone());
    let created = Created {
        publisher: publisher.clone(),
        work: figures.work.clone(),
        traces: user_traces.clone(),
    };
    let events = Feed::new(config.events);
    let app = App {
        creates: Creates::start(tasks, &db, config.placement_rules(), created),
        turns_of_users: InTurn::default(),
        turn_of_fleet: Arc::default(),
        own_group_turn: Arc::default(),
        signatures: Signatures::start(tasks, &db, &pki),
        config: Arc::new(config),
        db,
        reach,
        clock: DatabaseClock::default(),
        leases,
        bus,
        bus_reach,
        inbound,
        hearing: Hearing::new(Utc::now()),
        storage: Storage::default(),
        storage_probe: Wake::new(),
        traffic_watch: TrafficWatch::new(Instant::now()),
        bus_ca: bus_ca.map(Arc::from),
        topology,
        bus_access,
        pki,
        https: HttpsCertificate::default(),
        publisher,
        urgent: Wake::new(),
        listeners: Wake::new(),
        placer: Wake::new(),
        drains: Wake::new(),
        revocations: Wake::new(),
        reissues: Wake::new(),
        rollouts: Wake::new(),
        quotas: Wake::new(),
        unjudged: Unjudged::default(),
        newly_connected: NewlyConnected::default(),
        waiters,
        events,
        webhooks: Wake::new(),
        keys,
        gatekeeper,
        tasks: tasks.clone(),
        figures,
        user_traces,
    };
    tasks::start(&app, tasks).await?;
    Ok(app)
}

/// Settings of PostgreSQL's planner. Every statement is short and has an index. But PostgreSQL keeps the plan of a prepared statement, and
/// a plan that was made while the tables were small reads whole tables until the first ANALYZE, a minute later. Compiling a plan (JIT)
/// takes hundreds of milliseconds, which such short statements never win back.
const PLANNING: [(&str, &str); 2] = [("enable_seqscan", "off"), ("jit", "off")];

/// PostgreSQL ends the transaction of a replica that stopped in the middle of it, so that its locks keep nobody for ever: whether the
/// replica is frozen (the first), or its machine is gone (the others; seconds).
const ABANDONED: [(&str, &str); 4] = [
    ("idle_in_transaction_session_timeout", "5s"),
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
];

/// Whether a commit waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Commits {
    Synced,
    /// PostgreSQL manual, `synchronous_commit`: a crash of the server may lose the commits of the last fraction of a second.
    Relaxed,
}

/// One connection of the service, without its tasks.
pub(crate) async fn connect_briefly(config: &Config) -> anyhow::Result<DatabaseConnection> {
    let reach = Reach::to(&config.database.connection_url())?;
    connect_database(config, &reach, 1, Commits::Synced).await
}

/// Tries outside the pool first: that says at once, and in PostgreSQL's words, why it is not possible.
async fn connect_database(
    config: &Config,
    reach: &Reach,
    connections: u32,
    commits: Commits,
) -> anyhow::Result<DatabaseConnection> {
    let url = config.database.connection_url();
    let mut options = ConnectOptions::new(url.expose_secret());
    options
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_timeout(ACQUIRE_TIMEOUT)
        .statement_timeout(STATEMENT_TIMEOUT)
        .test_before_acquire_if_idle_for(TEST_IF_IDLE_FOR)
        .max_lifetime(MAX_LIFETIME)
        .sqlx_logging(false);
    options.map_sqlx_postgres_opts(move |options| {
        let options = options.options(PLANNING).options(ABANDONED);
        match commits {
            Commits::Synced => options,
            Commits::Relaxed => options.options([("synchronous_commit", "off")]),
        }
    });
    let connect = || async {
        reach.connect(ACQUIRE_TIMEOUT).await?;
        Database::connect(options.clone()).await
    };
    let at = reach.place();
    connect
        .retry(patience())
        .when(|error: &DbErr| pooler::advice(error).is_none())
        .notify(
            |error: &DbErr, after| warn!(database.at = at, error = %chain(error), ?after, "PostgreSQL does not answer yet"),
        )
        .await
        .map_err(|error| {
            let said = config.database.connecting_failed(&error);
            anyhow::Error::new(error).context(format!("{said} (it is at {at})"))
        })
}

/// Where the bus is, and whose certificate it has.
pub(crate) fn bus_address(config: &BusConfig) -> BusAddress {
    let mut address = BusAddress {
        urls: config.url.clone(),
        ca_file: None,
    };
    address.ca_file = address.uses_tls().then(|| BusFiles::new(&config.dir).ca_path());
    address
}

/// Connects to the bus, and makes its streams where they are missing. Waits up to 30 s.
pub(crate) async fn connect_bus(config: &BusConfig, server_id: &str) -> anyhow::Result<(Bus, Topology)> {
    let (address, files) = (bus_address(config), BusFiles::new(&config.dir));
    let name = format!("vpnmanager-management {server_id}");
    let identity = || Identity::Credentials(files.management_creds_path());
    let at = address.shown();
    let bus = (|| connect::connect(&address, &name, identity()))
        .retry(patience())
        .when(|error| matches!(error, connect::ConnectError::Connect(_)))
        .notify(|error, after| warn!(bus.at = at, error = %chain(error), ?after, "NATS does not answer yet"))
        .await
        .with_context(|| format!("connecting to NATS at {at} failed"))?;
    let streams = TopologyOptions {
        replicas: config.copies,
        ..TopologyOptions::default()
    };
    let topology = Topology::ensure(&bus.client, streams).await?;
    info!(nats.version = bus.client.server_info().version, "The bus is ready");
    Ok((bus, topology))
}

/// The connection for what nodes send. The subscription of each node has little room, so that none can fill the memory.
async fn connect_inbound(address: &BusAddress, files: &BusFiles, server_id: &str) -> anyhow::Result<Bus> {
    let name = format!("vpnmanager-management {server_id} inbound");
    let identity = Identity::Credentials(files.management_creds_path());
    connect::connect_with_room(address, &name, identity, INBOUND_ROOM)
        .await
        .context("connecting to NATS a second time failed")
}

/// Retries with growing pauses for [`START_TIMEOUT`].
fn patience() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(2))
        .without_max_times()
        .with_total_delay(Some(START_TIMEOUT))
        .with_jitter()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a pooler ignores what sessions ask for, the role has it.
    #[test]
    fn the_manual_gives_the_role_what_sessions_ask_for() {
        let page = include_str!("../../../docs/deployment.md");
        let of_sessions = PLANNING.into_iter().chain(ABANDONED);
        for (setting, value) in of_sessions.filter(|(setting, _)| !setting.starts_with("tcp_")) {
            let said = format!("ALTER ROLE vpnmanager SET {setting} = ");
            let (_, given) = page.split_once(&said).unwrap_or_else(|| panic!("{said}"));
            let given = given.split(';').next().map(|given| given.trim_matches('\''));
            assert_eq!(given, Some(value), "{setting}");
        }
    }
}
