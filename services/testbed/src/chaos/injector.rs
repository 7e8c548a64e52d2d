//! Injects faults, heals them, and restarts services that ended by themselves, as systemd would.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use fastrand::Rng;
use vpnmanager_testbed::{
    stack::{NodeMode, Part, Stack},
    wait,
};

use super::{
    bus_proxy::BusProxy,
    clock, commuter,
    fault::{Breakable, Fault, Harm, Target},
    files,
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
const DELAY: Duration = Duration::from_millis(200);
const HOUR: i32 = 3600;
/// The port of a node that is configured anew for a while.
pub(super) const OTHER_PORT: &str = "1300";
/// A service that ends by itself is started again after this time.
const RESTART: Duration = Duration::from_secs(1);
/// Seconds between a planned fault and the end of a run, or another planned fault.
const SLACK: f64 = 8.0;
/// The second of two planned faults comes after so many seconds at the earliest.
const EARLIEST_SECOND: f64 = 16.0;
/// How long PostgreSQL may take to be told that it takes changes again.
const THAW: Duration = Duration::from_secs(15);
/// An agent starts a dead OpenVPN again within this time.
const REVIVE: Duration = Duration::from_secs(8);

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

    async fn inject(&mut self, fault: Fault) -> anyhow::Result<()> {
        let mut until = Instant::now() + fault.lasts(&mut self.rng);
        let mut detail = String::new();
        let began = Utc::now();
        match fault.harm() {
            Harm::None | Harm::AtLast(_) => {}
            Harm::AtFirst(scope) | Harm::AtBothEnds(scope) => self.reach.interrupt(scope),
            Harm::Throughout(scope) => self.reach.hold(scope),
        }
        let remedy = match fault {
            Fault::Kill(part) => {
                self.stack.kill_part(part).await?;
                if matches!(part, Part::Openvpn(number) if self.stack.state().mode(number) == NodeMode::Managed) {
                    until = Instant::now() + REVIVE;
                    Remedy::Time
                } else {
                    Remedy::Start(part)
                }
            }
            Fault::Pause(part) => match self.stack.process(part) {
                Some(process) => Remedy::GoOn(Paused::pause(process)),
                None => {
                    self.let_go(fault);
                    return Ok(());
                }
            },
            Fault::WipeBus => {
                self.stack.kill_part(Part::Nats).await?;
                files::empty_folder(&self.stack.state().bus_store())?;
                self.losses.note_bus();
                Remedy::Start(Part::Nats)
            }
            Fault::BusOutage => {
                self.stack.stop_part(Part::Nats).await?;
                Remedy::Start(Part::Nats)
            }
            Fault::FillBusDisk => {
                detail = files::fill_disk(&self.stack.state().bus_store())?;
                Remedy::MakeRoomForBus
            }
            Fault::ReadOnly => {
                let url = self.stack.state().database_url();
                if let Err(error) = self.read_only.begin(&url).await {
                    // It may have heard of it all the same: it is told the contrary when the fault ends.
                    detail = format!("PostgreSQL did not hear of it in time: {error:#}");
                }
                Remedy::Thaw
            }
            Fault::DeleteJournal(number) => {
                self.stack.kill_part(Part::Node(number)).await?;
                detail = files::delete_journal(&self.stack.node(number)?.dir())?;
                self.note_lost_journal(number);
                Remedy::Start(Part::Node(number))
            }
            Fault::TruncateJournal(number) => {
                self.stack.kill_part(Part::Node(number)).await?;
                detail = files::truncate_journal(&self.stack.node(number)?.dir(), &mut self.rng)?;
                self.note_lost_journal(number);
                Remedy::Start(Part::Node(number))
            }
            Fault::AddAllowed(number) => {
                detail = files::add_allowed(&self.stack.node(number)?.allow_dir(), &mut self.rng)?;
                Remedy::Time
            }
            Fault::RemoveAllowed(number) => {
                detail = files::remove_allowed(&self.stack.node(number)?.allow_dir(), commuter::NAME, &mut self.rng)?;
                Remedy::Time
            }
            Fault::CutLink(number) => {
                self.stack.node(number)?.namespace()?.cut().await?;
                Remedy::Plug(number)
            }
            Fault::LosePackets(number) => {
                let namespace = self.stack.node(number)?.namespace()?;
                namespace.run("nft add table inet loss").await?;
                for hook in ["input", "output"] {
                    let chain = format!("nft add chain inet loss {hook} {{ type filter hook {hook} priority 0 ; }}");
                    namespace.run(&chain).await?;
                    let rule =
                        format!("nft add rule inet loss {hook} meta oifname != lo numgen random mod 100 < 20 drop");
                    let rule = if hook == "input" {
                        rule.replace("oifname", "iifname")
                    } else {
                        rule
                    };
                    namespace.run(&rule).await?;
                }
                Remedy::Carry(number)
            }
            Fault::Delay(number) => {
                let node = self.stack.node(number)?.namespace()?.address;
                self.proxy.delay(node, DELAY);
                Remedy::Hurry(number)
            }
            Fault::FillDisk(number) => {
                detail = files::fill_disk(&self.stack.node(number)?.dir())?;
                Remedy::MakeRoom(number)
            }
            Fault::MoveBus => {
                let port = self.proxy.move_away().await?;
                detail = format!("to port {port}");
                self.stack.tell_nodes_bus_port(port)?;
                for part in self.managements() {
                    // One that was killed hears of it when it is started again.
                    if self.stack.process(part).is_some() {
                        self.stack.kill_part(part).await?;
                        drop(self.stack.launch_part(part)?);
                    }
                }
                Remedy::Time
            }
            Fault::ChangePort(number) => {
                self.stack.stop_part(Part::Node(number)).await?;
                self.stack
                    .launch_part_with(Part::Node(number), &[("PUBLIC_PORT", OTHER_PORT)])?;
                Remedy::UsualPort(number)
            }
            Fault::ShiftClock(number) => {
                let Some(library) = clock::library() else {
                    self.let_go(fault);
                    return Ok(());
                };
                let seconds = if self.rng.bool() { HOUR } else { -HOUR };
                detail = format!("by {seconds} s");
                self.reach.set_on_time(number, false);
                self.stack.kill_part(Part::Node(number)).await?;
                let env = clock::environment(&library, seconds);
                let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
                self.stack.launch_part_with(Part::Node(number), &env)?;
                Remedy::TrueTime(number)
            }
        };
        // Whoever answered before the part was stopped is not reached.
        if let Harm::AtFirst(scope) | Harm::AtBothEnds(scope) = fault.harm() {
            self.reach.interrupt(scope);
        }
        let lasts = until.saturating_duration_since(Instant::now()).as_secs_f64();
        self.timeline.note(format!("FAULT {fault} for {lasts:.1} s {detail}"));
        *self.faults.entry(fault.kind()).or_default() += 1;
        self.wrong.push(Wrong {
            fault,
            until,
            remedy,
            began,
        });
        Ok(())
    }

    fn note_lost_journal(&mut self, number: u8) {
        let node = format!("node-{number}");
        self.losses.note_node(&node);
        self.lost_keys.insert(node);
    }

    /// What the fault took from those who end access, it takes no longer.
    fn let_go(&self, fault: Fault) {
        match fault.harm() {
            Harm::None | Harm::AtFirst(_) => {}
            Harm::AtLast(scope) | Harm::AtBothEnds(scope) => self.reach.interrupt(scope),
            Harm::Throughout(scope) => self.reach.release(scope),
        }
    }

    async fn heal(&mut self, now: Instant) -> anyhow::Result<()> {
        let (due, lasting) = std::mem::take(&mut self.wrong)
            .into_iter()
            .partition(|wrong| wrong.until <= now);
        self.wrong = lasting;
        for Wrong {
            fault, remedy, began, ..
        } in due
        {
            if let Harm::AtLast(scope) | Harm::AtBothEnds(scope) = fault.harm() {
                self.reach.interrupt(scope);
            }
            match remedy {
                Remedy::Start(part @ (Part::Nats | Part::Postgres)) => self.stack.start_part(part).await?,
                Remedy::Start(part) => drop(self.stack.launch_part(part)?),
                Remedy::GoOn(paused) => paused.go_on(),
                Remedy::Plug(number) => self.stack.node(number)?.namespace()?.restore().await?,
                Remedy::Carry(number) => {
                    let namespace = self.stack.node(number)?.namespace()?;
                    namespace.run("nft delete table inet loss").await?;
                }
                Remedy::Hurry(number) => self.proxy.be_quick(self.stack.node(number)?.namespace()?.address),
                Remedy::MakeRoomForBus => {
                    files::empty_disk(&self.stack.state().bus_store())?;
                    self.stack.stop_part(Part::Nats).await?;
                    self.stack.start_part(Part::Nats).await?;
                }
                Remedy::Thaw => {
                    let url = self.stack.state().database_url();
                    let thawed = async || self.read_only.end(&url).await.map_err(|error| format!("{error:#}"));
                    wait::until_ok(THAW, "PostgreSQL to take changes again", thawed).await?;
                }
                Remedy::MakeRoom(number) => files::empty_disk(&self.stack.node(number)?.dir())?,
                Remedy::TrueTime(number) => {
                    self.stack.kill_part(Part::Node(number)).await?;
                    // An OpenVPN that this agent has started has the shifted time too.
                    if self.stack.process(Part::Openvpn(number)).is_some_and(clock::is_shifted) {
                        self.stack.kill_part(Part::Openvpn(number)).await?;
                    }
                    drop(self.stack.launch_part(Part::Node(number))?);
                    self.reach.set_on_time(number, true);
                }
                Remedy::UsualPort(number) => {
                    self.stack.stop_part(Part::Node(number)).await?;
                    drop(self.stack.launch_part(Part::Node(number))?);
                }
                Remedy::Time => {
                    self.let_go(fault);
                    continue;
                }
            }
            self.let_go(fault);
            if fault == Fault::BusOutage {
                let until = Utc::now();
                self.outages.push(Outage { from: began, until });
            }
            self.timeline.note(format!("healed {fault}"));
        }
        Ok(())
    }
}
