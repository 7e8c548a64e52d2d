//! A node whose journal is gone gets everything again; the keys that only it had are gone, and said to be.

use std::time::Instant;

use vpnmanager_testbed::stack::Part;

use super::records::{Records, audited};
use crate::main_job::site::Site;

#[tokio::test]
async fn a_node_that_lost_its_journal_lets_the_same_users_in_and_issues_nothing_again() {
    let Some(mut site) = Site::with_tunnels("journal lost").await else {
        return;
    };
    let witness = site.witness().await;
    let (alice, bob, ghost) = (
        site.create_at("alice", "node-1").await,
        site.create_at("bob", "node-2").await,
        site.create_at("ghost", "node-2").await,
    );
    let records = Records::open(&site).await;
    records.agree(&site).await;
    let api = site.stack.api();

    site.stack.stop_part(Part::Node(1)).await.unwrap();
    // Its file in the allow-list is all that the node still knows of it.
    api.delete_user("ghost", None).await.unwrap().success().unwrap();
    let issued = records.serials().await;
    site.lose_journal(1);
    let began = Instant::now();
    site.stack.start_part(Part::Node(1)).await.unwrap();

    site.forgets("ghost").await;
    records.agree(&site).await;
    eprintln!(
        "measured: the node was right {} ms after it started without a journal",
        began.elapsed().as_millis()
    );
    assert_eq!(audited(&site, "node_resync_started").await.len(), 1);
    let after = records.serials().await;
    let kept = issued.iter().filter(|(name, _)| !name.starts_with("ghost."));
    for (name, serial) in kept {
        assert_eq!(after.get(name), Some(serial), "{name} was issued again");
    }
    assert!(
        after.keys().all(|name| issued.contains_key(name)),
        "issued anew: {after:?}"
    );
    site.lets_in(&alice).await;
    site.lets_in(&bob).await;
    site.refuses(&ghost).await;
    witness.lost_nothing().await;
    assert_eq!(api.profile("bob").await.unwrap(), bob, "its key is on the other node");
    let lost = api.get("/api/users/alice/profile").await.unwrap();
    assert_eq!(
        lost.headers["content-type"], "application/problem+json",
        "{}",
        lost.text
    );
    assert!(lost.text.contains("does not hold the profile"), "{}", lost.text);
    eprintln!("the profile that is lost: {} {}", lost.status, lost.body["detail"]);
    assert!((400..500).contains(&lost.status), "{}", lost.text);
}
