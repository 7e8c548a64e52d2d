//! One seed, from an empty stack to a report.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use fastrand::Rng;
use sea_orm::DatabaseConnection;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use vpnmanager_testbed::{
    net::has_tunnels,
    postgres::Durability,
    stack::{Stack, StackOptions},
};

use super::{
    Chaos, agreement,
    bus_proxy::BusProxy,
    clock,
    commuter::{Commuted, Commuter},
    evidence,
    fault::Breakable,
    injector::Injector,
    inventory, logins, promises,
    report::Report,
    timeline::Timeline,
    work::{Worked, Worker},
};
use crate::screen::say;

/// After all faults are healed, everything must agree within this time.
const CONVERGE: Duration = Duration::from_secs(120);
/// A convergence that takes longer than this leaves its evidence, as a violation does.
const SLOW: Duration = Duration::from_secs(30);
/// MiB of each node's disk.
const NODE_DISK: u32 = 64;
const LOOK: Duration = Duration::from_millis(250);

/// Runs one seed.
///
/// # Errors
/// If the stack cannot be built. Violations are no error: they are in the report.
pub(super) async fn run(chaos: &Chaos, seed: u64) -> anyhow::Result<Report> {
    say(format_args!(
        "chaos: seed {seed}, {} of faults",
        humantime::format_duration(chaos.duration)
    ));
    let proxy = BusProxy::start().await?;
    let stack = Stack::start(StackOptions {
        nodes: chaos.nodes,
        managements: chaos.managements,
        durability: Durability::Durable,
        bus_ports: Some(proxy.ports),
        node_disk: has_tunnels().is_ok().then_some(NODE_DISK),
        ..StackOptions::default()
    })
    .await?;
    let timeline = Timeline::begin();
    let mut rng = Rng::with_seed(seed);
    let of = Breakable {
        nodes: chaos.nodes,
        managements: chaos.managements,
        tunnels: stack.network().is_ok(),
        clocks: clock::library().is_some(),
    };
    let stop = CancellationToken::new();
    let mut commuter = None;
    if of.tunnels {
        let (hired, person) = Commuter::hire(&stack, &timeline).await?;
        commuter = Some((hired, person));
    }
    let workers = set_to_work(chaos, &stack, &mut rng, (&timeline, &stop))?;
    let mut injector = Injector::new(stack, proxy, rng.fork(), timeline.clone(), of);
    let torment = async {
        let tormented = injector.torment(chaos.duration).await;
        let healed = injector.relent().await.map(|()| Instant::now());
        timeline.note("all faults are healed");
        stop.cancel();
        tormented.and(healed)
    };
    let commute = async {
        match &commuter {
            Some((commuter, _)) => commuter.run(stop.clone()).await,
            None => Commuted::default(),
        }
    };
    let (healed, commuted) = tokio::join!(torment, commute);
    let healed = healed?;
    let mut worked = gather(workers).await;
    worked.people.extend(commuter.map(|(_, person)| person));
    timeline.note("all workers are done");

    let db = inventory::connect(&injector.stack).await?;
    let (converged, disagreements) = converge(&mut injector, &db, healed).await?;
    timeline.note(format!("converged: {converged:?}"));
    let mut violations = std::mem::take(&mut worked.violations);
    violations.extend(disagreements);
    let stack = &injector.stack;
    violations.extend(promises::broken(stack, &db, &worked.people, &injector.lost_keys).await?);
    let mut tried = commuted.logins;
    violations.extend(commuted.violations);
    if of.tunnels {
        let (wrong, logins) = logins::wrong_logins(stack, &db, &worked.people, &mut rng).await?;
        violations.extend(wrong);
        tried += logins;
    }
    for violation in &violations {
        timeline.note(format!("VIOLATION {violation}"));
    }
    let mut kept = None;
    if chaos.keep || !violations.is_empty() || converged.is_none_or(|after| after > SLOW) {
        kept = Some(evidence::keep(stack, &db, (&chaos.out, seed), &timeline).await?);
    }
    // If closing fails, the server ends the connection.
    let _ = db.close().await;
    let Injector {
        stack,
        faults,
        restarts,
        ..
    } = injector;
    stack.down().await;
    Ok(Report {
        seed,
        operations: worked.counts,
        faults,
        restarts,
        logins: tried,
        violations,
        converged,
        evidence: kept,
    })
}

fn set_to_work(
    chaos: &Chaos,
    stack: &Stack,
    rng: &mut Rng,
    (timeline, stop): (&Timeline, &CancellationToken),
) -> anyhow::Result<JoinSet<Worked>> {
    let mut apis = vec![stack.api()];
    for number in 2..=chaos.managements {
        apis.push(stack.replica_api(number)?);
    }
    let mut workers = JoinSet::new();
    for number in 1..=chaos.workers {
        let worker = Worker {
            number,
            apis: apis.clone(),
            rng: rng.fork(),
            timeline: timeline.clone(),
        };
        workers.spawn(worker.run(stop.clone()));
    }
    Ok(workers)
}

async fn gather(workers: JoinSet<Worked>) -> Worked {
    let mut all = Worked::default();
    for worked in workers.join_all().await {
        all.people.extend(worked.people);
        all.violations.extend(worked.violations);
        for (kind, times) in worked.counts {
            *all.counts.entry(kind).or_default() += times;
        }
    }
    // The order in which workers end differs between runs; only the seed should decide the order here.
    all.people.sort_by(|one, other| one.username.cmp(&other.username));
    all
}

/// Waits until everything agrees, and returns how long that took. At the deadline returns the remaining disagreements.
async fn converge(
    injector: &mut Injector,
    db: &DatabaseConnection,
    since: Instant,
) -> anyhow::Result<(Option<Duration>, Vec<String>)> {
    let mut seen = BTreeSet::new();
    loop {
        injector.look_after().await?;
        let disagreements = agreement::disagreements(&injector.stack, db).await;
        if disagreements.is_empty() {
            return Ok((Some(since.elapsed()), Vec::new()));
        }
        if since.elapsed() >= CONVERGE {
            let told = disagreements.into_iter();
            return Ok((None, told.map(|what| format!("not converged: {what}")).collect()));
        }
        for what in disagreements {
            if seen.insert(what.clone()) {
                injector.note(&format!("not yet: {what}"));
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}
