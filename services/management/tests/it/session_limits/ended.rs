//! What is beyond the limit is ended by its node, soon and once.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use vpnmanager_management::{
    domain::audit_action::AuditAction,
    ops::sessions::{
        end_excess::{Ending, end_excess},
        find_crowded::find_crowded,
    },
};
use vpnmanager_nats::{
    connect::Bus,
    envelope::Envelope,
    node_requests::{LiveSession, NodeAnswer, NodeRequest},
    subjects,
};
use vpnmanager_testbed::wait;

use super::{Alice, alice, all_heard, beyond, excess, limited, record, session, told};
use crate::bus_node::{answer_some_requests, connect_as};
use crate::database::{number, run, until};
use crate::ops::{audited, node};
use crate::stack::Stack;

/// So soon after a login beyond the limit the excess is gone.
const WITHIN: Duration = wait::under_load(Duration::from_secs(5));

/// The agent of a node. It tells of no end, as if its reports were late.
struct Agent {
    id: &'static str,
    bus: Bus,
    connected: Arc<Mutex<Vec<LiveSession>>>,
    asked: Arc<Mutex<Vec<u64>>>,
    is_mute: Arc<AtomicBool>,
}

impl Agent {
    /// One that answers.
    async fn start(stack: &Stack, id: &'static str) -> Self {
        let agent = Self::deaf(stack, id).await;
        agent.answers(stack).await;
        agent
    }

    /// One that cannot be asked.
    async fn deaf(stack: &Stack, id: &'static str) -> Self {
        let bus = connect_as(stack, id).await;
        stack.app.topology.ensure_reports(&node(id)).await.expect("a stream");
        Self {
            id,
            bus,
            connected: Arc::default(),
            asked: Arc::default(),
            is_mute: Arc::default(),
        }
    }

    /// From now on it answers.
    async fn answers(&self, stack: &Stack) {
        let (connected, asked, is_mute) = (
            Arc::clone(&self.connected),
            Arc::clone(&self.asked),
            Arc::clone(&self.is_mute),
        );
        answer_some_requests(stack, self.id, self.bus.clone(), move |request| {
            let answer = match request {
                NodeRequest::Disconnect { .. } if is_mute.load(Ordering::Relaxed) => return None,
                NodeRequest::Disconnect { cid, since } => {
                    asked.lock().expect("unpoisoned").push(cid);
                    let mut connected = connected.lock().expect("unpoisoned");
                    let is_it = |session: &LiveSession| (session.cid, session.since) == (Some(cid), since);
                    match connected.iter().position(is_it) {
                        Some(place) => NodeAnswer::Disconnected {
                            common_name: connected.remove(place).common_name,
                        },
                        None => NodeAnswer::NotFound {
                            detail: "that session has ended".to_owned(),
                        },
                    }
                }
                NodeRequest::Profile { .. }
                | NodeRequest::Sessions { .. }
                | NodeRequest::Drain { .. }
                | NodeRequest::Apply { .. }
                | NodeRequest::Sync
                | NodeRequest::RestartServer { .. }
                | NodeRequest::Users { .. }
                | NodeRequest::Retire { .. } => NodeAnswer::Done,
            };
            Some(Envelope::new(answer).encode())
        })
        .await;
    }

    /// Whether it takes requests to end a session from now on and does not answer them.
    fn mute(&self, is_mute: bool) {
        self.is_mute.store(is_mute, Ordering::Relaxed);
    }

    /// A client logs in, and the node tells of it.
    async fn logs_in(&self, session: LiveSession) {
        let payload = Envelope::new(told(self.id, &session)).encode();
        self.connected.lock().expect("unpoisoned").push(session);
        let subject = subjects::sessions(&node(self.id));
        self.bus.client.publish(subject, payload).await.expect("published");
        self.bus.client.flush().await.expect("flushed");
    }

    /// What it was asked to end.
    fn asked(&self) -> Vec<u64> {
        self.asked.lock().expect("unpoisoned").clone()
    }

    async fn is_asked(&self, cids: &[u64], deadline: Duration) {
        let what = format!("{} to be asked to end {cids:?}", self.id);
        wait::until(deadline, what, async || self.asked() == cids)
            .await
            .expect("asked");
    }
}

/// Two nodes that answer, and alice on both.
struct Scene {
    stack: Stack,
    first: Agent,
    second: Agent,
    alice: Alice,
}

impl Scene {
    async fn set() -> Self {
        let stack = Stack::start().await;
        let first = Agent::start(&stack, "node-1").await;
        Self::with(stack, first).await
    }

    async fn with(stack: Stack, first: Agent) -> Self {
        let second = Agent::start(&stack, "node-2").await;
        let alice = alice(&stack).await;
        all_heard(&stack).await;
        Self {
            stack,
            first,
            second,
            alice,
        }
    }

    /// Her default device has been connected to the first node for a minute, and management knows it. Then her phone connects to the second.
    async fn one_after_the_other(&self) {
        self.first.logs_in(session(&self.alice.default, 1, 60)).await;
        let is_known = "SELECT count(*) FROM sessions WHERE cid = 1";
        until(&self.stack.app.db, "the first session to be recorded", is_known).await;
        self.second.logs_in(session(&self.alice.phone, 2, 0)).await;
    }

    async fn is_audited(&self) {
        let audited = "SELECT count(*) FROM audit_log WHERE action = 'session_limited'";
        until(&self.stack.app.db, "the end to be in the trail", audited).await;
    }
}

#[tokio::test]
async fn the_device_that_has_been_connected_for_longest_makes_room_for_one_on_another_node() {
    let scene = Scene::set().await;
    limited(&scene.stack, 1, "oldest_ends").await;
    let began = Instant::now();
    scene.one_after_the_other().await;
    scene.first.is_asked(&[1], WITHIN).await;
    eprintln!("measured: ended {:?} after the first login", began.elapsed());

    scene.is_audited().await;
    let rows = audited(&scene.stack, AuditAction::SessionLimited).await;
    let [row] = rows.as_slice() else {
        panic!("{rows:?}");
    };
    assert_eq!(
        (row.username.as_deref(), row.server_id.as_str(), row.actor.as_str()),
        (Some("alice"), "node-1", "system")
    );
    assert_eq!(
        row.details.as_deref(),
        Some("the group staff allows 1 device at the same time")
    );
    let after = row.after.clone().expect("a state");
    let id = after["session"].as_str().expect("an id").to_owned();
    assert!(id.starts_with("node-1.") && id.ends_with(".1"), "{id}");
    assert_eq!(
        after,
        json!({
            "session": id,
            "common_name": scene.alice.default,
            "device": "default",
            "group": "staff",
            "sessions": 1,
            "session_excess": "oldest_ends",
        })
    );
    // The node has not told of the end yet.
    assert!(beyond(&scene.stack, &scene.alice).await.is_empty());
    assert!(scene.second.asked().is_empty());
}

#[tokio::test]
async fn the_device_that_came_last_is_turned_away_where_the_group_says_so() {
    let scene = Scene::set().await;
    limited(&scene.stack, 1, "newest_ends").await;
    scene.one_after_the_other().await;
    scene.second.is_asked(&[2], WITHIN).await;
    scene.is_audited().await;
    assert!(beyond(&scene.stack, &scene.alice).await.is_empty());
    assert!(scene.first.asked().is_empty());
}

#[tokio::test]
async fn nobody_is_ended_within_the_limit_or_without_one() {
    let scene = Scene::set().await;
    let db = &scene.stack.app.db;
    scene.one_after_the_other().await;
    until(db, "both sessions to be recorded", "SELECT count(*) / 2 FROM sessions").await;
    assert_eq!(find_crowded(db, 0, 10).await.expect("found"), [0_i64; 0]);
    assert!(beyond(&scene.stack, &scene.alice).await.is_empty());

    limited(&scene.stack, 2, "oldest_ends").await;
    assert_eq!(find_crowded(db, 0, 10).await.expect("found"), [0_i64; 0]);
    assert!(beyond(&scene.stack, &scene.alice).await.is_empty());
    assert!(scene.first.asked().is_empty() && scene.second.asked().is_empty());
}

#[tokio::test]
async fn a_limit_of_her_own_that_is_set_later_holds_for_who_is_connected_and_the_trail_says_whose_it_is() {
    let scene = Scene::set().await;
    limited(&scene.stack, 2, "oldest_ends").await;
    scene.one_after_the_other().await;
    let db = &scene.stack.app.db;
    until(db, "both sessions to be recorded", "SELECT count(*) / 2 FROM sessions").await;
    run(db, "UPDATE users SET own_sessions = 1 WHERE username = 'alice'").await;
    scene.first.is_asked(&[1], wait::SOON).await;
    scene.is_audited().await;
    assert_eq!(
        details(&scene).await,
        ["the own limit of the user allows 1 device at the same time"]
    );
}

/// Nobody logs in, so only the look at all sessions finds it.
#[tokio::test]
async fn a_limit_that_is_set_later_holds_for_those_who_are_connected() {
    let scene = Scene::set().await;
    scene.one_after_the_other().await;
    until(
        &scene.stack.app.db,
        "both sessions to be recorded",
        "SELECT count(*) / 2 FROM sessions",
    )
    .await;
    limited(&scene.stack, 1, "oldest_ends").await;
    scene.first.is_asked(&[1], wait::SOON).await;
}

#[tokio::test]
async fn what_the_node_does_not_have_any_more_is_asked_for_once_and_nobody_else_ends_for_it() {
    let scene = Scene::set().await;
    limited(&scene.stack, 1, "oldest_ends").await;
    let left = session(&scene.alice.default, 1, 60);
    record(&scene.stack, "node-1", &left).await;
    scene.second.logs_in(session(&scene.alice.phone, 2, 0)).await;

    let db = &scene.stack.app.db;
    let answered = "SELECT count(*) FROM sessions WHERE cid = 1 AND end_answered_at IS NOT NULL AND ended_at IS NULL";
    until(db, "the node to answer", answered).await;
    assert!(beyond(&scene.stack, &scene.alice).await.is_empty());
    assert_eq!(scene.first.asked(), [1]);
    assert!(scene.second.asked().is_empty());
    assert_eq!(
        details(&scene).await,
        [
            "the group staff allows 1 device at the same time: the end of the session was asked for; the node answered that it is not there \
             any more"
        ]
    );
}

/// What the trail says of ends.
async fn details(scene: &Scene) -> Vec<String> {
    let rows = audited(&scene.stack, AuditAction::SessionLimited).await.into_iter();
    rows.map(|row| row.details.unwrap_or_default()).collect()
}

#[tokio::test]
async fn an_end_that_may_have_come_is_in_the_trail_once() {
    let stack = Stack::start().await;
    let first = Agent::deaf(&stack, "node-1").await;
    first.mute(true);
    first.answers(&stack).await;
    let scene = Scene::with(stack, first).await;
    limited(&scene.stack, 1, "oldest_ends").await;
    scene.one_after_the_other().await;
    scene.is_audited().await;
    let unanswered = [
        "the group staff allows 1 device at the same time: the end of the session was asked for; the answer did not come",
    ];
    assert_eq!(details(&scene).await, unanswered);

    scene.first.mute(false);
    let db = &scene.stack.app.db;
    // The time passes after which it is asked again.
    let later = "UPDATE sessions SET end_asked_at = end_asked_at - interval '1 minute'";
    run(db, later).await;
    scene.stack.app.newly_connected.note([scene.alice.id]);
    let answered = "SELECT count(*) FROM sessions WHERE cid = 1 AND end_answered_at IS NOT NULL";
    until(db, "the node to answer", answered).await;
    assert_eq!(details(&scene).await, unanswered);
}

#[tokio::test]
async fn a_node_that_cannot_be_asked_is_asked_again_and_nobody_else_ends_meanwhile() {
    let stack = Stack::start().await;
    let first = Agent::deaf(&stack, "node-1").await;
    let scene = Scene::with(stack, first).await;
    limited(&scene.stack, 1, "oldest_ends").await;
    scene.one_after_the_other().await;
    let db = &scene.stack.app.db;
    let tried = "SELECT count(*) FROM sessions WHERE end_asked_at IS NOT NULL";
    until(db, "the node to be asked", tried).await;
    assert_eq!(beyond(&scene.stack, &scene.alice).await, [1]);
    assert!(audited(&scene.stack, AuditAction::SessionLimited).await.is_empty());

    scene.first.answers(&scene.stack).await;
    // The time passes after which it is asked again.
    run(
        db,
        "UPDATE sessions SET end_asked_at = end_asked_at - interval '1 minute'",
    )
    .await;
    scene.stack.app.newly_connected.note([scene.alice.id]);

    scene.first.is_asked(&[1], wait::SOON).await;
    scene.is_audited().await;
    assert!(scene.second.asked().is_empty());
    assert_eq!(
        number(db, "SELECT count(*) FROM sessions WHERE end_asked_at IS NOT NULL").await,
        1
    );
}

#[tokio::test]
async fn of_replicas_that_find_the_same_excess_one_asks() {
    let scene = Scene::set().await;
    let left = session(&scene.alice.default, 1, 60);
    scene.first.connected.lock().expect("unpoisoned").push(left.clone());
    record(&scene.stack, "node-1", &left).await;
    record(&scene.stack, "node-2", &session(&scene.alice.phone, 2, 0)).await;
    limited(&scene.stack, 1, "oldest_ends").await;
    let found = excess(&scene.stack, &scene.alice).await;
    let app = &scene.stack.app;

    // Management itself may be the first of them.
    for one in &found {
        let (here, there) = tokio::join!(end_excess(app, one), end_excess(app, one));
        let endings = [here.expect("asked"), there.expect("asked")];
        assert!(endings.contains(&Ending::LeftToOthers), "{endings:?}");
    }

    scene.first.is_asked(&[1], wait::SOON).await;
    scene.is_audited().await;
    assert_eq!(scene.first.asked(), [1]);
    assert_eq!(audited(&scene.stack, AuditAction::SessionLimited).await.len(), 1);
}
