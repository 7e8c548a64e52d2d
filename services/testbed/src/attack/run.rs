//! One attack, measured.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{FutureExt as _, future::LocalBoxFuture};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{
    catalogue::{Attack, Bound, Deed},
    credential::Credential,
    flood::Offered,
    gauge::{Gauge, Used},
    operator::{Operator, Pace, Sight},
    scene::{STOLEN, Scene},
    size::Size,
    stored::Stored,
    wrong::Before,
};
use crate::{
    bench::{Latencies, Summary},
    giving_way,
};

/// The most memory of management, MiB.
const MANAGEMENT_MIB: f64 = 200.0;
/// The most that an attack may leave in the database, in MB. Honest callers leave some too.
const DATABASE_MB: f64 = 100.0;
/// The most lines of log that an attack may have management write.
const LOG_LINES: i64 = 2_000;
/// Others' creates under a flood may take so many times their p99 without.
const TWICE: f64 = 2.0;

/// The result of one attack.
#[derive(Debug, Serialize)]
pub(super) struct Result {
    pub(super) attack: &'static str,
    /// Its creates are those of all calm phases so far.
    pub(super) calm: Measured,
    /// The same flood where nobody hears it.
    pub(super) floor: Option<Measured>,
    pub(super) during: Measured,
    /// What it left in the database, with what the honest callers did meanwhile.
    pub(super) stored: Stored,
    /// What management says of the stolen node at the end.
    pub(super) thief: String,
    pub(super) wrong: Vec<String>,
    pub(super) broken: Vec<String>,
    pub(super) notes: Vec<String>,
}

/// One phase.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Measured {
    pub(super) offered: Offered,
    pub(super) used: Used,
    pub(super) creates: Summary,
    pub(super) lists: Summary,
    pub(super) health: Summary,
    pub(super) failed_creates: u64,
    pub(super) failed_reads: u64,
}

impl Result {
    /// Whether nothing is wrong.
    pub(super) fn holds(&self) -> bool {
        self.wrong.is_empty() && self.broken.is_empty()
    }
}

/// How the phases are measured.
#[derive(Debug, Clone, Copy)]
struct Times {
    pace: Pace,
    calm: Duration,
    /// The honest callers go on for this long after an attack has ended.
    after: Duration,
}

impl Times {
    fn of(size: Size) -> Self {
        match size {
            Size::Full => Self {
                pace: Pace {
                    creates: Duration::from_millis(50),
                    reads: Duration::from_millis(50),
                },
                calm: Duration::from_secs(8),
                after: Duration::from_secs(4),
            },
            Size::Short => Self {
                pace: Pace {
                    creates: Duration::from_millis(200),
                    reads: Duration::from_millis(200),
                },
                calm: Duration::ZERO,
                after: Duration::from_millis(500),
            },
        }
    }
}

/// Attacks a scene. `round` makes names new. `calm_creates`: what creates took in the calm phases of the attacks before; those of this one are
/// added, because p99 of 160 alone is what two of them met.
pub(super) async fn attack(
    attack: &Attack,
    scene: &Arc<Scene>,
    (size, round): (Size, usize),
    calm_creates: &mut Latencies,
) -> anyhow::Result<Result> {
    let times = Times::of(size);
    let operator = Arc::new(Operator::new(scene, round)?);
    let (mut calm, mut floor) = (Measured::default(), None);
    if size == Size::Full {
        let nothing = std::future::ready(Ok(Offered::default()));
        let sight;
        (calm, sight) = phase(scene, &operator, times, nothing).await?;
        calm_creates.add(&sight.creates);
        calm.creates = calm_creates.summary();
    }
    if let (Deed::Flood(flood), Size::Full) = (attack.deed, size) {
        let bystander = Credential::of_file(&scene.stack.nats_creds())?;
        let unheard = apart(scene, size, move |scene| {
            async move { flood(scene, size).unheard().send(scene.bus(), &bystander).await }.boxed_local()
        });
        floor = Some(phase(scene, &operator, times, unheard).await?.0);
    }
    let stored = Stored::look(scene).await?;
    let before = Before::look(scene, operator.api(), size, round).await?;
    let (during, sight) = match attack.deed {
        Deed::Flood(flood) => {
            let flooding = apart(scene, size, move |scene| {
                async move {
                    let flood = flood(scene, size).sized(size);
                    flood.send(scene.bus(), &scene.thief).await
                }
                .boxed_local()
            });
            phase(scene, &operator, times, flooding).await?
        }
        Deed::Act(act) => {
            phase(
                scene,
                &operator,
                times,
                apart(scene, size, move |scene| act(scene, size)),
            )
            .await?
        }
    };
    let mut wrong = during.offered.wrong.clone();
    let found = before.look_again(scene, operator.api(), &sight).await?;
    wrong.extend(found.wrong);
    let mut notes = sight.told;
    notes.extend(during.offered.notes.clone());
    notes.extend(found.notes);
    let thief = match operator.api().endnode(STOLEN).await {
        Ok(answer) => {
            let word = |field: &str| answer.body[field].as_str().unwrap_or_default().to_owned();
            let state = word("state");
            // A healthy node may have a reason too: its agent runs no OpenVPN here.
            let reason = if state == "healthy" {
                String::new()
            } else {
                word("state_reason")
            };
            format!("{state} {reason}").trim().to_owned()
        }
        Err(error) => error.to_string(),
    };
    let mut result = Result {
        attack: attack.name,
        calm,
        floor,
        during,
        stored: stored.since(scene).await.unwrap_or_default(),
        thief,
        wrong,
        broken: Vec::new(),
        notes,
    };
    result.broken = broken(attack, &result, size);
    Ok(result)
}

/// Lets the thief work on a thread of his own, which gives way in the full form. In the short one nothing is measured, and beside other tests
/// such a thread would hardly run at all.
async fn apart<D>(scene: &Arc<Scene>, size: Size, deed: D) -> anyhow::Result<Offered>
where
    D: for<'a> FnOnce(&'a Scene) -> LocalBoxFuture<'a, anyhow::Result<Offered>> + Send + 'static,
{
    let scene = Arc::clone(scene);
    giving_way::apart("thief", size == Size::Full, async move || deed(&scene).await).await
}

/// Lets the honest callers work while `deed` is done, and a while longer.
async fn phase(
    scene: &Scene,
    operator: &Arc<Operator>,
    times: Times,
    deed: impl Future<Output = anyhow::Result<Offered>>,
) -> anyhow::Result<(Measured, Sight)> {
    let stop = CancellationToken::new();
    let gauge = Gauge::begin(&scene.stack);
    let done = async {
        let begun = Instant::now();
        let offered = deed.await;
        let rest = times.after.max(times.calm.saturating_sub(begun.elapsed()));
        tokio::time::sleep(rest).await;
        stop.cancel();
        offered
    };
    let (offered, sight) = tokio::join!(done, operator.work(times.pace, &stop));
    let measured = Measured {
        offered: offered?,
        used: gauge.read(),
        creates: sight.creates.summary(),
        lists: sight.lists.summary(),
        health: sight.health.summary(),
        failed_creates: sight.failed_creates,
        failed_reads: sight.failed_reads,
    };
    Ok((measured, sight))
}

/// The bounds that do not hold. In the short form only those that do not depend on speed are looked at.
fn broken(attack: &Attack, result: &Result, size: Size) -> Vec<String> {
    let mut broken = Vec::new();
    let during = &result.during;
    if during.used.management_mib > MANAGEMENT_MIB {
        broken.push(format!(
            "management took {:.0} MiB, more than {MANAGEMENT_MIB}",
            during.used.management_mib
        ));
    }
    if result.stored.megabytes() > DATABASE_MB {
        broken.push(format!(
            "the database grew by {:.0} MB, more than {DATABASE_MB}",
            result.stored.megabytes()
        ));
    }
    if during.failed_creates >= during.creates.count {
        broken.push(format!(
            "none of {} creates of others came true: nothing was tested",
            during.creates.count
        ));
    }
    // In the short form half as much again: beside other tests nats-server comes late to what it can free.
    let most_bus_growth = attack
        .bound
        .most_bus_growth()
        .map(|most| size.pick(most, most + most / 2));
    if let Some(most) = most_bus_growth
        && during.used.bus_growth_mib > f64::from(most)
    {
        broken.push(format!(
            "nats-server grew by {:.0} MiB, more than {most}",
            during.used.bus_growth_mib
        ));
    }
    if size == Size::Short {
        return broken;
    }
    if result.stored.log_lines > LOG_LINES {
        broken.push(format!(
            "management wrote {} lines of log, more than {LOG_LINES}",
            result.stored.log_lines
        ));
    }
    if during.failed_creates + during.failed_reads > 0 {
        broken.push(format!(
            "{} creates and {} reads of others failed",
            during.failed_creates, during.failed_reads
        ));
    }
    let ratio = during.creates.p99_ms / result.calm.creates.p99_ms;
    if attack.bound == Bound::Twice && ratio > TWICE {
        broken.push(format!(
            "others' creates took {ratio:.1} times their p99, more than {TWICE}"
        ));
    }
    broken
}
