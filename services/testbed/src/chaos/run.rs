//! One seed, from an empty stack to a report.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use chrono::Utc;
use fastrand::Rng;
use sea_orm::DatabaseConnection;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use vpnmanager_testbed::{
    api::Api,
    net::has_tunnels,
    postgres::Durability,
    stack::{NodeMode, Stack, StackOptions},
};

use super::{
    Chaos, agreement,
    bus_proxy::BusProxy,
    clock,
    commuter::{Commuted, Commuter},
    endings::Lists,
    engineer::Engineer,
    evidence,
    fault::Breakable,
    group::{Group, HELD},
    history::{self, Checked},
    homes,
    injector::{Injector, Shared},
    inventory, limits, logins, promises,
    reach::{Prober, Reach},
    read_only::ReadOnly,
    renewer::Renewer,
    report::Report,
    request::Requests,
    rush::Rush,
    steward::Steward,
    timeline::Timeline,
    totals::Compared,
    work::{Worked, Worker},
};
use crate::screen::say;

/// After all faults are healed, everything must agree within this time.
const CONVERGE: Duration = Duration::from_secs(120);
/// A convergence that takes longer than this leaves its evidence, as a violation does.
const SLOW: Duration = Duration::from_secs(30);
/// MiB of each node's disk.
const NODE_DISK: u32 = 64;
/// MiB of the disk of the bus.
const BUS_DISK: u32 = 64;
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
    let has_tunnels = has_tunnels().is_ok();
    let modes = modes(chaos, has_tunnels);
    let stack = Stack::start(StackOptions {
        nodes: u8::try_from(modes.len())?,
        pools: pools(&modes),
        modes: modes.clone(),
        managements: chaos.managements,
        durability: Durability::Durable,
        bus_ports: Some(proxy.ports),
        node_disk: has_tunnels.then_some(NODE_DISK),
        bus_disk: has_tunnels.then_some(BUS_DISK),
        management_env: limits::of_management(),
        node_env: limits::of_nodes(),
        ..StackOptions::default()
    })
    .await?;
    let of = Breakable {
        modes,
        managements: chaos.managements,
        tunnels: stack.network().is_ok(),
        clocks: clock::library().is_some(),
    };
    let tunnels = of.tunnels;
    let shared = Shared {
        timeline: Timeline::begin(),
        reach: Reach::new(usize::from(chaos.managements), of.nodes()),
        read_only: ReadOnly::default(),
    };
    let timeline = shared.timeline.clone();
    let mut rng = Rng::with_seed(seed);
    let stop = CancellationToken::new();
    Engineer::install(&stack).await?;
    Steward::install(&stack).await?;
    let mut commuter = None;
    if tunnels {
        let (hired, person) = Commuter::hire(&stack, &timeline).await?;
        commuter = Some((hired, person));
    }
    let database = stack.state().database_url();
    let prober = Prober::new(&stack, apis(chaos, &stack)?, shared.reach.clone()).await?;
    let (workers, rush) = set_to_work(chaos, &stack, &mut rng, (&shared, &stop))?;
    let mut injector = Injector::new(stack, proxy, rng.fork(), shared, of);
    let requests = Requests::new(apis(chaos, &injector.stack)?, timeline.clone());
    // Whoever comes later has a later share of the seed, so that it decides for all others what it decided before.
    let steward = Steward::new(&injector.stack, requests.clone(), rng.fork());
    let engineer = Engineer::new(&injector.stack, requests.clone(), rng.fork());
    let renewer = Renewer::new(&injector.stack, requests, rng.fork());
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
    let (healed, commuted, rushed, governed, built, renewed, mut compared, ()) = tokio::join!(
        torment,
        commute,
        rush.run(stop.clone()),
        steward.run(stop.clone()),
        engineer.run(stop.clone()),
        renewer.run(stop.clone()),
        Compared::watch(&database, &timeline, &stop),
        prober.run(stop.clone())
    );
    let healed = healed?;
    let mut worked = gather(workers, rushed).await;
    let ((governed, wordings), (built, networks), (renewed, reissues)) = (governed, built, renewed);
    for others in [governed, built, renewed] {
        worked.add(others);
    }
    worked.people.extend(commuter.map(|(_, person)| person));
    timeline.note("all workers are done");

    let db = inventory::connect(&injector.stack).await?;
    let (converged, disagreements) = converge(&mut injector, &db, healed).await?;
    timeline.note(format!("converged: {converged:?}"));
    let agreed = Utc::now();
    compared.compare(&db).await?;
    let mut violations = std::mem::take(&mut worked.violations);
    violations.extend(disagreements);
    violations.append(&mut worked.endings.violations);
    violations.append(&mut compared.violations);
    let stack = &injector.stack;
    violations.extend(promises::broken(stack, &db, &worked.people, &injector.lost_keys).await?);
    violations.extend(wordings.broken(&db).await?);
    violations.extend(networks.broken(&db).await?);
    let trail = inventory::audit_trail(&db).await?;
    violations.extend(reissues.unaccounted(&trail));
    violations.extend(homes::moved_in(&injector.outages, &trail));
    let mut tried = commuted.logins;
    violations.extend(commuted.violations);
    if tunnels {
        let (wrong, logins) = logins::wrong_logins(stack, &db, &worked.people, &mut rng).await?;
        violations.extend(wrong);
        tried += logins;
    }
    let mut sessions = Checked::default();
    if tunnels {
        sessions = history::check(stack, &db, &injector.losses, agreed).await;
        violations.append(&mut sessions.violations);
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
        rushes: worked.rushes,
        endings: worked.endings,
        totals: compared.times,
        faults,
        restarts,
        logins: tried,
        sessions,
        violations,
        converged,
        evidence: kept,
    })
}

/// The managed nodes, and where there are tunnels one whose OpenVPN an operator runs, one without any, and a managed one for the groups with
/// rules.
fn modes(chaos: &Chaos, has_tunnels: bool) -> Vec<NodeMode> {
    let mut modes = vec![NodeMode::Managed; usize::from(chaos.nodes)];
    if has_tunnels {
        modes.extend([NodeMode::External, NodeMode::None, NodeMode::Managed]);
    }
    modes
}

/// The pools of these nodes. The last one is alone in one where the agent of each node runs its OpenVPN, if there are others too.
fn pools(modes: &[NodeMode]) -> Vec<String> {
    let mut pools = vec![Group::Default.pool().to_owned(); modes.len()];
    if modes.contains(&NodeMode::External)
        && let Some(last) = pools.last_mut()
    {
        *last = HELD.to_owned();
    }
    pools
}

/// The APIs of all managements.
fn apis(chaos: &Chaos, stack: &Stack) -> anyhow::Result<Vec<Api>> {
    let mut apis = vec![stack.api()];
    for number in 2..=chaos.managements {
        apis.push(stack.replica_api(number)?);
    }
    Ok(apis)
}

fn set_to_work(
    chaos: &Chaos,
    stack: &Stack,
    rng: &mut Rng,
    (shared, stop): (&Shared, &CancellationToken),
) -> anyhow::Result<(JoinSet<Worked>, Rush)> {
    let first = Worker {
        number: 0,
        apis: apis(chaos, stack)?,
        groups: Group::of(stack),
        rng: rng.fork(),
        timeline: shared.timeline.clone(),
        lists: Lists::of(stack, shared.reach.clone(), chaos.promised),
        read_only: shared.read_only.clone(),
    };
    let mut workers = JoinSet::new();
    for number in 1..=chaos.workers {
        let worker = Worker {
            number,
            rng: rng.fork(),
            ..first.clone()
        };
        workers.spawn(worker.run(stop.clone()));
    }
    Ok((workers, Rush::new(stack, first)?))
}

async fn gather(workers: JoinSet<Worked>, rushed: Worked) -> Worked {
    let mut all = rushed;
    for worked in workers.join_all().await {
        all.add(worked);
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
