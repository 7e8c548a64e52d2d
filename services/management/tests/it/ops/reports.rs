//! Recording acks and events.

use std::time::Duration;

use poem::http::StatusCode;
use sea_orm::{ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, Statement, TransactionTrait as _};
use vpnmanager_entities::{audit_log, credential, user};
use vpnmanager_management::{
    domain::acks::MOST_RAISED,
    ops::{
        credentials::revoke_node::NodeCredentials,
        nodes::deregister::deregister_node,
        reports::apply_reports::apply_reports,
        users::{
            change::{UserChange, change_user},
            read::UserView,
            remove::remove_user,
        },
    },
};
use vpnmanager_nats::{
    acks::{Issued, Outcome},
    envelope::Envelope,
    ids::Revision,
    subjects,
};
use vpnmanager_testbed::wait;

use super::{actor, applied, create, enrol, issued, node, reissue_default, view};
use crate::{
    database::{number, run},
    stack::{Stack, WithKey as _, json_of},
};

#[tokio::test]
async fn a_user_is_synced_when_the_last_node_has_applied() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    enrol(&stack, "node-2").await;
    let (alice, bob) = (create(&stack, "alice").await, create(&stack, "bob").await);
    assert_eq!(alice.placements.len(), 2);
    let at_home = async |user: &UserView| issued(&stack, user, 1).await;
    let standing_by = |user: &UserView| {
        let standby = user
            .placements
            .iter()
            .find(|placed| placed.server_id != user.user.server_id);
        applied(standby.expect("two nodes").server_id.as_str(), user, 1)
    };

    // Whichever comes last.
    for (user, first, last) in [
        (&alice, at_home(&alice).await, standing_by(&alice)),
        (&bob, standing_by(&bob), at_home(&bob).await),
    ] {
        for (ack, synced) in [(first, false), (last, true)] {
            apply_reports(&stack.app, &[ack], &[]).await.expect("recorded");
            let found = view(&stack, user.user.username.as_str()).await.expect("there").user;
            assert_eq!(found.synced, synced, "{found:?}");
            assert!(!synced || found.checksum.is_some());
        }
    }
}

/// Who waits must not be told that the user is gone because two acks about it came together.
#[tokio::test]
async fn whoever_waits_is_told_the_state_when_both_nodes_ack_in_one_batch() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    enrol(&stack, "node-2").await;
    let alice = create(&stack, "alice").await;
    let standby = alice
        .placements
        .iter()
        .find(|placed| placed.server_id != alice.user.server_id)
        .expect("two nodes");
    let acks = [
        issued(&stack, &alice, 1).await,
        applied(standby.server_id.as_str(), &alice, 1),
    ];
    let place = stack.app.waiters.place("test").expect("a place");
    let recorded = async {
        // Not before the wait has begun.
        tokio::task::yield_now().await;
        apply_reports(&stack.app, &acks, &[]).await.expect("recorded");
    };
    let waited = stack
        .app
        .waiters
        .until_settled(&place, alice.clone(), Duration::from_secs(10));
    let (told, ()) = tokio::join!(waited, recorded);
    let told = told.expect("read").expect("she is there");
    assert!(told.user.synced && told.user.checksum.is_some(), "{told:?}");
}

/// A batch of acks that waits for one user keeps nobody from changing the others.
#[tokio::test]
async fn acks_that_wait_for_a_user_hold_up_no_other_one() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let (alice, bob) = (create(&stack, "alice").await, create(&stack, "bob").await);
    let acks = [issued(&stack, &alice, 1).await, issued(&stack, &bob, 1).await];
    let somebody = stack.app.db.begin().await.expect("begun");
    let lock = "SELECT id FROM users WHERE username = 'bob' FOR UPDATE";
    somebody.execute_unprepared(lock).await.expect("locked");
    let meanwhile = async {
        let waits =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        wait::until(wait::SOON, "the acks wait for bob", async || {
            number(&stack.app.db, waits).await == 1
        })
        .await
        .expect("they wait");
        let suspend = UserChange {
            active: Some(false),
            ..UserChange::default()
        };
        let admin = actor();
        let suspended = change_user(&stack.app, &admin, &alice.user.username, suspend);
        let suspended = tokio::time::timeout(wait::SOON, suspended).await.expect("it waited");
        let of_alice = &suspended.expect("suspended").placements[0];
        assert_eq!(of_alice.applied_revision, 1, "her ack is recorded");
        let of_bob = view(&stack, "bob").await.expect("there");
        assert_eq!(of_bob.placements[0].applied_revision, 0);
        somebody.rollback().await.expect("unlocked");
    };
    let (applied, ()) = tokio::join!(apply_reports(&stack.app, &acks, &[]), meanwhile);
    let mut told = applied.expect("recorded").users;
    told.sort();
    let mut expected = vec![alice.user.key, bob.user.key];
    expected.sort();
    assert_eq!(told, expected);
    assert!(view(&stack, "bob").await.expect("there").user.synced);
}

#[tokio::test]
async fn a_user_is_not_synced_before_its_profile_is_recorded() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let alice = create(&stack, "alice").await;
    let state = async || {
        let alice = view(&stack, "alice").await.expect("there");
        (alice.user.synced, alice.user.checksum.is_some())
    };
    // As a home answers whose key was lost between certificate and profile.
    let mut lost = applied("node-1", &alice, 1);
    lost.outcome = Outcome::Applied {
        issued: None,
        further: Vec::new(),
        note: Some("its profile cannot be made here".to_owned()),
    };
    apply_reports(&stack.app, &[lost], &[]).await.expect("recorded");
    assert_eq!(state().await, (false, false));
    let shown = view(&stack, "alice").await.expect("there").placements.remove(0);
    assert_eq!(
        (shown.applied_revision, shown.error.as_deref()),
        (1, Some("its profile cannot be made here"))
    );

    let alice = reissue_default(&stack, &alice.user.username).await;
    // The answer without a profile comes first, and the one with it in the same batch as a repetition of the other.
    let bare = || applied("node-1", &alice, 2);
    apply_reports(&stack.app, &[bare()], &[]).await.expect("recorded");
    assert_eq!(state().await, (false, false));
    let made = issued(&stack, &alice, 2).await;
    apply_reports(&stack.app, &[bare(), made], &[]).await.expect("recorded");
    assert_eq!(state().await, (true, true));
}

#[tokio::test]
async fn a_user_on_no_node_is_not_synced_by_a_late_ack() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let alice = create(&stack, "alice").await;
    let made = issued(&stack, &alice, 1).await;
    apply_reports(&stack.app, std::slice::from_ref(&made), &[])
        .await
        .expect("recorded");
    deregister_node(&stack.app, &actor(), &node("node-1"), NodeCredentials::Keep)
        .await
        .expect("deregistered");
    for ack in [applied("node-1", &alice, 1), made] {
        apply_reports(&stack.app, &[ack], &[]).await.expect("recorded");
        let found = view(&stack, "alice").await.expect("there");
        assert_eq!((found.placements.len(), found.user.synced), (0, false));
    }
}

#[tokio::test]
async fn an_ack_for_an_older_revision_settles_nothing_and_one_from_the_future_changes_nothing() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let alice = create(&stack, "alice").await;
    let name = "alice".parse().expect("a valid username");
    let suspend = UserChange {
        active: Some(false),
        ..UserChange::default()
    };
    let suspended = change_user(&stack.app, &actor(), &name, suspend)
        .await
        .expect("changed");
    assert_eq!(suspended.user.revision, 2);

    apply_reports(&stack.app, &[applied("node-1", &alice, 3)], &[])
        .await
        .expect("recorded");
    assert_eq!(
        view(&stack, "alice").await.expect("there").placements[0].applied_revision,
        0
    );

    apply_reports(&stack.app, &[applied("node-1", &alice, 1)], &[])
        .await
        .expect("recorded");
    let after = view(&stack, "alice").await.expect("there");
    assert_eq!((after.placements[0].applied_revision, after.user.synced), (1, false));

    let both = [issued(&stack, &alice, 2).await, applied("node-1", &alice, 1)];
    apply_reports(&stack.app, &both, &[]).await.expect("recorded");
    let after = view(&stack, "alice").await.expect("there");
    assert_eq!((after.placements[0].applied_revision, after.user.synced), (2, true));
}

#[tokio::test]
async fn a_failure_is_shown_and_an_ack_from_a_node_without_the_user_is_ignored() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let alice = create(&stack, "alice").await;
    let mut failed = applied("node-1", &alice, 1);
    failed.outcome = Outcome::Failed {
        error: "the disk is full".to_owned(),
    };
    let stranger = applied("node-9", &alice, 1);

    apply_reports(&stack.app, &[failed, stranger], &[])
        .await
        .expect("recorded");

    let after = view(&stack, "alice").await.expect("there");
    assert_eq!(after.placements[0].error.as_deref(), Some("the disk is full"));
    assert_eq!((after.placements[0].applied_revision, after.user.synced), (0, false));
}

#[tokio::test]
async fn a_removed_user_goes_with_its_last_ack_and_its_credential_stays_in_the_inventory() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    enrol(&stack, "node-2").await;
    let alice = create(&stack, "alice").await;
    let name = "alice".parse().expect("a valid username");
    remove_user(&stack.app, &actor(), &name).await.expect("removed");

    let first = apply_reports(&stack.app, &[applied("node-1", &alice, 2)], &[])
        .await
        .expect("recorded");
    assert_eq!(first.tombstones.len(), 1);
    let row = user::Entity::find_by_id(alice.user.id)
        .one(&stack.app.db)
        .await
        .expect("read");
    assert!(row.expect("still there").removed_at.is_some());

    apply_reports(&stack.app, &[applied("node-2", &alice, 2)], &[])
        .await
        .expect("recorded");
    assert_eq!(
        user::Entity::find_by_id(alice.user.id)
            .one(&stack.app.db)
            .await
            .expect("read"),
        None
    );
    let credentials = credential::Entity::find().all(&stack.app.db).await.expect("read");
    assert_eq!(credentials.len(), 1);
    assert!(credentials[0].revoked_at.is_some() && credentials[0].user_id.is_none());
    let receipt = audit_log::Entity::find().filter(audit_log::COLUMN.action.eq("user_removal_completed"));
    let receipt = receipt
        .one(&stack.app.db)
        .await
        .expect("read")
        .expect("one")
        .after
        .expect("the nodes");
    let nodes = receipt["nodes"].as_array().expect("a list");
    assert!(
        nodes.len() == 2 && nodes.iter().all(|node| node["applied_at"].is_string()),
        "{receipt}"
    );
}

#[tokio::test]
async fn the_audit_trail_cannot_be_rewritten() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    create(&stack, "alice").await;
    let before = audit_log::Entity::find().count(&stack.app.db).await.expect("counted");
    assert!(before > 0);
    audit_log::Entity::delete_many()
        .exec(&stack.app.db)
        .await
        .expect_err("append-only");
    assert_eq!(
        audit_log::Entity::find().count(&stack.app.db).await.expect("counted"),
        before
    );
}

#[tokio::test]
async fn a_revision_that_a_node_holds_and_nobody_knows_is_outrun_and_audited() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let alice = create(&stack, "alice").await;
    let mut superseded = applied("node-1", &alice, 1);
    superseded.outcome = Outcome::Superseded { holds: Revision(7) };
    apply_reports(&stack.app, &[superseded], &[]).await.expect("recorded");
    let after = view(&stack, "alice").await.expect("there");
    assert_eq!(after.placements[0].error.as_deref(), Some("the node holds revision 7"));
    assert_eq!(
        (
            after.user.revision,
            after.placements[0].wanted_revision,
            after.user.synced
        ),
        (8, 8, false)
    );
    let raised = audit_log::Entity::find().filter(audit_log::COLUMN.action.eq("user_revision_raised"));
    let raised = raised.one(&stack.app.db).await.expect("read").expect("one");
    assert_eq!(
        raised.before.expect("the state before"),
        serde_json::json!({ "revision": 1, "seen": 7 })
    );

    let mut absurd = applied("node-1", &alice, 1);
    absurd.outcome = Outcome::Superseded {
        holds: Revision(i64::MAX),
    };
    apply_reports(&stack.app, &[absurd], &[]).await.expect("recorded");
    assert_eq!(view(&stack, "alice").await.expect("there").user.revision, 8);
}

#[tokio::test]
async fn a_node_raises_a_revision_once_in_a_while_within_reach_and_for_its_own_users_only() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let alice = create(&stack, "alice").await;
    let says = |id: &str, revision, holds| {
        let mut ack = applied(id, &alice, revision);
        ack.outcome = Outcome::Superseded { holds: Revision(holds) };
        ack
    };
    let revision = async || view(&stack, "alice").await.expect("there").user.revision;
    for vain in [
        says("node-1", 1, Revision::MAX),
        says("node-1", 1, 2 + MOST_RAISED),
        says("node-1", 0, 7),
        says("node-1", 2, 7),
        says("no-node", 1, 7),
    ] {
        apply_reports(&stack.app, &[vain], &[]).await.expect("recorded");
        assert_eq!(revision().await, 1);
    }

    for round in 0..200 {
        let wanted = revision().await;
        let acks = [applied("node-1", &alice, wanted), says("node-1", wanted, wanted + 1000)];
        for ack in acks {
            apply_reports(&stack.app, &[ack], &[]).await.expect("recorded");
        }
        assert_eq!(revision().await, 1002, "in round {round}");
    }
    let raised = audit_log::Entity::find().filter(audit_log::COLUMN.action.eq("user_revision_raised"));
    assert_eq!(raised.count(&stack.app.db).await.expect("counted"), 1);

    // Of bob it is believed until he was raised three times in a day.
    let bob = create(&stack, "bob").await;
    let raised_before = "INSERT INTO audit_log (action, username, server_id, actor, timestamp)
                         VALUES ('user_revision_raised', 'bob', 'test', 'system', now() - interval '20 minutes')";
    for (raises, expected) in [(2, 8), (3, 8)] {
        while number(
            &stack.app.db,
            "SELECT count(*) FROM audit_log WHERE action = 'user_revision_raised' AND username = 'bob'",
        )
        .await
            < raises
        {
            run(&stack.app.db, raised_before).await;
        }
        let wanted = view(&stack, "bob").await.expect("there").user.revision;
        let mut ack = applied("node-1", &bob, wanted);
        ack.outcome = Outcome::Superseded {
            holds: Revision(wanted + 6),
        };
        apply_reports(&stack.app, &[ack], &[]).await.expect("recorded");
        let revision = view(&stack, "bob").await.expect("there").user.revision;
        assert_eq!(revision, expected, "after {raises} raises");
    }
}

/// A stolen node may send text that PostgreSQL rejects, and an honest node may quote such text from logs.
#[tokio::test]
async fn a_report_that_cannot_be_recorded_holds_up_no_other() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    enrol(&stack, "node-2").await;
    let alice = create(&stack, "alice").await;
    let user = alice.user.key;
    let credentials = credential::Entity::find_valid_of([alice.user.id]).all(&stack.app.db);
    let credential = credentials.await.expect("read").remove(0);
    let (home, standby) = (&alice.placements[0].server_id, &alice.placements[1].server_id);

    let mut poisoned = applied(home.as_str(), &alice, 1);
    poisoned.outcome = Outcome::Applied {
        issued: Some(Issued {
            common_name: credential.common_name.clone(),
            profile_path: "/nowhere".to_owned(),
            profile_checksum: "far too long ".repeat(100),
        }),
        further: Vec::new(),
        note: None,
    };
    let mut quoting = applied(standby.as_str(), &alice, 1);
    quoting.outcome = Outcome::Failed {
        error: "the log says \0".to_owned(),
    };
    let good = applied(standby.as_str(), &alice, 1);
    for ack in [poisoned, quoting, good] {
        let subject = subjects::ack(&ack.node, user);
        let payload = Envelope::new(ack).encode();
        stack.app.bus.client.publish(subject, payload).await.expect("published");
    }

    let recorded = async || {
        let view = view(&stack, "alice").await.expect("there");
        view.placements[0].applied_revision == 0 && view.placements[1].applied_revision == 1
    };
    wait::until(Duration::from_secs(10), "the good ack to be recorded", recorded)
        .await
        .expect("recorded");
    let note = view(&stack, "alice").await.expect("there").placements.remove(1).error;
    assert!(note.is_none(), "{note:?}");
}

/// What the trail holds from before there was a bound stays for ever.
#[tokio::test]
async fn long_text_of_a_node_in_the_trail_is_cut_where_it_is_shown() {
    let stack = Stack::start().await;
    let long = "no \u{1b}[2J disk\n".repeat(1_600);
    let old = Statement::from_sql_and_values(
        stack.app.db.get_database_backend(),
        "INSERT INTO audit_log (action, server_id, actor, details, after)
         VALUES ('sessions_cut', 'node-1', 'node:node-1', $1,
                 jsonb_build_object('type', 'sessions_cut', 'common_names', array_fill($1::text, ARRAY[100])))",
        [long.into()],
    );
    stack.app.db.execute_raw(old).await.expect("written");
    let answer = stack.client().get("/api/audit").admin().send().await;
    let text = json_of(answer, StatusCode::OK).await.to_string();
    assert!(text.len() < 60_000, "{} bytes", text.len());
}
