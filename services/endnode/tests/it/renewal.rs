//! The certificate of the server is renewed when most of its life is over.

use std::{fs, os::unix::fs::PermissionsExt as _};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use vpnmanager_testbed::{ports, wait};

use crate::{
    agent::Agent,
    authority::Authority,
    fake_management::{DEADLINE, FakeManagement, Renewing},
    parts::node_id,
};

/// A node whose certificate was valid for so many days and will be for so many, and what management does when it asks for another one.
async fn node(days: (i64, i64), renewing: Renewing) -> (FakeManagement, Agent) {
    node_told(days, renewing, |_present| None).await
}

/// The same, of which management says that these authorities are trusted, made of the one that it has.
async fn node_told(
    days: (i64, i64),
    renewing: Renewing,
    authorities: impl FnOnce(&str) -> Option<String>,
) -> (FakeManagement, Agent) {
    let management = FakeManagement::start().await;
    {
        let mut script = management.script();
        script.server_days = Some(days);
        script.renewing = renewing;
        script.authorities = authorities(management.authority());
    }
    let mut agent = Agent::new(node_id().as_str(), &management.url());
    agent.start().await;
    agent.in_sync().await;
    (management, agent)
}

fn certificate(agent: &Agent) -> String {
    fs::read_to_string(agent.dir.join("openvpn/node.crt")).unwrap()
}

fn identity(agent: &Agent) -> Value {
    serde_json::from_str(&fs::read_to_string(agent.dir.join("identity.json")).unwrap()).unwrap()
}

async fn said(agent: &Agent, what: &str) {
    let told = || async { agent.log().contains(what) };
    wait::until(DEADLINE, format!("the log to say: {what}"), told)
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", agent.log()));
}

#[tokio::test]
async fn a_certificate_with_less_than_a_third_of_its_life_left_is_renewed_for_the_same_key() {
    let (management, mut agent) = node((25, 5), Renewing::Signs).await;
    let (before, key) = (
        certificate(&agent),
        fs::read(agent.dir.join("openvpn/node.key")).unwrap(),
    );

    said(&agent, "The certificate of the OpenVPN server is renewed").await;
    let after = certificate(&agent);
    assert_ne!(after, before);
    assert_eq!(fs::read(agent.dir.join("openvpn/node.key")).unwrap(), key);
    let mode = fs::metadata(agent.dir.join("openvpn/node.crt"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let kept = identity(&agent);
    assert_eq!(kept["certificate"].as_str().map(str::trim), Some(after.trim()));
    let end: DateTime<Utc> = kept["replaced_certificate"]["expires_at"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let left = end - Utc::now();
    assert!(left > TimeDelta::days(4) && left <= TimeDelta::days(5), "{end}");
    // No OpenVPN runs there that would go on with the other one.
    let is_told = || async {
        let beat = management.script().heartbeats.last().cloned();
        let end = beat.and_then(|beat| beat.certificate_expires_at);
        end.is_some_and(|end| end - Utc::now() > TimeDelta::days(29))
    };
    wait::until(DEADLINE, "a heartbeat with the new end", is_told)
        .await
        .unwrap();

    agent.kill().await;
    agent.start().await;
    agent.in_sync().await;
    assert_eq!(management.script().registrations.len(), 1, "it enrolled again");
    assert_eq!(certificate(&agent).trim(), after.trim());
}

/// Days that are left, as the figures of the node say.
async fn days_left(port: u16) -> Option<f64> {
    let answer = reqwest::get(format!("http://127.0.0.1:{port}/metrics")).await.ok()?;
    let text = answer.text().await.ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("vpnmanager_agent_certificate_days_left "))?;
    line.parse().ok()
}

#[tokio::test]
async fn the_figures_of_the_node_follow_its_certificate() {
    let management = FakeManagement::start().await;
    {
        let mut script = management.script();
        script.server_days = Some((25, 5));
        script.renewing = Renewing::Signs;
    }
    let mut agent = Agent::new(node_id().as_str(), &management.url());
    let port = ports::free().expect("a port");
    agent.env.push(("METRICS_LISTEN", format!("127.0.0.1:{port}")));
    agent.start().await;
    let is_told = || async { days_left(port).await.is_some_and(|days| days != 0.0) };
    wait::until(DEADLINE, "the days", is_told).await.unwrap();
    said(&agent, "The certificate of the OpenVPN server is renewed").await;
    let is_new = || async { days_left(port).await.is_some_and(|days| days > 29.0) };
    wait::until(DEADLINE, "the days of the new certificate", is_new)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_node_goes_on_with_its_certificate_where_it_gets_no_other_one_and_says_why() {
    for (renewing, reason) in [
        (
            Renewing::Unknown,
            "management is of a release that renews no certificates of nodes",
        ),
        (Renewing::Refuses, "the node was enrolled with another key"),
        (Renewing::SignsForeign, "management has another authority"),
    ] {
        let (_management, agent) = node((25, 5), renewing).await;
        let before = certificate(&agent);
        said(&agent, reason).await;
        assert_eq!(certificate(&agent), before, "{renewing:?}");
        assert_eq!(identity(&agent).get("replaced_certificate"), None, "{renewing:?}");
        let times = agent.log().matches("is due and not renewed").count();
        assert_eq!(times, 1, "{}", agent.log());
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_due_is_asked_about_once_and_not_complained_about() {
    let (management, agent) = node((5, 25), Renewing::Unknown).await;
    let asked = || async { management.script().renewals_asked > 0 };
    wait::until(DEADLINE, "management to be asked", asked).await.unwrap();
    said(&agent, "Management could not be asked for the certificate").await;
    assert!(!agent.log().contains("is due and not renewed"), "{}", agent.log());
}

#[tokio::test]
async fn other_authorities_are_taken_where_one_of_those_before_is_among_them_and_in_no_other_case() {
    let next = Authority::new();
    let both = |present: &str| format!("{present}{}", next.pem);
    let (management, agent) = node_told((5, 25), Renewing::Signs, |present| Some(both(present))).await;
    let bundle = both(management.authority());
    said(&agent, "the agent starts anew to use them").await;
    agent.in_sync().await;
    assert_eq!(identity(&agent)["ca"].as_str(), Some(bundle.as_str()));
    let file = fs::read_to_string(agent.dir.join("openvpn/ca.crt")).unwrap();
    assert_eq!(file.trim(), bundle.trim());
    assert_eq!(
        identity(&agent)["replaced_authorities"]["trusted"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );

    let (management, agent) = node_told((25, 5), Renewing::Signs, |_present| Some(next.pem.clone())).await;
    said(&agent, "management has another authority").await;
    assert_eq!(identity(&agent)["ca"].as_str(), Some(management.authority()));
}
