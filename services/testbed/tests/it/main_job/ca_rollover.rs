//! Another certificate authority takes the place of the present one while people are connected, and nobody needs a new profile.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use serde_json::json;
use vpnmanager_testbed::{
    binaries,
    stack::{Part, Stack},
    wait,
};

use super::{
    profile,
    site::{HEARD, Site},
};

const ROLLOUT: &str = "/api/pools/default/rollout";

/// Runs a step, and gives what it says, or why it was refused.
fn step(stack: &Stack, step: &str) -> Result<String, String> {
    let state = stack.state();
    let output = Command::new(binaries::management().unwrap())
        .args(["ca-rollover", step])
        .current_dir(&state.dir)
        .env("DATABASE_URL", state.database_url())
        .env("PKI_DIR", state.dir.join("pki"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.success() {
        true => Ok(said),
        false => Err(format!("{said}{}", String::from_utf8_lossy(&output.stderr))),
    }
}

/// Runs a step that waits for what agents tell.
async fn step_at_last(site: &Site, what: &str) {
    wait::until_ok(3 * HEARD, format_args!("the step {what}"), async || {
        step(&site.stack, what)
    })
    .await
    .unwrap();
}

/// Agents ask management some seconds after their start.
async fn restart_agents(site: &mut Site) {
    for number in [1, 2] {
        site.stack.stop_part(Part::Node(number)).await.unwrap();
        site.stack.start_part(Part::Node(number)).await.unwrap();
    }
}

/// How many authorities the agents of both nodes have.
async fn agents_have(site: &Site, authorities: usize) {
    let have = || async {
        [1, 2].iter().all(|number| {
            let identity = site.identity(*number);
            let ca = identity["ca"].as_str().unwrap_or_default();
            ca.matches("BEGIN CERTIFICATE").count() == authorities
        })
    };
    wait::until(HEARD, "the authorities of the agents", have).await.unwrap();
}

async fn roll_out(site: &Site) {
    // An OpenVPN that serves within 15 s of new files may have read those before.
    let since = Instant::now();
    let is_over = || async { since.elapsed() > Duration::from_secs(16) };
    wait::until(HEARD, "a start of OpenVPN to count", is_over)
        .await
        .unwrap();
    let api = site.stack.api();
    let begun = api.post(ROLLOUT, &json!({ "drain_for": "20s" })).await.unwrap();
    begun.expect(202).unwrap();
    wait::until_ok(3 * HEARD, "the rollout to end", async || {
        let answer = api.get(ROLLOUT).await.and_then(|answer| answer.expect(200));
        let answer = answer.map_err(|error| error.to_string())?;
        match answer.body["state"] == "done" {
            true => Ok(()),
            false => Err(answer.text),
        }
    })
    .await
    .unwrap();
}

fn authorities_of(text: &str) -> usize {
    profile::block(text, "ca").matches("BEGIN CERTIFICATE").count()
}

#[tokio::test]
async fn profiles_go_on_before_during_and_after_a_rollover_of_the_authority() {
    let Some(mut site) = Site::with_tunnels("ca rollover").await else {
        return;
    };
    let of_alice = site.create("alice").await;
    assert_eq!(authorities_of(&of_alice), 1);
    let alice = site.visit(&of_alice).await;

    step(&site.stack, "begin").unwrap();
    site.stack.stop_part(Part::Management).await.unwrap();
    site.stack.start_part(Part::Management).await.unwrap();
    let early = step(&site.stack, "clients").unwrap_err();
    assert!(early.contains("node-1") && early.contains("node-2"), "{early}");
    restart_agents(&mut site).await;
    agents_have(&site, 2).await;
    roll_out(&site).await;
    step_at_last(&site, "clients").await;
    alice.pings.flows(10, wait::SOON).await.unwrap();
    let of_bob = site.create("bob").await;
    assert_eq!(authorities_of(&of_bob), 2);
    site.lets_in(&of_bob).await;
    site.lets_in(&of_alice).await;

    let early = step(&site.stack, "servers").unwrap_err();
    assert!(early.contains("alice.") && !early.contains("bob."), "{early}");
    alice.connection.close().await;
    site.delete("alice").await;
    step(&site.stack, "servers").unwrap();
    restart_agents(&mut site).await;
    let early = step(&site.stack, "finish").unwrap_err();
    assert!(early.contains("node-1"), "{early}");
    site.lets_in(&of_bob).await;
    wait::until(HEARD, "certificates of the next authority", || async {
        let found = site
            .stack
            .api()
            .audit("?action=node_certificate_renewed")
            .await
            .unwrap();
        found.items().len() >= 2
    })
    .await
    .unwrap();
    roll_out(&site).await;
    step_at_last(&site, "finish").await;
    site.lets_in(&of_bob).await;
    let of_carol = site.create("carol").await;
    assert_eq!(authorities_of(&of_carol), 1);
    site.lets_in(&of_carol).await;
}
