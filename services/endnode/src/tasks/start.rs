//! Starting the tasks of an enrolled node.

use std::future::Future;

use tokio::sync::{mpsc, watch};
use vpnmanager_runtime::{reconcile::Wake, tasks::Tasks};

use super::{
    acks::Acks,
    allow_list::{self, repair_allow_list},
    bus_watch::{self, BusWatch, Renewed},
    commands, drain,
    events::{self, publish_events},
    expiry::{self, expire},
    groups::{self, Members},
    heartbeats::{self, HeartbeatSettings},
    housekeeping::{self, forget_tombstones},
    intents::{self, carry_intents},
    issue::{self, IssueTask},
    network, node_requests,
    renewal::{self, Renewal},
    serving, session_history,
    session_reports::{self, publish_sessions},
    sessions::{self, cut_strangers},
    sync,
};
use crate::{
    apply::Issuer,
    coordination::{issue_queue::IssueJobs, new_start::NewStart},
    enrolled::Enrolled,
    management::ManagementPlace,
    network::Keeper,
    shared::Shared,
};

/// What single tasks need besides [`Shared`].
pub struct Inputs {
    /// Makes profiles.
    pub issuer: Issuer,
    /// The profiles to make.
    pub issue_jobs: IssueJobs,
    /// Changes with each connection to the bus.
    pub connections: watch::Receiver<u64>,
    /// How heartbeats are sent.
    pub heartbeat: HeartbeatSettings,
    /// The identity that the node connects with.
    pub enrolled: Enrolled,
    /// Renews the certificate of the server.
    pub renewal: Renewal,
    /// What that gives to save.
    pub renewals: mpsc::Receiver<Renewed>,
    /// Keeps the pool's network, where the agent runs OpenVPN.
    pub keeper: Option<Keeper>,
    /// Where management is, if that is configured.
    pub management: Option<ManagementPlace>,
    /// Ends this run for another one.
    pub new_start: NewStart,
}

/// Starts every task of an enrolled node.
pub fn start_tasks(shared: &Shared, inputs: Inputs, tasks: &Tasks) {
    let Shared {
        node, readiness, vpn, ..
    } = shared;
    let (share, stop) = (|| shared.clone(), || tasks.token());
    let acks = Acks::new(shared);
    let issue = IssueTask::new(inputs.issuer, acks.clone(), readiness.clone());
    let watch = BusWatch::new(share(), inputs.enrolled, inputs.management, inputs.new_start);
    let wakes = &node.wakes;

    tasks.spawn(
        "serving",
        serving::run(readiness.clone(), shared.applier.clone(), vpn.clone(), stop()),
    );
    if let Some(keeper) = inputs.keeper {
        tasks.spawn(
            "network",
            network::run(keeper, readiness.clone(), wakes.heartbeat.clone(), stop()),
        );
    }
    let members = Members {
        holding: shared.holding.clone(),
        definitions: shared.definitions.clone(),
        applier: shared.applier.clone(),
        vpn: vpn.clone(),
        readiness: readiness.clone(),
        allow_list: wakes.allow_list.clone(),
    };
    tasks.spawn("groups", groups::run(members, stop()));
    tasks.spawn(
        "drain",
        drain::run(node.clone(), vpn.clone(), shared.draining.clone(), stop()),
    );
    tasks.spawn("sync", sync::run(share(), inputs.connections, stop()));
    tasks.spawn("commands", commands::run(share(), acks, tasks.clone()));
    tasks.spawn("issue", issue::run(issue, inputs.issue_jobs, stop()));
    tasks.spawn("heartbeats", heartbeats::run(share(), inputs.heartbeat, stop()));
    tasks.spawn("node-requests", node_requests::run(share(), stop()));
    tasks.spawn("session-history", session_history::run(share(), stop()));
    tasks.spawn("bus-watch", bus_watch::run(watch, inputs.renewals, stop()));
    tasks.spawn("renewal", renewal::run(share(), inputs.renewal, stop()));

    tasks.reconcile(
        "expiry",
        &wakes.expiry,
        expiry::SCHEDULE,
        with(shared.applier.clone(), expire),
    );
    tasks.reconcile("sessions", &Wake::new(), sessions::PERIOD, with(share(), cut_strangers));
    tasks.reconcile(
        "allow-list",
        &wakes.allow_list,
        allow_list::PERIOD,
        with(share(), repair_allow_list),
    );
    tasks.reconcile("events", &wakes.events, events::SCHEDULE, with(share(), publish_events));
    tasks.reconcile(
        "session-reports",
        &wakes.session_reports,
        session_reports::SCHEDULE,
        with(share(), publish_sessions),
    );
    tasks.reconcile(
        "intents",
        &wakes.intents,
        intents::SCHEDULE,
        with(share(), carry_intents),
    );
    tasks.reconcile(
        "housekeeping",
        &Wake::new(),
        housekeeping::PERIOD,
        with(shared.journal.clone(), forget_tombstones),
    );
}

/// A reconciler that runs `operation` on a clone of `handle`.
fn with<Handle: Clone, Run: Future>(handle: Handle, operation: impl Fn(Handle) -> Run) -> impl FnMut() -> Run {
    move || operation(handle.clone())
}
