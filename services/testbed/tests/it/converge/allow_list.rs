//! An allow-list that somebody edited is made right again by the agent alone.

use std::{fs, time::Instant};

use serde_json::{Value, json};
use vpnmanager_testbed::{client::ClientOptions, wait};

use super::records::{REPAIR, Records, allow_list, audited, common_name};
use crate::main_job::{profile, site::Site};

/// Waits until events in the audit trail name these.
async fn are_told(site: &Site, what: &str, names: &[&str]) {
    let told = wait::until_ok(
        wait::SOON,
        format!("the audit trail to name what was {what}"),
        async || {
            let rows = audited(site, "allow_list_repaired").await;
            let text: String = rows.iter().map(Value::to_string).collect();
            if names.iter().all(|name| text.contains(name)) {
                Ok(())
            } else {
                Err(text)
            }
        },
    );
    told.await.unwrap();
}

#[tokio::test]
async fn files_that_somebody_added_or_removed_are_put_right() {
    let site = Site::without_tunnels(2).await;
    for name in ["alice", "bob"] {
        site.create(name).await;
    }
    let records = Records::open(&site).await;
    records.agree(&site).await;
    let folder = site.stack.node(1).unwrap().allow_dir();
    let removed = common_name(&site, 1, "alice");

    fs::remove_file(folder.join(&removed)).unwrap();
    fs::write(folder.join("intruder.abcdefghijklmnop"), "").unwrap();

    let took = records.agree(&site).await;
    eprintln!("measured: the allow-list was right again after {} ms", took.as_millis());
    are_told(&site, "put right", &[&removed, "intruder.abcdefghijklmnop"]).await;
}

#[tokio::test]
async fn a_session_by_an_added_file_is_cut() {
    let Some(site) = Site::with_tunnels("allow-list added").await else {
        return;
    };
    let witness = site.witness().await;
    let text = site.create("mallory").await;
    let node = site.stack.nodes().next().unwrap();
    let address = node.namespace().unwrap().address.to_string();
    let mut remotes = profile::remotes(&text).into_iter();
    let remote = remotes.find(|remote| remote.contains(&address)).unwrap();
    let only = profile::with_only(&text, remote);
    let name = common_name(&site, node.number(), "mallory");
    let api = site.stack.api();
    let suspended = api
        .change_user("mallory", &json!({ "active": false }), Some(wait::SOON))
        .await;
    suspended.unwrap().success().unwrap();
    site.refuses(&only).await;
    // The command comes twice, and each time the node makes its file as it should be.
    let records = Records::open(&site).await;
    let stream = site.bus().await.get_stream("VPN_COMMANDS").await.unwrap();
    let taken = async || {
        let unpublished = records
            .count("placements WHERE published_revision < wanted_revision")
            .await;
        let consumer = stream.consumer_info(node.id()).await.unwrap();
        unpublished == 0 && consumer.num_pending == 0 && consumer.num_ack_pending == 0
    };
    wait::until(wait::SOON, "the node to have taken its commands", taken)
        .await
        .unwrap();

    let began = Instant::now();
    fs::write(node.allow_dir().join(&name), "").unwrap();
    let mallory = site.stack.start_client(&only, &ClientOptions::default()).await.unwrap();

    let gone = async || !allow_list(&site, node.number()).contains(&name);
    wait::until(REPAIR, "the added file to be removed", gone).await.unwrap();
    eprintln!(
        "measured: the added file was gone after {} ms; it had let in {} times",
        began.elapsed().as_millis(),
        mallory.client.connections()
    );
    are_told(&site, "removed", &[&name]).await;
    let silent = async || !mallory.answers().await;
    wait::until(wait::SOON, "the session to be cut", silent).await.unwrap();
    site.refuses(&only).await;
    assert_eq!(allow_list(&site, 1), allow_list(&site, 2), "both let in the same");
    assert_eq!(allow_list(&site, 1).len(), 1, "only the witness is let in");
    witness.lost_nothing().await;
}
