//! How it goes on: after a crash, beside others, and until somebody stops it.

use std::collections::BTreeSet;

use sea_orm::{ConnectionTrait as _, DatabaseTransaction, TransactionTrait as _};
use secrecy::ExposeSecret as _;
use serde_json::json;
use vpnmanager_management::{
    domain::audit_action::AuditAction,
    ops::{
        reissues::{
            NodeReissueError,
            go_on::{Left, reissue_some},
            read::read_reissue,
            start::{Lost, StartReissueError, start_reissue},
            stop::stop_reissue,
        },
        users::{reissue::OldProfiles, remove::remove_user},
    },
};

use super::{
    super::reissue_default, actor, audited, create_many_on, create_on, ended, fleet, go_on, go_on_to_the_end, issuers,
    node, now, progress, start, valid_credentials,
};
use crate::database::{connect, run};
use crate::stack::Stack;

/// Each node has a command that ends access and is not sent.
const URGENT: &str = "UPDATE placements SET asked_at = NULL, urgent_since = now() + interval '1 hour'";

/// Somebody else who is changing this user.
async fn changing(stack: &Stack, username: &str) -> DatabaseTransaction {
    let url = stack.config.database.connection_url();
    let elsewhere = connect(url.expose_secret()).await;
    let other = elsewhere.begin().await.expect("begun");
    let lock = format!("SELECT FROM users WHERE username = '{username}' FOR UPDATE");
    other.execute_unprepared(&lock).await.expect("locked");
    other
}

#[tokio::test]
async fn a_node_without_users_is_done_at_once_and_one_that_there_is_not_is_refused() {
    let stack = fleet(1).await;
    let none = read_reissue(&stack.app.db, &node("node-1")).await;
    assert!(matches!(none, Err(NodeReissueError::NotAsked)), "{none:?}");
    let begun = start(&stack, "node-1", OldProfiles::Keep).await.expect("begun");
    assert_eq!((begun.total, begun.ended_at.is_some()), (0, true));
    let refused = start(&stack, "nowhere", OldProfiles::Keep).await;
    assert!(matches!(refused, Err(StartReissueError::UnknownServer)), "{refused:?}");
    let unknown = read_reissue(&stack.app.db, &node("nowhere")).await;
    assert!(matches!(unknown, Err(NodeReissueError::UnknownServer)), "{unknown:?}");
    let unknown = stop_reissue(&stack.app, &actor(), &node("nowhere")).await;
    assert!(matches!(unknown, Err(NodeReissueError::UnknownServer)), "{unknown:?}");
    assert_eq!(audited(&stack, AuditAction::NodeReissueStarted).await.len(), 1);
}

#[tokio::test]
async fn what_a_crash_interrupts_goes_on_where_it_was_and_nobody_has_two_turns() {
    let stack = fleet(2).await;
    let users = create_many_on(&stack, "node-1", 250).await;
    stack.end_tasks().await;
    start(&stack, "node-1", OldProfiles::Keep).await.expect("begun");
    assert_eq!(go_on(&stack).await, Left::More);
    assert_eq!(progress(&stack, "node-1").await.done, 100);
    // Two replicas.
    let (one, other) = tokio::join!(reissue_some(&stack.app), reissue_some(&stack.app));
    one.expect("done");
    other.expect("done");
    remove_user(&stack.app, &actor(), &users[249].user.username)
        .await
        .expect("removed");

    go_on_to_the_end(&stack).await;

    let job = progress(&stack, "node-1").await;
    assert_eq!((job.total, job.done, job.failed), (250, 250, 0));
    assert!(job.ended_at.is_some());
    let rows = audited(&stack, AuditAction::UserReissued).await;
    let names: BTreeSet<_> = rows.iter().map(|row| row.username.clone()).collect();
    assert_eq!(names.len(), rows.len(), "each user once");
    // Whoever was removed before its turn needed nothing.
    assert_eq!(i64::try_from(rows.len()).expect("a count") + job.unchanged, 250);
    for user in &users[..249] {
        assert_eq!(issuers(&stack, user).await, ["node-1", "node-1"]);
    }
    assert_eq!(audited(&stack, AuditAction::NodeReissueCompleted).await.len(), 1);
}

#[tokio::test]
async fn whom_somebody_else_is_changing_keeps_nobody_waiting_and_comes_later() {
    let stack = fleet(1).await;
    let alice = create_on(&stack, "node-1", "alice").await;
    let bob = create_on(&stack, "node-1", "bob").await;
    stack.end_tasks().await;
    start(&stack, "node-1", OldProfiles::Keep).await.expect("begun");
    let other = changing(&stack, "alice").await;

    assert_eq!(go_on(&stack).await, Left::More);
    assert_eq!(go_on(&stack).await, Left::Busy);

    let job = progress(&stack, "node-1").await;
    assert_eq!((job.done, job.ended_at), (1, None));
    assert_eq!(issuers(&stack, &bob).await.len(), 2);
    other.rollback().await.expect("ended");
    go_on_to_the_end(&stack).await;
    assert_eq!(issuers(&stack, &alice).await.len(), 2);
    assert_eq!(progress(&stack, "node-1").await.done, 2);
}

#[tokio::test]
async fn a_user_of_whom_the_database_refuses_the_change_is_named_and_holds_up_no_other() {
    let stack = fleet(1).await;
    let users = create_many_on(&stack, "node-1", 3).await;
    run(
        &stack.app.db,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF NEW.common_name LIKE 'user1.%' THEN RAISE EXCEPTION 'refused' USING ERRCODE = '23514'; END IF;
             RETURN NEW; END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON credentials FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    .await;

    start(&stack, "node-1", OldProfiles::Revoke).await.expect("begun");
    let job = ended(&stack, "node-1").await;

    assert_eq!((job.total, job.done, job.failed), (3, 3, 1));
    assert_eq!(job.failed_users, json!(["user1"]));
    for (user, changed_by) in users.iter().zip([1, 0, 1]) {
        let after = now(&stack, user).await.user;
        assert_eq!(after.revision, user.user.revision + changed_by, "{}", after.username);
        assert_eq!(issuers(&stack, user).await.len(), 1);
    }
}

#[tokio::test]
async fn it_ends_when_somebody_stops_it_and_begins_anew_when_somebody_asks() {
    let stack = fleet(1).await;
    create_many_on(&stack, "node-1", 120).await;
    stack.end_tasks().await;
    start(&stack, "node-1", OldProfiles::Keep).await.expect("begun");
    assert_eq!(go_on(&stack).await, Left::More);

    for _ in 0..2 {
        let job = stop_reissue(&stack.app, &actor(), &node("node-1"))
            .await
            .expect("ended");
        assert_eq!((job.done, job.stopped, job.ended_at.is_some()), (100, true, true));
    }

    assert_eq!(go_on(&stack).await, Left::Nothing);
    assert_eq!(audited(&stack, AuditAction::UserReissued).await.len(), 100);
    let stopped = audited(&stack, AuditAction::NodeReissueStopped).await;
    let stopped: Vec<_> = stopped.into_iter().map(|row| row.after).collect();
    let counts = json!({ "total": 120, "done": 100, "unchanged": 0, "failed": 0 });
    assert_eq!(stopped, [Some(counts)]);
    assert!(audited(&stack, AuditAction::NodeReissueCompleted).await.is_empty());
    let again = start(&stack, "node-1", OldProfiles::Keep).await.expect("begun");
    assert_eq!(
        (again.total, again.done, again.stopped, again.ended_at),
        (120, 0, false, None)
    );
}

/// The newest command that ends access is sent first, so more of them would overtake it.
#[tokio::test]
async fn a_revocation_that_is_not_sent_yet_goes_first_unless_its_node_is_away() {
    let stack = fleet(1).await;
    create_many_on(&stack, "node-1", 2).await;
    stack.end_tasks().await;
    start(&stack, "node-1", OldProfiles::Keep).await.expect("begun");
    run(&stack.app.db, URGENT).await;
    assert_eq!(go_on(&stack).await, Left::Busy);
    assert_eq!(progress(&stack, "node-1").await.done, 0);

    run(&stack.app.db, "UPDATE servers SET state = 'lost'").await;
    assert_eq!(go_on(&stack).await, Left::More);
    assert_eq!(progress(&stack, "node-1").await.done, 2);

    run(&stack.app.db, "UPDATE servers SET state = 'healthy'").await;
    assert_eq!(go_on(&stack).await, Left::Busy);
    run(&stack.app.db, "UPDATE placements SET asked_at = now()").await;
    go_on_to_the_end(&stack).await;
}

#[tokio::test]
async fn urgent_commands_without_end_hold_it_up_for_seconds_only() {
    let stack = fleet(1).await;
    create_many_on(&stack, "node-1", 2).await;
    stack.end_tasks().await;
    start(&stack, "node-1", OldProfiles::Keep).await.expect("begun");
    run(&stack.app.db, URGENT).await;
    assert_eq!(go_on(&stack).await, Left::Busy);

    let long_ago = "UPDATE node_reissues SET turn_at = now() - interval '1 minute'";
    run(&stack.app.db, long_ago).await;

    assert_eq!(go_on(&stack).await, Left::More);
    assert_eq!(progress(&stack, "node-1").await.done, 2);
}

#[tokio::test]
async fn a_node_whose_profiles_are_revoked_comes_first_and_one_that_is_busy_holds_up_no_other() {
    let stack = fleet(2).await;
    create_on(&stack, "node-1", "alice").await;
    create_on(&stack, "node-2", "bob").await;
    stack.end_tasks().await;
    start(&stack, "node-1", OldProfiles::Keep).await.expect("begun");
    start(&stack, "node-2", OldProfiles::Revoke).await.expect("begun");
    assert_eq!(go_on(&stack).await, Left::More);
    assert_eq!(progress(&stack, "node-2").await.done, 1);
    go_on_to_the_end(&stack).await;

    start(&stack, "node-1", OldProfiles::Keep).await.expect("begun");
    start(&stack, "node-2", OldProfiles::Revoke).await.expect("begun");
    let other = changing(&stack, "bob").await;
    assert_eq!(go_on(&stack).await, Left::More);
    assert_eq!(progress(&stack, "node-1").await.done, 1);
    other.rollback().await.expect("ended");
    go_on_to_the_end(&stack).await;
    assert!(progress(&stack, "node-2").await.ended_at.is_some());
}

#[tokio::test]
async fn a_fault_that_is_of_no_user_ends_nothing() {
    let stack = fleet(1).await;
    let users = create_many_on(&stack, "node-1", 3).await;
    stack.end_tasks().await;
    run(
        &stack.app.db,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             RAISE EXCEPTION 'refused' USING ERRCODE = '23514'; END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON credentials FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    .await;
    start(&stack, "node-1", OldProfiles::Revoke).await.expect("begun");

    assert!(reissue_some(&stack.app).await.is_err());

    let job = progress(&stack, "node-1").await;
    assert_eq!((job.done, job.failed, job.ended_at), (0, 0, None));
    run(&stack.app.db, "DROP TRIGGER refuse ON credentials").await;
    go_on_to_the_end(&stack).await;
    assert_eq!(progress(&stack, "node-1").await.done, 3);
    for user in &users {
        assert_eq!(issuers(&stack, user).await.len(), 1);
    }
}

#[tokio::test]
async fn a_node_of_which_every_change_is_refused_holds_up_no_other() {
    let stack = fleet(2).await;
    for (id, username) in [("node-1", "alice"), ("node-1", "carol"), ("node-2", "bob")] {
        create_on(&stack, id, username).await;
    }
    stack.end_tasks().await;
    run(
        &stack.app.db,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF NEW.common_name ~ '^(alice|carol)[.]' THEN RAISE EXCEPTION 'refused' USING ERRCODE = '23514'; END IF;
             RETURN NEW; END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON credentials FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    .await;
    for id in ["node-1", "node-2"] {
        start(&stack, id, OldProfiles::Keep).await.expect("begun");
    }

    for _ in 0..4 {
        // That of node-1 is refused each time.
        _ = reissue_some(&stack.app).await;
    }

    let (stuck, other) = (progress(&stack, "node-1").await, progress(&stack, "node-2").await);
    assert_eq!((other.done, other.ended_at.is_some()), (1, true));
    assert_eq!((stuck.done, stuck.failed, stuck.ended_at), (0, 0, None));
    run(&stack.app.db, "DROP TRIGGER refuse ON credentials").await;
    go_on_to_the_end(&stack).await;
    assert_eq!(progress(&stack, "node-1").await.done, 2);
}

#[tokio::test]
async fn who_got_none_gets_one_later_and_then_all_older_ones_end_and_no_others() {
    let stack = fleet(1).await;
    let users = create_many_on(&stack, "node-1", 3).await;
    run(
        &stack.app.db,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF NEW.common_name LIKE 'user1.%' THEN RAISE EXCEPTION 'refused' USING ERRCODE = '23514'; END IF;
             RETURN NEW; END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON credentials FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    .await;
    let first = start(&stack, "node-1", OldProfiles::Keep).await.expect("begun");
    assert_eq!(ended(&stack, "node-1").await.failed, 1);
    run(&stack.app.db, "DROP TRIGGER refuse ON credentials").await;
    let again = async |old| {
        let lost = Lost {
            old,
            made_before: Some(first.started_at),
        };
        let begun = start_reissue(&stack.app, &actor(), &node("node-1"), &lost).await;
        begun.expect("begun");
        ended(&stack, "node-1").await
    };

    let kept = again(OldProfiles::Keep).await;

    assert_eq!((kept.total, kept.done, kept.unchanged, kept.failed), (3, 3, 2, 0));
    let mut new = Vec::new();
    for user in &users {
        let ids: Vec<i64> = valid_credentials(&stack, user).await.iter().map(|row| row.id).collect();
        assert_eq!(ids.len(), 2);
        new.push(ids[1]);
    }
    again(OldProfiles::Revoke).await;
    for (user, new) in users.iter().zip(new) {
        let ids: Vec<i64> = valid_credentials(&stack, user).await.iter().map(|row| row.id).collect();
        assert_eq!(ids, [new], "{}", user.user.username);
    }
}

#[tokio::test]
async fn older_profiles_end_later_and_who_has_newer_ones_keeps_them() {
    let stack = fleet(2).await;
    let alice = create_on(&stack, "node-1", "alice").await;
    let kept = start(&stack, "node-1", OldProfiles::Keep).await.expect("begun");
    ended(&stack, "node-1").await;
    // One more, which somebody asked for: who was handed the one before it uses that.
    reissue_default(&stack, &alice.user.username).await;
    let newer: Vec<i64> = valid_credentials(&stack, &alice)
        .await
        .iter()
        .map(|row| row.id)
        .skip(1)
        .collect();
    assert_eq!(newer.len(), 2);
    // She who came later has nothing that is lost.
    let bob = create_on(&stack, "node-1", "bob").await;

    for unchanged in [0, 1] {
        let lost = Lost {
            old: OldProfiles::Revoke,
            made_before: Some(kept.started_at),
        };
        let begun = start_reissue(&stack.app, &actor(), &node("node-1"), &lost).await;
        assert_eq!(begun.expect("begun").total, 1 - unchanged);
        ended(&stack, "node-1").await;
        let valid: Vec<i64> = valid_credentials(&stack, &alice)
            .await
            .iter()
            .map(|row| row.id)
            .collect();
        assert_eq!(valid, newer, "none is made anew");
        assert_eq!(valid_credentials(&stack, &bob).await.len(), 1);
    }
}
