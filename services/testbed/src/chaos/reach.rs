//! Since when each node could be reached, without a break: only then must access end in time.
//!
//! A fault breaks the reach of what it harms. It begins again when, after the fault, the management says that it reaches database and bus,
//! and the node has answered a request over the bus. What is slow without a fault breaks nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use async_nats::{Client, ConnectOptions};
use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;
use vpnmanager_testbed::{
    api::Api,
    stack::{Part, Stack},
};

const LOOK: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(1);
/// Management repeats what it said of its health for a quarter of a second.
const REMEMBERED: Duration = Duration::from_millis(500);
/// Any request that changes nothing.
const ASK: &str = r#"{"v":1,"type":"sessions","offset":0}"#;

/// Which parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Every way from any management to any node.
    All,
    /// Every way to one node.
    Node(u8),
}

impl Scope {
    /// What is harmed when this service ends.
    pub(super) fn of(part: Part) -> Self {
        match part {
            Part::Node(number) | Part::Openvpn(number) => Self::Node(number),
            Part::Management | Part::Replica(_) | Part::Nats | Part::Postgres => Self::All,
        }
    }
}

/// Who takes part in ending access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    /// A management, by its place in the list of APIs.
    Management(usize),
    Node(u8),
}

#[derive(Debug)]
struct State {
    broken_at: Instant,
    /// Faults that last.
    held: usize,
    well_since: Option<Instant>,
}

/// Cheap to clone; all clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Reach {
    sides: Arc<Mutex<BTreeMap<Side, State>>>,
    /// Nodes whose clock is off.
    off_time: Arc<Mutex<BTreeSet<u8>>>,
}

impl Reach {
    pub(super) fn new(managements: usize, nodes: u8) -> Self {
        let sides = (0..managements)
            .map(Side::Management)
            .chain((1..=nodes).map(Side::Node));
        let state = || State {
            broken_at: Instant::now(),
            held: 0,
            well_since: None,
        };
        Self {
            sides: Arc::new(Mutex::new(sides.map(|side| (side, state())).collect())),
            off_time: Arc::default(),
        }
    }

    /// Whether the clock of this node is right.
    pub(super) fn is_on_time(&self, node: u8) -> bool {
        !self.off_time().contains(&node)
    }

    /// The clock of this node is set off, or right again. Its agent is restarted for either, which breaks the reach.
    pub(super) fn set_on_time(&self, node: u8, is_on_time: bool) {
        if is_on_time {
            self.off_time().remove(&node);
        } else {
            self.off_time().insert(node);
        }
    }

    fn off_time(&self) -> MutexGuard<'_, BTreeSet<u8>> {
        self.off_time.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Since when this node can be reached through this management; `None` if it cannot. Another answer later means that there was a break.
    pub(super) fn since(&self, management: usize, node: u8) -> Option<Instant> {
        let sides = self.sides();
        let well = |side: Side| sides.get(&side).and_then(|state| state.well_since);
        Some(well(Side::Management(management))?.max(well(Side::Node(node))?))
    }

    /// Something was restarted.
    pub(super) fn interrupt(&self, scope: Scope) {
        self.change(scope, |_| {});
    }

    /// A fault begins that lasts.
    pub(super) fn hold(&self, scope: Scope) {
        self.change(scope, |state| state.held += 1);
    }

    /// It is healed.
    pub(super) fn release(&self, scope: Scope) {
        self.change(scope, |state| state.held -= 1);
    }

    fn change(&self, scope: Scope, change: impl Fn(&mut State)) {
        for (side, state) in self.sides().iter_mut() {
            let is_meant = match scope {
                Scope::All => true,
                Scope::Node(number) => *side == Side::Node(number),
            };
            if is_meant {
                change(state);
                state.broken_at = Instant::now();
                state.well_since = None;
            }
        }
    }

    fn missing(&self) -> Vec<Side> {
        let sides = self.sides();
        let missing = sides
            .iter()
            .filter(|(_, state)| state.held == 0 && state.well_since.is_none());
        missing.map(|(side, _)| *side).collect()
    }

    /// Notes that `side` answered a request that was sent at `asked`.
    fn answered(&self, side: Side, asked: Instant) {
        let repeats = match side {
            Side::Management(_) => REMEMBERED,
            Side::Node(_) => Duration::ZERO,
        };
        if let Some(state) = self.sides().get_mut(&side)
            && state.held == 0
            && asked >= state.broken_at + repeats
        {
            state.well_since.get_or_insert_with(Instant::now);
        }
    }

    fn sides(&self) -> MutexGuard<'_, BTreeMap<Side, State>> {
        self.sides.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl Reach {
    /// Everybody answers.
    pub(super) fn answer_all(&self) {
        let sides: Vec<Side> = self.sides().keys().copied().collect();
        for side in sides {
            self.answered(side, Instant::now() + REMEMBERED);
        }
    }
}

/// Finds out what can be reached again.
#[derive(Debug)]
pub(super) struct Prober {
    apis: Vec<Api>,
    bus: Client,
    reach: Reach,
}

impl Prober {
    /// Connects to the bus with management's credentials.
    pub(super) async fn new(stack: &Stack, apis: Vec<Api>, reach: Reach) -> anyhow::Result<Self> {
        let options = ConnectOptions::with_credentials_file(stack.nats_creds()).await;
        let options = options.context("no credentials for the bus")?;
        let options = options.reconnect_delay_callback(|_attempts| LOOK);
        let bus = options.connect(stack.state().nats_url()).await;
        let bus = bus.context("cannot connect to the bus")?;
        Ok(Self { apis, bus, reach })
    }

    /// Asks whoever was broken off, until told to stop.
    pub(super) async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            join_all(self.reach.missing().into_iter().map(|side| self.ask(side))).await;
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn ask(&self, side: Side) {
        let asked = Instant::now();
        let answers = tokio::time::timeout(PATIENCE, async {
            match side {
                Side::Management(at) => self.apis[at]
                    .get("/health")
                    .await
                    .is_ok_and(|answer| answer.status == 200),
                Side::Node(number) => {
                    let subject = format!("vpn.node.node-{number}.sessions");
                    self.bus.request(subject, ASK.into()).await.is_ok()
                }
            }
        });
        if answers.await == Ok(true) {
            self.reach.answered(side, asked);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(reach: &Reach, node: u8) {
        reach.answered(Side::Management(0), Instant::now() + REMEMBERED);
        reach.answered(Side::Node(node), Instant::now());
    }

    #[test]
    fn a_node_is_reached_from_its_first_answer_after_a_fault_on() {
        let reach = Reach::new(1, 2);
        assert_eq!(reach.since(0, 1), None);
        answers(&reach, 1);
        let since = reach.since(0, 1).unwrap();
        answers(&reach, 1);
        assert_eq!(reach.since(0, 1), Some(since), "without a fault nothing changes");
        assert_eq!(reach.since(0, 2), None);

        reach.interrupt(Scope::Node(1));
        assert_eq!(reach.since(0, 1), None);
        answers(&reach, 1);
        assert!(reach.since(0, 1).unwrap() > since);
    }

    #[test]
    fn what_answers_while_a_fault_lasts_is_not_reached() {
        let reach = Reach::new(1, 1);
        reach.hold(Scope::All);
        reach.hold(Scope::Node(1));
        reach.release(Scope::All);
        answers(&reach, 1);
        assert_eq!(reach.since(0, 1), None);
        reach.release(Scope::Node(1));
        answers(&reach, 1);
        assert!(reach.since(0, 1).is_some());
    }

    #[test]
    fn an_answer_to_what_was_asked_before_the_fault_says_nothing() {
        let reach = Reach::new(1, 1);
        let before = Instant::now();
        answers(&reach, 1);
        reach.interrupt(Scope::Node(1));
        reach.answered(Side::Node(1), before);
        assert_eq!(reach.since(0, 1), None);
    }
}
