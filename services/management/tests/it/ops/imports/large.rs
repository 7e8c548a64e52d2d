//! A source of a hundred thousand users.

use super::{certified, import, source};
use crate::{database::number, ops::fleet};

const USERS: u32 = 100_000;
const CONFLICTS: u32 = 500;

/// Each two hundredth name is there twice.
#[tokio::test]
async fn a_hundred_thousand_users_are_imported_in_one_transaction_and_each_conflict_is_named() {
    let stack = fleet(1).await;
    stack.end_tasks().await;
    let name = |number: u32| format!("user-{number:06}");
    let users = (0..USERS).map(|number| certified(&name(number), number + 1));
    let twice = (0..CONFLICTS).map(|number| certified(&name(number * (USERS / CONFLICTS)), USERS + number + 1));
    let read = source(users.chain(twice).collect());

    let report = import(&stack, "node-1", &read).await;

    let counts = report.counts;
    assert_eq!(
        (counts.created, counts.conflicts, counts.old_certificates),
        (u64::from(USERS), u64::from(CONFLICTS), u64::from(USERS)),
        "{counts:?}"
    );
    let db = &stack.app.db;
    assert_eq!(
        number(db, "SELECT count(*) FROM old_certificates").await,
        i64::from(USERS)
    );
    let kept = report.shortened(10_000);
    assert_eq!(kept.entries.len(), CONFLICTS as usize);
    assert_eq!(kept.entries_left_out, u64::from(USERS));

    let again = import(&stack, "node-1", &read).await;
    assert_eq!(again.counts.unchanged, u64::from(USERS), "{:?}", again.counts);
}
