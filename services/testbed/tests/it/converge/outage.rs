//! Management, the bus and the database are all away: the nodes go on by themselves.

use std::time::{Duration, Instant, SystemTime};

use serde_json::json;
use vpnmanager_testbed::stack::Part;

use super::records::{Records, audited};
use crate::main_job::{profile, site::Site};

const OUTAGE: Duration = Duration::from_mins(2);
const CONTROL_PLANE: [Part; 3] = [Part::Management, Part::Nats, Part::Postgres];

#[tokio::test]
async fn two_minutes_without_the_control_plane_are_noticed_by_nobody() {
    let Some(mut site) = Site::with_tunnels("control plane away").await else {
        return;
    };
    let witness = site.witness().await;
    let (alice, bob) = (site.create("alice").await, site.create("bob").await);
    let address = site.stack.node(1).unwrap().namespace().unwrap().address.to_string();
    let remote = |text: &str| -> String {
        let mut remotes = profile::remotes(text).into_iter();
        let remote = remotes.find(|remote| remote.contains(&address)).unwrap();
        profile::with_only(text, remote)
    };
    let here = site.visit(&remote(&bob)).await;
    let began = Instant::now();
    for part in CONTROL_PLANE {
        site.stack.stop_part(part).await.unwrap();
    }

    let local = site.stack.node(1).unwrap().api();
    let login = site.connect(&alice).await;
    let created = local.post("/api/users", &json!({ "username": "local" })).await.unwrap();
    assert_eq!(created.status, 202, "{}", created.text);
    let queued = local.get("/api/users").await.unwrap();
    let mut listed = queued.items().iter().filter(|user| user["username"] == "local");
    assert!(listed.any(|user| user["state"] == "queued"), "{}", queued.text);
    let deleting = SystemTime::now();
    let deleted = local.delete("/api/users/bob").await.unwrap();
    here.is_cut(deleting, "a local DELETE in the outage").await;
    assert_eq!(deleted.status, 202, "{}", deleted.text);
    site.refuses(&remote(&bob)).await;
    // The outage itself: what is shown is that nothing ends in it.
    tokio::time::sleep(OUTAGE.saturating_sub(began.elapsed())).await;
    assert!(login.answers().await);
    let _again = site.connect(&remote(&alice)).await;
    for part in CONTROL_PLANE.into_iter().rev() {
        site.stack.start_part(part).await.unwrap();
    }

    let back = Instant::now();
    site.forgets("bob").await;
    site.knows("local").await;
    let records = Records::open(&site).await;
    records.agree(&site).await;
    eprintln!(
        "measured: everything had travelled up {} ms after the return",
        back.elapsed().as_millis()
    );
    for (action, username) in [("user_created", "local"), ("user_removed", "bob")] {
        let rows = audited(&site, action).await;
        let mut rows = rows.iter().filter(|row| row["username"] == username);
        assert!(rows.any(|row| row["actor"] == "node:node-1"), "{action} of {username}");
    }
    profile::assert_complete(&site.stack.api().profile("local").await.unwrap(), 2);
    site.refuses(&bob).await;
    witness.lost_nothing().await;
}
