//! The handshake: when a node gets all its commands again.

use std::time::Duration;

use chrono::Utc;
use poem::http::StatusCode;
use vpnmanager_management::{
    domain::audit_action::AuditAction,
    ops::{
        nodes::{answer_sync::answer_sync, lost_journal::recorded_upto, read::get_node},
        publications::recognise_stream::recognise_stream,
        reports::apply_reports::apply_reports,
        users::remove::remove_user,
    },
};
use vpnmanager_nats::{
    acks::Ack,
    commands::{Command, RemoveUser},
    envelope::Envelope,
    ids::{AgentInstance, Revision, UserKey},
    publish::{self, Publication},
    sync::{StateDigest, StreamId, SyncAnswer, SyncRequest},
    topology::HeldCommand,
};
use vpnmanager_testbed::wait;

use super::{actor, applied, audited, create, enrol, issued, node, view};
use crate::{
    database::run,
    stack::{Stack, WithKey as _, json_of},
};

const SOON: Duration = Duration::from_secs(10);

/// The request of a new node.
pub(super) fn request(id: &str) -> SyncRequest {
    SyncRequest {
        node: node(id),
        instance: AgentInstance::new(),
        last_sequence: 0,
        users: 0,
        digest: StateDigest::default(),
        complete: false,
        stream: None,
        queued_intents: 0,
        unsettled: 0,
        endpoint: None,
        at: Utc::now(),
    }
}

async fn ask(stack: &Stack, request: &SyncRequest) -> SyncAnswer {
    answer_sync(&stack.app, request).await.expect("answered")
}

/// Repeats the request until every command is published again.
async fn ask_until_prepared(stack: &Stack, request: &SyncRequest) -> SyncAnswer {
    let prepared = async || match ask(stack, request).await {
        SyncAnswer::Preparing { .. } => None,
        answer @ (SyncAnswer::Ok { .. } | SyncAnswer::Resync { .. } | SyncAnswer::Refused { .. }) => Some(answer),
    };
    wait::until_some(SOON, "everything is published again", prepared)
        .await
        .expect("prepared")
}

/// A node that holds alice's first revision, and its request.
async fn in_sync(stack: &Stack) -> SyncRequest {
    enrol(stack, "node-1").await;
    let alice = create(stack, "alice").await;
    let published = async || view(stack, "alice").await.expect("there").placements[0].published_revision == 1;
    wait::until(SOON, "alice is in the stream", published)
        .await
        .expect("published");
    let ack = issued(stack, &alice, 1).await;
    apply_reports(&stack.app, &[ack], &[]).await.expect("recorded");
    SyncRequest {
        last_sequence: stack.app.topology.newest_command(&node("node-1")).await.expect("read"),
        users: 1,
        digest: StateDigest::of(alice.user.key, Revision(1)),
        complete: true,
        stream: Some(stack.app.topology.commands_store().await.expect("read")),
        ..request("node-1")
    }
}

#[tokio::test]
async fn a_node_that_holds_what_it_should_goes_on() {
    let stack = Stack::start().await;
    let request = in_sync(&stack).await;
    let upto_sequence = request.last_sequence;
    assert_eq!(
        ask(&stack, &request).await,
        SyncAnswer::Ok {
            upto_sequence,
            stream: request.stream
        }
    );
    assert_eq!(audited(&stack, AuditAction::NodeResyncStarted).await.len(), 0);
}

#[tokio::test]
async fn an_unknown_node_is_refused_and_a_new_one_starts_with_nothing() {
    let stack = Stack::start().await;
    assert!(matches!(
        ask(&stack, &request("node-9")).await,
        SyncAnswer::Refused { .. }
    ));
    enrol(&stack, "node-1").await;
    assert!(matches!(
        ask(&stack, &request("node-1")).await,
        SyncAnswer::Ok { upto_sequence: 0, .. }
    ));
}

#[tokio::test]
async fn whoever_lost_its_journal_drifted_or_followed_another_store_gets_everything_again() {
    let stack = Stack::start().await;
    let well = in_sync(&stack).await;
    let lost = SyncRequest {
        last_sequence: 0,
        complete: false,
        digest: StateDigest::default(),
        ..well.clone()
    };
    let drifted = SyncRequest {
        digest: StateDigest(1),
        ..well.clone()
    };
    let elsewhere = SyncRequest {
        stream: Some(StreamId(1)),
        ..well.clone()
    };
    for (number, mut request) in (1..).zip([lost, drifted, elsewhere]) {
        request.at = Utc::now();
        assert!(
            matches!(ask(&stack, &request).await, SyncAnswer::Preparing { .. }),
            "{request:?}"
        );
        let answer = ask_until_prepared(&stack, &request).await;
        assert!(
            matches!(answer, SyncAnswer::Resync { upto_sequence, .. } if upto_sequence > 0),
            "{answer:?}"
        );
        assert_eq!(audited(&stack, AuditAction::NodeResyncStarted).await.len(), number);
        let alice = view(&stack, "alice").await.expect("there");
        let ack = Ack {
            applied_at: well.at,
            ..applied("node-1", &alice, 1)
        };
        apply_reports(&stack.app, &[ack], &[]).await.expect("recorded");
    }
    let upto = stack.app.topology.newest_command(&node("node-1")).await.expect("read");
    let well = SyncRequest {
        last_sequence: upto,
        ..well
    };
    assert!(matches!(ask(&stack, &well).await, SyncAnswer::Ok { .. }));
}

#[tokio::test]
async fn what_a_node_lost_is_not_applied_until_it_holds_everything_again() {
    let stack = Stack::start().await;
    let well = in_sync(&stack).await;
    let api = stack.client();
    let node_is = async |applied: i64, pending: i64| {
        let node = json_of(api.get("/api/endnodes/node-1").admin().send().await, StatusCode::OK).await;
        let sync = &node["sync"];
        assert_eq!(
            (&sync["applied"], &sync["pending"]),
            (&applied.into(), &pending.into()),
            "{node}"
        );
    };
    let alice_is = async |synced: bool| {
        let alice = json_of(api.get("/api/users/alice").admin().send().await, StatusCode::OK).await;
        assert_eq!(alice["synced"], synced, "{alice}");
        assert_eq!(alice["nodes"][0]["applied_revision"], i64::from(synced), "{alice}");
        for (filter, expected) in [(synced, 1), (!synced, 0)] {
            let path = format!("/api/users?synced={filter}");
            let listed = json_of(api.get(&path).admin().send().await, StatusCode::OK).await;
            let items = listed["items"].as_array().map(Vec::len);
            assert_eq!(items, Some(expected), "{path}: {listed}");
        }
        alice
    };
    node_is(1, 0).await;
    alice_is(true).await;

    let lost = SyncRequest {
        last_sequence: 0,
        complete: false,
        users: 0,
        digest: StateDigest::default(),
        instance: AgentInstance::new(),
        at: Utc::now(),
        ..well.clone()
    };
    assert!(matches!(ask(&stack, &lost).await, SyncAnswer::Preparing { .. }));
    node_is(0, 1).await;
    alice_is(false).await;

    let SyncAnswer::Resync {
        upto_sequence,
        recorded_upto,
        ..
    } = ask_until_prepared(&stack, &lost).await
    else {
        panic!("no resync");
    };
    assert_eq!(
        recorded_upto,
        Some(upto_sequence),
        "alice's command is recorded as applied"
    );
    // Between that answer and the last command nothing changes.
    let filling = SyncRequest {
        last_sequence: 1,
        ..lost.clone()
    };
    assert!(matches!(ask(&stack, &filling).await, SyncAnswer::Ok { .. }));
    node_is(0, 1).await;
    alice_is(false).await;

    let whole = SyncRequest { at: Utc::now(), ..well };
    assert!(matches!(ask(&stack, &whole).await, SyncAnswer::Ok { .. }));
    node_is(1, 0).await;
    let alice = alice_is(true).await;
    let note = alice["nodes"][0]["error"].as_str().unwrap_or_default();
    assert!(
        note.contains("lost its journal") && note.contains("/reissue"),
        "{alice}"
    );
}

#[tokio::test]
async fn a_change_that_is_not_in_the_stream_yet_hides_nothing_that_is_recorded() {
    let stack = Stack::start().await;
    let well = in_sync(&stack).await;
    create(&stack, "bob").await;
    stack.tasks.stop();
    stack.tasks.wait(SOON).await.expect("stopped");
    let (held, newest) = (well.last_sequence, well.last_sequence + 10);
    let alice = "WHERE user_id = (SELECT id FROM users WHERE username = 'alice')";
    let bob = "WHERE user_id = (SELECT id FROM users WHERE username = 'bob')";
    for (change, expected) in [
        // New, and not published.
        (
            format!("UPDATE placements SET published_revision = 0, published_sequence = 0 {bob}"),
            newest,
        ),
        // Changed, and not published: the node had applied the command before.
        (format!("UPDATE placements SET wanted_revision = 2 {alice}"), newest),
        // Published.
        (
            format!("UPDATE placements SET published_revision = 2 {alice}"),
            held - 1,
        ),
        // Perhaps published, and overdue.
        (
            format!("UPDATE placements SET published_revision = 0 {alice}"),
            held - 1,
        ),
    ] {
        run(&stack.app.db, &change).await;
        let recorded = recorded_upto(&stack.app.db, &node("node-1"), newest).await;
        assert_eq!(recorded.expect("read"), expected, "{change}");
    }
}

/// Only what is recorded as applied need not be acked again, and what the node applies meanwhile counts.
#[tokio::test]
async fn a_node_that_lost_its_journal_acks_what_nobody_has_recorded() {
    let stack = Stack::start().await;
    let well = in_sync(&stack).await;
    let bob = create(&stack, "bob").await;
    let lost = SyncRequest {
        last_sequence: 0,
        complete: false,
        digest: StateDigest::default(),
        instance: AgentInstance::new(),
        at: Utc::now(),
        ..well.clone()
    };
    let SyncAnswer::Resync {
        upto_sequence,
        recorded_upto: Some(recorded_upto),
        ..
    } = ask_until_prepared(&stack, &lost).await
    else {
        panic!("no resync");
    };
    assert!(
        well.last_sequence <= recorded_upto && recorded_upto < upto_sequence,
        "{recorded_upto} of {upto_sequence}"
    );
    let ack = issued(&stack, &bob, 1).await;
    apply_reports(&stack.app, &[ack], &[]).await.expect("recorded");
    let synced = async |name| view(&stack, name).await.expect("there").user.synced;
    assert_eq!((synced("alice").await, synced("bob").await), (false, true));
}

#[tokio::test]
async fn a_node_that_waits_for_an_ack_or_for_its_own_request_has_not_drifted() {
    let stack = Stack::start().await;
    let well = in_sync(&stack).await;
    let queued = SyncRequest {
        digest: StateDigest(1),
        queued_intents: 1,
        ..well.clone()
    };
    assert!(matches!(ask(&stack, &queued).await, SyncAnswer::Ok { .. }));
    // Applied and acked after the node computed its digest.
    let overtaken = SyncRequest {
        digest: StateDigest(1),
        at: well.at - chrono::TimeDelta::seconds(1),
        ..well.clone()
    };
    assert!(matches!(ask(&stack, &overtaken).await, SyncAnswer::Ok { .. }));
    create(&stack, "bob").await;
    let ahead = SyncRequest {
        digest: StateDigest(1),
        ..well
    };
    assert!(matches!(ask(&stack, &ahead).await, SyncAnswer::Ok { .. }));
}

/// Otherwise the node would remove every user.
#[tokio::test]
async fn what_the_stream_lost_since_it_was_published_again_is_published_once_more() {
    let stack = Stack::start().await;
    let well = in_sync(&stack).await;
    let drifted = SyncRequest {
        digest: StateDigest(1),
        ..well
    };
    assert!(matches!(ask(&stack, &drifted).await, SyncAnswer::Preparing { .. }));
    let published = async || view(&stack, "alice").await.expect("there").placements[0].published_revision == 1;
    wait::until(SOON, "alice is in the stream again", published)
        .await
        .expect("published");
    let topology = &stack.app.topology;
    for HeldCommand { subject, .. } in topology.commands_held(&node("node-1")).await.expect("listed") {
        topology.forget_command(&subject).await.expect("forgotten");
    }

    assert!(matches!(ask(&stack, &drifted).await, SyncAnswer::Preparing { .. }));
    let answer = ask_until_prepared(&stack, &drifted).await;
    assert!(
        matches!(answer, SyncAnswer::Resync { upto_sequence, .. } if upto_sequence > 0),
        "{answer:?}"
    );
}

/// Its tombstone was deleted from the stream after the ack, and must not count as missing.
#[tokio::test]
async fn who_is_removed_here_and_waits_for_another_node_holds_up_nobody() {
    let stack = Stack::start().await;
    enrol(&stack, "node-2").await;
    let well = in_sync(&stack).await;
    let name = "alice".parse().expect("a valid username");
    let removed = remove_user(&stack.app, &actor(), &name).await.expect("removed");
    apply_reports(&stack.app, &[applied("node-1", &removed, removed.user.revision)], &[])
        .await
        .expect("recorded");
    let forget = async || {
        let topology = &stack.app.topology;
        for HeldCommand { subject, .. } in topology.commands_held(&node("node-1")).await.expect("listed") {
            topology.forget_command(&subject).await.expect("forgotten");
        }
    };
    let drifted = SyncRequest {
        digest: StateDigest(1),
        at: Utc::now(),
        ..well
    };
    assert!(matches!(ask(&stack, &drifted).await, SyncAnswer::Preparing { .. }));
    let resynced = async || {
        forget().await;
        matches!(ask(&stack, &drifted).await, SyncAnswer::Resync { .. })
    };
    wait::until(SOON, "the node to start over", resynced)
        .await
        .expect("resynced");
}

#[tokio::test]
async fn commands_for_users_that_nobody_knows_do_not_come_again() {
    let stack = Stack::start().await;
    let well = in_sync(&stack).await;
    let ghost = UserKey::new();
    let command = Command::RemoveUser(RemoveUser {
        node: node("node-1"),
        user_key: ghost,
        username: "ghost".parse().expect("valid"),
        revision: Revision(3),
    });
    let publication = Publication {
        command: Envelope::new(command),
        expected_sequence: 0,
    };
    publish::publish_all(&stack.app.topology, &[publication])
        .await
        .remove(0)
        .expect("published");
    let with_ghost = stack.app.topology.newest_command(&node("node-1")).await.expect("read");

    let drifted = SyncRequest {
        digest: StateDigest(1),
        ..well
    };
    ask(&stack, &drifted).await;
    ask_until_prepared(&stack, &drifted).await;

    let newest = stack.app.topology.newest_command(&node("node-1")).await.expect("read");
    assert!(newest < with_ghost, "{newest} is not before {with_ghost}");
}

#[tokio::test]
async fn a_bus_with_another_store_gets_everything_published_again_once() {
    let stack = Stack::start().await;
    in_sync(&stack).await;
    let store = stack.app.topology.commands_store().await.expect("read");
    let known = async || recognise_stream(&stack.app, store).await.is_ok();
    wait::until(SOON, "the store is known", known).await.expect("known");
    stack.tasks.stop();
    stack.tasks.wait(SOON).await.expect("stopped");

    recognise_stream(&stack.app, store).await.expect("compared");
    assert_eq!(
        view(&stack, "alice").await.expect("there").placements[0].published_revision,
        1
    );

    for _ in 0..2 {
        recognise_stream(&stack.app, StreamId(1)).await.expect("noted");
    }
    assert_eq!(
        view(&stack, "alice").await.expect("there").placements[0].published_revision,
        0
    );
    assert_eq!(audited(&stack, AuditAction::BusStoreReplaced).await.len(), 1);
}

#[tokio::test]
async fn what_a_node_lost_is_not_applied_and_is_not_published_again_when_the_stream_holds_it() {
    let stack = Stack::start().await;
    let well = in_sync(&stack).await;
    let sequence = well.last_sequence;
    let synced = async || view(&stack, "alice").await.expect("there").user.synced;
    assert!(synced().await);
    let lost = SyncRequest {
        last_sequence: 0,
        complete: false,
        digest: StateDigest::default(),
        instance: AgentInstance::new(),
        ..well
    };
    let answer = ask_until_prepared(&stack, &lost).await;
    assert!(
        matches!(answer, SyncAnswer::Resync { upto_sequence, .. } if upto_sequence == sequence),
        "{answer:?}: published again?"
    );
    let held = get_node(&stack.app, &node("node-1"))
        .await
        .expect("read")
        .expect("there");
    assert_eq!((held.progress.applied, held.progress.pending), (0, 1));
    assert!(!synced().await);
    let alice = view(&stack, "alice").await.expect("there");
    let ack = applied("node-1", &alice, 1);
    apply_reports(&stack.app, &[ack], &[]).await.expect("recorded");
    assert!(synced().await);
}

#[tokio::test]
async fn a_stream_that_holds_another_revision_gets_the_wanted_one() {
    let stack = Stack::start().await;
    let well = in_sync(&stack).await;
    // As after a store of the bus that was put back: the record says that revision 2 was published.
    run(&stack.app.db, "UPDATE users SET revision = 2").await;
    run(
        &stack.app.db,
        "UPDATE placements SET wanted_revision = 2, applied_revision = 2, published_revision = 2",
    )
    .await;
    let drifted = SyncRequest {
        digest: StateDigest(1),
        at: Utc::now(),
        ..well
    };
    ask_until_prepared(&stack, &drifted).await;
    let held = stack.app.topology.commands_held(&node("node-1")).await.expect("listed");
    let revisions: Vec<Revision> = held.iter().map(|command| command.revision).collect();
    assert_eq!(revisions, [Revision(2)]);
}

/// Its one user was removed there, and waits for another node that is away.
#[tokio::test]
async fn a_node_that_lost_only_a_removal_is_given_it_again_and_then_left_alone() {
    let stack = Stack::start().await;
    enrol(&stack, "node-2").await;
    let well = in_sync(&stack).await;
    let name = "alice".parse().expect("a valid username");
    let removed = remove_user(&stack.app, &actor(), &name).await.expect("removed");
    let acked = async || {
        let ack = applied("node-1", &removed, removed.user.revision);
        apply_reports(&stack.app, &[ack], &[]).await.expect("recorded");
    };
    acked().await;
    let lost = SyncRequest {
        last_sequence: 0,
        complete: false,
        digest: StateDigest::default(),
        ..well
    };
    let answer = ask_until_prepared(&stack, &lost).await;
    assert!(matches!(answer, SyncAnswer::Resync { .. }), "{answer:?}");
    let held = stack.app.topology.commands_held(&node("node-1")).await.expect("listed");
    assert_eq!(held.len(), 1, "the removal: {held:?}");
    let answer = ask(&stack, &lost).await;
    assert!(matches!(answer, SyncAnswer::Ok { .. }), "{answer:?}");
    acked().await;
}
