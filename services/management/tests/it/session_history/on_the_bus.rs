//! Reports of sessions on their way through the bus.

use std::time::Duration;

use vpnmanager_nats::{envelope::Envelope, subjects};
use vpnmanager_testbed::wait;

use super::{alive, began, credential_of, report};
use crate::bus_node::connect_as;
use crate::database::number;
use crate::ops::node;
use crate::stack::Stack;

/// More than one node's seats: those beyond come again.
const REPORTS: u64 = 150;

#[tokio::test]
async fn whatever_a_node_reports_at_once_is_recorded() {
    let stack = Stack::start().await;
    let bus = connect_as(&stack, "node-1").await;
    let alice = credential_of(&stack, "alice").await;
    stack
        .app
        .topology
        .ensure_reports(&node("node-1"))
        .await
        .expect("a stream");
    for cid in 0..REPORTS {
        let told = report("node-1", &[alive(&began(&alice, cid, 0), 1, 1)]);
        let payload = Envelope::new(told).encode();
        let subject = subjects::sessions(&node("node-1"));
        bus.client.publish(subject, payload).await.expect("published");
    }
    bus.client.flush().await.expect("flushed");

    let all = async || {
        let sessions = number(&stack.app.db, "SELECT count(*) FROM sessions").await;
        sessions == i64::try_from(REPORTS).expect("small")
    };
    wait::until(Duration::from_secs(20), "the sessions to be recorded", all)
        .await
        .expect("recorded");
    let counted = number(&stack.app.db, "SELECT sum(sessions) FROM traffic_days").await;
    assert_eq!(counted, i64::try_from(REPORTS).expect("small"));
}
