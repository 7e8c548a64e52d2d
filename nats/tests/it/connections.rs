//! What the servers say of the nodes' connections.

use vpnmanager_nats::security::connections::list_node_connections;

use crate::fixture::{Bus, NodeIdentity, until};

#[tokio::test]
async fn the_connections_of_each_node_and_what_they_sent_are_known() {
    let bus = Bus::start().await;
    let _management = bus.management().await;
    let (system, authority) = (bus.system().await, bus.files.node_authority().unwrap());
    let listed = async || list_node_connections(&system, &authority.account).await.unwrap();
    assert_eq!(listed().await, [], "management is none of them");

    let [first, second] = ["n1", "n2"].map(|node| NodeIdentity::issue(&node.parse().unwrap(), &authority));
    let one = bus.join(&first).await.unwrap();
    let _two = bus.join(&second).await.unwrap();
    let _three = bus.join(&second).await.unwrap();
    for _ in 0..5 {
        one.client.publish("vpn.health.n1", "1234567890".into()).await.unwrap();
    }
    one.client.flush().await.unwrap();

    until("all to be listed", async || {
        let all = listed().await;
        let of = |node: &NodeIdentity| all.iter().filter(|found| found.key == node.public_key()).count();
        let sent = all.iter().find(|found| found.key == first.public_key());
        (of(&first), of(&second)) == (1, 2) && sent.is_some_and(|sent| (sent.messages, sent.bytes) == (5, 50))
    })
    .await;
}
