//! Looks at what nobody tells: the database, the bus, the nodes.

use std::time::{Duration, Instant};

use async_nats::connection::State;
use chrono::{DateTime, Utc};
use sea_orm::{DatabaseConnection, DbErr};
use tokio::sync::Mutex;
use tokio::time::timeout;
use tracing::warn;
use vpnmanager_nats::topology::TopologyError;
use vpnmanager_runtime::error_chain::chain;
use vpnmanager_runtime::log_limit::LogLimit;

use crate::{
    app::App,
    metrics::{bus::BusSample, certificates::end_of, database::PoolSample, fleet::NodeSample},
    ops::figures::read_nodes::read_nodes,
};

/// What was found is shown for so long, whoever asks how often.
const FRESH: Duration = Duration::from_secs(5);
/// What does not answer within this time counts as away. Prometheus waits for 10 s.
const PATIENCE: Duration = Duration::from_secs(3);

static UNREAD: LogLimit = LogLimit::new("the nodes could not be read for figures");
static UNSEEN: LogLimit = LogLimit::new("the bus did not say what waits on it");

/// Shows the figures of this replica.
#[derive(Debug)]
pub(super) struct Observer {
    app: App,
    bus_ca_ends: Option<DateTime<Utc>>,
    /// One looks at a time: what is shown is cleared and told anew.
    looked: Mutex<Option<Instant>>,
}

impl Observer {
    pub(super) fn new(app: App) -> Self {
        Self {
            bus_ca_ends: app.bus_ca.as_deref().and_then(end_of),
            looked: Mutex::new(None),
            app,
        }
    }

    /// All figures, none older than five seconds but the counts of users.
    pub(super) async fn text(&self) -> String {
        let mut looked = self.looked.lock().await;
        if looked.is_none_or(|at| at.elapsed() >= FRESH) {
            tokio::join!(self.look_at_nodes(), self.look_at_bus());
            *looked = Some(Instant::now());
        }
        self.look_at_hand();
        self.app.figures.exposed.text()
    }

    /// What costs nothing.
    fn look_at_hand(&self) {
        let app = &self.app;
        let (figures, now) = (&app.figures, Utc::now());
        figures.process.look();
        for (pool, db) in [("requests", &app.db), ("leases", &app.leases)] {
            figures.database.show(sample_of(pool, db));
        }
        let certificates = &figures.certificates;
        certificates.show("ca", app.pki.ca_not_after(), now);
        if let Some(end) = self.bus_ca_ends {
            certificates.show("bus_ca", end, now);
        }
        figures.bus.is(self.is_connected(), app.storage.fault().is_none());
    }

    fn is_connected(&self) -> bool {
        self.app.bus.client.connection_state() == State::Connected
    }

    async fn look_at_nodes(&self) {
        let app = &self.app;
        let read = timeout(PATIENCE, self.read()).await;
        app.figures.database.answers(matches!(read, Ok(Ok(_))));
        match read {
            Ok(Ok(nodes)) => app.figures.fleet.show(&nodes, Utc::now()),
            // What was true before says nothing about what is: alerts see that it is gone.
            Ok(Err(error)) => {
                app.figures.fleet.show(&[], Utc::now());
                if let Some(times) = UNREAD.admit() {
                    warn!(
                        error = app.reach.explain_any(&error),
                        times, "The nodes could not be read for figures"
                    );
                }
            }
            Err(_elapsed) => app.figures.fleet.show(&[], Utc::now()),
        }
    }

    async fn read(&self) -> Result<Vec<NodeSample>, DbErr> {
        let app = &self.app;
        let began = Instant::now();
        // Whatever comes of it, somebody else would have waited for as long.
        let connection = app.db.get_postgres_connection_pool().acquire().await;
        app.figures.database.waited(began.elapsed());
        drop(connection);
        read_nodes(&app.db).await
    }

    async fn look_at_bus(&self) {
        let bus = &self.app.figures.bus;
        if !self.is_connected() {
            return bus.show(None);
        }
        match timeout(PATIENCE, self.ask()).await {
            Ok(Ok(sample)) => bus.show(Some(&sample)),
            Ok(Err(error)) => {
                bus.show(None);
                if let Some(times) = UNSEEN.admit() {
                    warn!(error = %chain(&error), times, "The bus did not say what waits on it");
                }
            }
            Err(_elapsed) => bus.show(None),
        }
    }

    async fn ask(&self) -> Result<BusSample, TopologyError> {
        let began = Instant::now();
        let topology = &self.app.topology;
        let (commands, reports) = tokio::try_join!(topology.commands_waiting(), topology.reports_waiting())?;
        Ok(BusSample {
            commands,
            reports,
            took: began.elapsed(),
        })
    }
}

fn sample_of(name: &'static str, db: &DatabaseConnection) -> PoolSample {
    let pool = db.get_postgres_connection_pool();
    let (all, idle) = (pool.size(), u32::try_from(pool.num_idle()).unwrap_or(u32::MAX));
    PoolSample {
        pool: name,
        used: all.saturating_sub(idle),
        idle: idle.min(all),
        most: pool.options().get_max_connections(),
    }
}
