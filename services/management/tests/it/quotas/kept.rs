//! How long traffic stays that counts against a quota.

use vpnmanager_management::ops::housekeeping::{Kept, delete_old_rows};

use super::{set_quota, transfer};
use crate::database::{number, run};
use crate::ops::{create, enrol};
use crate::stack::Stack;

#[tokio::test]
async fn what_may_count_this_month_stays_however_short_the_history_is() {
    let stack = Stack::start_with(&[("TRAFFIC_HISTORY", "1day")]).await;
    enrol(&stack, "node-1").await;
    create(&stack, "alice").await;
    let left = async || {
        for days_ago in [0, 30, 34] {
            transfer(&stack, "alice", 10, days_ago).await;
        }
        let deleted = delete_old_rows(&stack.app.db, Kept::of(&stack.app.config)).await;
        deleted.expect("deleted");
        number(&stack.app.db, "SELECT count(*) FROM traffic_days").await
    };
    set_quota(&stack, "default", 1_000, "month").await;
    assert_eq!(left().await, 2);
    run(&stack.app.db, "UPDATE groups SET traffic_bytes = NULL").await;
    assert_eq!(left().await, 1);
    let own = "UPDATE users SET own_traffic_bytes = 1000, own_traffic_period = 'month', own_traffic_reset_day = 1";
    run(&stack.app.db, own).await;
    assert_eq!(left().await, 2, "one user has a quota of its own");
    run(&stack.app.db, "UPDATE users SET removed_at = now()").await;
    let deleted = delete_old_rows(&stack.app.db, Kept::of(&stack.app.config)).await;
    deleted.expect("deleted");
    assert_eq!(number(&stack.app.db, "SELECT count(*) FROM traffic_days").await, 1);
}
