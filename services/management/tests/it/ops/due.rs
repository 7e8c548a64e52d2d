//! What wakes the tasks, and what keeps the placer from reading all users.

use chrono::Utc;
use vpnmanager_management::{
    domain::placement::Goal,
    ops::{
        due::{Due, read_due},
        nodes::sum_totals::sum_totals,
        placement::fill::{Basis, read_basis},
    },
};

use super::{create, enrol};
use crate::{database::run, stack::Stack};

async fn due(stack: &Stack) -> Due {
    read_due(&stack.app.leases, stack.app.config.health)
        .await
        .expect("read")
}

/// Nothing is due: everything is published, applied and summed.
async fn at_rest(stack: &Stack) {
    run(
        &stack.app.db,
        "UPDATE servers SET prompt_since = NULL, last_seen = now(), state = 'healthy', lost_since = NULL",
    )
    .await;
    run(
        &stack.app.db,
        "UPDATE placements SET published_revision = wanted_revision, applied_revision = wanted_revision, urgent_since = NULL",
    )
    .await;
    sum_totals(&stack.app.leases).await.expect("summed");
    assert_eq!(due(stack).await, Due::default());
}

#[tokio::test]
async fn each_thing_left_to_do_is_due_alone() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    create(&stack, "alice").await;
    stack.end_tasks().await;
    let none = Due::default();
    for (change, expected) in [
        (
            "UPDATE placements SET published_revision = 0",
            Due {
                publications: true,
                ..none
            },
        ),
        (
            "UPDATE placements SET published_revision = 0, lease_until = now() + interval '1 minute'",
            none,
        ),
        (
            "UPDATE placements SET urgent_since = now()",
            Due { urgent: true, ..none },
        ),
        (
            "UPDATE placements SET digest = digest + 1",
            Due { totals: true, ..none },
        ),
        (
            "UPDATE servers SET prompt_since = now()",
            Due {
                handshakes: true,
                ..none
            },
        ),
        ("UPDATE servers SET lost_since = now()", Due { lost: true, ..none }),
        (
            "UPDATE servers SET last_seen = now() - interval '1 hour'",
            Due { silent: true, ..none },
        ),
        (
            "UPDATE servers SET last_seen = now() - interval '1 hour', state = 'lost'",
            none,
        ),
        ("UPDATE servers SET last_seen = NULL", none),
        (
            "INSERT INTO restorations (made_at, source) VALUES (now(), 'yesterday.age')",
            Due {
                undecided: true,
                ..none
            },
        ),
    ] {
        at_rest(&stack).await;
        run(&stack.app.db, change).await;
        assert_eq!(due(&stack).await, expected, "{change}");
    }
}

#[tokio::test]
async fn whatever_could_leave_a_user_without_a_node_changes_the_basis() {
    let stack = Stack::start().await;
    for node in ["node-1", "node-2"] {
        enrol(&stack, node).await;
    }
    create(&stack, "alice").await;
    stack.end_tasks().await;
    let basis = async || -> Basis {
        let goal = Goal {
            replicas: 2,
            lost_before: Utc::now() - stack.app.config.health.rehome_after,
        };
        read_basis(&stack.app.db, goal).await.expect("read")
    };
    let mut before = basis().await;
    // How it is summed, and heartbeats, change nothing.
    sum_totals(&stack.app.leases).await.expect("summed");
    run(&stack.app.db, "UPDATE servers SET last_seen = now()").await;
    assert_eq!(basis().await, before);
    for change in [
        "UPDATE servers SET enabled = false WHERE name = 'node-2'",
        "UPDATE servers SET enabled = true WHERE name = 'node-2'",
        "UPDATE servers SET draining = true WHERE name = 'node-1'",
        "UPDATE servers SET draining = false, pool = 'other' WHERE name = 'node-1'",
        "UPDATE servers SET lost_since = now() WHERE name = 'node-2'",
        "UPDATE servers SET lost_since = NULL WHERE name = 'node-2'",
        "DELETE FROM placements WHERE server_id = 'node-2'",
    ] {
        run(&stack.app.db, change).await;
        let after = basis().await;
        assert_ne!(after, before, "{change}");
        before = after;
    }
}
