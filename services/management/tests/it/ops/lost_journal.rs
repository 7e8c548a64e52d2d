//! A node that lost its journal: what counts as applied, and what need not be acked again.

use chrono::Utc;
use sea_orm::{ConnectionTrait as _, TransactionTrait as _};
use vpnmanager_management::ops::{
    nodes::lost_journal::recorded_upto, reports::apply_reports::apply_reports, users::remove::remove_user,
};
use vpnmanager_nats::{
    commands::{Command, RemoveUser},
    envelope::Envelope,
    ids::{AgentInstance, Revision, UserKey},
    publish::{self, Publication},
    sync::{StateDigest, SyncAnswer, SyncRequest},
};

use super::{
    actor, applied, create, enrol, issued, node, node_view,
    sync::{ask, ask_until_prepared, in_sync},
    view,
};
use crate::{
    database::{number, run, until},
    stack::{Stack, get},
};

/// The request of a new run of this node that has nothing.
fn without_journal(well: &SyncRequest) -> SyncRequest {
    SyncRequest {
        instance: AgentInstance::new(),
        last_sequence: 0,
        complete: false,
        users: 0,
        digest: StateDigest::default(),
        at: Utc::now(),
        ..well.clone()
    }
}

#[tokio::test]
async fn what_a_node_lost_is_not_applied_until_it_holds_everything_again() {
    let stack = Stack::start().await;
    let well = in_sync(&stack).await;
    let node_is = async |applied: i64, pending: i64| {
        let node = get(&stack, "/api/endnodes/node-1").await;
        let sync = &node["sync"];
        assert_eq!(
            (&sync["applied"], &sync["pending"]),
            (&applied.into(), &pending.into()),
            "{node}"
        );
    };
    let alice_is = async |synced: bool| {
        let alice = get(&stack, "/api/users/alice").await;
        assert_eq!(alice["synced"], synced, "{alice}");
        assert_eq!(alice["nodes"][0]["applied_revision"], i64::from(synced), "{alice}");
        for (filter, expected) in [(synced, 1), (!synced, 0)] {
            let path = format!("/api/users?synced={filter}");
            let listed = get(&stack, &path).await;
            let items = listed["items"].as_array().map(Vec::len);
            assert_eq!(items, Some(expected), "{path}: {listed}");
        }
        alice
    };
    node_is(1, 0).await;
    alice_is(true).await;

    let lost = without_journal(&well);
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
    // That it can tell nothing of the sessions of before stays noted.
    let noted =
        "SELECT count(*) FROM servers WHERE emptied_at IS NULL AND journal_lost_at > now() - interval '1 minute'";
    assert_eq!(number(&stack.app.db, noted).await, 1);
}

#[tokio::test]
async fn a_change_that_is_not_in_the_stream_yet_hides_nothing_that_is_recorded() {
    let stack = Stack::start().await;
    let well = in_sync(&stack).await;
    create(&stack, "bob").await;
    stack.end_tasks().await;
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
    let lost = without_journal(&well);
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

/// Bob is created and his command published after the handshake found everything published, and management has not recorded that it is in
/// the stream. As chaos found it: the node took his command for one that it had applied, and made no key for him.
#[tokio::test]
async fn what_is_published_during_the_handshake_is_not_taken_for_applied() {
    let stack = Stack::start().await;
    let well = in_sync(&stack).await;
    let lost = without_journal(&well);
    assert!(matches!(ask(&stack, &lost).await, SyncAnswer::Preparing { .. }));
    stack.end_tasks().await;

    let creating = stack.app.db.begin().await.expect("begun");
    let hold_up = "LOCK TABLE users IN ACCESS EXCLUSIVE MODE";
    creating.execute_unprepared(hold_up).await.expect("locked");
    let bob = UserKey::new();
    let create = async {
        let waits = "SELECT count(*) FROM pg_stat_activity
                     WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%AS awaited%'";
        until(&stack.app.db, "the handshake compares the stream", waits).await;
        let insert = format!(
            r#"INSERT INTO users SELECT (jsonb_populate_record(u, '{{"id": 1000, "key": "{bob}", "username": "bob"}}')).* FROM users u;
               INSERT INTO placements SELECT (jsonb_populate_record(p, '{{"id": 1000, "user_id": 1000, "applied_revision": 0,
                   "applied_at": null, "outcome": null, "published_revision": 0, "published_sequence": 0, "digest": 0}}')).* FROM placements p"#
        );
        creating.execute_unprepared(&insert).await.expect("inserted");
        creating.commit().await.expect("committed");
        let command = Command::RemoveUser(RemoveUser {
            node: node("node-1"),
            user_key: bob,
            username: "bob".parse().expect("valid"),
            revision: Revision(1),
        });
        let publication = Publication {
            command: Envelope::new(command),
            expected_sequence: 0,
        };
        let published = publish::publish_all(&stack.app.topology, &[publication])
            .await
            .remove(0);
        published.expect("published");
    };

    let (answer, ()) = futures_util::future::join(ask(&stack, &lost), create).await;

    let SyncAnswer::Resync {
        upto_sequence,
        recorded_upto,
        ..
    } = answer
    else {
        panic!("{answer:?}");
    };
    assert_eq!(upto_sequence, well.last_sequence + 1, "bob's command");
    assert_eq!(recorded_upto, Some(well.last_sequence), "alice's command");
}

#[tokio::test]
async fn what_a_node_lost_is_not_applied_and_is_not_published_again_when_the_stream_holds_it() {
    let stack = Stack::start().await;
    let well = in_sync(&stack).await;
    let sequence = well.last_sequence;
    let synced = async || view(&stack, "alice").await.expect("there").user.synced;
    assert!(synced().await);
    let lost = without_journal(&well);
    let answer = ask_until_prepared(&stack, &lost).await;
    assert!(
        matches!(answer, SyncAnswer::Resync { upto_sequence, .. } if upto_sequence == sequence),
        "{answer:?}: published again?"
    );
    let held = node_view(&stack, "node-1").await;
    assert_eq!((held.progress.applied, held.progress.pending), (0, 1));
    assert!(!synced().await);
    let alice = view(&stack, "alice").await.expect("there");
    let ack = applied("node-1", &alice, 1);
    apply_reports(&stack.app, &[ack], &[]).await.expect("recorded");
    assert!(synced().await);
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
    let lost = without_journal(&well);
    let answer = ask_until_prepared(&stack, &lost).await;
    assert!(matches!(answer, SyncAnswer::Resync { .. }), "{answer:?}");
    let held = stack.app.topology.commands_held(&node("node-1")).await.expect("listed");
    assert_eq!(held.len(), 1, "the removal: {held:?}");
    let answer = ask(&stack, &lost).await;
    assert!(matches!(answer, SyncAnswer::Ok { .. }), "{answer:?}");
    acked().await;
}

/// For another reason it is to get everything again, and before it does its disk is replaced.
#[tokio::test]
async fn a_journal_that_is_lost_while_everything_is_prepared_counts_as_lost() {
    let stack = Stack::start().await;
    let well = in_sync(&stack).await;
    let drifted = SyncRequest {
        digest: StateDigest(1),
        at: Utc::now(),
        ..well.clone()
    };
    assert!(matches!(ask(&stack, &drifted).await, SyncAnswer::Preparing { .. }));
    let synced = async || view(&stack, "alice").await.expect("there").user.synced;
    assert!(synced().await);

    let lost = without_journal(&well);
    let answer = ask_until_prepared(&stack, &lost).await;
    assert!(
        matches!(
            answer,
            SyncAnswer::Resync {
                recorded_upto: Some(_),
                ..
            }
        ),
        "{answer:?}"
    );
    assert!(!synced().await);
}
