//! The background tasks. All replicas may run each of them at the same time.

use std::time::Duration;

use vpnmanager_runtime::{
    reconcile::{Next, Schedule, Wake},
    tasks::Tasks,
};

use crate::{
    app::App,
    ops::{
        audit_room,
        housekeeping::make_audit_partitions,
        nodes::{assess_ages::assess_ages, sum_totals::sum_totals, tell_draining::tell_draining},
    },
};

mod abandoned;
mod audit_checkpoints;
mod bus;
mod bus_watch;
mod certificates;
mod database;
mod due;
mod events;
mod explained;
mod failover;
mod handshakes;
mod housekeeping;
mod inbound;
mod leaving;
mod placer;
mod publisher;
mod quotas;
mod reissues;
mod restored;
mod revocations;
mod rollouts;
mod session_limits;
mod storage;
mod urgent;
mod webhooks;

const SECOND: Duration = Duration::from_secs(1);
/// A key that was revoked is dead within a second, also for who listens to events: it may be known as right for half of one before each look.
const LOOK_AT_KEYS: Duration = Duration::from_millis(400);
/// What this replica is asked for wakes its tasks. This finds what another replica was asked for and did not finish.
const LEFT_BY_OTHERS: Duration = Duration::from_secs(5);
/// Tasks that [`due`] wakes, and others that are woken, run so often in any case.
const UNWOKEN: Duration = Duration::from_secs(10);
/// A user that was created while a node returned may lack that node, and the replica that was woken may have died: nothing else would
/// find this.
const PLACER_PERIOD: Duration = Duration::from_secs(15);
/// What found no room in the audit trail is told after a minute: this says how exactly.
const SUMMARIES_PERIOD: Duration = Duration::from_secs(10);
/// How long the use of a key may be unrecorded.
const KEY_USES_PERIOD: Duration = Duration::from_secs(10);
const HOUR: Duration = Duration::from_secs(60 * 60);
/// The NATS server may lose revocations or streams without a reconnect.
const BUS_PERIOD: Duration = Duration::from_secs(60);

/// How often refused callers are recorded in the audit trail, at most.
const REFUSALS_PERIOD: Duration = Duration::from_secs(60);

/// When tasks run that [`due`] wakes. What failed is tried again within a second all the same.
fn when_due() -> Schedule {
    Schedule {
        period: UNWOKEN,
        ..Schedule::every(SECOND)
    }
}

/// Starts all tasks.
pub async fn start(app: &App, tasks: &Tasks) -> anyhow::Result<()> {
    let unwoken = Wake::new();
    let due = due::Wakes::default();
    let background = explained::Background {
        tasks,
        reach: &app.reach,
    };
    background.reconcile(
        "publisher",
        &app.publisher,
        when_due(),
        publisher::Publisher::new(app.clone()),
    );
    background.reconcile(
        "urgent-commands",
        &app.urgent,
        when_due(),
        urgent::Urgent::new(app.clone(), tasks),
    );
    background.reconcile("placer", &app.placer, PLACER_PERIOD, placer::Placer::new(app.clone()));
    background.reconcile(
        "node-ages",
        &due.node_ages,
        when_due(),
        on(app, |app| async move { assess_ages(&app).await }),
    );
    background.reconcile(
        "node-totals",
        &due.node_totals,
        when_due(),
        on(app, |app| async move { sum_totals(&app.leases).await }),
    );
    background.reconcile(
        "failover",
        &due.failover,
        when_due(),
        failover::Failover::new(app.clone()),
    );
    background.reconcile(
        "drains",
        &app.drains,
        LEFT_BY_OTHERS,
        on(app, |app| async move { tell_draining(&app).await }),
    );
    background.reconcile(
        "revocations",
        &app.revocations,
        LEFT_BY_OTHERS,
        on(app, revocations::revoke),
    );
    background.reconcile("reissues", &app.reissues, LEFT_BY_OTHERS, on(app, reissues::go_on));
    background.reconcile("rollouts", &app.rollouts, LEFT_BY_OTHERS, on(app, rollouts::go_on));
    background.reconcile(
        "quotas",
        &app.quotas,
        quotas::PERIOD,
        quotas::QuotaReview::new(app.clone()),
    );
    background.reconcile("leaving-nodes", &unwoken, LEFT_BY_OTHERS, on(app, leaving::go_on));
    background.reconcile(
        "handshakes",
        &due.handshakes,
        when_due(),
        handshakes::Handshakes::new(app.clone()),
    );
    background.reconcile(
        "session-limits",
        app.newly_connected.wake(),
        when_due(),
        session_limits::SessionLimits::new(app.clone(), tasks),
    );
    let restored = restored::watch(app.leases.clone(), due.restored.clone(), tasks.token());
    tasks.spawn("restored", restored);
    background.reconcile("due", &unwoken, SECOND, due::DueWatch::new(app.clone(), due));
    background.reconcile(
        "refusals",
        &unwoken,
        REFUSALS_PERIOD,
        on(app, |app| async move {
            app.gatekeeper
                .record(&app.db, &app.config.server_id)
                .await
                .map(|()| Next::Idle)
        }),
    );
    background.reconcile(
        "key-uses",
        &unwoken,
        KEY_USES_PERIOD,
        on(app, |app| async move {
            app.keys.uses().record(&app.db).await.map(|()| Next::Idle)
        }),
    );
    background.reconcile(
        "audit-partitions",
        &unwoken,
        HOUR,
        on(app, |app| async move { make_audit_partitions(&app.db).await }),
    );
    background.reconcile(
        "audit-summaries",
        &unwoken,
        SUMMARIES_PERIOD,
        on(app, |app| async move { audit_room::summarise(&app.db).await.map(drop) }),
    );
    background.reconcile(
        "audit-checkpoints",
        &unwoken,
        audit_checkpoints::PERIOD,
        audit_checkpoints::AuditCheckpoints::new(app.clone()),
    );
    background.reconcile(
        "housekeeping",
        &unwoken,
        HOUR,
        housekeeping::Housekeeping::new(app.clone()),
    );
    background.reconcile("events", app.events.wake(), SECOND, events::Events::new(app.clone()));
    background.reconcile(
        "keys-of-streams",
        &unwoken,
        LOOK_AT_KEYS,
        on(app, |app| async move {
            app.events.check_keys(&app.keys).await;
            Ok::<_, anyhow::Error>(Next::Idle)
        }),
    );
    background.reconcile(
        "webhooks",
        &app.webhooks,
        SECOND,
        webhooks::Webhooks::new(app.clone(), tasks),
    );
    background.reconcile("certificates", &unwoken, HOUR, on(app, certificates::look_at));
    let every = app.config.health.storage_probe;
    background.reconcile(
        "bus-storage",
        &app.storage_probe,
        every,
        storage::StorageProbe::new(app.clone()),
    );
    background.reconcile(
        "database-watch",
        &unwoken,
        SECOND,
        database::DatabaseWatch::new(app.clone()),
    );
    background.reconcile("bus-watch", &unwoken, SECOND, bus_watch::BusWatch::new(app.clone()));
    tasks.spawn("database-abandoned", abandoned::watch(app.reach.clone(), tasks.token()));
    let reconnected = Wake::new();
    background.reconcile("bus-access", &reconnected, BUS_PERIOD, on(app, bus::keep));
    tasks.spawn(
        "bus-connections",
        bus::follow_connections(app.bus.connections.clone(), reconnected.clone(), tasks.token()),
    );

    inbound::start(app, tasks, &reconnected).await
}

/// A reconciler that calls `operation` with this App each time.
fn on<Run, Operation: Fn(App) -> Run>(app: &App, operation: Operation) -> impl FnMut() -> Run + use<Run, Operation> {
    let app = app.clone();
    move || operation(app.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::keys::authenticate::RIGHT_FOR;

    /// Another request may have had the key looked up just before it was revoked.
    #[test]
    fn the_streams_of_a_revoked_key_end_within_a_second() {
        assert!(RIGHT_FOR + LOOK_AT_KEYS < SECOND);
    }

    /// A revocation would wait for it.
    #[test]
    fn what_failed_is_tried_again_within_a_second_however_often_it_failed() {
        for failures in 0..40 {
            assert!(when_due().backoff.after(failures) <= SECOND, "after {failures}");
        }
    }
}
