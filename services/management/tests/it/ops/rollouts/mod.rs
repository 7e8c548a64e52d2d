//! Restarts of OpenVPN on all nodes of a pool. The background tasks carry them out; the nodes are fakes that answer on the bus and send heartbeats.

mod endings;
mod left_out;
mod turns;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use vpnmanager_entities::{
    rollout::RolloutState,
    rollout_node::{self, RolloutNodeState},
};
use vpnmanager_management::ops::{
    nodes::{
        change::{ChangeNodeError, NodeChange, change_node},
        read::NodeView,
        record_heartbeats::record_heartbeats,
    },
    rollouts::{
        RolloutView,
        read::read_rollout,
        start::{Restarts, StartRolloutError, start_rollout},
    },
};
use vpnmanager_nats::{
    envelope::Envelope,
    heartbeats::OpenvpnState,
    ids::AgentInstance,
    node_requests::{NodeAnswer, NodeRequest},
};
use vpnmanager_testbed::wait;

use super::{actor, audited, in_sync, node, nodes::heartbeat, server_of};
use crate::bus_node::{answer_requests, connect_as};
use crate::stack::Stack;

const DRAINED: Restarts = Restarts {
    drain: true,
    drain_for: Duration::from_secs(600),
};

/// A node that says what the test wants.
struct Fake {
    id: &'static str,
    run: AgentInstance,
    /// How often it was told to restart OpenVPN.
    asked: Arc<AtomicU32>,
    /// What it answers to that, and to whether it would, in place of doing it.
    refusal: Arc<Mutex<Option<Bytes>>>,
    beat: Arc<Mutex<Beat>>,
}

/// What its heartbeats say.
#[derive(Debug, Clone, Copy)]
struct Beat {
    openvpn: OpenvpnState,
    pid: u32,
    sessions: u32,
    draining: bool,
}

impl Fake {
    /// Enrols it, and lets it serve.
    async fn start(stack: &Stack, id: &'static str) -> Self {
        let fake = Self {
            id,
            run: AgentInstance::new(),
            asked: Arc::default(),
            refusal: Arc::default(),
            beat: Arc::new(Mutex::new(Beat {
                openvpn: OpenvpnState::Up,
                pid: 1,
                sessions: 3,
                draining: false,
            })),
        };
        let bus = connect_as(stack, id).await;
        let (asked, refusal, beat) = (
            Arc::clone(&fake.asked),
            Arc::clone(&fake.refusal),
            Arc::clone(&fake.beat),
        );
        answer_requests(stack, id, bus, move |request| {
            let done = Envelope::new(NodeAnswer::Done).encode();
            let NodeRequest::RestartServer { only_ask } = request else {
                return done;
            };
            if !only_ask {
                asked.fetch_add(1, Ordering::Relaxed);
            }
            if let Some(refusal) = refusal.lock().expect("unpoisoned").clone() {
                return refusal;
            }
            if !only_ask {
                beat.lock().expect("unpoisoned").openvpn = OpenvpnState::Waiting;
            }
            done
        })
        .await;
        fake.beats(stack).await;
        in_sync(stack, id).await;
        fake
    }

    /// From now on it restarts nothing, for this reason.
    fn refuses(&self, error: &str) {
        let error = error.to_owned();
        self.answers(Envelope::new(NodeAnswer::Failed { error }).encode());
    }

    fn answers(&self, refusal: Bytes) {
        *self.refusal.lock().expect("unpoisoned") = Some(refusal);
    }

    /// Its clients are gone.
    fn empties(&self) {
        self.says(|beat| {
            beat.draining = true;
            beat.sessions = 0;
        });
    }

    /// Another OpenVPN serves.
    fn comes_back(&self) {
        self.says(|beat| {
            beat.pid += 1;
            beat.openvpn = OpenvpnState::Up;
        });
    }

    fn says(&self, change: impl FnOnce(&mut Beat)) {
        change(&mut self.beat.lock().expect("unpoisoned"));
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }

    async fn beats(&self, stack: &Stack) {
        let beat = *self.beat.lock().expect("unpoisoned");
        let mut received = heartbeat(self.id, beat.openvpn);
        received.heartbeat.instance = self.run;
        received.heartbeat.openvpn.pid = Some(beat.pid);
        received.heartbeat.openvpn.sessions = beat.sessions;
        received.heartbeat.draining = beat.draining;
        record_heartbeats(&stack.app.db, stack.app.config.health, &[received])
            .await
            .expect("recorded");
    }

    async fn is_drained(&self, stack: &Stack) -> bool {
        server_of(stack, self.id).await.draining
    }
}

/// A stack with nodes that serve.
struct Fleet {
    stack: Stack,
    nodes: Vec<Fake>,
}

impl Fleet {
    async fn of(ids: &[&'static str]) -> Self {
        let stack = Stack::start().await;
        let mut nodes = Vec::new();
        for &id in ids {
            nodes.push(Fake::start(&stack, id).await);
        }
        Self { stack, nodes }
    }

    async fn of_two() -> Self {
        Self::of(&["node-1", "node-2"]).await
    }

    /// Of two nodes the first is drained by a rollout.
    async fn draining() -> Self {
        let fleet = Self::of_two().await;
        fleet.start(DRAINED).await.expect("begun");
        fleet.reaches("node-1", RolloutNodeState::Draining).await;
        fleet
    }

    /// Of two nodes the first restarts OpenVPN.
    async fn restarting() -> Self {
        let fleet = Self::draining().await;
        fleet.nodes[0].empties();
        fleet.begins("node-1").await;
        fleet
    }

    /// Of two nodes the first does not get its turn, because the second is degraded.
    async fn held_up() -> Self {
        let fleet = Self::of_two().await;
        fleet.nodes[1].says(|beat| beat.openvpn = OpenvpnState::Down);
        fleet.nodes[1].beats(&fleet.stack).await;
        fleet.start(DRAINED).await.expect("begun");
        let is_held_up = |view: &RolloutView| {
            let first = of(view, "node-1");
            first.held_up_since.is_some() && first.detail.as_deref() == Some("node-2 is degraded")
        };
        fleet.until("node-1 to be held up", is_held_up).await;
        fleet
    }

    async fn start(&self, restarts: Restarts) -> Result<RolloutView, StartRolloutError> {
        start_rollout(&self.stack.app, &actor(), &node("default"), restarts).await
    }

    async fn change(&self, id: &str, change: NodeChange) -> Result<NodeView, ChangeNodeError> {
        change_node(&self.stack.app, &actor(), &node(id), change).await
    }

    async fn view(&self) -> RolloutView {
        read_rollout(&self.stack.app.db, &node("default")).await.expect("there")
    }

    /// Waits until the rollout is as it should be, while all nodes send heartbeats.
    async fn until(&self, what: &str, is_it: impl Fn(&RolloutView) -> bool) -> RolloutView {
        let look = async || {
            for node in &self.nodes {
                node.beats(&self.stack).await;
            }
            let view = self.view().await;
            if is_it(&view) {
                Ok(view)
            } else {
                Err(format!("{view:?}"))
            }
        };
        wait::until_ok(wait::SOON, what, look).await.expect("in time")
    }

    /// Waits until a node of the rollout is in that state.
    async fn reaches(&self, id: &str, state: RolloutNodeState) -> rollout_node::Model {
        let view = self
            .until(&format!("{id} to be {state:?}"), |view| of(view, id).state == state)
            .await;
        of(&view, id).clone()
    }

    /// Waits until its agent said that it restarts OpenVPN.
    async fn begins(&self, id: &str) -> rollout_node::Model {
        let begun = |view: &RolloutView| of(view, id).begun_at.is_some();
        let view = self.until(&format!("the restart of {id}"), begun).await;
        of(&view, id).clone()
    }

    async fn ends(&self) -> RolloutView {
        self.until("the end", |view| view.rollout.state != RolloutState::Running)
            .await
    }

    /// Drains it, restarts it, and lets it come back.
    async fn restarts(&self, fake: &Fake) {
        self.reaches(fake.id, RolloutNodeState::Draining).await;
        fake.empties();
        self.begins(fake.id).await;
        fake.comes_back();
        self.reaches(fake.id, RolloutNodeState::Done).await;
        fake.says(|beat| beat.draining = false);
    }
}

fn of<'a>(view: &'a RolloutView, id: &str) -> &'a rollout_node::Model {
    let found = view.nodes.iter().find(|node| node.server_id == id);
    found.expect("a node of it")
}

fn states(view: &RolloutView) -> Vec<RolloutNodeState> {
    view.nodes.iter().map(|node| node.state).collect()
}
