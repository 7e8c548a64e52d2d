//! The background tasks. All replicas may run each of them at the same time.

use std::time::Duration;

use vpnmanager_nats::{subjects, topology::MANAGEMENT_GROUP};
use vpnmanager_runtime::{reconcile::Wake, tasks::Tasks};

use crate::{
    app::App,
    ops::{
        audit_room,
        housekeeping::make_audit_partitions,
        nodes::{assess_ages::assess_ages, tell_draining::tell_draining},
    },
};

mod bus;
mod failover;
mod handshakes;
mod heartbeats;
mod housekeeping;
mod intents;
mod placer;
mod publisher;
mod reports;
mod requests;
mod signs;
mod syncs;

const SECOND: Duration = Duration::from_secs(1);
/// A user that was created while a node returned may lack that node, and the replica that was woken may have died: nothing else would
/// find this.
const PLACER_PERIOD: Duration = Duration::from_secs(15);
/// What found no room in the audit trail is told after a minute: this says how exactly.
const SUMMARIES_PERIOD: Duration = Duration::from_secs(10);
const HOUR: Duration = Duration::from_secs(60 * 60);
/// The NATS server may lose revocations or streams without a reconnect.
const BUS_PERIOD: Duration = Duration::from_secs(60);

/// Starts all tasks.
pub async fn start(app: &App, tasks: &Tasks) -> anyhow::Result<()> {
    let unwoken = Wake::new();
    tasks.reconcile(
        "publisher",
        &app.publisher,
        SECOND,
        publisher::Publisher::new(app.clone()),
    );
    tasks.reconcile("placer", &app.placer, PLACER_PERIOD, on(app, placer::place));
    tasks.reconcile(
        "node-ages",
        &unwoken,
        SECOND,
        on(app, |app| async move { assess_ages(&app.db, app.config.health).await }),
    );
    tasks.reconcile("failover", &unwoken, SECOND, failover::Failover::new(app.clone()));
    tasks.reconcile(
        "drains",
        &app.drains,
        SECOND,
        on(app, |app| async move { tell_draining(&app).await }),
    );
    tasks.reconcile("handshakes", &unwoken, SECOND, handshakes::Handshakes::new(app.clone()));
    tasks.reconcile(
        "audit-partitions",
        &unwoken,
        HOUR,
        on(app, |app| async move { make_audit_partitions(&app.db).await }),
    );
    tasks.reconcile(
        "audit-summaries",
        &unwoken,
        SUMMARIES_PERIOD,
        on(app, |app| async move { audit_room::summarise(&app.db).await.map(drop) }),
    );
    tasks.reconcile(
        "housekeeping",
        &unwoken,
        HOUR,
        housekeeping::Housekeeping::new(app.clone()),
    );
    let reconnected = Wake::new();
    tasks.reconcile("bus-access", &reconnected, BUS_PERIOD, on(app, bus::keep));
    tasks.spawn(
        "bus-connections",
        bus::follow_connections(app.bus.connections.clone(), reconnected, tasks.token()),
    );

    let subscribe = |subject: &'static str| app.bus.client.queue_subscribe(subject, MANAGEMENT_GROUP.to_owned());
    let heartbeats = subscribe(subjects::ALL_HEARTBEATS).await?;
    tasks.spawn("heartbeats", heartbeats::run(app.clone(), heartbeats, tasks.token()));
    let syncs = subscribe(subjects::ALL_SYNCS).await?;
    tasks.spawn(
        "syncs",
        requests::serve(app.clone(), syncs, tasks.token(), syncs::answer),
    );
    let signs = subscribe(subjects::ALL_SIGNS).await?;
    tasks.spawn(
        "signs",
        requests::serve(app.clone(), signs, tasks.token(), signs::answer),
    );
    let intents = subscribe(subjects::ALL_INTENTS).await?;
    tasks.spawn(
        "intents",
        requests::serve(app.clone(), intents, tasks.token(), intents::answer),
    );

    let consumer = app.topology.ensure_event_consumer().await?;
    tasks.spawn("reports", reports::run(app.clone(), consumer, tasks.token()));
    Ok(())
}

/// A reconciler that calls `operation` with this App each time.
fn on<Run, Operation: Fn(App) -> Run>(app: &App, operation: Operation) -> impl FnMut() -> Run + use<Run, Operation> {
    let app = app.clone();
    move || operation(app.clone())
}
