use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

use chrono::TimeDelta;
use serde_json::json;
use vpnmanager_runtime::doctor::Outcome;

use super::*;

/// Each path with a status and a body.
type Answers = &'static [(&'static str, u16, &'static str)];

/// A management that answers this.
fn management(answers: Answers) -> String {
    management_ahead(answers, TimeDelta::zero())
}

/// The same whose clock is ahead.
fn management_ahead(answers: Answers, ahead: TimeDelta) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // Whoever only looks whether somebody is there says nothing.
            _ = answer(client, answers, Utc::now() + ahead);
        }
    });
    url
}

fn answer(mut client: TcpStream, answers: Answers, now: DateTime<Utc>) -> std::io::Result<()> {
    let mut lines = BufReader::new(client.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let path = request.split(' ').nth(1).unwrap_or_default();
    let found = answers.iter().find(|(known, _, _)| path.starts_with(known));
    let (_, status, body) = found.copied().unwrap_or(("", 404, "{}"));
    let length = body.len();
    let date = now.format("%a, %d %b %Y %H:%M:%S GMT");
    let head =
        format!("HTTP/1.1 {status} X\r\ndate: {date}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
    client.write_all(head.as_bytes())
}

fn way(url: String) -> Way {
    Way {
        url,
        key: Some("a key".into()),
        authorities: None,
    }
}

fn ended(findings: &[Finding], outcome: Outcome) -> Vec<&'static str> {
    let ended = findings.iter().filter(|finding| finding.outcome == outcome);
    ended.map(|finding| finding.id).collect()
}

const WELL: &str = concat!(
    r#"{"status":"ok","problems":[],"server_id":"m1","version":""#,
    env!("CARGO_PKG_VERSION"),
    r#""}"#
);
const NODES_OF: &str =
    r#"{"items":[{"server_id":"n1","state":"healthy"},{"server_id":"n2","state":"lost","state_reason":"silent"}]}"#;

#[tokio::test]
async fn a_lost_node_and_a_refused_key_are_told_alone() {
    let url = management(&[
        ("/health", 200, WELL),
        ("/api/endnodes", 200, NODES_OF),
        ("/api/join-tokens", 403, "{}"),
    ]);
    let found = examine(&way(url)).await;
    assert_eq!(ended(&found, Outcome::Failed), ["nodes"], "{found:#?}");

    let url = management(&[("/health", 200, WELL), ("/api/endnodes", 401, "{}")]);
    let found = examine(&way(url)).await;
    assert_eq!(ended(&found, Outcome::Failed), ["key"], "{found:#?}");
}

#[tokio::test]
async fn a_management_that_cannot_work_and_one_that_is_away_are_told_alone() {
    let url = management(&[("/health", 503, r#"{"detail":"the database is away"}"#)]);
    let found = examine(&way(url)).await;
    assert_eq!(ended(&found, Outcome::Failed), ["service"], "{found:#?}");

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let found = examine(&way(gone)).await;
    assert_eq!(ended(&found, Outcome::Failed), ["reach"], "{found:#?}");
    let found = examine(&way("http://no-such-management.invalid".to_owned())).await;
    assert_eq!(ended(&found, Outcome::Failed), ["names"], "{found:#?}");
}

#[tokio::test]
async fn a_clock_that_is_off_and_another_release_are_told() {
    const NODE: (&str, u16, &str) = (
        "/api/endnodes",
        200,
        r#"{"items":[{"server_id":"n1","state":"healthy"}]}"#,
    );
    const OLDER: &str = r#"{"status":"ok","problems":[],"server_id":"m1","version":"0.0.1"}"#;
    let ahead = management_ahead(&[("/health", 200, WELL), NODE], TimeDelta::hours(1));
    let found = examine(&way(ahead)).await;
    assert_eq!(ended(&found, Outcome::Failed), ["clock"], "{found:#?}");
    assert_eq!(ended(&found, Outcome::Warning), [""; 0], "{found:#?}");

    let found = examine(&way(management(&[("/health", 200, OLDER), NODE]))).await;
    assert_eq!(ended(&found, Outcome::Warning), ["version"], "{found:#?}");
    assert_eq!(ended(&found, Outcome::Failed), [""; 0], "{found:#?}");
}

#[tokio::test]
async fn a_management_that_shows_no_certificate_of_its_ca_is_told() {
    tls::install_crypto_provider();
    let url = management(&[("/health", 200, WELL)]).replace("http://", "https://");
    let way = Way {
        authorities: Some(CA.to_owned()),
        ..way(url)
    };
    let found = examine(&way).await;
    assert_eq!(ended(&found, Outcome::Failed), ["certificate", "service"], "{found:#?}");
}

/// A CA that signed nothing.
const CA: &str = "-----BEGIN CERTIFICATE-----\n\
MIIBhTCCASugAwIBAgIUC3x/MyYuD+b9yEC3A1ahSHZEBmUwCgYIKoZIzj0EAwIw\n\
FzEVMBMGA1UEAwwMY2Egb2YgYSB0ZXN0MCAXDTI2MTIwMTAzNTY1MFoYDzIxMjYx\n\
MTA3MDM1NjUwWjAXMRUwEwYDVQQDDAxjYSBvZiBhIHRlc3QwWTATBgcqhkjOPQIB\n\
BggqhkjOPQMBBwNCAARThBOZFzQz196X6J69lKRg4XvQbfwilHtuVXQMLLq0PaaP\n\
enJaXIk2vWZSqHu9QhPSOFok88MG/M/2GBd5ZaVCo1MwUTAdBgNVHQ4EFgQUMmLf\n\
saAA9lFjHDBu8SVTIbpgZzQwHwYDVR0jBBgwFoAUMmLfsaAA9lFjHDBu8SVTIbpg\n\
ZzQwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEAjn6jyjtGeGe9\n\
3SyS0BFVlaKbki/Cy33Z5Fjl0lEA/r4CICvKkg/+lTXpGKBBFxYut6uz09wC/3Ei\n\
+B+XxQtQeZ/i\n\
-----END CERTIFICATE-----\n";

#[test]
fn places_have_the_port_of_their_scheme() {
    for (url, host, port) in [
        ("https://management.example.org", "management.example.org", 443),
        ("http://[2001:db8::fffb]/vpn", "2001:db8::fffb", 80),
        ("https://[2001:db8::fffb]:8443", "2001:db8::fffb", 8443),
    ] {
        assert_eq!(place_of(url), Some((host.to_owned(), port)), "{url}");
    }
}

#[test]
fn a_node_is_judged_by_its_state() {
    let judged = |state: &str, reason: Option<&str>| {
        verdict_of(&json!({ "server_id": "n1", "state": state, "state_reason": reason }))
    };
    let drained = verdict_of(&json!({ "server_id": "n1", "state": "lost", "draining": true }));
    assert!(matches!(drained, Verdict::Warning(_)));
    assert!(matches!(judged("healthy", None), Verdict::Fine(_)));
    assert!(matches!(judged("healthy", Some("old agent")), Verdict::Warning(_)));
    assert!(matches!(judged("stale", Some("silent")), Verdict::Warning(_)));
    for bad in ["degraded", "lost", "something new"] {
        assert!(matches!(judged(bad, Some("why")), Verdict::Failed(_)));
    }
}
