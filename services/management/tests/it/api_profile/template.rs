//! What a profile says of the fleet and of the pool of its home.

use poem::http::StatusCode;
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use vpnmanager_nats::node_requests::NodeAnswer;

use super::home::{HOME, Home};
use crate::stack::{Stack, WithKey as _, json_of, problem_of};

pub(super) async fn set_directives(stack: &Stack, pool: &str, directives: &Value) {
    let path = format!("/api/pools/{pool}");
    // block-outside-dns needs DNS servers.
    let network = json!({ "redirect_gateway": true, "dns_servers": ["9.9.9.9"] });
    let body = json!({ "network": network, "client_directives": directives });
    let changed = stack.client().patch(&path).admin().body_json(&body).send().await;
    json_of(changed, StatusCode::OK).await;
}

/// Sets the MTU of the pool `default`, and with it all of its network.
pub(super) async fn set_mtu(stack: &Stack, bytes: u16) {
    let network = json!({ "redirect_gateway": true, "dns_servers": ["9.9.9.9"], "mtu": bytes });
    set_network(stack, &network).await;
}

async fn set_network(stack: &Stack, network: &Value) {
    let body = json!({ "network": network });
    let client = stack.client();
    let changed = client.patch("/api/pools/default").admin().body_json(&body).send().await;
    json_of(changed, StatusCode::OK).await;
}

/// The lines before the certificates.
fn lines(profile: &str) -> Vec<&str> {
    profile.lines().take_while(|line| !line.starts_with('<')).collect()
}

async fn etag_of(home: &Home, username: &str) -> String {
    let response = home.profile_of(username).await;
    response.assert_status_is_ok();
    response.0.headers()["etag"].to_str().expect("text").to_owned()
}

#[tokio::test]
async fn the_directives_of_the_pool_of_the_home_are_in_the_profiles_that_are_handed_out() {
    let home = Home::start().await;
    let parts = home.issued("alice").await;
    home.answers(NodeAnswer::ProfileParts(parts));
    let plain = home.handed_out("alice").await;
    let etag = etag_of(&home, "alice").await;
    assert!(!plain.contains("setenv"), "{plain}");

    let directives = json!(["block-outside-dns", "mssfix 1400", "server-poll-timeout 5"]);
    set_directives(&home.stack, "default", &directives).await;
    let profile = home.handed_out("alice").await;
    let mut expected: Vec<&str> = lines(&plain)
        .into_iter()
        .map(|line| match line {
            "server-poll-timeout 3" => "server-poll-timeout 5",
            other => other,
        })
        .collect();
    expected.extend(["setenv opt block-outside-dns", "mssfix 1400"]);
    assert_eq!(lines(&profile), expected);

    // The tag is of the text that is handed out, so whoever has the old one gets the new one.
    let changed = etag_of(&home, "alice").await;
    assert_ne!(changed, etag);
    let client = home.stack.client();
    for (known, status) in [(&etag, StatusCode::OK), (&changed, StatusCode::NOT_MODIFIED)] {
        let asked = client
            .get("/api/users/alice/profile")
            .admin()
            .header("if-none-match", known);
        asked.send().await.assert_status(status);
    }

    // Those of another pool are not.
    let body = json!({ "name": "sales", "client_directives": ["float"] });
    let made = client.post("/api/pools").admin().body_json(&body).send().await;
    json_of(made, StatusCode::CREATED).await;
    assert_eq!(home.handed_out("alice").await, profile);

    set_directives(&home.stack, "default", &json!([])).await;
    assert_eq!(home.handed_out("alice").await, plain);
    assert_eq!(etag_of(&home, "alice").await, etag);
}

#[tokio::test]
async fn the_mtu_of_the_pool_of_the_home_is_in_profiles_that_are_fetched_from_then_on() {
    let home = Home::start().await;
    let parts = home.issued("alice").await;
    home.answers(NodeAnswer::ProfileParts(parts));
    let plain = home.handed_out("alice").await;
    let etag = etag_of(&home, "alice").await;
    assert!(!plain.contains("mtu"), "{plain}");

    set_network(&home.stack, &json!({ "redirect_gateway": true, "mtu": 1320 })).await;
    let profile = home.handed_out("alice").await;
    let mut expected = lines(&plain);
    expected.extend(["tun-mtu 1320", "pull-filter ignore \"tun-mtu 1500\""]);
    assert_eq!(lines(&profile), expected);
    assert_ne!(etag_of(&home, "alice").await, etag);

    set_network(&home.stack, &json!({ "redirect_gateway": true })).await;
    assert_eq!(home.handed_out("alice").await, plain);
    assert_eq!(etag_of(&home, "alice").await, etag);
}

#[tokio::test]
async fn the_name_of_the_fleet_is_in_profiles_where_it_is_set() {
    let home = Box::pin(Home::start_with(&[("FLEET_NAME", "Example Corp. VPN")])).await;
    let parts = home.issued("alice").await;
    home.answers(NodeAnswer::ProfileParts(parts));
    let profile = home.handed_out("alice").await;
    assert_eq!(
        lines(&profile).last(),
        Some(&"setenv FRIENDLY_NAME \"Example Corp. VPN\"")
    );
    assert!(!profile.contains("GENERIC_CONFIG"));
}

/// A row that was changed by hand, or by a newer release, brings nothing into a profile, and the profile does not go out without it.
#[tokio::test]
async fn a_stored_directive_that_does_not_fit_is_named_and_not_handed_out() {
    let home = Home::start().await;
    let parts = home.issued("alice").await;
    home.answers(NodeAnswer::ProfileParts(parts));
    for (stored, said) in [
        (
            "ARRAY['float', E'verb 1\\nup /bin/evil']",
            "client_directives.1 cannot be read",
        ),
        ("ARRAY['float', 'up /bin/evil']", "client_directives.1 cannot be read"),
        ("ARRAY['float', 'unheard-of']", "client_directives.1 cannot be read"),
        (
            "ARRAY['verb 1', 'verb 2']",
            "client_directives.1: verb 2 contradicts verb 1",
        ),
    ] {
        let update = format!(
            "UPDATE pools SET client_directives = {stored}
             WHERE name = (SELECT pool FROM servers WHERE name = '{HOME}')"
        );
        home.stack.app.db.execute_unprepared(&update).await.expect("updated");
        let (problem, _) = problem_of(home.profile_of("alice").await, StatusCode::SERVICE_UNAVAILABLE).await;
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(
            detail.contains("the pool default") && detail.contains(said),
            "{stored}: {detail}"
        );
        assert!(!problem.to_string().contains("evil"), "{problem}");
    }
    set_directives(&home.stack, "default", &json!(["float"])).await;
    assert!(home.handed_out("alice").await.contains("\nfloat\n"));
}
