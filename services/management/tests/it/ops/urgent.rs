//! Commands that end access overtake all others.

use chrono::Utc;
use futures_util::StreamExt;
use sea_orm::{ConnectionTrait as _, EntityTrait, QueryFilter, TransactionTrait as _};
use vpnmanager_entities::placement;
use vpnmanager_management::ops::{
    publications::{
        ask_directly::{self, OF_ONE_NODE, Spared},
        claim::{claim, is_any_due},
    },
    reports::apply_reports::apply_reports,
    users::{
        change::{UserChange, change_user},
        read::UserView,
        remove::remove_user,
    },
};
use vpnmanager_nats::{
    acks::{Ack, Outcome},
    commands::Command,
    connect::Bus,
    envelope::Envelope,
    ids::AgentInstance,
    node_requests::{NodeAnswer, NodeRequest},
};
use vpnmanager_testbed::wait;

use super::{actor, applied, create, enrol, node, view};
use crate::{bus_node::connect_as, database::run, stack::Stack};

/// A node that takes nothing from its stream and answers requests to apply.
async fn answering(stack: &Stack, id: &str, answer: fn(Command) -> NodeAnswer) -> Bus {
    let bus = connect_as(stack, id).await;
    answers(stack, id, &bus, answer).await;
    bus
}

/// From now on the node answers.
async fn answers(stack: &Stack, id: &str, bus: &Bus, answer: fn(Command) -> NodeAnswer) {
    let subject = format!("vpn.node.{id}.apply");
    let mut requests = bus.client.subscribe(subject).await.expect("subscribed");
    bus.client.flush().await.expect("flushed");
    let client = bus.client.clone();
    stack.tasks.spawn(format!("answers of {id}"), async move {
        while let Some(request) = requests.next().await {
            let asked = Envelope::<NodeRequest>::decode(&request.payload)?.body;
            let (NodeRequest::Apply { command }, Some(reply)) = (asked, request.reply) else {
                anyhow::bail!("another request");
            };
            client.publish(reply, Envelope::new(answer(command)).encode()).await?;
        }
        Ok(())
    });
}

fn acked(command: Command) -> NodeAnswer {
    NodeAnswer::Acked {
        ack: Ack {
            node: command.node().clone(),
            instance: AgentInstance::new(),
            user_key: command.user_key(),
            revision: command.revision(),
            outcome: Outcome::Applied {
                issued: None,
                further: Vec::new(),
                note: None,
            },
            applied_at: Utc::now(),
        },
    }
}

/// What an agent of an earlier release answers.
fn unknown(_: Command) -> NodeAnswer {
    NodeAnswer::Failed {
        error: "the payload is not a valid message".to_owned(),
    }
}

async fn holds(stack: &Stack, name: &str) -> UserView {
    let user = create(stack, name).await;
    let acks: Vec<Ack> = user
        .placements
        .iter()
        .map(|placed| applied(placed.server_id.as_str(), &user, 1))
        .collect();
    apply_reports(&stack.app, &acks, &[]).await.expect("recorded");
    user
}

async fn placed(stack: &Stack, user: &UserView) -> placement::Model {
    let found = placement::Entity::find().filter(placement::COLUMN.user_id.eq(user.user.id));
    found.one(&stack.app.db).await.expect("read").expect("placed")
}

async fn change(stack: &Stack, user: &UserView, change: UserChange) {
    change_user(&stack.app, &actor(), &user.user.username, change)
        .await
        .expect("changed");
}

fn activity(active: bool) -> UserChange {
    UserChange {
        active: Some(active),
        ..UserChange::default()
    }
}

#[tokio::test]
async fn a_removal_is_applied_by_a_node_that_takes_nothing_from_its_stream() {
    let stack = Stack::start().await;
    let _node = answering(&stack, "node-1", acked).await;
    let alice = holds(&stack, "alice").await;
    remove_user(&stack.app, &actor(), &alice.user.username)
        .await
        .expect("removed");
    let gone = wait::until(wait::SOON, "the removal to end", async || {
        view(&stack, "alice").await.is_none()
    });
    gone.await.expect("ended");

    // The tombstone that was published meanwhile is deleted when the node acks it too, although nobody knows the user any more.
    let applied = apply_reports(&stack.app, &[applied("node-1", &alice, 2)], &[])
        .await
        .expect("recorded");
    assert_eq!(applied.tombstones.len(), 1);
    assert_eq!(applied.tombstones[0].user, alice.user.key);
}

#[tokio::test]
async fn what_ends_access_or_shortens_it_is_urgent_and_nothing_else_is() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    stack.end_tasks().await;
    let hour = Utc::now() + chrono::TimeDelta::hours(1);
    let until = |end| UserChange {
        expires_at: Some(end),
        ..UserChange::default()
    };
    for (name, first, then, is_urgent) in [
        ("suspended", None, activity(false), true),
        ("resumed", Some(activity(false)), activity(true), false),
        ("given-an-end", None, until(Some(hour)), true),
        (
            "given-more-time",
            Some(until(Some(hour))),
            until(Some(hour + chrono::TimeDelta::hours(1))),
            false,
        ),
        (
            "given-less-time",
            Some(until(Some(hour))),
            until(Some(hour - chrono::TimeDelta::minutes(1))),
            true,
        ),
        ("given-no-end", Some(until(Some(hour))), until(None), false),
    ] {
        run(&stack.app.db, &format!("INSERT INTO users (key, username, server_id, created_by) VALUES (gen_random_uuid(), '{name}', 'node-1', 'test')")).await;
        run(&stack.app.db, &format!("INSERT INTO placements (user_id, server_id, role, wanted_revision, applied_revision) SELECT id, 'node-1', 'home', 1, 1 FROM users WHERE username = '{name}'")).await;
        let user = view(&stack, name).await.expect("there");
        if let Some(first) = first {
            change(&stack, &user, first).await;
            let forget = format!(
                "UPDATE placements SET urgent_since = NULL WHERE user_id = {}",
                user.user.id
            );
            run(&stack.app.db, &forget).await;
        }
        change(&stack, &user, then).await;
        assert_eq!(placed(&stack, &user).await.urgent_since.is_some(), is_urgent, "{name}");
    }
    // They are also published first.
    let claimed = claim(&stack.app.leases).await.expect("claimed");
    let names: Vec<&str> = claimed
        .iter()
        .map(|claim| claim.publication.command.body.username().as_str())
        .collect();
    assert_eq!(
        names,
        [
            "suspended",
            "given-an-end",
            "given-less-time",
            "resumed",
            "given-more-time",
            "given-no-end"
        ]
    );
}

/// Ending one access does not wait for thousands that were ended before.
#[tokio::test]
async fn the_newest_of_many_is_asked_for_first() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    stack.end_tasks().await;
    run(
        &stack.app.db,
        "WITH made AS (
             INSERT INTO users (key, username, server_id, created_by, active)
             SELECT gen_random_uuid(), 'user' || n, 'node-1', 'test', false FROM generate_series(1, 3000) n RETURNING id)
         INSERT INTO placements (user_id, server_id, role, wanted_revision, urgent_since)
         SELECT id, 'node-1', 'home', 2, now() - interval '1 second' FROM made",
    )
    .await;
    // One of the first.
    run(
        &stack.app.db,
        "UPDATE placements SET urgent_since = now() WHERE user_id = (SELECT id FROM users WHERE username = 'user7')",
    )
    .await;
    let claimed = ask_directly::claim(&stack.app.leases, &Spared::default()).await;
    let names: Vec<String> = claimed
        .expect("claimed")
        .iter()
        .map(|claim| claim.publication.command.body.username().to_string())
        .collect();
    assert_eq!(names.len(), OF_ONE_NODE);
    assert!(names.contains(&"user7".to_owned()), "{names:?}");
}

#[tokio::test]
async fn a_suspension_is_applied_directly_and_then_no_longer_urgent() {
    let stack = Stack::start().await;
    let _node = answering(&stack, "node-1", acked).await;
    let alice = holds(&stack, "alice").await;
    change(&stack, &alice, activity(false)).await;
    let settled = wait::until(wait::SOON, "the suspension", async || {
        let placed = placed(&stack, &alice).await;
        placed.applied_revision == 2 && placed.urgent_since.is_none()
    });
    settled.await.expect("applied");
}

/// The publisher takes the same row at the same moment, for example. Who left it for that asked again only when somebody else woke it, up to
/// a second later.
#[tokio::test]
async fn what_is_left_because_it_is_locked_is_known_to_be_due() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let alice = holds(&stack, "alice").await;
    stack.end_tasks().await;
    let (db, nobody) = (&stack.app.db, Spared::default());
    let are_due = async || {
        let to_ask = ask_directly::is_any_due(db, &nobody).await.expect("read");
        (to_ask, is_any_due(db).await.expect("read"))
    };
    let are_claimed = async || {
        let to_ask = ask_directly::claim(db, &nobody).await.expect("claimed").len();
        (to_ask, claim(db).await.expect("claimed").len())
    };
    run(db, "UPDATE placements SET published_revision = wanted_revision").await;
    assert_eq!(are_due().await, (false, false));
    change(&stack, &alice, activity(false)).await;

    let other = db.begin().await.expect("begun");
    let lock = "SELECT FROM placements FOR NO KEY UPDATE";
    other.execute_unprepared(lock).await.expect("locked");
    assert_eq!(are_claimed().await, (0, 0));
    assert_eq!(are_due().await, (true, true));

    other.rollback().await.expect("ended");
    assert_eq!(are_claimed().await, (1, 1));
    assert_eq!(are_due().await, (false, false));
}

#[tokio::test]
async fn a_node_that_is_away_or_of_an_earlier_release_gets_the_command_from_its_stream_only() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let _older = answering(&stack, "node-2", unknown).await;
    let alice = holds(&stack, "alice").await;
    assert_eq!(alice.placements.len(), 2);
    change(&stack, &alice, activity(false)).await;
    let published = wait::until(
        wait::SOON,
        "the command in the stream and the question to the nodes",
        async || {
            let rows = placement::Entity::find().all(&stack.app.db).await.expect("read");
            rows.iter()
                .all(|placed| placed.published_revision == 2 && placed.asked_at.is_some())
        },
    );
    published.await.expect("published");
    let rows = placement::Entity::find().all(&stack.app.db).await.expect("read");
    assert!(rows.iter().all(|placed| placed.applied_revision == 1), "{rows:?}");
    // After a minute nobody asks any more.
    run(
        &stack.app.db,
        "UPDATE placements SET urgent_since = now() - interval '61 seconds'",
    )
    .await;
    let left = wait::until(wait::SOON, "the end of asking", async || {
        let rows = placement::Entity::find().all(&stack.app.db).await.expect("read");
        rows.iter().all(|placed| placed.urgent_since.is_none())
    });
    left.await.expect("left to the stream");
}

#[tokio::test]
async fn the_answer_of_a_node_counts_only_for_what_it_was_asked() {
    let stack = Stack::start().await;
    let _thief = answering(&stack, "node-1", |command| {
        let NodeAnswer::Acked { ack } = acked(command) else {
            unreachable!("an ack")
        };
        NodeAnswer::Acked {
            ack: Ack {
                node: node("node-2"),
                ..ack
            },
        }
    })
    .await;
    enrol(&stack, "node-2").await;
    let alice = holds(&stack, "alice").await;
    change(&stack, &alice, activity(false)).await;
    let asked = wait::until(wait::SOON, "both nodes to be asked", async || {
        let rows = placement::Entity::find().all(&stack.app.db).await.expect("read");
        rows.iter()
            .all(|placed| placed.published_revision == 2 && placed.asked_at.is_some())
    });
    asked.await.expect("asked");
    // Asked again after a second: by then the first answer was refused.
    let again = wait::until(wait::SOON, "a second question", async || {
        let asked = placement::Entity::find().all(&stack.app.db).await.expect("read");
        asked.iter().any(|placed| {
            placed.server_id == node("node-1")
                && placed.asked_at > placed.urgent_since.map(|at| at + chrono::TimeDelta::seconds(1))
        })
    });
    again.await.expect("asked again");
    let rows = placement::Entity::find().all(&stack.app.db).await.expect("read");
    assert!(rows.iter().all(|placed| placed.applied_revision == 1), "{rows:?}");
}

#[tokio::test]
async fn a_node_with_many_commands_takes_no_place_from_another() {
    let stack = Stack::start().await;
    for name in ["node-1", "node-2"] {
        enrol(&stack, name).await;
    }
    stack.end_tasks().await;
    for (server, count) in [("node-1", 100), ("node-2", 1)] {
        let users = format!(
            "WITH made AS (INSERT INTO users (key, username, server_id, created_by)
                 SELECT gen_random_uuid(), '{server}-' || n, '{server}', 'test' FROM generate_series(1, {count}) n RETURNING id)
             INSERT INTO placements (user_id, server_id, role, wanted_revision, urgent_since)
             SELECT id, '{server}', 'home', 1, now() FROM made"
        );
        run(&stack.app.db, &users).await;
    }
    let claimed = ask_directly::claim(&stack.app.leases, &Spared::default())
        .await
        .expect("claimed");
    let of = |id: &str| {
        let nodes = claimed.iter().map(|claim| claim.publication.command.body.node());
        nodes.filter(|name| **name == node(id)).count()
    };
    assert_eq!((of("node-1"), of("node-2")), (OF_ONE_NODE, 1));
    let sparing = |wholly: &[&str], but_for_one: &[&str]| Spared {
        wholly: wholly.iter().map(|id| node(id)).collect(),
        but_for_one: but_for_one.iter().map(|id| node(id)).collect(),
    };
    let others = ask_directly::claim(&stack.app.leases, &sparing(&["node-1"], &[]))
        .await
        .expect("claimed");
    assert!(others.is_empty(), "{others:?}");
    let one = ask_directly::claim(&stack.app.leases, &sparing(&[], &["node-1"]))
        .await
        .expect("claimed");
    assert_eq!(one.len(), 1, "{one:?}");
}

#[tokio::test]
async fn a_node_that_is_back_is_asked_at_once_although_it_takes_nothing_from_its_stream() {
    let stack = Stack::start().await;
    let bus = connect_as(&stack, "node-1").await;
    let (alice, bob) = (holds(&stack, "alice").await, holds(&stack, "bob").await);
    change(&stack, &alice, activity(false)).await;
    let asked = wait::until(wait::SOON, "the node to be asked in vain", async || {
        placed(&stack, &alice).await.asked_at.is_some()
    });
    asked.await.expect("asked");

    answers(&stack, "node-1", &bus, acked).await;
    change(&stack, &bob, activity(false)).await;
    let took = wait::until(wait::SOON, "the second suspension", async || {
        placed(&stack, &bob).await.applied_revision == 2
    });
    let took = took.await.expect("applied");
    assert!(took < wait::PROMISED_SECOND, "it took {took:?}");
}
