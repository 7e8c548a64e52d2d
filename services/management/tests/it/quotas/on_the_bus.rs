//! From a report of a node to a command that ends access.

use std::time::Duration;

use vpnmanager_nats::{envelope::Envelope, subjects};
use vpnmanager_testbed::wait;

use super::{credential_of, is_over, set_quota};
use crate::bus_node::connect_as;
use crate::database::until;
use crate::ops::{create, node};
use crate::session_history::{alive, began, ended, report};
use crate::stack::Stack;

#[tokio::test]
async fn a_report_with_the_last_byte_of_a_quota_ends_access() {
    let stack = Stack::start().await;
    let bus = connect_as(&stack, "node-1").await;
    create(&stack, "alice").await;
    set_quota(&stack, "default", 3_000, "none").await;
    let alice = credential_of(&stack, "alice").await;
    let node = node("node-1");
    let reports = stack.app.topology.ensure_reports(&node).await;
    reports.expect("a stream");
    let session = began(&alice, 7, 0);
    for (second, bytes) in [(1, 0), (2, 1_000)] {
        // Twice as many to the client. The end of a session is written at once.
        let record = if bytes == 0 {
            alive(&session, second, bytes)
        } else {
            ended(&session, second, bytes)
        };
        let payload = Envelope::new(report("node-1", &[record])).encode();
        let sent = bus.client.publish(subjects::sessions(&node), payload).await;
        sent.expect("published");
    }
    bus.client.flush().await.expect("flushed");

    wait::until(Duration::from_secs(15), "the quota to be used up", async || {
        is_over(&stack, "alice").await
    })
    .await
    .expect("refused");
    until(
        &stack.app.db,
        "the command that ends access",
        "SELECT count(*) FROM placements WHERE wanted_revision = 2 AND published_revision = 2",
    )
    .await;
}
