//! The control of `reply_subjects`: in one shared account the same attempt succeeds, so those tests can fail.

use async_nats::ConnectOptions;
use vpnmanager_nats::{
    ids::UserKey,
    subjects,
    topology::{Topology, TopologyOptions},
};
use vpnmanager_testbed::nats::Nats;

use crate::fixture::until;

#[tokio::test]
async fn in_one_shared_account_a_receipt_overwrites_another_nodes_command() {
    let server = Nats::start(|site| {
        site.plain_config()
            + r#"authorization { users: [
                { user: management, password: x }
                { user: n1, password: x, permissions: { publish: ["vpn.ack.n1.>"], subscribe: ["_INBOX.n1.>"] } }
            ] }"#
    })
    .await
    .unwrap();
    let connect = async |user: &str| {
        ConnectOptions::with_user_and_password(user.into(), "x".into())
            .connect(server.url())
            .await
            .unwrap()
    };
    let (management, n1) = (connect("management").await, connect("n1").await);
    let topology = Topology::ensure(&management, TopologyOptions::default()).await.unwrap();
    let alice = subjects::command(&"n2".parse().unwrap(), UserKey::new());
    topology
        .context()
        .publish(alice.clone(), "the real one".into())
        .await
        .unwrap()
        .await
        .unwrap();

    let n1_id = "n1".parse().unwrap();
    topology.ensure_reports(&n1_id).await.unwrap();
    let own = subjects::ack(&n1_id, UserKey::new());
    n1.publish_with_reply(own, alice.clone(), "{}".into()).await.unwrap();

    until("the command is overwritten by the server's own receipt", async || {
        let newest = topology
            .commands()
            .get_last_raw_message_by_subject(&alice)
            .await
            .unwrap();
        newest.payload.starts_with(b"{\"stream\":\"VPN_EVENTS_n1\"")
    })
    .await;
}
