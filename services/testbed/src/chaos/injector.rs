//! Injects faults, heals them, and restarts services that ended by themselves, as systemd would.

mod heal;
mod inject;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use fastrand::Rng;
use vpnmanager_testbed::stack::{NodeMode, Part, Stack};

use super::{
    bus_proxy::BusProxy,
    fault::{Breakable, Fault, Harm, Target},
    history::Losses,
    limits::OUTAGE,
    pause::Paused,
    reach::{Reach, Scope},
    read_only::ReadOnly,
    timeline::Timeline,
};

/// The most faults at the same time.
const AT_ONCE: usize = 3;
const LOOK: Duration = Duration::from_millis(100);
/// The port of a node that is configured anew for a while.
pub(super) const OTHER_PORT: &str = "1300";
/// A service that ends by itself is started again after this time.
const RESTART: Duration = Duration::from_secs(1);
/// Seconds between a planned fault and the end of a run, or another planned fault.
const SLACK: f64 = 8.0;
/// The second of two planned faults comes after so many seconds at the earliest.
const EARLIEST_SECOND: f64 = 16.0;

/// The stack and its current faults.
pub(super) struct Injector {
    pub(super) stack: Stack,
    rng: Rng,
    timeline: Timeline,
    of: Breakable,
    proxy: BusProxy,
    wrong: Vec<Wrong>,
    ended: BTreeMap<String, Instant>,
    /// The number of faults by kind.
    pub(super) faults: BTreeMap<String, usize>,
    /// How often a service ended by itself and was started again.
    pub(super) restarts: BTreeMap<String, usize>,
    /// Nodes that lost keys with their journal.
    pub(super) lost_keys: BTreeSet<String>,
    /// When reports of sessions may have been lost.
    pub(super) losses: Losses,
    /// When the bus was away for long.
    pub(super) outages: Vec<Outage>,
    reach: Reach,
    read_only: ReadOnly,
}

/// A long outage of the bus.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outage {
    pub(super) from: DateTime<Utc>,
    pub(super) until: DateTime<Utc>,
}

/// What the injector shares with those whose work it disturbs.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) timeline: Timeline,
    pub(super) reach: Reach,
    pub(super) read_only: ReadOnly,
}

/// A fault that is not healed yet.
struct Wrong {
    fault: Fault,
    until: Instant,
    remedy: Remedy,
    began: DateTime<Utc>,
}

enum Remedy {
    /// Start the part.
    Start(Part),
    /// Continue the process.
    GoOn(Paused),
    /// Plug in the cable.
    Plug(u8),
    /// Stop losing packets.
    Carry(u8),
    /// Stop delaying.
    Hurry(u8),
    /// Make room on the disk.
    MakeRoom(u8),
    /// Make room on the disk of the bus, and restart it.
    MakeRoomForBus,
    /// Let PostgreSQL take changes.
    Thaw,
    /// Start the agent again with the correct time.
    TrueTime(u8),
    /// Start the agent again with its usual port.
    UsualPort(u8),
    /// Only wait.
    Time,
}

impl Injector {
    pub(super) fn new(stack: Stack, proxy: BusProxy, rng: Rng, shared: Shared, of: Breakable) -> Self {
        let Shared {
            timeline,
            reach,
            read_only,
        } = shared;
        Self {
            stack,
            rng,
            timeline,
            of,
            proxy,
            wrong: Vec::new(),
            ended: BTreeMap::new(),
            faults: BTreeMap::new(),
            restarts: BTreeMap::new(),
            lost_keys: BTreeSet::new(),
            losses: Losses::default(),
            outages: Vec::new(),
            reach,
            read_only,
        }
    }

    /// Injects faults for this long.
    pub(super) async fn torment(&mut self, duration: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + duration;
        let mut next = Instant::now() + Duration::from_millis(500);
        let mut plan = self.plan(duration);
        while Instant::now() < end {
            self.heal(Instant::now()).await?;
            self.look_after().await?;
            if let Some((at, fault)) = plan.front().copied()
                && Instant::now() >= at
                && !self.is_busy(fault.target())
            {
                self.inject(fault).await?;
                plan.pop_front();
            }
            if Instant::now() >= next && self.wrong.len() < AT_ONCE {
                for fault in Fault::draw(&mut self.rng, &self.of) {
                    if !self.is_busy(fault.target()) {
                        self.inject(fault).await?;
                    }
                }
                next = Instant::now() + Duration::from_millis(self.rng.u64(200..2500));
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Faults that every run has once, if it is long enough, with their times: so that the outage ends before the run does, and no other
    /// fault of the bus lasts when it begins.
    fn plan(&mut self, duration: Duration) -> VecDeque<(Instant, Fault)> {
        let outage = OUTAGE.as_secs_f64();
        let latest = duration.as_secs_f64() - outage - SLACK;
        if latest < EARLIEST_SECOND {
            return VecDeque::new();
        }
        let now = Instant::now();
        let mut between = |from: f64, to: f64| from + self.rng.f64() * (to - from);
        let (full, away) = if between(0.0, 1.0) < 0.5 {
            (between(2.0, 5.0), between(EARLIEST_SECOND, latest))
        } else {
            let away = between(2.0, latest - SLACK);
            (away + outage + between(1.0, SLACK), away)
        };
        let mut plan = vec![(away, Fault::BusOutage)];
        if self.of.tunnels {
            plan.push((full, Fault::FillBusDisk));
        }
        plan.sort_by(|one, other| one.0.total_cmp(&other.0));
        let plan = plan.into_iter();
        plan.map(|(after, fault)| (now + Duration::from_secs_f64(after), fault))
            .collect()
    }

    /// Heals everything.
    pub(super) async fn relent(&mut self) -> anyhow::Result<()> {
        for wrong in &mut self.wrong {
            wrong.until = Instant::now();
        }
        self.heal(Instant::now()).await?;
        self.look_after().await
    }

    /// Starts services that ended by themselves a while ago.
    pub(super) async fn look_after(&mut self) -> anyhow::Result<()> {
        for part in self.services() {
            if self.is_busy(Target::Part(part)) || self.stack.process(part).is_some() {
                self.ended.remove(&part.to_string());
                continue;
            }
            self.reach.interrupt(Scope::of(part));
            let noticed = *self.ended.entry(part.to_string()).or_insert_with(Instant::now);
            if noticed.elapsed() >= RESTART {
                self.timeline
                    .note(format!("{part} has ended by itself and is started again"));
                *self.restarts.entry(part.to_string()).or_default() += 1;
                self.ended.remove(&part.to_string());
                self.stack.launch_part(part)?;
            }
        }
        Ok(())
    }

    pub(super) fn note(&self, line: &str) {
        self.timeline.note(line);
    }

    fn managements(&self) -> Vec<Part> {
        let replicas = (2..=self.of.managements).map(Part::Replica);
        std::iter::once(Part::Management).chain(replicas).collect()
    }

    fn services(&self) -> Vec<Part> {
        let replicas = (2..=self.of.managements).map(Part::Replica);
        let nodes = (1..=self.of.nodes()).map(Part::Node);
        // Nobody else starts these again: that is the operator's.
        let servers = self.stack.nodes().filter(|node| node.mode() == NodeMode::External);
        let servers = servers.map(|node| Part::Openvpn(node.number()));
        let services = std::iter::once(Part::Management).chain(replicas).chain(nodes);
        services.chain(servers).collect()
    }

    fn is_busy(&self, target: Target) -> bool {
        self.wrong.iter().any(|wrong| wrong.fault.target() == target)
    }

    /// What the fault took from those who end access, it takes no longer.
    fn let_go(&self, fault: Fault) {
        match fault.harm() {
            Harm::None | Harm::AtFirst(_) => {}
            Harm::AtLast(scope) | Harm::AtBothEnds(scope) => self.reach.interrupt(scope),
            Harm::Throughout(scope) => self.reach.release(scope),
        }
    }
}
