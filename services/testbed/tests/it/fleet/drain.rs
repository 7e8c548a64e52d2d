//! Draining a node: its clients move to the next one by themselves, and nobody lands on it.

use vpnmanager_testbed::{client::ClientOptions, stack::Part, wait};

use crate::main_job::{
    profile,
    site::{MOVED, Site, Visitor, reached},
};

#[tokio::test]
async fn a_drained_node_loses_its_clients_within_two_seconds_each_and_newcomers_go_elsewhere() {
    let Some(mut site) = Site::with_tunnels("drain").await else {
        return;
    };
    let mut visitors: Vec<Visitor> = Vec::new();
    let mut profiles = Vec::new();
    for username in ["alice", "bob", "carol"] {
        let text = site.create_at(username, "node-1").await;
        visitors.push(site.visit(&text).await);
        profiles.push(text);
    }
    let newcomer = site.create_at("dave", "node-1").await;
    let hosts: Vec<String> = profile::hosts(&newcomer).into_iter().map(ToOwned::to_owned).collect();
    for visitor in &visitors {
        assert!(visitor.connection.client.log().contains(&reached(&hosts[0])));
    }

    site.ask_for("drain", "node-9", 404).await;
    site.ask_for("drain", "node-1", 200).await;
    // The last one that is left for them must stay.
    site.ask_for("drain", "node-2", 409).await;

    for visitor in visitors {
        let gap = visitor.moved_to(&hosts[1], 1).await;
        eprintln!(
            "measured: a moved client was without its tunnel for {} ms",
            gap.as_millis()
        );
        assert!(gap < MOVED, "{gap:?}");
        visitor.connection.close().await;
    }
    site.is_drained("node-1").await;

    // The next run of the agent goes on with it.
    site.stack.kill_part(Part::Node(1)).await.unwrap();
    site.stack.start_part(Part::Node(1)).await.unwrap();
    let connection = site
        .stack
        .start_client(&newcomer, &ClientOptions::default())
        .await
        .unwrap();
    let took = connection
        .client
        .log()
        .wait_for(&reached(&hosts[1]), 1, wait::SOON)
        .await
        .unwrap();
    eprintln!(
        "measured: a newcomer was on the other node after {} ms",
        took.as_millis()
    );
    connection.client.connected(wait::SOON).await.unwrap();
    site.is_drained("node-1").await;
    connection.close().await;

    let api = site.stack.api();
    let eve = api
        .create_user("eve", Some(wait::SOON))
        .await
        .unwrap()
        .expect(201)
        .unwrap();
    assert_eq!(eve.body["server_id"], "node-2", "{}", eve.text);
    let only = api.profile("eve").await.unwrap();
    assert_eq!(profile::hosts(&only), [hosts[1].as_str()]);

    site.ask_for("undrain", "node-1", 200).await;
    site.keeps_its_clients("node-1").await;
    let back = site.visit(&profiles[0]).await;
    assert!(back.connection.client.log().contains(&reached(&hosts[0])));
    back.lost_nothing().await;
    for action in ["node_drained", "node_undrained"] {
        let rows = api.audit(&format!("?action={action}")).await.unwrap();
        assert_eq!(rows.items().len(), 1, "{}", rows.text);
    }
}

#[tokio::test]
async fn a_node_that_was_away_learns_of_its_draining_when_it_returns() {
    let Some(mut site) = Site::with_tunnels("drain away").await else {
        return;
    };
    let text = site.create_at("alice", "node-1").await;
    let hosts: Vec<String> = profile::hosts(&text).into_iter().map(ToOwned::to_owned).collect();
    let alice = site.visit(&text).await;
    site.stack.stop_part(Part::Node(1)).await.unwrap();

    site.ask_for("drain", "node-1", 200).await;
    assert_eq!(
        alice.connection.client.connections(),
        1,
        "the tunnel outlives its agent"
    );
    site.stack.start_part(Part::Node(1)).await.unwrap();

    let log = alice.connection.client.log();
    log.wait_for(&reached(&hosts[1]), 1, wait::SOON).await.unwrap();
    site.is_drained("node-1").await;
}
