//! What the audit trail says before certificates end.

use vpnmanager_management::{
    domain::audit_action::AuditAction,
    ops::certificates::{tell_clients::tell_client_ends, tell_ends::tell_ends},
};

use super::{certified, started};
use crate::database::{number, run};
use crate::ops::{audited, enrol};
use crate::stack::Stack;

/// Two replicas look at the same time.
async fn look(stack: &Stack) {
    let (one, other) = tokio::join!(tell_ends(&stack.app.db, "one"), tell_ends(&stack.app.db, "other"));
    one.and(other).expect("told");
}

async fn look_at_clients(stack: &Stack) {
    let (one, other) = tokio::join!(
        tell_client_ends(&stack.app.db, "one"),
        tell_client_ends(&stack.app.db, "other")
    );
    one.and(other).expect("told");
}

#[tokio::test]
async fn the_end_of_a_nodes_certificate_is_told_once_at_each_number_of_days() {
    let stack = started().await;
    enrol(&stack, "node-1").await;
    stack.end_tasks().await;
    let mut told = Vec::new();
    for hours in [31 * 24, 30 * 24 - 1, 20 * 24, 14 * 24 - 1, 3 * 24, 2, 1, -1] {
        let end = format!("UPDATE certificates SET not_after = now() + interval '{hours} hours' WHERE kind = 'node'");
        run(&stack.app.db, &end).await;
        for _ in 0..2 {
            look(&stack).await;
        }
        let entries = audited(&stack, AuditAction::CertificateNearEnd).await;
        told = entries
            .iter()
            .map(|entry| entry.after.clone().expect("a state")["days"].clone())
            .collect();
    }
    assert_eq!(told, [30, 14, 7, 1]);
    let entries = audited(&stack, AuditAction::CertificateNearEnd).await;
    assert!(
        entries
            .iter()
            .all(|entry| entry.server_id == "node-1" && entry.actor == "system")
    );
    let details = entries[0].details.clone().unwrap_or_default();
    assert!(
        details.contains("within 30 days") && details.contains("renews it by itself"),
        "{details}"
    );
}

#[tokio::test]
async fn the_ends_of_many_devices_are_told_in_one_entry_a_day_and_each_once() {
    let stack = started().await;
    enrol(&stack, "node-1").await;
    for name in ["alice", "bob", "carol"] {
        certified(&stack, "node-1", name).await;
    }
    stack.end_tasks().await;
    run(
        &stack.app.db,
        "DELETE FROM certificate_notices;
         UPDATE credentials SET not_after = now() + interval '10 days';
         UPDATE credentials SET not_after = now() + interval '9 days' WHERE common_name LIKE 'bob.%'",
    )
    .await;
    for _ in 0..2 {
        look_at_clients(&stack).await;
    }
    let entries = audited(&stack, AuditAction::CertificatesNearEnd).await;
    let [entry] = entries.as_slice() else {
        panic!("{entries:?}")
    };
    let after = entry.after.clone().expect("a state");
    assert_eq!((&after["days"], &after["certificates"]), (&14.into(), &3.into()));
    assert_eq!(after["usernames"][0], "bob");

    // The next day, and the days after: what was told is told no more before the next number of days.
    let a_day_passes = "UPDATE certificate_notices SET told_on = told_on - 1, told_upto = told_upto - interval '1 day';
                        UPDATE credentials SET not_after = not_after - interval '1 day'";
    let mut counts = Vec::new();
    for _ in 0..9 {
        run(&stack.app.db, a_day_passes).await;
        look_at_clients(&stack).await;
        counts.push(audited(&stack, AuditAction::CertificatesNearEnd).await.len());
    }
    assert_eq!(counts, [2, 3, 3, 3, 3, 3, 4, 5, 5]);
    assert_eq!(
        number(&stack.app.db, "SELECT count(*) FROM certificate_notices").await,
        4
    );
}
