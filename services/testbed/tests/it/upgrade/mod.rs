//! Programs of the last release and of this one in one fleet. `make test-upgrade` builds the last release and runs these tests; `make test` leaves
//! them out.

#![expect(clippy::unwrap_used, reason = "helpers of tests: what fails here fails the test")]

mod agents;
mod managements;
mod rolling;

use std::time::SystemTime;

use serde_json::json;
use vpnmanager_testbed::{
    api::Api,
    binaries::{LastRelease, require_last_release},
    net::require_tunnels,
    stack::Part,
    wait,
};

use crate::main_job::{profile, site::Site};

/// What all programs of this build say of themselves.
const THIS_RELEASE: &str = env!("CARGO_PKG_VERSION");

/// The last release, where it was built and there are tunnels.
fn with_tunnels(test: &str) -> Option<LastRelease> {
    require_tunnels(test)?;
    require_last_release(test)
}

/// Restarts a management or an agent as this release.
async fn upgrade(site: &mut Site, part: Part) {
    site.stack.stop_part(part).await.unwrap();
    site.stack.set_program(part, None).unwrap();
    site.stack.start_part(part).await.unwrap();
}

/// Waits until management shows that the agent of each node is of this version.
async fn agents_are(site: &Site, version: &str) {
    let api = site.stack.api();
    wait::until_ok(wait::SOON, format_args!("agents of release {version}"), async || {
        let nodes = api.endnodes().await.map_err(|error| error.to_string())?;
        let mut items = nodes.items().iter();
        let are = !nodes.items().is_empty() && items.all(|node| node["agent_version"] == version);
        match are {
            true => Ok(()),
            false => Err(nodes.text),
        }
    })
    .await
    .unwrap();
}

/// Panics unless this management is of that version.
async fn management_is(api: &Api, version: &str) {
    let health = api.get("/health").await.unwrap().expect(200).unwrap();
    assert_eq!(health.body["version"], version, "{}", health.text);
}

/// A user is created, has a tunnel to each node, is cut within a second when she is suspended, comes back, and is deleted for good.
async fn main_job(site: &Site, username: &str) {
    let text = site.create(username).await;
    profile::assert_complete(&text, 2);
    site.lets_in(&text).await;
    let visitor = site.visit(&text).await;

    let began = SystemTime::now();
    site.change(username, &json!({ "active": false })).await;
    visitor.is_cut(began, "a suspension between two releases").await;
    site.refuses(&text).await;

    site.change(username, &json!({ "active": true })).await;
    site.lets_in(&text).await;
    site.delete(username).await;
    site.refuses(&text).await;
}
