//! The handshake: when a node gets all its commands again.

use chrono::Utc;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, TransactionTrait as _,
};
use vpnmanager_entities::server;
use vpnmanager_management::{
    domain::audit_action::AuditAction,
    ops::{
        nodes::answer_sync::{answer_sync, reply_to_sync},
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
    sync::{StateDigest, StreamId, SyncAnswer, SyncReply, SyncRequest},
    topology::HeldCommand,
};
use vpnmanager_testbed::wait;

use super::{actor, applied, audited, create, enrol, issued, node, view};
use crate::{
    database::{number, run},
    stack::Stack,
};

/// The request of a new node.
pub(crate) fn request(id: &str) -> SyncRequest {
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

/// The answer to the first handshake of a node, with all that it brings.
pub(crate) async fn handshake(stack: &Stack, id: &str) -> SyncReply {
    reply_to_sync(&stack.app, &request(id)).await.expect("answered")
}

/// The nodes that are marked to be asked for a handshake.
pub(crate) async fn prompted(stack: &Stack) -> Vec<String> {
    let marked = server::Entity::find()
        .filter(server::Column::PromptSince.is_not_null())
        .order_by_asc(server::Column::Name)
        .all(&stack.app.db)
        .await
        .expect("read");
    marked.iter().map(|server| server.name.to_string()).collect()
}

pub(super) async fn ask(stack: &Stack, request: &SyncRequest) -> SyncAnswer {
    answer_sync(&stack.app, request).await.expect("answered")
}

/// Repeats the request until every command is published again.
pub(super) async fn ask_until_prepared(stack: &Stack, request: &SyncRequest) -> SyncAnswer {
    let prepared = async || match ask(stack, request).await {
        SyncAnswer::Preparing { .. } => None,
        answer @ (SyncAnswer::Ok { .. } | SyncAnswer::Resync { .. } | SyncAnswer::Refused { .. }) => Some(answer),
    };
    wait::until_some(wait::SOON, "everything is published again", prepared)
        .await
        .expect("prepared")
}

/// A node that holds alice's first revision, and its request.
pub(super) async fn in_sync(stack: &Stack) -> SyncRequest {
    enrol(stack, "node-1").await;
    let alice = create(stack, "alice").await;
    let published = async || view(stack, "alice").await.expect("there").placements[0].published_revision == 1;
    wait::until(wait::SOON, "alice is in the stream", published)
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
    wait::until(wait::SOON, "alice is in the stream again", published)
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
    wait::until(wait::SOON, "the node to start over", resynced)
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
    wait::until(wait::SOON, "the store is known", known)
        .await
        .expect("known");
    stack.end_tasks().await;

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

/// All placements are marked for publication; nobody waits until all are.
#[tokio::test]
async fn a_replaced_store_holds_up_no_revocation() {
    let stack = Stack::start().await;
    in_sync(&stack).await;
    stack.end_tasks().await;
    let db = &stack.app.db;
    run(
        db,
        "WITH made AS (
             INSERT INTO users (key, username, server_id, created_by)
             SELECT gen_random_uuid(), 'user' || n, 'node-1', 'test' FROM generate_series(1, 2500) n RETURNING id)
         INSERT INTO placements (user_id, server_id, role, wanted_revision, published_revision)
         SELECT id, 'node-1', 'home', 1, 1 FROM made",
    )
    .await;
    let somebody = db.begin().await.expect("begun");
    let last = "SELECT id FROM placements ORDER BY id DESC LIMIT 1 FOR UPDATE";
    somebody.execute_unprepared(last).await.expect("locked");
    let marked = async || number(db, "SELECT count(*) FROM placements WHERE published_revision = 0").await;
    let meanwhile = async {
        wait::until(wait::SOON, "the first two batches", async || marked().await == 2000)
            .await
            .expect("marked");
        let alice = "alice".parse().expect("a username");
        let removed = tokio::time::timeout(wait::SOON, remove_user(&stack.app, &actor(), &alice)).await;
        removed.expect("it waited").expect("removed");
        assert_eq!(marked().await, 2000, "it is not at its end");
        somebody.rollback().await.expect("unlocked");
    };

    let (recognised, ()) = tokio::join!(recognise_stream(&stack.app, StreamId(1)), meanwhile);

    recognised.expect("recognised");
    assert_eq!(marked().await, 2501);
    assert_eq!(audited(&stack, AuditAction::BusStoreReplaced).await.len(), 1);
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
