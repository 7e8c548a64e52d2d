//! A command of a removed user that comes back, as when a bus that was killed forgot that it had deleted it.

use vpnmanager_testbed::{
    stack::{Part, StackOptions},
    wait,
};

use super::records::{Records, allow_list};
use crate::main_job::site::Site;

#[tokio::test]
async fn a_removed_user_whose_command_came_back_is_let_in_by_no_node_for_long() {
    let mut site = Site::start(StackOptions {
        nodes: 1,
        tunnels: Some(false),
        node_env: vec![("HEARTBEAT_INTERVAL".to_owned(), "1s".to_owned())],
        ..StackOptions::default()
    })
    .await;
    let (api, bus, records) = (site.stack.api(), site.bus().await, Records::open(&site).await);
    let created = api
        .create_user("ghost", Some(wait::SOON))
        .await
        .unwrap()
        .expect(201)
        .unwrap();
    let subject = format!("vpn.cmd.node-1.{}", created.body["key"].as_str().unwrap());
    let stream = bus.get_stream("VPN_COMMANDS").await.unwrap();
    let command = stream.get_last_raw_message_by_subject(&subject).await.unwrap();
    site.delete("ghost").await;
    site.forgets("ghost").await;
    records.agree(&site).await;
    // The node's memory of the removal is gone too, with its journal.
    let file = site.stack.node(1).unwrap().dir().join("journal.db");
    let forgotten = rusqlite::Connection::open(file)
        .unwrap()
        .execute("DELETE FROM users WHERE username = 'ghost'", [])
        .unwrap();
    assert_eq!(forgotten, 1);

    // Nobody says that the credential is revoked: the node lets the user in, and has nothing to answer yet.
    site.stack.stop_part(Part::Management).await.unwrap();
    bus.publish(subject.clone(), command.payload)
        .await
        .unwrap()
        .await
        .unwrap();
    wait::until(wait::SOON, "the ghost to be let in", async || lets_in(&site))
        .await
        .unwrap();
    // Management deletes what is of nobody whenever it looks at the stream, so that the command is not delivered again.
    stream.purge().filter(&subject).await.unwrap();
    site.stack.start_part(Part::Management).await.unwrap();

    let took = records.agree(&site).await;
    eprintln!("measured: the ghost was gone after {} ms", took.as_millis());
    assert!(!lets_in(&site));
}

fn lets_in(site: &Site) -> bool {
    allow_list(site, 1).iter().any(|name| name.starts_with("ghost."))
}
