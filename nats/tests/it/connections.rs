//! What the servers say of the nodes' connections.

use vpnmanager_nats::security::connections::{list_node_connections, list_node_connections_by};

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

#[tokio::test]
async fn the_connections_are_listed_in_pages_open_ones_and_closed_ones() {
    let bus = Bus::start().await;
    let (system, authority) = (bus.system().await, bus.files.node_authority().unwrap());
    let node = NodeIdentity::issue(&"n1".parse().unwrap(), &authority);
    let mut open = Vec::new();
    for _ in 0..7 {
        open.push(bus.join(&node).await.unwrap());
    }
    open.truncate(3);

    let listed = async |page| {
        let all = list_node_connections_by(&system, &authority.account, page)
            .await
            .unwrap();
        let closed = all.iter().filter(|found| found.is_closed).count();
        (all.len(), closed)
    };
    until("four of seven to be closed", async || listed(512).await == (7, 4)).await;
    for page in [1, 2, 3, 6, 7, 8] {
        assert_eq!(listed(page).await, (7, 4), "{page} in an answer");
    }
}
