//! What nodes send: heartbeats, requests, acks, events and sessions.
//!
//! A node may send anything, at any rate. So each node has a subscription, queues and a stream of its own: what it sends too much
//! delays and displaces nothing of another node. Answers and commands leave on another connection than all this arrives on.

use std::time::Duration;

use tokio::sync::mpsc;
use vpnmanager_runtime::{reconcile::Wake, tasks::Tasks};

use self::{connections::Connections, heartbeats::Mailbox, listeners::Listeners};
use crate::{app::App, tasks::explained::Background};

mod listener;
mod listeners;
mod marks;
mod shared;
mod strangers;
mod verdicts;

mod connections;
mod hearing;
mod heartbeats;
mod intents;
mod requests;
mod signs;
mod syncs;

mod judging;
mod report_sources;
mod reports;
mod session_reports;
mod settling;

/// How often to look for nodes that another replica registered.
const LOOK: Duration = Duration::from_secs(1);
/// Verdicts and sources that wait for their task.
const ROOM: usize = 256;

pub(super) async fn start(app: &App, tasks: &Tasks, bus_access: &Wake) -> anyhow::Result<()> {
    let mailbox = Mailbox::default();
    let (verdicts, judged) = mpsc::channel(ROOM);
    let (sources, opened) = mpsc::channel(ROOM);
    let connections = Connections::new(app.clone(), verdicts.clone());
    let background = Background {
        tasks,
        reach: &app.reach,
    };
    background.reconcile("node-connections", &Wake::new(), connections::EVERY, connections);
    let listeners = Listeners::new(app.clone(), tasks, mailbox.clone(), verdicts, sources);
    tasks.spawn(
        "verdicts",
        verdicts::run(app.clone(), judged, bus_access.clone(), tasks.token()),
    );
    tasks.spawn(
        "heartbeats",
        heartbeats::run(app.clone(), mailbox.clone(), tasks.token()),
    );
    tasks.spawn("reports", reports::run(app.clone(), opened, tasks.token()));
    background.reconcile("listeners", &app.listeners, LOOK, listeners);
    tasks.spawn(
        "strangers",
        strangers::run(app.clone(), strangers::subscribe(app).await?, tasks.token()),
    );
    tasks.spawn("hearing", hearing::run(app.clone(), mailbox, tasks.token()));
    Ok(())
}
