//! Nodes whose digest differs although nothing is pending.

use chrono::{TimeDelta, Utc};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use vpnmanager_entities::{
    health_history,
    server::{self, NodeState},
};
use vpnmanager_management::ops::{
    nodes::{
        received::{Received, Speaker},
        record_heartbeats::record_heartbeats,
    },
    reports::apply_reports::apply_reports,
    users::{read::get_user, remove::remove_user},
};
use vpnmanager_nats::{
    heartbeats::OpenvpnState,
    ids::{AgentInstance, Revision},
    sync::StateDigest,
};

use super::{actor, applied, create, enrol, node, nodes::heartbeat, server_of};
use crate::stack::Stack;

const DRIFTS: &str =
    "it holds something else than it should, and is being put right: wait; if it stays so, see the agent's log";

/// A node that holds alice. No background task runs that would answer its heartbeats.
struct Watched {
    stack: Stack,
    run: AgentInstance,
    right: StateDigest,
}

impl Watched {
    async fn start() -> Self {
        let stack = Stack::start().await;
        enrol(&stack, "node-1").await;
        let alice = create(&stack, "alice").await;
        apply_reports(&stack.app, &[applied("node-1", &alice, 1)], &[])
            .await
            .expect("recorded");
        stack.end_tasks().await;
        let watched = Self {
            stack,
            run: AgentInstance::new(),
            right: StateDigest::of(alice.user.key, Revision(1)),
        };
        watched.forget_prompt().await;
        watched
    }

    fn says(&self, digest: StateDigest) -> Received {
        let mut received = heartbeat("node-1", OpenvpnState::Up);
        received.heartbeat.instance = self.run;
        received.heartbeat.digest = digest;
        received
    }

    /// The node's state, the reason, and whether the node is marked for a handshake, after this heartbeat was recorded.
    async fn hears(&self, received: Received) -> (NodeState, Option<String>, bool) {
        let thresholds = self.stack.app.config.health;
        record_heartbeats(&self.stack.app.db, thresholds, &[received])
            .await
            .expect("recorded");
        let server = self.server().await;
        (server.state, server.state_reason, server.prompt_since.is_some())
    }

    async fn server(&self) -> server::Model {
        server_of(&self.stack, "node-1").await
    }

    async fn forget_prompt(&self) {
        server::Entity::update_many()
            .col_expr(
                server::Column::PromptSince,
                Option::<chrono::DateTime<Utc>>::None.into(),
            )
            .exec(&self.stack.app.db)
            .await
            .expect("forgotten");
    }
}

#[tokio::test]
async fn drift_is_asked_about_at_once_and_degrades_with_the_second_heartbeat_that_shows_it() {
    let watched = Watched::start().await;
    let (right, wrong) = (watched.right, StateDigest(1));
    let healthy = |prompted| (NodeState::Healthy, None, prompted);

    assert_eq!(watched.hears(watched.says(right)).await, healthy(false));
    assert_eq!(watched.hears(watched.says(wrong)).await, healthy(true));
    watched.forget_prompt().await;
    let drifts = (NodeState::Degraded, Some(DRIFTS.to_owned()), false);
    assert_eq!(watched.hears(watched.says(wrong)).await, drifts);
    watched.forget_prompt().await;
    assert_eq!(watched.hears(watched.says(right)).await, healthy(false));

    let history = health_history::Entity::find().filter(health_history::Column::ServerId.eq(node("node-1")));
    let history = history.all(&watched.stack.app.db).await.expect("read");
    let reasons: Vec<_> = history.iter().filter_map(|sample| sample.reason.as_deref()).collect();
    assert_eq!(reasons, [DRIFTS]);
}

#[tokio::test]
async fn what_is_on_its_way_is_no_drift() {
    let watched = Watched::start().await;
    let wrong = StateDigest(1);
    let mut overtaken = watched.says(wrong);
    overtaken.heartbeat.at -= TimeDelta::seconds(60);
    overtaken.at -= TimeDelta::seconds(60);
    let mut queued = watched.says(wrong);
    queued.heartbeat.queued_intents = 1;
    let mut unfinished = watched.says(wrong);
    unfinished.heartbeat.complete = false;
    let mut foreign = watched.says(wrong);
    foreign.by = Speaker::Monitoring;
    for received in [overtaken, queued, unfinished, foreign] {
        let (state, _, prompted) = watched.hears(received.clone()).await;
        assert_eq!((state, prompted), (NodeState::Healthy, false), "{received:?}");
    }

    // While a command is pending drift cannot be decided, even after several heartbeats.
    let wanted = "UPDATE placements SET wanted_revision = wanted_revision + 1";
    watched.stack.app.db.execute_unprepared(wanted).await.expect("changed");
    for _ in 0..3 {
        let (state, _, prompted) = watched.hears(watched.says(wrong)).await;
        assert_eq!((state, prompted), (NodeState::Healthy, false));
    }
}

#[tokio::test]
async fn a_removal_that_completes_after_the_node_looked_at_itself_is_no_drift() {
    let watched = Watched::start().await;
    let mut looked = watched.says(watched.right);
    looked.heartbeat.at = Utc::now();
    let username = "alice".parse().expect("a valid username");
    let alice = get_user(&watched.stack.app.db, &username).await.expect("read");
    let alice = alice.expect("there");
    remove_user(&watched.stack.app, &actor(), &username)
        .await
        .expect("removed");
    let ack = applied("node-1", &alice, 2);
    apply_reports(&watched.stack.app, &[ack], &[]).await.expect("recorded");

    let (state, _, prompted) = watched.hears(looked).await;
    assert_eq!((state, prompted), (NodeState::Healthy, false));
    // What it holds from now on counts again.
    let (_, _, prompted) = watched.hears(watched.says(watched.right)).await;
    assert!(prompted);
}
