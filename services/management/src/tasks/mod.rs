//! Background loops. Each is safe to run in every replica at once.

use std::time::Duration;

use vpnmanager_nats::{subjects, topology::MANAGEMENT_GROUP};
use vpnmanager_runtime::{
    reconcile::{Schedule, Wake, drive},
    tasks::Tasks,
};

use crate::app::App;

mod ages;
mod bus;
mod drains;
mod failover;
mod heartbeats;
mod intents;
mod placer;
mod prompts;
mod publisher;
mod reports;
mod requests;
mod signs;
mod syncs;

/// A user that was created while a node came back may lack it, and the replica that was woken may have died: nobody else tells.
const PLACER_PERIOD: Duration = Duration::from_secs(15);

/// Starts them all.
///
/// # Errors
/// When the bus does not take the subscriptions.
pub async fn start(app: &App, tasks: &Tasks) -> anyhow::Result<()> {
    let reconciler =
        |name: &'static str, wake: &Wake, period| (name, wake.clone(), Schedule::every(period), tasks.token());
    let (name, wake, schedule, stop) = reconciler("publisher", &app.publisher, Duration::from_secs(1));
    tasks.spawn(
        name,
        drive(name, publisher::Publisher::new(app.clone()), wake, schedule, stop),
    );
    let (name, wake, schedule, stop) = reconciler("placer", &app.placer, PLACER_PERIOD);
    tasks.spawn(
        name,
        drive(name, placer::Placer::new(app.clone()), wake, schedule, stop),
    );
    let (name, wake, schedule, stop) = reconciler("node-ages", &Wake::new(), Duration::from_secs(1));
    tasks.spawn(name, drive(name, ages::Ages::new(app.clone()), wake, schedule, stop));
    let (name, wake, schedule, stop) = reconciler("failover", &Wake::new(), Duration::from_secs(1));
    tasks.spawn(
        name,
        drive(name, failover::Failover::new(app.clone()), wake, schedule, stop),
    );
    let (name, wake, schedule, stop) = reconciler("drains", &app.drains, Duration::from_secs(1));
    tasks.spawn(
        name,
        drive(name, drains::Drains::new(app.clone()), wake, schedule, stop),
    );
    let (name, wake, schedule, stop) = reconciler("prompts", &Wake::new(), Duration::from_secs(1));
    tasks.spawn(
        name,
        drive(name, prompts::Prompts::new(app.clone()), wake, schedule, stop),
    );
    let reconnected = Wake::new();
    let (name, wake, schedule, stop) = reconciler("bus-access", &reconnected, Duration::from_secs(60));
    tasks.spawn(
        name,
        drive(name, bus::BusReconciler::new(app.clone()), wake, schedule, stop),
    );
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
